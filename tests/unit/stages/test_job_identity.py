"""A host that pins its callers: check and execute ask who calls before anything else, and a stranger touches nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Never

import pytest
import yaml

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from hyops_ci.evidence.verify import verify
from hyops_ci.hyops_access.own import OwnAccess
from hyops_ci.identity.issuer_keys import NAME as KEYS
from hyops_ci.identity.replay import NAME as SEEN
from hyops_ci.operations.rehearse.sandbox import APPROVER, Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import approve, example_decision
from hyops_ci.planning.case import CheckCase, run_gates
from hyops_ci.planning.checking import report
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.context import RunContext, ShiftedClock, SystemClock
from hyops_ci.stages.execute.stage import execute
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import Job
from hyops_ci.stages.job_identity import NOTE, OnRunner, require_caller
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.planned_run import planned_run
from hyops_ci.stages.preview import look
from hyops_ci.stages.runner import StageEnd
from hyops_ci.stages.sealing import bundle_path
from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA, Issuer, serve_issuer
from tests.unit.evidence import sample_run

pytestmark = pytest.mark.slow

STAGES: tuple[OnRunner, ...] = ("check", "execute")
ENVIRONMENT = {"check": "dr-check", "execute": "dr-lab"}
AUDIENCE = "dr-dispatch:gcp-ops-runner"


@dataclass
class Host:
    """A runner host with its trust, the issuer of its callers' tokens, and one run that has come as far as the stage before."""

    site: Site
    issuer: Issuer
    run: RunDir
    trust: dict[str, Any]
    approvals: str = ""
    touched: list[str] = field(default_factory=list)

    def world(self, stage: str, **job: Any) -> RunContext:
        """The outside of a job on this host."""
        self.issuer.claims = {"environment": ENVIRONMENT[stage], "sha": "c" * 40}
        known = {
            "run_id": "9001-1",
            "on_github": True,
            "repository_id": 4242,
            "actor": "maria",
            "actor_id": 1001,
            "triggering_actor": "maria",
            "event": "workflow_dispatch",
            "ref": "refs/heads/main",
            "ref_protected": True,
            "sha": "c" * 40,
            "runner_name": "gcp-ops-runner-01",
        }
        usual = self.site.world()
        environ = {**usual.environ, **self.issuer.environment}
        clock = ShiftedClock(usual.clock.now())
        trust = HostTrust.model_validate_json(json.dumps(self.trust))
        return replace(usual, job=Job(**{**known, **job}), environ=environ, trust=trust, clock=clock)

    def tell(self, stage: str, world: RunContext) -> StageEnd:
        return check(self.run, world) if stage == "check" else execute(self.run, world, self.approvals)

    def come_to(self, stage: str) -> None:
        """What comes before this stage, as it went."""
        if stage == "execute":
            assert check(self.run, self.world("check")).state is State.CHECKED
            self.approvals = approve(self.site, self.run, "approve")
        self.issuer.audiences.clear()

    def seem_to_have_come_to(self, stage: str) -> None:
        """The same for a job that will get no further: it has the state, which it reads, and a report, which it must not read."""
        if stage == "execute":
            report = sample_run.check(self.run.read_model("plan.json", Plan))
            self.run.write_model("check.json", report)
            self.run.write_model("runner.json", report.runner)
            for name in ("gates-check.json", "request.json"):
                self.run.write_json(name, {})
            with PartRecorder(self.run.root, "check", self.site.clock) as part:
                part.enter(State.CHECKED)

    def lay_traps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever reads a plan, the ledger, the authority or HyOps after this is noted."""

        def trap(name: str) -> Callable[..., Never]:
            def spring(*_: object, **__: object) -> Never:
                self.touched.append(name)
                raise AssertionError(f"{name} was touched")

            return spring

        monkeypatch.setattr(RunContext, "ledger", trap("ledger"))
        for module in ("check", "execute"):
            for name in ("require_plan", "planned_run"):
                monkeypatch.setattr(f"hyops_ci.stages.{module}.stage.{name}", trap("plan"))
        monkeypatch.setattr("hyops_ci.stages.preview.open_authority", trap("open_authority"))
        for name in ("require_env", "version", "preflight"):
            monkeypatch.setattr(OwnAccess, name, trap(name))
        launcher = self.site.runner / "hyops"
        launcher.write_text(f"#!/bin/sh\ntouch {self.site.root / 'hyops-was-started'}\n")

    def notes(self) -> dict[str, dict[str, Any]]:
        """What each stage wrote down about its caller."""
        return {event.stage: event.data for event in read_chain(self.run.root) if (event.kind, event.name) == ("note", NOTE)}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    site = Site(tmp_path / "site", SystemClock())
    with endpoint() as port, serve_issuer() as issuer:
        set_up(site, port)
        key = yaml.safe_load((site.repository / ".github" / "dr-dispatch.yml").read_text())["approvals"]["approvers"][APPROVER]
        trust = {
            "api_version": "hybridops/v1",
            "kind": "HostTrust",
            "issuer": issuer.url,
            "repository_id": 4242,
            "repository_owner_id": 77,
            "ref": "refs/heads/main",
            "workflow_shas": [WORKFLOW_SHA],
            "workflow_ref": GITHUB_CLAIMS["job_workflow_ref"].partition("@")[0],
            "runner_refs": ["gcp-ops-runner"],
            "evidence_keys": [site.host_public],
            "approvers": [{"id": 1002, "login": APPROVER, "key": key}],
            "gates": {"lab": "dr-lab", "prod": "dr-prod"},
        }
        run = RunDir(tmp_path / "run" / "run")
        end = plan(Ask(site.repository, example_decision("failover", site.clock, 1)), run, site.world())
        assert end.state is State.PLANNED
        yield Host(site, issuer, run, trust)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def assert_stands_nowhere(host: Host, root: Path) -> None:
    """No file holds a token, a part of one that says something, or what it was asked for with."""
    secrets = [host.issuer.bearer, *host.issuer.given, *(part for token in host.issuer.given for part in token.split(".")[1:])]
    assert len(secrets) > 1
    for path in root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path


def test_a_caller_that_fits_goes_through_with_its_facts_in_the_evidence(host: Host, tmp_path: Path) -> None:
    ended = host.tell("check", host.world("check"))
    assert ended.state is State.CHECKED, ended
    assert host.issuer.audiences == [AUDIENCE]
    host.approvals = approve(host.site, host.run, "approve")
    ended = host.tell("execute", host.world("execute"))
    assert ended.state is State.COMPLETED_WITH_EXCEPTIONS, ended
    assert host.issuer.audiences == [AUDIENCE, AUDIENCE], "each stage takes a token of its own"
    notes = host.notes()
    assert {stage: (note["environment"], note["workflow_sha"], note["run_id"]) for stage, note in notes.items()} == {
        "check": ("dr-check", WORKFLOW_SHA, "9001"),
        "execute": ("dr-lab", WORKFLOW_SHA, "9001"),
    }
    assert (notes["check"]["keys"], notes["execute"]["keys"]) == ("issuer", "issuer")
    assert notes["check"]["token_id"] != notes["execute"]["token_id"]
    assert set(json.loads((host.site.root / "host" / SEEN).read_text())) == {note["token_id"] for note in notes.values()}
    assert verify(bundle_path(host.run)).ok
    result = host.run.read_json("result.json")
    assert "this host does not pin its callers" not in result["deviations"]
    assert_stands_nowhere(host, tmp_path)


Change = Callable[[Host, RunContext], RunContext]


def says(**claims: str | None) -> Change:
    def change(host: Host, world: RunContext) -> RunContext:
        host.issuer.claims |= claims
        return world

    return change


def without_permission(host: Host, world: RunContext) -> RunContext:
    return replace(world, environ={name: value for name, value in world.environ.items() if not name.startswith("ACTIONS_")})


def denied_by_github(host: Host, world: RunContext) -> RunContext:
    host.issuer.refusals = [403]
    return world


def replayed(host: Host, world: RunContext) -> RunContext:
    """Somebody got hold of the token that this job's own check has used, or will use."""
    token = host.issuer.mint(AUDIENCE, **host.issuer.claims)
    replay = replace(world, token_for=lambda audience: token)
    with PartRecorder(host.run.root.parent / "another-run", "check", world.clock) as part:
        stage: OnRunner = "check" if host.issuer.claims["environment"] == "dr-check" else "execute"
        require_caller(stage, part, replay)
    return replay


def expired(host: Host, world: RunContext) -> RunContext:
    host.issuer.lifetime = -600
    return world


def forged(host: Host, world: RunContext) -> RunContext:
    from tests.support.issuer import signing_key

    key = replace(signing_key("key-2"), kid="key-1")
    return replace(world, token_for=lambda audience: key.mint(audience, iss=host.issuer.url, **host.issuer.claims))


def asked_for_vault(host: Host, world: RunContext) -> RunContext:
    return replace(world, token_for=lambda _: host.issuer.mint("https://vault.example.net", **host.issuer.claims))


STRANGERS: dict[str, tuple[Change, str, str]] = {
    "no-permission": (without_permission, "host.token", "is not set"),
    "denied": (denied_by_github, "host.token", "HTTP 403"),
    "replayed": (replayed, "host.token", "accepted by this host before"),
    "expired": (expired, "host.token", "exp "),
    "forged": (forged, "host.token", "kid key-1"),
    "for-vault": (asked_for_vault, "host.token", "aud https://vault.example.net"),
    "issuer": (says(iss="https://token.example.net"), "host.token", "iss https://token.example.net"),
    "branch": (says(ref="refs/heads/let-me-in"), "host.caller", "ref refs/heads/let-me-in"),
    "repository": (says(repository_id="4243"), "host.caller", "repository_id 4243"),
    "workflow": (says(job_workflow_sha="e" * 40), "host.caller", "job_workflow_sha eeee"),
    "event": (says(event_name="pull_request_target"), "host.caller", "event_name pull_request_target"),
    "environment": (says(environment="production"), "host.caller", "environment production"),
    "no-environment": (says(environment=None), "host.caller", "environment absent"),
    "run": (says(run_id="9000"), "host.caller", "run_id 9000"),
    "commit": (says(sha="d" * 40), "host.caller", "sha dddd"),
    "attempt": (says(run_attempt="2"), "host.caller", "run_attempt 2"),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_refused_before_anything_is_touched(
    stage: str, stranger: str, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, gate, found = STRANGERS[stranger]
    host.seem_to_have_come_to(stage)
    world = change(host, host.world(stage))
    before, remembered = files_of(host.run.root), files_of(host.site.runner)
    seen = host.site.root / "host" / SEEN
    known = seen.read_text() if seen.exists() else ""
    host.lay_traps(monkeypatch)
    ended = host.tell(stage, world)
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code) == (gate, 7), ended
    assert found in ended.refusal.found
    assert ended.refusal.fix
    assert ended.state is (State.NO_RUNNER if stage == "check" else State.BLOCKED)
    assert host.touched == []
    assert not (host.site.root / "hyops-was-started").exists()
    assert files_of(host.site.runner) == remembered
    new = {name for name in files_of(host.run.root) - before if not name.startswith("private/")}
    sealed = {"result.json", "objectives.json", "environment.json", "redactions.json", "manifest.json"} if stage == "execute" else set()
    assert {name for name in new if name not in sealed} == {"refusal.json", f"parts/{stage}/events.jsonl"}
    assert (seen.read_text() if seen.exists() else "") == known, "a token that was not accepted is not remembered"
    assert stage not in host.notes()
    if stage == "execute":
        assert verify(bundle_path(host.run)).ok
        assert json.loads(host.run.read("result.json"))["exit_code"] == 7
    if host.issuer.given:
        assert_stands_nowhere(host, tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_plan_is_not_even_read_for_a_stranger(stage: str, host: Host) -> None:
    host.seem_to_have_come_to(stage)
    world = says(ref="refs/heads/let-me-in")(host, host.world(stage))
    if stage == "check":  # execute seals what it was handed
        (host.run.root / "plan.json").write_text("no plan")
    ended = host.tell(stage, world)
    assert (ended.refusal and ended.refusal.gate) == "host.caller"


def test_the_plan_must_be_of_the_env_whose_gate_held_the_job(host: Host) -> None:
    host.come_to("execute")
    world = says(environment="dr-prod")(host, host.world("execute"))
    ended = host.tell("execute", world)
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.found) == ("host.caller", "environment dr-prod, env lab in the plan")
    assert host.site.world().ledger("pg-ha/lab").tip().claim is None


def test_an_env_that_the_host_does_not_list_is_refused_by_the_check(host: Host) -> None:
    host.trust["gates"] = {"prod": "dr-prod"}
    ended = host.tell("check", host.world("check"))
    assert ended.refusal is not None
    assert (ended.state, ended.refusal.gate) == (State.NO_RUNNER, "host.caller")
    assert ended.refusal.reason == "this host does not recover env lab"


def test_the_plan_must_be_made_at_the_commit_that_runs(host: Host) -> None:
    document = host.run.read_json("plan.json")
    host.run.write_json("plan.json", document | {"config_commit": "d" * 40})
    ended = host.tell("check", host.world("check"))
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.expected) == ("host.caller", "sha " + "d" * 40)


# ------------------------------------------------------------------------------------ trouble, and no trouble


def test_keys_that_were_kept_carry_a_recovery_through_an_outage(host: Host) -> None:
    host.come_to("execute")
    host.issuer.down = True
    ended = host.tell("execute", host.world("execute"))
    assert ended.state is State.COMPLETED_WITH_EXCEPTIONS, ended
    assert host.notes()["execute"]["keys"].startswith("kept ")


def test_an_outage_with_nothing_kept_says_so_and_touches_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.come_to("execute")
    (host.site.root / "host" / KEYS).unlink()
    host.issuer.down = True
    host.lay_traps(monkeypatch)
    ended = host.tell("execute", host.world("execute"))
    assert ended.refusal is not None
    assert (ended.state, ended.refusal.gate, ended.refusal.exit_code) == (State.BLOCKED, "host.issuer", 12)
    assert "hyops-ci run" in ended.refusal.fix
    assert host.touched == []


def test_a_token_service_that_is_down_says_so(host: Host) -> None:
    host.issuer.refusals = [503, 503, 503]
    ended = host.tell("check", host.world("check"))
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code, ended.refusal.found) == ("host.token", 12, "HTTP 503")


def test_a_key_that_was_rotated_between_check_and_execute(host: Host) -> None:
    host.come_to("execute")
    host.issuer.rotate("key-2")
    ended = host.tell("execute", host.world("execute"))
    assert ended.state is State.COMPLETED_WITH_EXCEPTIONS, ended
    assert host.notes()["execute"]["keys"] == "issuer"


def test_a_wrong_clock_is_named(host: Host) -> None:
    world = host.world("check")
    ended = host.tell("check", replace(world, clock=ShiftedClock(world.clock.now() + timedelta(hours=2))))
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code) == ("host.token", 7)
    assert "clock" in ended.refusal.fix


def test_in_a_shell_the_trust_stands_in_and_no_token_is_asked_for(host: Host) -> None:
    world = host.world("check")
    assert check(host.run, replace(world, job=host.site.world().job)).state is State.CHECKED
    assert host.issuer.audiences == host.issuer.asked == []
    assert host.run.read_json("runner.json")["trusted"] is True


def test_without_a_trust_file_no_token_is_asked_for_and_the_run_says_so(host: Host) -> None:
    assert check(host.run, replace(host.world("check"), trust=None)).state is State.CHECKED
    assert host.issuer.audiences == host.issuer.asked == []
    assert "this host does not pin its callers" in host.run.read_json("check.json")["deviations"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_forgot_to_ask_stops_at_the_gate(stage: Literal["check", "execute"], host: Host) -> None:
    host.come_to(stage)
    read = planned_run(host.run.read_model("plan.json", Plan), host.run, host.world(stage), stage=stage)
    case = CheckCase(read.plan, look(read, known_names={}))
    with pytest.raises(Refusal) as refused:
        report(case, run_gates("check", case), run_id="9001-1", checked_at="2026-11-24T03:00:00Z")
    assert (refused.value.gate, refused.value.exit_code) == ("runner.trust", 7)
