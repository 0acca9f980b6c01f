"""The approval gate under act, with GitHub's own word behind it: who reviewed, who did not, what was changed meanwhile, and who signed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from hyops_ci.text import in_code
from tests.act.canaries import leaks
from tests.act.control import GATE, RUNNER
from tests.act.rewriting import ROOT
from tests.act.running import ActRun
from tests.act.site import Site
from tests.act.test_dispatch import ALL_GREEN, FAILOVER, bundle, left_behind
from tests.support.receiver import SECRET, start_receiver

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]
RECOVERED = ("COMPLETED", "COMPLETED_WITH_EXCEPTIONS")


@pytest.fixture
def reviewed(site: Site) -> Site:
    """A site whose approval gate is GitHub's environment alone, as five lines of config make it."""
    site.config["approvals"] = {"channels": ["environment"]}
    site.control.guard("jonas")
    site.write_config()
    return site


def test_a_review_carries_the_run_and_its_record_is_in_the_evidence(reviewed: Site) -> None:
    """And who the config names is told of it at each moment: by requests that the repository's secret signs, by comments on an issue."""
    reviewed.control.answer, reviewed.control.late = ("jonas", "approved"), True
    comments = reviewed.control.repository.issues.setdefault(42, [])
    commenting = reviewed.control.fake.add_token("issues: write", "metadata: read", repositories=[reviewed.control.repository])
    with start_receiver() as receiver:
        reviewed.config["notify"] = {"webhook": receiver.url, "issue": 42}
        reviewed.write_config()
        run = reviewed.start("reviewed by jonas", FAILOVER, secrets={"DR_NOTIFY_SECRET": SECRET, "DR_NOTIFY_TOKEN": commenting})
    assert run.jobs == ALL_GREEN, run.log()
    assert (receiver.moments, receiver.forged) == (["waiting", "started", "past-no-return", "ended"], []), run.log()
    assert receiver.taken[-1]["outcome"] == run.answers["outcome"]
    assert [comment.splitlines()[0] for comment in comments] == [in_code(each["text"]) for each in receiver.taken]
    assert run.answers["outcome"] in RECOVERED, run.log()
    sealed = bundle(reviewed, run, run.answers["outcome"])
    assert leaks({"DR_NOTIFY_TOKEN": commenting}, left_behind(reviewed, run)) == []
    approval = sealed["approvals/jonas.json"]
    assert (approval["channel"], approval["approver"]) == ("environment", {"login": "jonas", "id": 1002})
    assert [person["login"] for person in approval["requesters"]] == ["maria"]
    assert sealed["origin.json"]["requesters"] == [{"login": "maria", "id": 1001}]
    assert sealed["decision.json"]["issued_at"] == sealed["origin.json"]["run"]["created_at"], "a form is as old as its run on GitHub"
    seen = json.loads(next((reviewed.root / f"evidence-{run.number}").rglob("github.json")).read_text())
    assert [review["person"]["login"] for review in seen["reviews"]] == ["jonas"]
    assert {job["runner_name"] for job in seen["jobs"] if "Recover" in job["name"]} == {RUNNER}
    assert watched(run, "watch-check") == "taken"
    assert watched(run, "watch-execute") == "taken"
    assert "approved by jonas. " in run.log()
    assert re.search(rf"[Tt]aken by {RUNNER}", run.log())


def test_a_job_that_nobody_let_through_finds_no_review_and_changes_nothing(reviewed: Site) -> None:
    run = reviewed.start("an administrator bypassed the gate", FAILOVER)
    assert run.jobs["execute"] == "failure", run.log()
    assert (run.answers["outcome"], run.answers["exit_code"]) == ("BLOCKED", "6"), run.log()
    assert bundle(reviewed, run, "BLOCKED")["refusal.json"]["gate"] == "approval.bypass"
    assert_untouched(reviewed)


def test_whoever_asked_reviews_in_vain(reviewed: Site) -> None:
    reviewed.control.answer = ("maria", "approved")
    run = reviewed.start("maria asked and reviewed", FAILOVER)
    assert (run.answers["outcome"], run.answers["exit_code"]) == ("UNSIGNED", "6"), run.log()
    assert bundle(reviewed, run, "UNSIGNED")["refusal.json"]["gate"] == "approval.self"
    assert_untouched(reviewed)


def test_a_rejected_review_is_a_no(reviewed: Site) -> None:
    reviewed.control.answer = ("jonas", "rejected")
    run = reviewed.start("rejected by jonas", FAILOVER)
    assert (run.answers["outcome"], run.answers["exit_code"]) == ("DENIED", "6"), run.log()
    assert_untouched(reviewed)


def test_a_gate_that_was_opened_meanwhile_lets_nobody_through(reviewed: Site) -> None:
    reviewed.control.answer = ("jonas", "approved")
    gate = reviewed.control.repository.environments[GATE]
    reviewed.control.after_answer = lambda: setattr(gate, "prevent_self_review", False)
    run = reviewed.start("self-review allowed after the plan", FAILOVER)
    assert (run.answers["outcome"], run.answers["exit_code"]) == ("BLOCKED", "4"), run.log()
    refusal = bundle(reviewed, run, "BLOCKED")["refusal.json"]
    assert refusal["gate"] == "gate.weaker"
    assert "self-review allowed" in refusal["found"]
    assert_untouched(reviewed)


def test_an_unprotected_environment_is_refused_before_any_runner(reviewed: Site) -> None:
    reviewed.control.repository.environments[GATE].reviewers = []
    run = reviewed.start("dr-lab has no reviewers", FAILOVER)
    assert run.jobs["plan"] == "failure", run.log()
    assert (run.answers["outcome"], run.answers["exit_code"]) == ("BLOCKED", "4"), run.log()
    refusal = bundle(reviewed, run, "BLOCKED")["refusal.json"]
    assert refusal["gate"] == "approval.gate"
    assert "0 reviewers" in refusal["found"]
    assert reviewed.tokens.asked == []


def test_a_signature_by_the_runs_page_resumes_it(site: Site) -> None:
    waiting = site.start("unsigned, waiting", FAILOVER)
    assert waiting.answers["outcome"] == "UNSIGNED", waiting.log()
    assert f"hyops-ci approve {site.git.origin}/acme/recovery/actions/runs/{waiting.number}" in waiting.log()
    asked = site.control.run
    assert asked is not None
    started: list[dict[str, str]] = []
    site.control.workflow.on_start = lambda run: started.append(dict(run.inputs))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(site.root / "jonas"),
        "GH_TOKEN": site.control.fake.add_token("actions: write", "contents: write", actor="jonas"),
        "GITHUB_API_URL": site.control.fake.url,
    }
    command = [sys.executable, "-m", "hyops_ci", "approve", f"https://github.com/acme/recovery/actions/runs/{waiting.number}"]
    command += ["--key", str(site.approver_key), "--yes", "--ledger", str(site.ledger_repository)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "APPROVE?  FAILOVER pg-ha/lab" in done.stderr
    assert "signed and pushed: approve by jonas" in done.stderr
    assert started == [{"resume": waiting.number}] or started[0]["resume"] == waiting.number
    assert environment["GH_TOKEN"] not in done.stdout + done.stderr
    assert len(site.ledger().tip().answers) == 1

    run = site.start("resumed by jonas", {"resume": waiting.number}, actor="jonas")
    assert run.jobs == ALL_GREEN, run.log()
    assert run.answers["outcome"] in RECOVERED
    sealed = bundle(site, run, run.answers["outcome"])
    assert [person["login"] for person in sealed["origin.json"]["requesters"]] == ["maria"], "who asked is who started the run that waited"
    assert sealed["decision.json"] == bundle_of(site, waiting)["decision.json"]
    assert sealed["approvals/jonas.json"]["channel"] == "signed"
    assert site.ledger().tip().answers == ()

    again = site.start("resumed once more", {"resume": waiting.number}, actor="jonas")
    assert again.answers["outcome"] == "DUPLICATE", again.log()


def test_nobody_resumes_a_run_of_a_branch(site: Site) -> None:
    waiting = site.start("unsigned, waiting", FAILOVER)
    asked = site.control.run
    assert asked is not None
    asked.branch = "let-me-in"
    run = site.start("resumes a branch's run", {"resume": waiting.number}, actor="jonas")
    assert run.jobs["plan"] == "failure", run.log()
    assert "run.resume" in run.log()
    assert run.answers["exit_code"] == "6"


def watched(run: ActRun, job: str) -> str:
    """The verdict of a watch job."""
    return run.outputs.get(job, {}).get("verdict", "")


def bundle_of(site: Site, run: ActRun) -> dict[str, dict[str, object]]:
    """The documents of a run that was looked at before."""
    return bundle(site, run, run.answers["outcome"])


def assert_untouched(site: Site) -> None:
    """No lock was taken and no secret asked for."""
    assert site.ledger().tip().epoch == 0
    assert ("execute", site.bao.origin) not in site.tokens.asked
