"""The second remote: used while the first is silent, in the way while it is ahead, and one with the first again by fast-forward only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.standby import RISK, choose, merge, refuse_while_ahead
from hyops_ci.ledger.store import Relation, relation
from tests.ledger.ledger_setup import BRANCH, at, bare, git, on_host, request
from tests.support.git_http import serving
from tests.support.ports import free_port

REF = f"refs/heads/{BRANCH}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", ())


class Two:
    """A primary and a standby as one host sees them; another host may be asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repositories = bare(root / "primary.git"), bare(root / "standby.git")
        self.primary, self.standby = self.on("host")

    def on(self, host: str) -> tuple[Ledger, Ledger]:
        one, other = (on_host(str(place), state_dir=self.root / host) for place in self.repositories)
        return one, other

    def heads(self) -> tuple[str, ...]:
        return tuple(git(place, "for-each-ref", "--format=%(objectname)", REF) for place in self.repositories)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    """Both hold the same first two transitions."""
    made = Two(tmp_path)
    made.primary.init("onprem", at(-60))
    run(made.primary, 8, -50, State.FAILED)
    assert merge(made.primary, made.standby, follow=True).relation is Relation.AHEAD
    return made


def run(ledger: Ledger, number: int, minute: float, *states: State) -> None:
    claim = ledger.claim(request(number, at=at(minute)))
    for later, state in enumerate(states, 1):
        ledger.advance(claim, state, at=at(minute + later), serves="gcp")


@contextmanager
def silent(two: Two) -> Iterator[Ledger]:
    """The primary at an address that answers no more; this host saw it when it did."""
    with serving(two.root, port=free_port()) as server:
        address = server.url("primary.git")
        on_host(address, state_dir=two.root / "host").tip()
    yield on_host(address, state_dir=two.root / "host")


def refused(gate: str, exit_code: Exit = Exit.CONFLICT) -> pytest.RaisesExc[Refusal]:
    def fits(error: Refusal) -> bool:
        return (error.gate, error.exit_code) == (gate, exit_code) and bool(error.found and error.expected and error.fix)

    return pytest.RaisesExc(Refusal, check=fits)


# ------------------------------------------------------------------------------------------ relation


def test_each_relation(two: Two, tmp_path: Path) -> None:
    assert relation(two.primary.read(), two.standby.read()) is Relation.EQUAL
    run(two.standby, 1, 0)
    assert relation(two.primary.read(), two.standby.read()) is Relation.BEHIND
    assert relation(two.standby.read(), two.primary.read()) is Relation.AHEAD
    run(two.primary, 2, 0)
    assert relation(two.primary.read(), two.standby.read()) is Relation.DIVERGED
    other = on_host(str(bare(tmp_path / "other.git")), state_dir=tmp_path / "host")
    assert relation(two.primary.read(), other.read()) is Relation.AHEAD, "one that was never made"
    assert relation(other.read(), two.primary.read()) is Relation.BEHIND
    other.init("onprem", at())
    assert relation(two.primary.read(), other.read()) is Relation.UNRELATED
    assert relation(None, None) is Relation.EQUAL, "neither was ever made"


# --------------------------------------------------------------------------------------------- merge


def test_the_primary_goes_on_to_the_standby(two: Two) -> None:
    run(two.standby, 1, 0, State.EXECUTING, State.COMPLETED)
    merged = merge(two.primary, two.standby)
    assert merged.relation is Relation.BEHIND
    assert [tip.state for tip in merged.transitions] == [State.COMPLETED, State.EXECUTING, State.CLAIMED]
    assert len(set(two.heads())) == 1, "the same commits"
    assert two.primary.tip().serves == "gcp"
    assert merge(two.primary, two.standby).relation is Relation.EQUAL


def test_a_holder_from_before_learns_that_it_lost(two: Two) -> None:
    """Its claim was on both when GitHub went down, and the standby has gone over it."""
    claim = two.primary.claim(request(1))
    merge(two.primary, two.standby, follow=True)
    run(two.standby, 2, 11, State.FAILED)
    merge(two.primary, two.standby)
    with refused("lock.superseded"):
        two.primary.advance(claim, State.EXECUTING, at=at(20))


def test_equal_is_nothing_to_do(two: Two) -> None:
    before = two.heads()
    assert merge(two.primary, two.standby).transitions == ()
    assert two.heads() == before


def test_a_standby_that_is_behind_is_left_alone_unless_it_is_to_follow(two: Two) -> None:
    run(two.primary, 1, 0)
    before = two.heads()
    assert (merge(two.primary, two.standby).relation, two.heads()) == (Relation.AHEAD, before)
    merged = merge(two.primary, two.standby, follow=True)
    assert [tip.epoch for tip in merged.transitions] == [2]
    assert two.heads() == (before[0], before[0])


def test_two_that_parted_are_an_alarm_and_stay_as_they_are(two: Two) -> None:
    run(two.standby, 1, 0, State.EXECUTING)
    run(two.primary, 2, 0, State.FAILED)
    before = two.heads()
    for follow in (False, True):
        with refused("ledger.fork") as caught:
            merge(two.primary, two.standby, follow=follow)
        assert "ALARM" in caught.value.fix
        assert all(head[:12] in caught.value.found for head in before), "both heads are named"
        assert "run 1001-1 EXECUTING" in caught.value.found
    assert two.heads() == before


def test_another_ledger_is_not_merged(two: Two, tmp_path: Path) -> None:
    other = on_host(str(bare(tmp_path / "other.git")), state_dir=tmp_path / "host")
    other.init("onprem", at())
    before = two.heads()
    with refused("ledger.fork") as caught:
        merge(two.primary, other)
    assert caught.value.reason == "these are two ledgers"
    assert two.heads() == before


def test_a_primary_that_was_deleted_is_not_made_from_its_copy(two: Two) -> None:
    git(two.repositories[0], "update-ref", "-d", REF)
    with refused("ledger.alarm"):
        merge(two.primary, two.standby)
    primary, standby = two.on("host that never saw it")
    with refused("ledger.missing"):
        merge(primary, standby)
    assert two.heads()[0] == ""


def test_a_primary_that_moves_meanwhile_is_looked_at_again(two: Two) -> None:
    """It was behind when it was read; then a run claimed on it: now they have parted, and nothing is pushed over the claim."""
    run(two.standby, 1, 0)
    other, _ = two.on("another host")
    take = two.primary.take

    def late(*words: object) -> bool:
        two.primary.take = take  # type: ignore[method-assign]  # of this ledger alone
        run(other, 2, 0)
        return take(*words)  # type: ignore[arg-type]  # whatever it was called with

    two.primary.take = late  # type: ignore[method-assign, assignment]  # of this ledger alone
    with refused("ledger.fork"):
        merge(two.primary, two.standby)
    assert other.tip().claim == two.primary.tip().claim


def test_a_merge_over_http_with_a_lost_answer(two: Two) -> None:
    run(two.standby, 1, 0, State.FAILED)
    with serving(two.root) as server:
        primary = on_host(server.url("primary.git"), state_dir=two.root / "host")
        server.trouble.append("lose-answer")
        assert merge(primary, two.standby).relation is Relation.BEHIND
        assert not server.trouble
    assert len(set(two.heads())) == 1


# ---------------------------------------------------------------------------- runs while it is ahead


def test_runs_are_blocked_until_the_primary_has_caught_up(two: Two) -> None:
    assert refuse_while_ahead(two.primary, two.standby) == ""
    run(two.standby, 1, 0, State.EXECUTING, State.COMPLETED)
    with refused("ledger.standby") as caught:
        choose(two.primary, two.standby, break_glass=False)
    assert "is 3 ahead" in caught.value.found
    assert "run 1001-1 COMPLETED, serves from gcp" in caught.value.found
    assert caught.value.fix == (
        f"hyops-ci ledger merge --remote {two.repositories[0]} --standby {two.repositories[1]} --service pg-ha/prod"
        " --config .github/dr-dispatch.yml"
    )
    with refused("ledger.standby"):
        choose(two.primary, two.standby, break_glass=True)
    merge(two.primary, two.standby)
    chosen = choose(two.primary, two.standby, break_glass=False)
    assert (chosen.ledger, chosen.risks, chosen.note) == (two.primary, (), "")


def test_runs_are_blocked_where_the_two_have_parted(two: Two) -> None:
    run(two.standby, 1, 0)
    run(two.primary, 2, 0)
    with refused("ledger.fork"):
        choose(two.primary, two.standby, break_glass=False)


def test_a_standby_that_lags_or_was_never_made_is_in_nobodys_way(two: Two, tmp_path: Path) -> None:
    run(two.primary, 1, 0)
    assert refuse_while_ahead(two.primary, two.standby) == ""
    empty = on_host(str(bare(tmp_path / "empty.git")), state_dir=tmp_path / "host")
    assert refuse_while_ahead(two.primary, empty) == ""


def test_a_standby_that_cannot_be_read_is_said(two: Two, tmp_path: Path) -> None:
    elsewhere = on_host(str(tmp_path / "not-on-this-host.git"), state_dir=tmp_path / "host")
    gone = on_host("http://127.0.0.1:9/standby.git", state_dir=tmp_path / "host", hasty=True)
    for standby in (elsewhere, gone):
        chosen = choose(two.primary, standby, break_glass=False)
        assert chosen.ledger is two.primary
        assert f"standby {standby.place} was not read from here" in chosen.note


def test_a_standby_that_somebody_rolled_back_is_an_alarm(two: Two) -> None:
    """Who hides what a break-glass run did must not get a run of GitHub by it."""
    run(two.standby, 1, 0)
    git(two.repositories[1], "update-ref", REF, f"{REF}^")
    with refused("ledger.alarm"):
        choose(two.primary, two.standby, break_glass=False)


def test_a_hasty_look_asks_once(two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", (60.0, 60.0))
    standby = on_host("http://127.0.0.1:9/standby.git", state_dir=tmp_path / "host", hasty=True)
    with pytest.raises(Fault, match=r"ledger\.unreachable") as caught:
        standby.tip()
    assert caught.value.found.startswith("1 tries; ")


# ------------------------------------------------------------------------------ with the primary down


def test_only_break_glass_uses_the_standby_and_only_while_the_primary_is_silent(two: Two) -> None:
    with silent(two) as primary:
        for standby, break_glass in ((two.standby, False), (None, True)):
            with pytest.raises(Fault, match=r"ledger\.unreachable"):
                choose(primary, standby, break_glass=break_glass)
        chosen = choose(primary, two.standby, break_glass=True)
    assert (chosen.ledger, chosen.risks) == (two.standby, (RISK,))
    assert "ledger.unreachable" in chosen.note
    assert str(two.repositories[1]) in chosen.note
    assert "may lack" not in chosen.note


def test_the_standby_starts_from_the_newest_that_this_host_has_seen(two: Two) -> None:
    """It lagged behind when GitHub went down; this host has the commits."""
    run(two.primary, 1, 0, State.EXECUTING)
    before = two.heads()
    assert before[0] != before[1]
    with silent(two) as primary:
        assert choose(primary, two.standby, break_glass=True).ledger.tip().state is State.EXECUTING
    assert two.heads() == (before[0], before[0])
    with refused("lock.duplicate", Exit.DONE):
        two.standby.claim(request(2, at=at(2)))


def test_a_standby_that_was_never_made_is_made_from_what_this_host_has_seen(two: Two, tmp_path: Path) -> None:
    empty = on_host(str(bare(tmp_path / "empty.git")), state_dir=tmp_path / "host")
    with silent(two) as primary:
        assert choose(primary, empty, break_glass=True).ledger.tip() == two.primary.tip()


def test_a_standby_that_parted_from_what_this_host_has_seen_is_not_used(two: Two) -> None:
    _, standby = two.on("another host")
    run(standby, 1, 0)
    run(two.primary, 2, 0)
    with silent(two) as primary, refused("ledger.fork"):
        choose(primary, two.standby, break_glass=True)


def test_what_this_host_does_not_know_is_said(two: Two, tmp_path: Path) -> None:
    with silent(two) as primary:
        fresh = on_host(primary.place, state_dir=tmp_path / "fresh")
        assert "may lack some of it" in choose(fresh, two.standby, break_glass=True).note
        for copy in (two.root / "host").glob("ledger-*.git"):
            shutil.rmtree(copy)
        assert "may lack some of it" in choose(primary, two.standby, break_glass=True).note
        for memory in (two.root / "host").glob("ledger-*.json"):
            memory.write_text("not json")
        with refused("ledger.alarm"):
            choose(primary, two.standby, break_glass=True)


def test_a_no_of_the_primary_opens_no_other_door(two: Two) -> None:
    """Denied is not down."""
    with serving(two.root, "ghs_token") as server:
        primary = on_host(server.url("primary.git"), state_dir=two.root / "host", token="ghs_wrong")
        with refused("ledger.token"):
            choose(primary, two.standby, break_glass=True)
