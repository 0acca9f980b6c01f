"""plan, check, execute and conclude as steps of a GitHub job: files from one to the next, outputs, and what is not carried out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Never

import pytest
import yaml

from hyops_ci.approvals.request import answer
from hyops_ci.cli import github_job
from hyops_ci.cli.app import main
from hyops_ci.cli.github_job import github_context
from hyops_ci.config.file import read_config
from hyops_ci.contracts.approval import ApprovalRequest, Person
from hyops_ci.contracts.config import LedgerPolicy
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from hyops_ci.operations.rehearse.sandbox import APPROVER, Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import example_decision
from hyops_ci.signing.dsse import load_key
from hyops_ci.stages import sealing
from hyops_ci.stages.context import SystemClock
from hyops_ci.stages.handover import RunDir

pytestmark = pytest.mark.slow


def outputs_in(path: Path) -> dict[str, str]:
    """GITHUB_OUTPUT as the runner reads it."""
    found, lines = {}, iter(path.read_text().splitlines())
    for line in lines:
        name, _, end = line.partition("<<")
        value = []
        for each in lines:
            if each == end:
                break
            value.append(each)
        found[name] = "\n".join(value)
    return found


@dataclass
class Step:
    """What one step left."""

    code: int
    stdout: str
    stderr: str
    outputs: dict[str, str]
    summary: str

    @property
    def annotation(self) -> str:
        """The workflow command in its log; nothing but the result is on stdout."""
        assert self.stdout == ""
        said = [line for line in self.stderr.splitlines() if line.startswith("::") and not line.startswith(("::group::", "::endgroup::"))]
        return next(iter(said), "")


@dataclass
class GitHub:
    """A repository, a runner, and the environment that a job has."""

    site: Site
    root: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    environ: dict[str, str] = field(default_factory=dict)
    run_number: int = 4200
    planned: str = ""

    def new_run(self) -> None:
        self.run_number += 1
        self.environ["GITHUB_RUN_ID"] = str(self.run_number)

    def step(self, command: str, **environ: str) -> Step:
        """One command as a step, with files of its own."""
        files = self.root / f"step-{len(list(self.root.glob('step-*')))}"
        files.mkdir()
        named = {"GITHUB_OUTPUT": str(files / "output"), "GITHUB_STEP_SUMMARY": str(files / "summary")}
        with self.monkeypatch.context() as patch:
            for name, value in {**self.environ, **named, **environ}.items():
                patch.setenv(name, value)
            patch.chdir(self.site.repository)
            self.capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main([command])
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        read = {name: (files / name).read_text() if (files / name).exists() else "" for name in ("output", "summary")}
        outputs = outputs_in(files / "output") if read["output"] else {}
        self.planned = outputs.get("handover_digest", "") if command == "plan" else self.planned
        return Step(int(ended.value.code or 0), said.out, said.err, outputs, read["summary"])

    def plan(self, **environ: str) -> Step:
        decision = example_decision("failover", self.site.clock, 1).decode()
        return self.step("plan", **({"DR_DECISION": decision} | environ))

    def after(self, before: Step, command: str, **environ: str) -> Step:
        handed = {"DR_HANDOVER": before.outputs["handover"], "DR_HANDOVER_DIGEST": before.outputs["handover_digest"]}
        if command != "check":
            handed["DR_PLAN_HANDOVER_DIGEST"] = self.planned  # as dispatch.yml passes it on
        return self.step(command, **(handed | environ))

    def sign(self, checked: Step, verdict: str = "approve") -> str:
        request = RunDir(Path(checked.outputs["handover"]).parent / "run").read_model("request.json", ApprovalRequest)
        key = load_key(self.site.key)
        return json.dumps([answer(request, verdict, Person(login=APPROVER), key, now=self.site.clock.now())])  # type: ignore[arg-type]  # verdicts come as text


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[GitHub]:
    site = Site(tmp_path / "site", SystemClock())
    with endpoint() as port:
        set_up(site, port)
        config = site.repository / ".github" / "dr-dispatch.yml"
        known = yaml.safe_load(config.read_text())
        config.write_text(yaml.safe_dump({**known, "ledger": {"repository": str(site.root / "ledger.git")}}))
        (tmp_path / "event.json").write_text('{"repository": {"default_branch": "main"}}')
        monkeypatch.setattr(github_job, "host_trust", lambda: None)
        environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_REPOSITORY": "acme/dr",
            "GITHUB_REPOSITORY_ID": "77",
            "GITHUB_ACTOR": "maria",
            "GITHUB_ACTOR_ID": "1001",
            "GITHUB_TRIGGERING_ACTOR": "maria",
            "GITHUB_EVENT_NAME": "workflow_dispatch",
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REF_PROTECTED": "true",
            "GITHUB_SHA": "c" * 40,
            "GITHUB_SERVER_URL": "https://github.com",
            "RUNNER_TEMP": str(tmp_path / "temp"),
            "RUNNER_NAME": "gcp-ops-runner-01",
            "RUNNER_ENVIRONMENT": "self-hosted",
            "HOME": str(site.runner),
        }
        made = GitHub(site, tmp_path, monkeypatch, capsys, environ)
        made.new_run()
        yield made


def test_from_a_decision_to_evidence_over_two_runs(github: GitHub) -> None:
    """Nobody has signed: the first run waits and ends. With the answer, a second run of the same decision recovers."""
    decision = example_decision("failover", github.site.clock, 1).decode()
    planned = github.plan(DR_DECISION=decision)
    assert (planned.code, planned.outputs["outcome"]) == (0, "PLANNED")
    assert json.loads(planned.outputs["runs_on"]) == ["self-hosted", "gcp-ops-runner"]
    assert planned.outputs["title"].startswith("Recover at gcp, plan ")
    checked = github.after(planned, "check")
    assert (checked.code, checked.outputs["outcome"], checked.outputs["ready"]) == (0, "CHECKED", "false")
    assert "APPROVE?  FAILOVER pg-ha/lab" in checked.summary
    ended = github.after(checked, "conclude", DR_RESULTS='{"plan": "success", "check": "success", "execute": "skipped"}')
    assert (ended.code, ended.outputs["outcome"], ended.outputs["exit_code"]) == (0, "UNSIGNED", "6")
    assert ended.annotation.startswith("::warning title=WAITING FOR A SIGNATURE")
    assert verify(Path(ended.outputs["evidence"])).ok

    approvals = github.sign(checked)
    github.new_run()
    planned = github.plan(DR_DECISION=decision, DR_APPROVALS=approvals)
    checked = github.after(planned, "check")
    assert checked.outputs["ready"] == "true"
    executed = github.after(checked, "execute")
    assert executed.code == 0, executed.stderr
    assert executed.outputs["outcome"] == "COMPLETED_WITH_EXCEPTIONS"
    assert executed.outputs["epoch"] == "1"
    evidence = {"DR_EVIDENCE": executed.outputs["evidence"], "DR_EVIDENCE_DIGEST": executed.outputs["evidence_digest"]}
    ended = github.after(checked, "conclude", **evidence)
    assert (ended.code, ended.outputs["exit_code"]) == (0, "0")
    assert ended.outputs["evidence_digest"] == executed.outputs["evidence_digest"]
    assert "RECOVERED" in ended.summary
    assert Path(ended.outputs["report"]).read_text().startswith("<!doctype html>")
    result = json.loads(read_files(Path(ended.outputs["evidence"]))["result.json"])
    assert result["run_id"] == f"{github.run_number}-1"


def test_a_recovery_whose_evidence_does_not_hold_is_no_green_job(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sealed still travels: the next job says the same of it."""
    decision = example_decision("failover", github.site.clock, 1).decode()
    approvals = github.sign(github.after(github.plan(DR_DECISION=decision), "check"))
    github.new_run()
    checked = github.after(github.plan(DR_DECISION=decision, DR_APPROVALS=approvals), "check")
    monkeypatch.setattr(sealing, "verify", lambda path: replace(verify(path), ok=False, problems=("steps.jsonl was changed",)))
    executed = github.after(checked, "execute")
    assert (executed.code, executed.outputs["outcome"]) == (11, "COMPLETED_WITH_EXCEPTIONS")
    assert Path(executed.outputs["evidence"]).is_file()
    assert "the evidence of this run does not verify: steps.jsonl was changed" in executed.stderr


def test_a_denied_run(github: GitHub) -> None:
    decision = example_decision("failover", github.site.clock, 1).decode()
    denial = github.sign(github.after(github.plan(DR_DECISION=decision), "check"), "deny")
    github.new_run()
    checked = github.after(github.plan(DR_DECISION=decision, DR_APPROVALS=denial), "check")
    assert checked.outputs["ready"] == "false"
    ended = github.after(checked, "conclude", DR_RESULTS='{"execute": "skipped"}')
    assert (ended.code, ended.outputs["outcome"]) == (0, "DENIED")


def test_a_refused_plan_is_concluded_with_evidence(github: GitHub) -> None:
    planned = github.plan(DR_DECISION='{"kind": "Decision", "signals": [NaN]}')
    assert (planned.code, planned.outputs["outcome"]) == (3, "REJECTED")
    assert planned.annotation.startswith("::error title=REFUSED intake.")
    assert "plan_digest" not in planned.outputs
    ended = github.after(planned, "conclude", DR_RESULTS='{"plan": "failure"}')
    assert (ended.code, ended.outputs["outcome"], ended.outputs["exit_code"]) == (0, "REJECTED", "3")
    assert b"NaN" in read_files(Path(ended.outputs["evidence"]))["decision.raw"]


def test_a_runner_that_never_came(github: GitHub) -> None:
    planned = github.plan()
    ended = github.after(planned, "conclude", DR_RESULTS='{"plan": "success", "check": "failure"}')
    assert (ended.outputs["outcome"], ended.outputs["exit_code"]) == ("NO_RUNNER", "7")
    another_job = {"RUNNER_TEMP": str(github.root / "another-job")}
    again = github.after(planned, "conclude", DR_RESULTS='{"plan": "success", "check": "failure"}', **another_job)
    assert again.outputs["outcome"] == "NO_RUNNER", "conclude may run again"


def test_a_cancelled_run(github: GitHub) -> None:
    checked = github.after(github.plan(), "check")
    ended = github.after(checked, "conclude", DR_RESULTS='{"execute": "cancelled"}')
    assert (ended.outputs["outcome"], ended.outputs["exit_code"]) == ("CANCELLED", "130")


@pytest.mark.parametrize("command", ["check", "execute", "conclude"])
def test_a_handover_that_was_exchanged_is_refused(command: str, github: GitHub) -> None:
    planned = github.plan()
    handover = Path(planned.outputs["handover"])
    data = bytearray(handover.read_bytes())
    data[len(data) // 2] ^= 1
    handover.write_bytes(data)
    step = github.after(planned, command)
    assert step.code == 4
    assert step.annotation.startswith("::error title=REFUSED handover.digest (exit 4)")
    assert "handover.digest" in step.summary


@pytest.mark.parametrize("handover", ["", "/nonexistent/handover.tar", "/"], ids=["none", "missing", "folder"])
def test_a_handover_that_is_not_there_is_refused(handover: str, github: GitHub) -> None:
    assert github.step("check", DR_HANDOVER=handover, DR_HANDOVER_DIGEST="sha256:" + "0" * 64).code == 4


def test_a_rerun_starts_nothing(github: GitHub) -> None:
    decision = example_decision("failover", github.site.clock, 1).decode()
    approvals = github.sign(github.after(github.plan(DR_DECISION=decision), "check"))
    github.new_run()
    checked = github.after(github.plan(DR_DECISION=decision, DR_APPROVALS=approvals), "check")
    executed = github.after(checked, "execute", GITHUB_RUN_ATTEMPT="2")
    assert (executed.code, executed.outputs) == (6, {}), "nothing is sealed: the report says what became of the first attempt"
    assert "run.attempt" in executed.annotation
    assert github.site.world().ledger("pg-ha/lab").tip().claim is None


@pytest.mark.parametrize("command", ["check", "execute"])
def test_a_stage_after_the_end_changes_nothing(command: str, github: GitHub) -> None:
    planned = github.plan(DR_DECISION="{}")
    step = github.after(planned, command)
    assert step.code != 0
    assert step.outputs["outcome"] == "REJECTED"
    assert github.site.world().ledger("pg-ha/lab").tip().claim is None


def approved(github: GitHub) -> Step:
    decision = example_decision("failover", github.site.clock, 1).decode()
    approvals = github.sign(github.after(github.plan(DR_DECISION=decision), "check"))
    github.new_run()
    return github.after(github.plan(DR_DECISION=decision, DR_APPROVALS=approvals), "check")


class Died(BaseException):
    """The process is gone: nothing of ours runs afterwards."""


def dies(*_: object, **__: object) -> Never:
    raise Died


@pytest.mark.parametrize(
    ("module", "name", "outcome", "code"),
    [
        ("hyops_ci.stages.execute.recovery.Recovery", "bring_secrets", "FAILED", "9"),
        ("hyops_ci.stages.execute.recovery.Recovery", "deploy", "INDETERMINATE", "10"),
        ("hyops_ci.stages.execute.stage", "record_end", "INDETERMINATE", "10"),
    ],
)
def test_a_runner_that_died_is_concluded_by_the_ledger(module: str, name: str, outcome: str, code: str, github: GitHub) -> None:
    """Its folder is lost with it: the handover of the check and the ledger are all there is."""
    checked = approved(github)
    with github.monkeypatch.context() as patch:
        patch.setattr(f"{module}.{name}", dies)
        with pytest.raises(Died):
            github.after(checked, "execute")
    ended = github.after(checked, "conclude", DR_RESULTS='{"execute": "failure"}')
    assert (ended.code, ended.outputs["outcome"], ended.outputs["exit_code"]) == (0, outcome, code)
    assert verify(Path(ended.outputs["evidence"])).problems == ()
    tip = github.site.world().ledger("pg-ha/lab").tip()
    assert (tip.state, tip.bundle_sha256) == (outcome, ended.outputs["evidence_digest"])


def test_evidence_that_got_lost_is_no_good_end(github: GitHub) -> None:
    """Whoever may push can write COMPLETED: only the bundle that execute sealed says so, and the ledger keeps its digest."""
    checked = approved(github)
    executed = github.after(checked, "execute")
    ended = github.after(checked, "conclude", DR_RESULTS='{"execute": "success"}')
    assert (executed.outputs["outcome"], ended.outputs["outcome"]) == ("COMPLETED_WITH_EXCEPTIONS", "INDETERMINATE")
    assert verify(Path(ended.outputs["evidence"])).problems == ()
    assert github.site.world().ledger("pg-ha/lab").tip().bundle_sha256 == executed.outputs["evidence_digest"]


@pytest.mark.parametrize(
    ("module", "name", "outcome"),
    [
        ("hyops_ci.stages.execute.recovery.Recovery", "bring_secrets", "CANCELLED"),
        ("hyops_ci.stages.execute.recovery.Recovery", "deploy", "INDETERMINATE"),
    ],
)
def test_an_interrupt_is_an_end_like_any_other(module: str, name: str, outcome: str, github: GitHub) -> None:
    def interrupted(*_: object) -> Never:
        raise KeyboardInterrupt

    checked = approved(github)
    github.monkeypatch.setattr(f"{module}.{name}", interrupted)
    executed = github.after(checked, "execute")
    assert executed.outputs["outcome"] == outcome
    assert verify(Path(executed.outputs["evidence"])).problems == ()
    assert github.site.world().ledger("pg-ha/lab").tip().state == outcome


def test_evidence_that_was_exchanged_is_exit_11(github: GitHub) -> None:
    checked = github.after(github.plan(), "check")
    ended = github.after(checked, "conclude")
    evidence = Path(ended.outputs["evidence"])
    data = bytearray(evidence.read_bytes())
    data[700] ^= 1
    evidence.write_bytes(data)
    sealed = {"DR_EVIDENCE": str(evidence), "DR_EVIDENCE_DIGEST": ended.outputs["evidence_digest"]}
    step = github.after(checked, "conclude", RUNNER_TEMP=str(github.root / "another-job"), **sealed)
    assert step.code == 11
    assert "evidence.digest" in step.annotation


def test_no_input_of_a_workflow_reads_a_file_of_the_machine(github: GitHub) -> None:
    (github.root / "secret").write_text("canary-6b1d")
    planned = github.plan(DR_DECISION=f"@{github.root / 'secret'}")
    assert planned.code == 3
    ended = github.after(planned, "conclude")
    assert b"canary-6b1d" not in Path(ended.outputs["evidence"]).read_bytes()


@pytest.mark.parametrize("path", [".git/config", "../secret", "/etc/passwd", ".github"])
def test_a_reference_stays_inside_what_is_committed(path: str, github: GitHub) -> None:
    (github.site.repository / ".git").mkdir()
    (github.site.repository / ".git" / "config").write_text("canary-6b1d")
    (github.site.repository.parent / "secret").write_text("canary-6b1d")
    step = github.step("plan", DR_DECISION_REF=f"{path}@{'c' * 40}")
    assert step.code == 2
    assert "canary-6b1d" not in step.stdout + step.stderr + step.summary


def test_a_reference_at_another_commit_is_refused(github: GitHub) -> None:
    (github.site.repository / "decision.json").write_bytes(example_decision("failover", github.site.clock, 1))
    assert github.step("plan", DR_DECISION_REF=f"decision.json@{'d' * 40}").code == 3
    assert github.step("plan", DR_DECISION_REF=f"decision.json@{'c' * 40}").code == 0


def test_a_branch_that_is_not_the_default_is_refused(github: GitHub) -> None:
    planned = github.plan(GITHUB_REF="refs/heads/topic")
    assert (planned.code, planned.outputs["outcome"]) == (4, "BLOCKED")
    assert "config.ref" in planned.annotation


def test_a_form(github: GitHub) -> None:
    planned = github.step("plan", DR_ACTION="failover", DR_SERVICE="pg-ha/lab", DR_REASON="INC-7 `$(id)` ::error::x")
    assert (planned.code, planned.outputs["decision_id"]) == (0, f"manual-77-{github.run_number}")
    assert {line.partition(" ")[0] for line in planned.stderr.splitlines() if line.startswith("::")} == {"::group::Gates:", "::endgroup::"}
    again = github.plan(DR_ACTION="failover")
    assert again.code == 2, "one plan per run"
    assert "run.folder" in again.annotation
    github.new_run()
    both = github.plan(DR_ACTION="failover")
    assert both.code == 3


@pytest.mark.parametrize("command", ["check", "execute", "conclude"])
def test_outside_a_job_a_step_says_where_it_belongs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert "job.environment" in said.err


@pytest.mark.parametrize(
    ("named", "token"),
    [
        (None, "ghs_job"),
        ("acme/ledgers", "ghs_job"),
        ("https://github.example.net/acme/ledgers", "ghs_job"),
        ("https://github.example.net.evil.example/acme/ledgers", ""),
        ("https://evil.example/acme/ledgers", ""),
        ("/srv/ledgers.git", ""),
    ],
)
def test_the_jobs_token_goes_to_githubs_server_only(named: str | None, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": "212",
        "GITHUB_REPOSITORY": "acme/recovery",
        "GITHUB_SERVER_URL": "https://github.example.net",
        "GITHUB_API_URL": "https://github.example.net/api/v3",
        "DR_TOKEN": "ghs_job",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    smallest = read_config(b"services: {pg-ha/lab: {failover: {lane: gcp, blueprint: dr/x@v1}}}")[0]
    config = smallest.model_copy(update={"ledger": LedgerPolicy(repository=named)})
    world = github_context(config, on_runner=False)
    assert world.ledger_token == token
    assert world.ledger_remote.endswith(named or "acme/recovery")
