"""`uses: hybridops/dr-dispatch@<commit>` as a step of somebody else's workflow, run by act against GitHub's API."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.ledger.ledger import Ledger
from tests.act.rewriting import REPOSITORY, ROOT, copy_dispatch, pinned
from tests.act.running import ActRun, run_act
from tests.support.github.repositories import Repository
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub, start_github
from tests.unit.operations.dispatch.dispatching import FILE, RUN, bundle, recovers

pytestmark = [pytest.mark.act, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

SHA = "3f2a" + "0" * 36
CALLER, TARGET = "acme/shop", "acme/recovery"
SERVICE = "pg-ha/lab"
EXAMPLE = ROOT / "hyops_ci" / "operations" / "rehearse" / "example"
CHECKOUT = pinned((ROOT / ".github" / "workflows" / "dispatch.yml").read_text())["actions/checkout"]
OUTPUTS = sorted(yaml.safe_load((ROOT / "action.yml").read_text())["outputs"])


@dataclass
class Shop:
    """A repository that has a workflow of its own, and the recovery of another repository to start."""

    root: Path
    fake: FakeGitHub
    target: Repository
    token: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(7001))

    @property
    def checkout(self) -> Path:
        return self.root / "shop"

    def run(self, *steps: Mapping[str, str]) -> tuple[ActRun, list[dict[str, str]]]:
        """One job with the action once per step, and what each of them answered."""
        used: list[dict[str, Any]] = [{"uses": f"actions/checkout@{CHECKOUT}"}]
        seen = {}
        for number, inputs in enumerate(steps):
            used.append({"id": f"s{number}", "if": "always()", "uses": f"{REPOSITORY}@{SHA}", "with": dict(inputs)})
            seen[f"S{number}"] = f"${{{{ toJSON(steps.s{number}.outputs) }}}}"
        printed = "\n".join(f"printf 'SEEN {number} %s\\n' \"$(echo \"$S{number}\" | tr -d '\\n')\"" for number in range(len(steps)))
        job = {"runs-on": "ubuntu-latest", "steps": [*used, {"if": "always()", "env": seen, "run": printed}]}
        workflow = self.checkout / ".github" / "workflows" / "shop.yml"
        workflow.parent.mkdir(parents=True, exist_ok=True)
        workflow.write_text(yaml.safe_dump({"name": "Shop", "on": "workflow_dispatch", "jobs": {"use": job}}, sort_keys=False))
        _git(self.checkout, "add", ".")
        _git(self.checkout, "commit", "-q", "--allow-empty", "-m", "Shop")
        self.target.state._ids = itertools.count(RUN)
        done = run_act(
            self.checkout,
            self.root / f"run-{next(self.numbers)}",
            local={f"{REPOSITORY}@{SHA}": self.root / "dispatch"},
            event={"ref": "refs/heads/main", "repository": {"full_name": CALLER, "id": 77, "default_branch": "main"}},
            environment=self.environment(),
            home=self.root / "home",
            workflow=".github/workflows/shop.yml",
            arguments=["--actor", "maria", "-s", f"GITHUB_TOKEN={self.token}"],
        )
        said = [re.fullmatch(r"SEEN \d+ (.*)", line) for line in done.said.get("use", [])]
        return done, [json.loads(match[1]) for match in said if match]

    def environment(self) -> dict[str, str]:
        """What GitHub says of the job."""
        return {
            "GITHUB_RUN_ID": "7001",
            "GITHUB_REPOSITORY": CALLER,
            "GITHUB_REPOSITORY_ID": "77",
            "GITHUB_ACTOR_ID": "1001",
            "GITHUB_TRIGGERING_ACTOR": "maria",
            "GITHUB_REF_PROTECTED": "true",
            "GITHUB_WORKFLOW_REF": f"{CALLER}/.github/workflows/shop.yml@refs/heads/main",
            "GITHUB_API_URL": self.fake.url,
            "RUNNER_ENVIRONMENT": "github-hosted",
        }


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with start_github() as fake:
        copy_dispatch(tmp_path / "dispatch", SHA)
        (tmp_path / "home").mkdir()
        for login, number in (("maria", 1001), ("jonas", 1002)):
            fake.add_user(login, number=number)
        _caller(tmp_path, fake)
        target = fake.add_repository(TARGET, number=4711)
        target.add_workflow(".github/workflows/dr.yml", FILE)
        token = fake.add_token("actions: write", "contents: write", "metadata: read")
        yield Shop(tmp_path, fake, target, token)
    assert fake.violations == []


def _caller(root: Path, fake: FakeGitHub) -> None:
    """A checkout with config and overlays of the example, a ledger of its own, and the same on GitHub."""
    checkout, bare = root / "shop", root / "ledger.git"
    config: dict[str, Any] = yaml.safe_load((EXAMPLE / "dr-dispatch.yml").read_text())
    config |= {"ledger": {"repository": str(bare)}, "vault": {"address": "https://vault.example.net", "site": "gcp"}}
    overlays = checkout / ".github" / "dr" / "lab"
    overlays.mkdir(parents=True)
    (checkout / ".github" / "dr-dispatch.yml").write_text(yaml.safe_dump(config))
    for path in (EXAMPLE / "overlays").glob("*.yml"):
        (overlays / path.name).write_bytes(path.read_bytes())
    _git(root, "init", "-q", "--bare", str(bare))
    _git(checkout, "init", "-q", "-b", "main", ".")
    Ledger.over_git(str(bare), SERVICE, state_dir=root / "onlooker").init("onprem", stamp(datetime.now(UTC)))
    repository = fake.add_repository(CALLER, private=True, plan="enterprise", number=77)
    repository.protect()
    repository.add_environment("dr-lab", reviewers=[fake.account("jonas")], prevent_self_review=True, branches="protected")
    repository.add_environment("dr-check", branches="protected")
    repository.add_run(number=7001, actor="maria", title="Shop")


def _git(folder: Path, *words: str) -> None:
    command = ["git", "-c", "user.name=maria", "-c", "user.email=maria@example.invalid", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)


DISPATCH = {"repository": TARGET, "action": "failover", "service": "pg-ha/prod", "reason": "INC-4242; $(touch /tmp/c4n4ry) `id` '\""}
PLAN = {"command": "plan", "action": "failover", "service": SERVICE, "reason": "INC-4242 power lost"}


def test_three_steps_of_another_repository(shop: Shop, tmp_path: Path) -> None:
    evidence = bundle(tmp_path / "sealed")
    (tmp_path / "evidence.tar").write_bytes(evidence)
    shop.target.workflows[0].on_start = recovers(evidence)
    verify = {"command": "verify", "evidence": str(tmp_path / "evidence.tar"), "digest": digest_bytes(evidence)}
    dispatch = {**DISPATCH, "wait": "true", "timeout": "PT5M", "bootstrap_reason": "runner-recovery"}
    done, (dispatched, planned, verified) = shop.run(dispatch, PLAN, verify)
    assert done.rc == 0, done.log()
    run = shop.target.runs[RUN]
    assert (run.event, run.inputs["reason"], run.inputs["service"]) == ("workflow_dispatch", DISPATCH["reason"], "pg-ha/prod")
    assert run.inputs["bootstrap_reason"] == "runner-recovery"
    assert {name: value for name, value in dispatched.items() if value} == {
        "run_id": str(RUN),
        "run_url": run.page,
        "outcome": "COMPLETED_WITH_EXCEPTIONS",
        "exit_code": "0",
        "decision_id": "manual-4711-212",
        "evidence_digest": digest_bytes(evidence),
    }
    assert (planned["outcome"], planned["exit_code"], planned["service"]) == ("PLANNED", "0", SERVICE)
    assert json.loads(planned["runs_on"]) == ["self-hosted", "gcp-ops-runner"]
    no_reason = {name for name in OUTPUTS if name.startswith("bootstrap_")}
    assert {name for name in OUTPUTS if not planned[name]} == {"run_id", "run_url", "evidence_digest", "exercise"} | no_reason
    assert (verified["outcome"], verified["exit_code"], verified["evidence_digest"]) == (
        "COMPLETED_WITH_EXCEPTIONS",
        "0",
        digest_bytes(evidence),
    )
    assert not Path("/tmp/c4n4ry").exists()


def test_steps_end_as_what_they_asked_for_did(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "evidence.tar").write_bytes(b"no bundle")
    shop.target.workflows[0].on_start = Run.fail_at_startup
    done, answers = shop.run(
        {**DISPATCH, "wait": "true"},
        {**DISPATCH, "command": "execute"},
        {"repository": TARGET, "decision": "{}"},
        {"command": "verify", "evidence": str(tmp_path / "evidence.tar")},
        {**PLAN, "bootstrap_reason": "runner-recovery"},
    )
    assert done.rc != 0
    assert [answer["exit_code"] for answer in answers[:4]] == ["2", "2", "3", "11"], done.log()
    assert (answers[4]["outcome"], answers[4]["exit_code"]) == ("BLOCKED", "4"), done.log()
    assert len(shop.target.runs) == 1, "only the first step had anything to send"
    log = done.log()
    for words in ("dispatch.startup", "it does not grant id-token: write", "action.command", "intake.kind", "bootstrap.reason"):
        assert words in log


def test_nothing_is_waited_for_unless_asked(shop: Shop) -> None:
    done, (started,) = shop.run(DISPATCH)
    assert done.rc == 0, done.log()
    assert (started["run_id"], started["outcome"], started["exit_code"]) == (str(RUN), "", "0")
    assert shop.target.runs[RUN].status == "queued"
    assert shop.token not in done.log()
