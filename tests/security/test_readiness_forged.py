"""Attack: somebody who may push says on the branch of checks that a service is ready, where the config demands a check."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import TRANSITION_PAYLOAD
from hyops_ci.contracts.readiness import READINESS, READINESS_PAYLOAD, Readiness
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import TRACK_RECORD, TrackRecord
from hyops_ci.intake.form import Form
from hyops_ci.readiness.store import ReadinessStore
from hyops_ci.signing.dsse import load_key, new_key, public_of, sign
from hyops_ci.stages.plan.stage import Ask, plan
from tests.ledger.ledger_setup import git
from tests.security.incident import SERVICE, Incident, assert_refused

GATE = "readiness.age"
OTHER = "sha256:" + "e" * 64
DRILLS = "drill-runner"
"""What the runner for drills is called, and its host's key."""


def demanding(incident: Incident) -> Incident:
    incident.configure(lambda config: config.setdefault("policy", {}).update(readiness_age="P2D"))
    return incident


def checks(incident: Incident) -> ReadinessStore:
    """The branch as somebody else's machine sees and writes it."""
    return ReadinessStore.over_git(str(incident.site.root / "ledger.git"), SERVICE, state_dir=Path(mkdtemp(dir=incident.site.root.parent)))


def check(incident: Incident, service: str = SERVICE) -> None:
    """A check of the move that comes next, from plan to report, as `action: check` makes it."""
    plan(Ask(incident.site.repository, form=Form("check", service, "weekly")), incident.folder, incident.world("plan"))
    incident.check()
    incident.conclude()


def host(incident: Incident) -> Ed25519PrivateKey:
    return load_key(incident.site.host_key)


def ready(incident: Incident, hours_ago: float = 1, **changes: Any) -> Readiness:
    """What a host of the config would say of a check that passed."""
    at = incident.site.clock.now() - timedelta(hours=hours_ago)
    known: dict[str, Any] = {
        "ledger_id": incident.ledger().tip().ledger_id,
        "service": SERVICE,
        "decision_type": "failover",
        "lane": "gcp",
        "runner_ref": "gcp-ops-runner",
        "ready": True,
        "outcome": "CHECK_PASSED",
        "checked_at": stamp(at),
        "expires_at": stamp(at + timedelta(days=2)),
        "plan_digest": OTHER,
        "run_id": "4711-1",
    }
    return Readiness.model_validate_json(json.dumps(known | changes))


def signed(of: Readiness, key: Ed25519PrivateKey, kind: str = READINESS_PAYLOAD) -> bytes:
    return canonical(sign(canonical(of.document()), kind, [key]))


def push(incident: Incident, content: bytes) -> None:
    checks(incident).keep(content, "ready")


def strangers(incident: Incident) -> Ed25519PrivateKey:
    path = Path(mkdtemp(dir=incident.site.root.parent)) / "key.pem"
    new_key(path)
    return load_key(path)


# ------------------------------------------------------------------------------------------------- a check that counts


def test_a_check_by_a_host_of_the_config(incident: Incident) -> None:
    """The twin: the host signs what it found, the report keeps it, and the next run is planned and shows it."""
    check(demanding(incident))
    incident.start(actor="maria")
    assert incident.plan().state is State.PLANNED
    known = incident.folder.read_model(TRACK_RECORD, TrackRecord).readiness
    assert known.standing == "ready"
    assert known.record is not None
    assert (known.record.service, known.record.outcome, known.signed_by) == (SERVICE, State.CHECK_PASSED, (next(iter(keys(incident))),))
    assert known.passed_over == ()


def test_what_a_host_of_the_config_signs_by_hand(incident: Incident) -> None:
    """The twin of each forgery below: with nothing wrong about it, it is believed."""
    push(demanding(incident), signed(ready(incident), host(incident)))
    assert incident.plan().state is State.PLANNED


def keys(incident: Incident) -> dict[str, str]:
    config = yaml.safe_load((incident.site.repository / ".github" / "dr-dispatch.yml").read_text())
    found: dict[str, str] = config["host_keys"]
    return found


# ------------------------------------------------------------------------------------------------- checks that do not

FORGED: dict[str, tuple[Callable[[Incident], bytes], str]] = {
    "signed by a key of one's own": (lambda on: signed(ready(on), strangers(on)), "is signed by no host"),
    "signed by an approver": (lambda on: signed(ready(on), on.keys["jonas"]), "is signed by no host"),
    "not signed": (lambda on: canonical(json.loads(signed(ready(on), strangers(on))) | {"signatures": []}), "holds no check"),
    "a signature of something else": (lambda on: signed(ready(on), host(on), TRANSITION_PAYLOAD), "holds no check"),
    "another payload under a signature": (
        lambda on: canonical(
            json.loads(signed(ready(on, ready=False), host(on))) | {"payload": json.loads(signed(ready(on), host(on)))["payload"]}
        ),
        "is signed by no host",
    ),
    "a check of another service": (lambda on: signed(ready(on, service="pg-ha/prod"), host(on)), "is about pg-ha/prod"),
    "a check of another ledger": (lambda on: signed(ready(on, ledger_id=OTHER), host(on)), "is about another ledger"),
    "a check of another runner": (lambda on: signed(ready(on, runner_ref="aws-ops-runner"), host(on)), "is not the runner of this move"),
    "a check that is still to come": (lambda on: signed(ready(on, -24), host(on)), "is still to come"),
    "no document": (lambda on: b"ready", "holds no check"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_check_that_somebody_put_there(incident: Incident, name: str) -> None:
    """It is no readiness, the run that needs one is refused, and it is said which commit lies there."""
    made, why = FORGED[name]
    push(demanding(incident), made(incident))
    assert_refused(incident, incident.plan(), GATE, 4)
    [said] = incident.folder.read_model(TRACK_RECORD, TrackRecord).readiness.passed_over
    assert why in said
    assert any("ALARM of the readiness branch" in line for line in incident.said)


def test_a_file_that_is_too_large(incident: Incident) -> None:
    demanding(incident)
    planted(incident, "readiness.json", "x" * 100_000)
    assert_refused(incident, incident.plan(), GATE, 4)


def test_a_branch_of_something_else(incident: Incident) -> None:
    """And the next check is kept on top of it."""
    planted(demanding(incident), "README.md", "nothing to see")
    check(incident)
    incident.start(actor="maria")
    assert incident.plan().state is State.PLANNED


def planted(incident: Incident, name: str, content: str) -> None:
    remote = incident.site.root / "ledger.git"
    blob = git(remote, "hash-object", "-w", "--stdin", data=content)
    tree = git(remote, "mktree", data=f"100644 blob {blob}\t{name}\n")
    git(remote, "update-ref", f"refs/heads/dr-readiness/{SERVICE}", git(remote, "commit-tree", tree, "-m", "planted"))


def test_a_key_that_was_taken_out_of_the_config(incident: Incident) -> None:
    """What it signed before counts no more."""
    check(demanding(incident))
    incident.configure(lambda config: config.update(host_keys={"gcp-ops-runner": public_of(strangers(incident))}))
    incident.start(actor="maria")
    assert_refused(incident, incident.plan(), GATE, 4)


def test_a_drill_host_says_that_production_is_ready(incident: Incident) -> None:
    """A key that is named after a runner speaks for that runner alone."""
    mine = strangers(incident)

    def two_runners(config: dict[str, Any]) -> None:
        config["host_keys"][DRILLS] = public_of(mine)
        config.setdefault("lanes", {}).setdefault("gcp", {})["drill_runner_ref"] = DRILLS

    demanding(incident).configure(two_runners)
    push(incident, signed(ready(incident), mine))
    assert_refused(incident, incident.plan(), GATE, 4)
    [said] = incident.folder.read_model(TRACK_RECORD, TrackRecord).readiness.passed_over
    assert f"is signed by {DRILLS} and speaks for gcp-ops-runner" in said


def test_an_old_check_on_a_branch_that_was_set_back(incident: Incident) -> None:
    """Whoever deletes what is newer shows at most what is older, and that is as old as it says."""
    push(demanding(incident), signed(ready(incident, 49), host(incident)))
    push(incident, signed(ready(incident, 1), host(incident)))
    remote, ref = incident.site.root / "ledger.git", f"refs/heads/dr-readiness/{SERVICE}"
    git(remote, "update-ref", ref, f"{ref}~1")
    assert_refused(incident, incident.plan(), GATE, 4, "the last one passed")


def test_an_old_check_pushed_again_on_top(incident: Incident) -> None:
    """The time that its host signed decides, and not the order of the branch: the newer no stays the newest word."""
    old = signed(ready(incident, 5), host(incident))
    no = ready(incident, 1, ready=False, outcome="BLOCKED", gate="states.ok", reason="2 of 5 upstream states are not ok")
    push(demanding(incident), signed(no, host(incident)))
    push(incident, old)
    assert incident.plan().state is State.PLANNED
    known = incident.folder.read_model(TRACK_RECORD, TrackRecord).readiness
    assert (known.standing, known.record) == ("not ready", no)


# ----------------------------------------------------------------------------------------- a check that a stranger made


def test_a_strangers_machine_hands_over_a_check_that_passed(incident: Incident) -> None:
    """The report keeps only what a host of the config signed for this run."""
    plan(Ask(incident.site.repository, form=Form("check", SERVICE, "weekly")), incident.folder, incident.world("plan"))
    incident.check()
    incident.folder.write(READINESS, signed(ready(incident, run_id=incident.world("check").job.run_id), strangers(incident)))
    incident.conclude()
    assert checks(incident).read() is None
    assert any("was not kept" in line for line in incident.said)


def test_a_check_of_another_run_is_handed_over(incident: Incident) -> None:
    plan(Ask(incident.site.repository, form=Form("check", SERVICE, "weekly")), incident.folder, incident.world("plan"))
    incident.check()
    incident.folder.write(READINESS, signed(ready(incident), host(incident)))
    incident.conclude()
    assert checks(incident).read() is None


def test_a_check_that_its_host_made_is_handed_over(incident: Incident) -> None:
    """The twin of both: what this run's check left is kept, once, though the report is made twice."""
    check(incident)
    incident.conclude()
    kept = checks(incident).read()
    assert kept is not None
    assert len(kept.checks) == 1


def test_a_check_that_was_refused_is_kept_as_well(incident: Incident) -> None:
    """It is no readiness, and newer than the one before: nobody reads of a service that it is ready when its last check said no."""
    check(demanding(incident))
    incident.start(actor="maria")
    incident.site.forget_state("org/gcp/wan-hub-network")
    check(incident)
    incident.start(actor="maria")
    assert incident.plan().state is State.PLANNED
    known = incident.folder.read_model(TRACK_RECORD, TrackRecord).readiness
    assert known.record is not None
    assert (known.standing, known.record.gate) == ("not ready", "states.ok")
    assert known.last_passed is not None
