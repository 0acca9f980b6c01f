"""Attack: what somebody who may push wrote to the ledger is to count later, once people have looked and runs go on above it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from hyops_ci.contracts.ledger import Answer, Claim
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.evidence.verify import verify
from hyops_ci.ledger import vouching
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.vouching import Vouchers
from hyops_ci.signing.dsse import load_key, public_of
from hyops_ci.stages.sealing import bundle_path
from tests.ledger.ledger_setup import bare, git
from tests.security.incident import SERVICE, Incident, assert_recovered, assert_refused
from tests.security.ledger_attacker import OTHER, WORD, now, push, request, theirs
from tests.support.host_key import host_signs, people_settle

REF = f"refs/heads/dr-ledger/{SERVICE}"
SEALED = "sha256:" + "5" * 64


def host(incident: Incident) -> Ledger:
    return host_signs(theirs(incident), incident.site.host_key)


def acting(incident: Incident) -> Ledger:
    """As the host of the run at work sees and writes it."""
    ledger = host(incident)
    ledger.vouchers = Vouchers(incident.site.clock.now, {"host": public_of(load_key(incident.site.host_key))}, home_site="onprem")
    return ledger


def adopt(incident: Incident) -> None:
    """The approvers looked at the ledger, and vouch for where the service is."""
    people_settle(theirs(incident), incident.keys["jonas"], adopt=True, at=now(incident), **WORD)


def recovered(incident: Incident) -> None:
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))


# ------------------------------------------------------------------------------------------------- what a host remembers


def at_commit(incident: Incident, put: str = "") -> str:
    """Where the branch is; with `put` an administrator moves it there."""
    repository = incident.site.root / "ledger.git"
    if put:
        git(repository, "update-ref", REF, put)
    return git(repository, "rev-parse", REF)


def test_what_nobody_vouches_for_is_not_remembered(incident: Incident) -> None:
    """Who takes a forgery off the branch has put it right: no host alarms over what it saw there."""
    before = at_commit(incident)
    push(incident, position="failed_over", serves="gcp", moves=1)
    assert_refused(incident, incident.plan(), "ledger.unvouched", 5, epoch=None)
    at_commit(incident, put=before)
    incident.start(actor="maria")
    recovered(incident)


def test_what_a_host_signed_is_remembered(incident: Incident) -> None:
    """The twin: that is not taken off again."""
    before = at_commit(incident)
    host(incident).claim(request(incident))
    assert incident.plan().state is State.DUPLICATE
    at_commit(incident, put=before)
    incident.start(actor="maria")
    assert_refused(incident, incident.plan(), "ledger.alarm", 5, epoch=None)


# ------------------------------------------------------------------------------------------------------------- the standby


@pytest.fixture
def standby(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second ledger that holds what the first does, of a config that names it."""
    there = bare(incident.site.root / "standby.git")
    git(incident.site.root / "ledger.git", "push", "-q", str(there), REF)
    usual = incident.world
    monkeypatch.setattr(incident, "world", lambda stage, **job: replace(usual(stage, **job), standby_remote=str(there)))
    return there


def merge(incident: Incident, standby: Path) -> int:
    """As the refusal of a run that finds the standby ahead says it."""
    config = incident.site.repository / ".github" / "dr-dispatch.yml"
    words = ["ledger", "merge", "--remote", str(incident.site.root / "ledger.git"), "--standby", str(standby), "--service", SERVICE]
    with pytest.raises(SystemExit) as left:
        main([*words, "--config", str(config)])
    assert isinstance(left.value.code, int)
    return left.value.code


def on_standby(incident: Incident, standby: Path) -> Ledger:
    return Ledger.over_git(str(standby), SERVICE, state_dir=incident.site.root / "elsewhere")


def test_what_nobody_vouches_for_is_copied_neither_way(
    incident: Incident, standby: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever may push to the standby alone would have written to the ledger."""
    monkeypatch.setenv("HOME", str(incident.site.root / "home"))
    before = at_commit(incident)
    on_standby(incident, standby).claim(request(incident))
    assert_refused(incident, incident.plan(), "ledger.unvouched", 5, epoch=0)
    assert merge(incident, standby) == 5
    assert "ledger.unvouched" in capsys.readouterr().err
    assert at_commit(incident) == before
    git(standby, "update-ref", REF, before)
    push(incident, position="failed_over", serves="gcp", moves=1)
    assert merge(incident, standby) == 5
    assert git(standby, "rev-parse", REF) == before


def test_what_a_host_wrote_to_the_standby_is_copied(
    incident: Incident, standby: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The twin."""
    monkeypatch.setenv("HOME", str(incident.site.root / "home"))
    ledger = host_signs(on_standby(incident, standby), incident.site.host_key)
    ledger.advance(ledger.claim(request(incident)), State.FAILED, at=now(incident), bundle_sha256=SEALED)
    assert_refused(incident, incident.plan(), "ledger.standby", 5, epoch=0)
    assert merge(incident, standby) == 0
    assert capsys.readouterr().out.startswith("merged: ")
    incident.start(actor="maria")
    recovered(incident)
    assert git(standby, "rev-parse", REF) == at_commit(incident), "and after its run the standby holds the same"


# ---------------------------------------------------------------------------------------------------------------- bundles


def ended(incident: Incident, ledger: Ledger, sha256: str, run: str) -> None:
    claim = host(incident).claim(request(incident, run_id=run, decision_id=f"another-{run}"))
    ledger.advance(claim, State.FAILED, at=now(incident), bundle_sha256=sha256)


@pytest.mark.parametrize(("last", "previous"), [(host, OTHER), (theirs, SEALED)], ids=["the twin: by its host", "by a stranger"])
def test_the_bundle_before_is_one_that_a_host_signed_for(incident: Incident, last: Callable[[Incident], Ledger], previous: str) -> None:
    """Evidence is chained to what a host sealed, whatever an end without a key names."""
    ended(incident, host(incident), SEALED, "8000-1")
    ended(incident, last(incident), OTHER, "8001-1")
    recovered(incident)
    assert verify(bundle_path(incident.folder)).facts["previous"] == previous


# ------------------------------------------------------------------------------------------------------- below an adoption


def spent(incident: Incident, ledger: Ledger) -> None:
    """Another decision under the id of this run's, which has acted."""
    claim = ledger.claim(request(incident, decision_id=f"manual-{incident.repository.id}-{incident.run.id}"))
    for state in (State.EXECUTING, State.FAILED):
        ledger.advance(claim, state, at=now(incident))


def test_a_decision_that_a_stranger_has_spent_beforehand(incident: Incident) -> None:
    spent(incident, theirs(incident))
    assert_refused(incident, incident.plan(), "ledger.unvouched", 5, epoch=None)
    adopt(incident)
    incident.folder = incident.fresh()
    recovered(incident)


def test_a_decision_that_a_host_has_spent(incident: Incident) -> None:
    """The twin: also below an adoption what a host signed is true."""
    spent(incident, host(incident))
    adopt(incident)
    assert_refused(incident, incident.plan(), "lock.conflict", 5, epoch=None)


# ------------------------------------------------------------------------------------------------------------- many steps


def answers(incident: Incident, times: int) -> None:
    """Each is one that may be unsigned: answers that nobody signed, which come and go."""
    incident.reach_gate()
    fake = Answer.model_validate_json(json.dumps(incident.signed("mallory")))
    for turn in range(times):
        push(incident, at=theirs(incident).tip().at, answers=() if turn % 2 else (fake,))
    incident.start(actor="maria")


def test_more_unsigned_steps_than_anybody_answers(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody walks them for ever; who adopts the ledger ends them."""
    monkeypatch.setattr(vouching, "MAX_UNSIGNED", 4)
    answers(incident, 5)
    assert_refused(incident, incident.plan(), "ledger.unvouched", 5, "more than 4 transitions", epoch=None)
    adopt(incident)
    incident.start(actor="maria")
    recovered(incident)


def test_as_many_as_may_be(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin."""
    monkeypatch.setattr(vouching, "MAX_UNSIGNED", 4)
    answers(incident, 4)
    recovered(incident)


# ------------------------------------------------------------------------------------------- an end that no host signed


def began(incident: Incident) -> Claim:
    """A run that its host says is at work."""
    ledger = host(incident)
    claim = ledger.claim(request(incident))
    ledger.advance(claim, State.EXECUTING, at=now(incident))
    return claim


def settle(incident: Incident, *, adopt: bool) -> None:
    """As `ledger settle` does, by the config's keys."""
    keys = {"host": public_of(load_key(incident.site.host_key))}
    people_settle(theirs(incident), incident.keys["jonas"], adopt=adopt, at=now(incident), host_keys=keys, **WORD)


def test_a_run_at_work_that_a_stranger_calls_unknown_is_not_settled(incident: Incident) -> None:
    """People would settle in good faith, and their settlement stops HyOps. Its host is heard beside the forged end."""
    claim = began(incident)
    theirs(incident).advance(claim, State.INDETERMINATE, at=now(incident), bundle_sha256=OTHER)
    assert_refused(incident, incident.plan(), "lock.unknown", 5, "is signed by no host, so HyOps may be at work", epoch=1)
    ledger = acting(incident)
    for _ in range(2):
        with pytest.raises(Refusal, match=r"lock\.settle") as caught:
            settle(incident, adopt=False)
        assert "EXECUTING" in caught.value.found or "INDETERMINATE" in caught.value.found
        with pytest.raises(Refusal, match=r"lock\.ended"):
            ledger.renew(claim, at=now(incident))
    assert theirs(incident).tip().signature is not None, "its host said that it is alive"


@pytest.mark.parametrize(
    "forged", [{"state": State.FAILED}, {"state": State.COMPLETED, "position": "failed_over", "serves": "gcp", "moves": 1}]
)
def test_a_run_at_work_under_a_forged_tip_is_not_adopted_away(incident: Incident, forged: dict[str, Any]) -> None:
    began(incident)
    push(incident, **forged)
    with pytest.raises(Refusal, match=r"lock\.settle") as caught:
        settle(incident, adopt=True)
    assert "run 8000-1 in EXECUTING" in caught.value.found


def test_a_run_whose_host_signed_its_end_is_settled_at_once(incident: Incident) -> None:
    """The twin."""
    host(incident).advance(began(incident), State.INDETERMINATE, at=now(incident), bundle_sha256=OTHER)
    settle(incident, adopt=False)
    incident.start(actor="maria")
    recovered(incident)


def test_a_run_that_was_claimed_and_that_a_stranger_calls_failed(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    """A denial, and nothing else: it stops before HyOps, its approval is spent, and the next run goes through with its own."""
    advance = Ledger.advance

    def overtaken(self: Ledger, claim: Claim, state: State, **how: Any) -> Any:
        if state is State.EXECUTING:
            advance(theirs(incident), claim, State.FAILED, at=now(incident))
        return advance(self, claim, state, **how)

    incident.reach_gate()
    monkeypatch.setattr(Ledger, "advance", overtaken)
    ended = incident.execute(incident.signed("jonas"))
    monkeypatch.undo()
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code) == ("lock.transition", 5)
    assert list((incident.folder.root / "private").glob("deploy/*")) == [], "HyOps was not started"
    incident.start(actor="maria")
    recovered(incident)


def test_an_approver_reads_that_no_host_signed_the_last_end(incident: Incident) -> None:
    theirs(incident).advance(host(incident).claim(request(incident)), State.FAILED, at=now(incident))
    incident.reach_gate()
    said = "FAILED, the end of run 8000-1 in the ledger, is signed by no host"
    assert any(said in each for each in incident.request.check.deviations)
    assert_recovered(incident, incident.execute(incident.signed("jonas")))


def test_a_run_that_its_host_ended_before_it_began(incident: Incident) -> None:
    """The twin: nobody reads anything of it."""
    ledger = host(incident)
    ledger.advance(ledger.claim(request(incident)), State.FAILED, at=now(incident))
    incident.reach_gate()
    assert not any("is signed by no host" in each for each in incident.request.check.deviations)
    assert_recovered(incident, incident.execute(incident.signed("jonas")))
