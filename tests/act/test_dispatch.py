"""The shipped workflow, run for a caller from decision to evidence: who waits for what, how it ends, what is kept."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.run import State
from hyops_ci.evidence.verify import verify
from tests.act.canaries import files_below, leaks
from tests.act.rewriting import ROOT
from tests.act.running import ActRun
from tests.act.site import APPROVER, GITHUB_TOKEN, SECRETS, SERVICE, VAULT_PASSWORD, Site
from tests.support.openbao import ROOT_TOKEN
from tests.support.receiver import SECRET

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow]

ALL_GREEN = dict.fromkeys(("plan", "watch-check", "check", "watch-execute", "execute", "conclude", "after"), "success")
FAILOVER = {"action": "failover", "service": SERVICE, "reason": "INC-4242 power lost", "old_primary": "confirmed-off"}
NOBODY = "nobodys-ops-runner"
THEIRS = re.compile(r"vault-password|envs/[a-z]+/logs/")
FAILBACK = {"action": "failback", "service": SERVICE, "reason": "INC-4242 power back", "old_primary": "confirmed-off"}


@pytest.mark.timeout(1200)  # five runs: a minute on an idle machine
def test_failover_on_gcp_waits_for_a_signature_and_failback_on_onprem_follows(site: Site) -> None:
    waiting = site.start("failover, unsigned", FAILOVER)
    assert waiting.jobs.get("execute", "skipped") == "skipped", waiting.log()
    assert waiting.answers["outcome"] == "UNSIGNED", waiting.log()
    assert waiting.answers["exit_code"] == "6"
    bundle(site, waiting, "UNSIGNED")
    assert site.ledger().tip().epoch == 0
    assert site.tokens.asked == [("check", site.bao.origin)]

    site.tokens.asked.clear()
    recovered = site.start("failover, signed", signed(site, waiting))
    assert recovered.jobs == ALL_GREEN, recovered.log()
    assert recovered.answers["outcome"] in ("COMPLETED", "COMPLETED_WITH_EXCEPTIONS"), recovered.log()
    assert recovered.answers["exit_code"] == "0"
    sealed = bundle(site, recovered, recovered.answers["outcome"])
    assert sealed["plan.json"]["runs_on"] == ["self-hosted", "gcp-ops-runner"]
    assert sealed["secrets.json"]["revoked"] is True
    assert {job for job, _ in site.tokens.asked} == {"check", "execute"}
    assert site.tokens.refused == []
    tip = site.ledger().tip()
    assert (tip.position, tip.epoch, str(tip.epoch)) == ("failed_over", 1, recovered.answers["epoch"])
    assert tip.state is State(recovered.answers["outcome"])

    again = site.start("the same incident again", FAILOVER)
    assert again.answers["outcome"] == "DUPLICATE", again.log()
    assert again.answers["exit_code"] == "0"
    assert "failure" not in again.jobs.values(), "nothing is red when somebody asks twice"
    bundle(site, again, "DUPLICATE")

    waiting = site.start("failback, unsigned", FAILBACK)
    assert waiting.answers["outcome"] == "UNSIGNED", waiting.log()
    back = site.start("failback, signed", signed(site, waiting))
    assert back.jobs == ALL_GREEN, back.log()
    assert back.answers["outcome"] in ("COMPLETED", "COMPLETED_WITH_EXCEPTIONS"), back.log()
    assert bundle(site, back, back.answers["outcome"])["plan.json"]["runs_on"] == ["self-hosted", "proxmox-ops-runner"]
    assert (site.ledger().tip().position, site.ledger().tip().epoch) == ("primary", 2)


@pytest.mark.timeout(600)
def test_a_lane_that_is_not_enabled_is_refused_before_any_runner(site: Site) -> None:
    site.config["services"][SERVICE]["failover"]["lane"] = "azure"
    site.write_config()
    refused = site.start("lane azure is disabled", FAILOVER)
    assert refused.jobs["plan"] == "failure", refused.log()
    assert {refused.jobs.get(job, "skipped") for job in ("check", "execute")} == {"skipped"}
    assert (refused.answers["outcome"], refused.answers["exit_code"]) == ("BLOCKED", "4"), refused.log()
    assert "lane" in bundle(site, refused, "BLOCKED")["refusal.json"]["gate"]
    assert site.tokens.asked == []
    assert site.ledger().tip().epoch == 0


@pytest.mark.timeout(600)
def test_another_commit_of_the_workflow_learns_nothing_from_the_authority(site: Site) -> None:
    refused = site.start("a commit that Vault does not know", decision("inc-4242-another-commit"), job_workflow_sha="e" * 40)
    assert (refused.jobs["plan"], refused.jobs["check"]) == ("success", "failure"), refused.log()
    assert refused.jobs.get("execute", "skipped") == "skipped"
    assert (refused.answers["outcome"], refused.answers["exit_code"]) == ("BLOCKED", "8"), refused.log()
    sealed = bundle(site, refused, "BLOCKED")
    assert sealed["refusal.json"]["gate"] == "secrets.login"
    assert "job_workflow_sha" in sealed["refusal.json"]["found"]
    assert site.ledger().tip().epoch == 0


@pytest.mark.timeout(600)
def test_a_failing_step_stops_before_clients_move_and_frees_the_lock(site: Site) -> None:
    site.double.script(steps={"postgresql_restore": {"do": "fail", "leak": ["PATRONI_SUPERUSER_PASSWORD", "POWERDNS_API_KEY"]}})
    failed = site.start("step postgresql_restore fails", decision("inc-4242-a-step-fails"))
    assert (failed.jobs["check"], failed.jobs["execute"]) == ("success", "failure"), failed.log()
    assert failed.answers["outcome"] == "FAILED", failed.log()
    assert failed.answers["exit_code"] not in ("", "0")
    said = failed.said["execute"]
    assert {"[redacted:PATRONI_SUPERUSER_PASSWORD]", "[redacted:POWERDNS_API_KEY]"} <= set(re.findall(r"\[redacted:\w+\]", "\n".join(said)))
    assert not any(line.startswith("step=") for line in said), "no line of HyOps stands at the beginning of a line"
    sealed = bundle(site, failed, "FAILED")
    assert "postgresql_restore" in sealed["result.json"]["headline"]
    tip = site.ledger().tip()
    assert (tip.position, tip.epoch, tip.state) == ("primary", 1, State.FAILED)


@pytest.mark.timeout(900)  # two runs
def test_a_probe_that_fails_is_an_end_of_its_own_and_keeps_the_lock(site: Site) -> None:
    """HyOps ends well, and nothing listens where the service should be: amber, exit 13, and nobody starts a second run over it."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{nobody.getsockname()[1]}"
        site.config["verification"] = {SERVICE: [{"kind": "tcp", "target": target, "hold": "PT1S", "timeout": "PT1S"}]}
        site.write_config()
        ended = site.start("the service does not answer", decision("inc-4242-does-not-answer"))
    assert (ended.jobs["execute"], ended.jobs["conclude"]) == ("failure", "success"), ended.log()
    assert (ended.answers["outcome"], ended.answers["exit_code"]) == ("NOT_PROVEN", "13"), ended.log()
    result = bundle(site, ended, "NOT_PROVEN")["result.json"]
    assert result["headline"].startswith(f"NOT PROVEN: HyOps says that {SERVICE} is at gcp; {target}: not there within 1 s")
    assert result["refusal"]["gate"] == "verification.failed"
    for text in ("\n".join(ended.said["execute"]), "\n".join(ended.said["conclude"])):
        assert result["headline"] in text
        assert "action=settle" in text
        assert "NEW run" not in text
    tip = site.ledger().tip()
    assert (tip.position, tip.serves, tip.state) == ("primary", "onprem", State.NOT_PROVEN)
    again = site.start("the same incident again", decision("inc-4242-once-more"))
    assert (again.answers["outcome"], again.answers["exit_code"]) == ("BLOCKED", "5"), again.log()
    assert bundle(site, again, "BLOCKED")["refusal.json"]["gate"] == "lock.unknown"


@pytest.mark.timeout(1500)  # four runs
def test_an_unknown_is_settled_behind_the_gate_and_a_check_changes_nothing(site: Site) -> None:
    """A service that does not answer, a person who looked, one who approves: the lock is free. Before, a check on demand."""
    before = site.ledger().head().commit
    checked = site.start("check on demand", {"action": "check", "service": SERVICE, "reason": "after adoption"})
    assert (checked.answers["outcome"], checked.answers["exit_code"]) == ("CHECK_PASSED", "0"), checked.log()
    assert (checked.jobs["check"], checked.jobs.get("execute", "skipped"), checked.jobs["conclude"]) == ("success", "skipped", "success")
    assert site.ledger().head().commit == before

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{nobody.getsockname()[1]}"
        site.config["verification"] = {SERVICE: [{"kind": "tcp", "target": target, "hold": "PT1S", "timeout": "PT1S"}]}
        site.write_config()
        ended = site.start("the service does not answer", decision("inc-4242-to-be-settled"))
    assert ended.answers["outcome"] == "NOT_PROVEN", ended.log()

    asking = site.start("settle, unsigned", {"action": "settle", "service": SERVICE, "serves": "onprem", "reason": "psql shows onprem"})
    assert (asking.answers["outcome"], asking.jobs.get("execute", "skipped")) == ("UNSIGNED", "skipped"), asking.log()
    page = "\n".join(asking.said["check"])
    assert f"SETTLE {SERVICE}: onprem serves" in page
    assert f"Look       nc -zv -w 5 {target.replace(':', ' ')}" in page
    assert site.ledger().tip().state is State.NOT_PROVEN

    settled = site.start("settle, signed", signed(site, asking))
    assert settled.jobs == ALL_GREEN, settled.log()
    assert (settled.answers["outcome"], settled.answers["exit_code"]) == ("SETTLED", "0"), settled.log()
    said = bundle(site, settled, "SETTLED")["settlement.json"]
    assert (said["serves"], said["position"], said["reason"]) == ("onprem", "primary", "psql shows onprem")
    tip = site.ledger().tip()
    assert (tip.claim, tip.serves, tip.settled_by) == (None, "onprem", f"{APPROVER} in run {settled.number}-1")
    assert tip.signature is not None


@pytest.mark.timeout(600)
def test_a_cutover_that_fails_sends_nobody_into_a_new_run(site: Site) -> None:
    site.double.script(steps={"postgresql_dns_cutover": {"do": "fail"}})
    failed = site.start("step postgresql_dns_cutover fails", decision("inc-4242-the-cutover-fails"))
    assert (failed.answers["outcome"], failed.answers["exit_code"]) == ("FAILED", "9"), failed.log()
    result = bundle(site, failed, "FAILED")["result.json"]
    assert result["headline"].startswith("STOPPED after clients moved: step 5/6 postgresql_dns_cutover failed after ")
    assert result["refusal"]["found"].startswith(
        "left: gcp_pg_vms postgresql_restore postgresql_backup_config done, postgresql_dns_cutover failed, 1 skipped, 1 not begun; log "
    )
    said = "\n".join(failed.said["execute"])
    assert "cause    hyops.failed (exit 9): step postgresql_dns_cutover failed" in said
    assert "action=settle" in said
    assert "NEW run" not in said
    assert site.ledger().tip().past_no_return


@pytest.mark.timeout(600)
def test_without_a_probe_it_is_hyops_word_and_the_position_stays(site: Site) -> None:
    site.config["verification"] = {SERVICE: []}
    site.write_config()
    ended = site.start("nothing is probed", decision("inc-4242-nothing-is-probed"))
    assert (ended.answers["outcome"], ended.answers["exit_code"]) == ("COMPLETED_WITH_EXCEPTIONS", "0"), ended.log()
    result = bundle(site, ended, "COMPLETED_WITH_EXCEPTIONS")["result.json"]
    assert f"HyOps says that {SERVICE} is at gcp since " in result["headline"]
    assert "serves from" not in result["headline"]
    assert (site.ledger().tip().position, site.ledger().tip().serves) == ("primary", "onprem")


def decision(decision_id: str, service: str = SERVICE) -> dict[str, str]:
    """The inputs of a decision that an env of class `lab`, or `drill`, lets pass without approval."""
    document = {
        "api_version": "hybridops/v1",
        "kind": "Decision",
        "decision_id": decision_id,
        "decision_type": "failover",
        "service": service,
        "rationale": "INC-4242 power lost",
        "issued_at": stamp(datetime.now(UTC).replace(microsecond=0)),
        "issuer": "github:maria",
        "requires_approval": False,
        "old_primary": "confirmed-off",
    }
    return {"decision": json.dumps(document)}


@pytest.mark.timeout(600)
def test_a_no_is_a_no(site: Site) -> None:
    waiting = site.start("failover, unsigned", FAILOVER)
    denied = site.start("failover, denied", signed(site, waiting, "--deny", "--comment", "the old side is back"))
    assert denied.jobs.get("execute") != "success", denied.log()
    assert (denied.answers["outcome"], denied.answers["exit_code"]) == ("DENIED", "6"), denied.log()
    sealed = bundle(site, denied, "DENIED")
    assert "the old side is back" in json.dumps(sealed)
    assert site.ledger().tip().epoch == 0
    assert ("execute", site.bao.origin) not in site.tokens.asked, "no secret is asked for"


def signed(site: Site, waiting: ActRun, *options: str) -> dict[str, str]:
    """What an approver sends after reading the check artifact: the decision again, and their signature."""
    folder = site.root / f"approver-{waiting.number}"
    [handover] = waiting.artifact(f"dr-check-{waiting.number}-1", folder).glob("*.tar")
    command = [sys.executable, "-m", "hyops_ci", "approve", "--request", str(handover), "--key", str(site.approver_key), "--yes"]
    command += options
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"signed: {'deny' if options else 'approve'} by {APPROVER}" in done.stderr
    with tarfile.open(handover) as tar:
        decision = tar.extractfile("decision.json")
        assert decision is not None
        return {"decision": decision.read().decode(), "approvals": done.stdout.strip()}


def bundle(site: Site, run: ActRun, outcome: str) -> dict[str, Any]:
    """The documents of the evidence artifact, after all that holds for every run: it verifies, it is what was answered, and it is clean."""
    name = f"dr-evidence-{run.number}-1"
    if run.answers.get("evidence_artifact"):
        assert run.answers["evidence_artifact"] == name
    folder = run.artifact(name, site.root / f"evidence-{run.number}")
    [container] = folder.rglob("*.tar")
    assert container.name == f"{name}.tar", "what the report's command and the pages name"
    [report] = folder.rglob("*.html")
    verdict = verify(container)
    assert verdict.ok, verdict.problems
    assert run.answers["evidence_digest"] == f"sha256:{sha256(container)}"
    assert outcome in report.read_text()
    with tarfile.open(container) as tar:
        documents = {m.name: json.loads(tar.extractfile(m).read()) for m in tar if m.name.endswith(".json")}  # type: ignore[union-attr]  # each is a file
    assert documents["result.json"]["outcome"] == outcome
    assert documents["result.json"]["run_id"] == f"{run.number}-1"
    assert leaks(planted(site), left_behind(site, run)) == []
    return documents


def planted(site: Site) -> dict[str, str]:
    """Everything that must be nowhere: secrets of the authority, tokens of the jobs, the password of the runner's bundle."""
    values = {name: str(value) for fields in SECRETS.values() for name, value in fields.items()}
    values |= {"github.token": GITHUB_TOKEN, "password": VAULT_PASSWORD, "root": ROOT_TOKEN, "bearer": site.tokens.bearer}
    values["DR_NOTIFY_SECRET"] = SECRET
    return values | {f"job token {number}": token.rpartition(".")[2] for number, token in enumerate(site.tokens.given)}


def left_behind(site: Site, run: ActRun) -> Iterator[tuple[str, bytes]]:
    """Log with outputs and summaries, event, artifacts, ledger with its history; and what stays on the runner."""
    yield "log", "\n".join(run.lines).encode()
    yield "event.json", run.event.read_bytes()
    yield from files_below(run.artifacts)
    # HyOps keeps passwords in the clear in its own logs on the runner (docs/hyops.md): none of them may leave it, and none is ours.
    yield from ((name, content) for name, content in files_below(site.root / "runner") if not THEIRS.match(name))
    for command in (["log", "-p", "--all"], ["for-each-ref"]):
        yield "ledger", subprocess.run(["git", *command], cwd=site.ledger_repository, capture_output=True, check=True).stdout


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.timeout(600)
def test_a_queue_that_never_ends_is_ended_by_the_watch(site: Site) -> None:
    """No runner has the label: act starts no such job, GitHub keeps it in the queue, and the watch counts two minutes of that."""
    site.config["lanes"] = {"gcp": {"labels": ["self-hosted", NOBODY], "runner_ref": NOBODY}}
    site.write_config()
    site.control.runner = ""
    silent = site.start("a label that no runner has", FAILOVER, without=("self-hosted",))
    assert silent.jobs["plan"] == "success", silent.log()
    assert silent.jobs.get("check", "skipped") == "skipped"
    assert silent.jobs["watch-check"] == "failure", silent.log()
    assert silent.outputs["watch-check"]["verdict"] == "missing"
    assert 120 <= int(silent.outputs["watch-check"]["waited_seconds"]) <= 180
    assert silent.answers.get("outcome") == "NO_RUNNER", silent.log()
    assert silent.answers["exit_code"] == "7"
    refusal = bundle(site, silent, "NO_RUNNER")["refusal.json"]
    assert refusal["gate"] == "runner.silent"
    assert NOBODY in refusal["found"]
    assert "restart" in refusal["fix"]
    cancelled = [call for call in site.control.fake.calls if call.path.endswith(f"/runs/{silent.number}/cancel")]
    assert len(cancelled) == 1
    assert site.tokens.asked == []
    assert site.ledger().tip().epoch == 0


@pytest.mark.timeout(600)
def test_a_stranger_that_took_the_check_ends_the_run_and_is_seen_again_in_the_report(site: Site) -> None:
    """act cancels nothing, so the check goes on here; the evidence then names another runner than GitHub, and is not believed."""
    site.config["lanes"] = {"gcp": {"names": ["dr-runner-01"]}}
    site.write_config()
    site.control.runner = "somebody-elses-runner"
    run = site.start("a stranger takes the check", FAILOVER)
    assert run.jobs["watch-check"] == "failure", run.log()
    assert run.outputs["watch-check"]["verdict"] == "stranger"
    assert [call.path.rpartition("/")[2] for call in site.control.fake.calls].count("cancel") == 1
    assert run.jobs["conclude"] == "failure", run.log()
    assert "The evidence and GitHub do not agree" in run.log()
    assert "GitHub says somebody-elses-runner" in run.log()
