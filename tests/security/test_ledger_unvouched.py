"""Attack: somebody who may push writes well-formed tips on top of the ledger's branch (docs/design/contracts.md 6)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from hyops_ci.contracts.ledger import MAX_ANSWERS, MAX_EPOCH, Answer
from hyops_ci.contracts.run import Result, State
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.transitions import first_tip
from hyops_ci.signing.dsse import public_of
from hyops_ci.stages.execute import working
from hyops_ci.stages.execute.heartbeat import heartbeat
from tests.security.incident import RECOVERED, SERVICE, Incident, assert_recovered, assert_refused
from tests.security.ledger_attacker import FAR, OTHER, WORD, now, push, request, theirs
from tests.support.host_key import host_signs, people_settle

# ------------------------------------------------------------------------------------------ a tip that nobody vouches for

FORGED: dict[str, Callable[[Incident], object]] = {
    "the service has moved": lambda on: push(on, position="failed_over", serves="gcp", moves=1),
    "a run that acts for ever": lambda on: theirs(on).claim(request(on, at=FAR)),
    "a run that acts now": lambda on: theirs(on).claim(request(on)),
    "the last epoch there is": lambda on: push(on, epoch=MAX_EPOCH),
    "the nonce of this run's approval": lambda on: theirs(on).claim(request(on, nonces=(nonce(on),))),
    "the id of this run's decision": lambda on: theirs(on).claim(request(on, decision_id=f"manual-{on.repository.id}-{on.run.id}")),
    "settled, and nothing was to settle": lambda on: push(on, settled_by="jonas", reason="seen"),
}


def nonce(incident: Incident) -> str:
    return incident.request.subject.nonce if incident.folder.has("request.json") else "a" * 32


@pytest.mark.parametrize("name", FORGED)
def test_a_tip_on_top_before_the_plan(incident: Incident, name: str) -> None:
    """Never ALREADY HANDLED, never a recovery over it: red, and it says which commit."""
    FORGED[name](incident)
    assert_refused(incident, incident.plan(), "ledger.unvouched", 5, epoch=None)


@pytest.mark.parametrize("name", FORGED)
def test_a_tip_on_top_after_the_check(incident: Incident, name: str) -> None:
    incident.reach_gate()
    FORGED[name](incident)
    assert_refused(incident, incident.execute(incident.signed("jonas")), "ledger.unvouched", 5, epoch=None)


def test_the_same_by_a_host_of_the_config(incident: Incident) -> None:
    """The twin: what a recovery host signed is believed, and a second request for that outage is handled."""
    host_signs(theirs(incident), incident.site.host_key).claim(request(incident))
    assert incident.plan().state is State.DUPLICATE


def test_a_branch_that_was_made_before_ours(
    incident: Incident, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ledger init --all` keeps a ledger that is there, but not a stranger's."""
    config = tmp_path / "dr-dispatch.yml"
    config.write_bytes((incident.site.repository / ".github" / "dr-dispatch.yml").read_bytes())
    remote = tmp_path / "planted.git"
    ledger = Ledger.over_git(str(remote), SERVICE, state_dir=tmp_path / "mallory")
    create_repository(remote)
    planted = first_tip(SERVICE, "0" * 32, "onprem", now(incident)).model_copy(update={"position": "failed_over", "moves": 3})
    assert ledger._store.append(None, planted, "init") is not None
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as left:
        main(["ledger", "init", "--remote", str(remote), "--all", "--config", str(config)])
    said = capsys.readouterr()
    assert left.value.code == 5
    assert "ledger.unvouched" in said.err
    assert "kept" not in said.out


# ----------------------------------------------------------------------------------------------------------- settlements


def cut_off(incident: Incident) -> None:
    """A run whose end nobody knows: only people end that."""
    ledger = host_signs(theirs(incident), incident.site.host_key)
    claim = ledger.claim(request(incident))
    for state in (State.EXECUTING, State.INDETERMINATE):
        ledger.advance(claim, state, at=now(incident))


@pytest.mark.parametrize("keys", [(), ("mallory",)], ids=["unsigned", "a stranger's key"])
def test_an_unknown_lock_that_the_approvers_did_not_settle(incident: Incident, keys: tuple[str, ...]) -> None:
    cut_off(incident)
    if keys:
        people_settle(theirs(incident), *(incident.keys[key] for key in keys), at=now(incident), **WORD)
    else:
        theirs(incident).settle(at=now(incident), **WORD)
    assert_refused(incident, incident.plan(), "ledger.settlement", 5, epoch=1)


def test_an_unknown_lock_that_the_approvers_settled(incident: Incident) -> None:
    """The twin."""
    cut_off(incident)
    people_settle(theirs(incident), incident.keys["jonas"], at=now(incident), **WORD)
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))


# --------------------------------------------------------------------------------------------------- a run that is at work


def ended(incident: Incident) -> None:
    push(incident, state=State.FAILED)


def overtaken(incident: Incident) -> None:
    """A claim over a run at work, as no rule allows it."""
    claim = theirs(incident).tip().claim
    assert claim is not None
    other = claim.model_copy(update={"epoch": 2, "claim_id": "claim-x", "run_id": "8000-1", "claimed_at": now(incident)})
    push(incident, claim=other, epoch=2, state=State.CLAIMED, mutating=False)


@pytest.mark.parametrize("forged", [ended, overtaken], ids=lambda each: each.__name__)
def test_a_run_at_work_is_neither_stopped_nor_followed_by_another(
    incident: Incident, monkeypatch: pytest.MonkeyPatch, forged: Callable[[Incident], None]
) -> None:
    @contextmanager
    def beats(*words: Any) -> Iterator[list[str]]:
        forged(incident)
        with heartbeat(*words, every=0.02) as alarms:
            yield alarms

    monkeypatch.setattr(working, "heartbeat", beats)
    incident.reach_gate()
    done = incident.execute(incident.signed("jonas"))
    assert done.state is State.COMPLETED_WITH_EXCEPTIONS, "HyOps went on to its end"
    result = incident.folder.read_model("result.json", Result)
    assert any("ALARM of the ledger: nobody vouches" in each for each in result.deviations)
    assert any("ledger.unvouched" in line or "nobody vouches" in line for line in incident.said)
    incident.start(actor="maria")
    assert_refused(incident, incident.plan(), "ledger.unvouched", 5, epoch=None)


def test_a_run_at_work_that_nobody_disturbs(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: its own heartbeats are no alarm."""
    monkeypatch.setattr(working, "heartbeat", lambda *words: heartbeat(*words, every=0.02))
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))
    assert not any("ALARM" in each for each in incident.folder.read_model("result.json", Result).deviations)


# ------------------------------------------------------------------------------------------------------------ a good end


def completed(incident: Incident) -> None:
    """The ledger says that this run has recovered the service."""
    run = f"{incident.run.id}-1"
    ledger = theirs(incident)
    claim = ledger.claim(request(incident, run_id=run, decision_id=f"manual-{incident.repository.id}-{incident.run.id}"))
    for state in (State.EXECUTING, State.VERIFYING, State.COMPLETED):
        ledger.advance(claim, state, at=now(incident), serves="gcp", bundle_sha256=OTHER if state is State.COMPLETED else None)


@pytest.mark.parametrize("execute", ["skipped", "failure"])
def test_a_recovery_that_never_happened(incident: Incident, execute: str) -> None:
    incident.reach_gate()
    completed(incident)
    said = incident.conclude({"plan": "success", "check": "success", "execute": execute})
    assert said.result.outcome is (State.BLOCKED if execute == "skipped" else State.INDETERMINATE)
    assert said.result.refusal is not None
    assert said.result.refusal.gate == "ledger.unvouched"


@pytest.mark.parametrize("execute", ["skipped", "failure"])
def test_a_recovery_that_never_happened_on_a_ledger_that_no_host_signs(incident: Incident, execute: str) -> None:
    """Only execute's own bundle is a good end: UNKNOWN, and the report itself is red."""
    incident.configure(lambda config: config.pop("host_keys"))
    incident.reach_gate()
    completed(incident)
    said = incident.conclude({"plan": "success", "check": "success", "execute": execute})
    assert (said.result.outcome, said.exit_code) == (State.INDETERMINATE, 11)
    assert said.contradictions
    assert said.result.outcome not in RECOVERED


# --------------------------------------------------------------------------------------------------------------- answers


def filled(incident: Incident) -> None:
    """Twenty answers that nobody signed, for ever."""
    answer = Answer.model_validate_json(json.dumps(incident.signed("mallory")))
    fake = tuple(
        answer.model_copy(update={"signatures": (answer.signatures[0].model_copy(update={"keyid": f"key-{number}"}),)})
        for number in range(MAX_ANSWERS)
    )
    push(incident, at=theirs(incident).tip().at, answers=fake)


def test_a_branch_full_of_answers_that_nobody_signed(incident: Incident) -> None:
    """They take no room: the approver's own gets in, and they are gone."""
    incident.reach_gate()
    filled(incident)
    jonas = public_of(incident.keys["jonas"])
    incident.ledger().answer(incident.signed("jonas"), subject=incident.request.subject, at=now(incident), approvers=[jonas], lifetime=3600)
    assert len(incident.ledger().tip().answers) == 1
    assert_recovered(incident, incident.execute())


def test_a_no_that_somebody_takes_off_the_branch(incident: Incident) -> None:
    incident.reach_gate()
    keys = [public_of(incident.keys["jonas"])]
    no = incident.signed("jonas", "deny")
    incident.ledger().answer(no, subject=incident.request.subject, at=now(incident), approvers=keys, lifetime=3600)
    push(incident, at=theirs(incident).tip().at, answers=())
    assert_refused(incident, incident.execute(incident.signed("jonas")), "ledger.unvouched", 5, epoch=None)


# ------------------------------------------------------------------------------------------------ a ledger that no host signs


def test_what_looks_handled_on_a_ledger_that_no_host_signs(incident: Incident) -> None:
    """Whoever may push may keep the rules: red, and it names the run to look at."""
    incident.configure(lambda config: config.pop("host_keys"))
    theirs(incident).claim(request(incident))
    assert_refused(incident, incident.plan(), "lock.unsigned", 5, "8000-1", epoch=1)


def test_an_approver_reads_that_no_host_signs_the_ledger(incident: Incident) -> None:
    """Class production is refused at the check (`host.key`); elsewhere it is a deviation of what is approved."""
    incident.reach_gate()
    assert not any("signs the ledger" in each for each in incident.request.check.deviations)
    incident.start(actor="maria")
    incident.configure(lambda config: config.pop("host_keys"))
    incident.reach_gate()
    assert any("no host signs the ledger" in each for each in incident.request.check.deviations)
