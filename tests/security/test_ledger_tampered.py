"""Attack: the branch that holds the lock is deleted, rolled back or replaced by somebody who may push (docs/design/contracts.md 6)."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.run import State
from hyops_ci.ledger.git_store import GitStore
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.signing.dsse import public_of
from hyops_ci.stages.planned_run import acting_ledger
from tests.security.incident import SERVICE, Incident, assert_recovered, assert_refused, start_incident

REF = f"refs/heads/dr-ledger/{SERVICE}"


def git(incident: Incident, *words: str, stdin: str = "") -> str:
    """What somebody with a push to the repository can make of it."""
    command = ["git", "-c", "user.name=mallory", "-c", "user.email=m@example.invalid", *words]
    done = subprocess.run(command, cwd=incident.site.root / "ledger.git", input=stdin, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def theirs(incident: Incident, service: str) -> Ledger:
    """A ledger on the same remote, as the attacker's own machine sees it."""
    return Ledger.over_git(str(incident.site.root / "ledger.git"), service, state_dir=Path(mkdtemp(dir=incident.site.root.parent)))


def delete(incident: Incident) -> None:
    git(incident, "update-ref", "-d", REF)


def rewind(incident: Incident) -> None:
    """Back to before an answer came: history is the lock's memory."""
    git(incident, "update-ref", REF, f"{REF}~1")


def replace(incident: Incident) -> None:
    """Another first commit, as `ledger init` makes one: an empty memory, a free lock."""
    delete(incident)
    Ledger.over_git(str(incident.site.root / "ledger.git"), SERVICE, state_dir=incident.site.root.parent / "mallory").init(
        "onprem", "2026-01-01T00:00:00Z"
    )


def rewrite(incident: Incident) -> None:
    """The same content under another history."""
    git(incident, "update-ref", REF, git(incident, "commit-tree", f"{REF}^{{tree}}", "-m", "init"))


def another_service(incident: Incident) -> None:
    """A true ledger, of a service whose lock is free."""
    theirs(incident, "pg-ha/other").init("onprem", "2026-01-01T00:00:00Z")
    git(incident, "update-ref", REF, "refs/heads/dr-ledger/pg-ha/other")


def garbage(incident: Incident) -> None:
    """A commit on top, so that nothing was forced, of something that is no ledger."""
    blob = git(incident, "hash-object", "-w", "--stdin", stdin="not a ledger")
    name = git(incident, "ls-tree", "--name-only", REF).splitlines()[0]
    tree = git(incident, "mktree", stdin=f"100644 blob {blob}\t{name}\n")
    git(incident, "update-ref", REF, git(incident, "commit-tree", tree, "-p", REF, "-m", "claim"))


Tampering = Callable[[Incident], None]
TAMPERINGS: dict[Tampering, str] = {
    delete: "ledger.alarm",
    rewind: "ledger.alarm",
    replace: "ledger.alarm",
    rewrite: "ledger.alarm",
    another_service: "ledger.alarm",
    garbage: "ledger.unreadable",
}


def answer_on_the_branch(incident: Incident, login: str) -> None:
    """As their own machine puts it there, which counts everybody's key."""
    keys = [public_of(key) for key in incident.keys.values()]
    at = stamp(incident.site.clock.now())
    incident.ledger().answer(incident.signed(login), subject=incident.request.subject, at=at, approvers=keys, lifetime=3600)


def answered(incident: Incident) -> None:
    """Something happened on the branch, so that there is a history to lose."""
    incident.reach_gate()
    answer_on_the_branch(incident, "jonas")
    assert acting_ledger(incident.folder, SERVICE, incident.world("execute")).tip().answers, "the host has seen it"


@pytest.fixture(scope="module")
def answered_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    with start_incident(tmp_path_factory.mktemp("ledger")) as made:
        answered(made)
        yield made


@pytest.fixture
def there(answered_night: Incident) -> Iterator[Incident]:
    """The run at the gate, its yes on the branch; the branch is put back afterwards."""
    answered_night.again()
    tip = git(answered_night, "rev-parse", REF)
    yield answered_night
    git(answered_night, "update-ref", REF, tip)


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda each: each.__name__)
def test_a_branch_that_was_tampered_with_before_the_claim(there: Incident, tampering: Tampering) -> None:
    tampering(there)
    assert_refused(there, there.execute(), TAMPERINGS[tampering], 5, epoch=None)


@pytest.mark.parametrize("tampering", [delete, rewind, replace], ids=lambda each: each.__name__)
def test_a_branch_that_is_tampered_with_between_our_read_and_our_push(
    there: Incident, monkeypatch: pytest.MonkeyPatch, tampering: Tampering
) -> None:
    """The push is a fast-forward of what was read or nothing; what comes back is looked at again."""
    append = GitStore.append
    pushed: list[object] = []

    def first(self: GitStore, *rest: object) -> object:
        if not pushed:
            pushed.append(rest)
            tampering(there)
        return append(self, *rest)  # type: ignore[arg-type]  # whatever it was called with

    monkeypatch.setattr(GitStore, "append", first)
    ended = there.execute()
    monkeypatch.undo()
    assert pushed
    assert_refused(there, ended, "ledger.alarm", 5, epoch=None)


@pytest.mark.parametrize("stage", ["plan", "execute"])
def test_a_host_that_never_saw_the_branch_makes_no_first_claim(there: Incident, tmp_path: Path, stage: Literal["plan", "execute"]) -> None:
    """A new runner, a hosted one, a rebuilt one: a missing branch is an error everywhere."""
    delete(there)
    world = dataclasses.replace(there.world(stage), state_dir=tmp_path / "another-host")
    if stage == "plan":
        there.folder = there.fresh()
    ended = there.plan(world=world) if stage == "plan" else there.execute(world=world)
    assert_refused(there, ended, "ledger.missing", 5, epoch=None)


def test_an_answer_that_somebody_put_there_is_judged_like_any_other(incident: Incident) -> None:
    """Whoever may push may leave an envelope: with an unknown key it counts for nothing."""
    incident.reach_gate()
    incident.approvers("jonas", "mallory")
    answer_on_the_branch(incident, "mallory")
    assert_refused(incident, incident.execute(), "approval.unsigned", 6, "no approver's key")


def test_the_branch_as_it_was(there: Incident, tmp_path: Path) -> None:
    """The twin, and the last one: it takes the lock."""
    assert there.ledger().tip().answers
    assert_recovered(there, there.execute())
    assert there.ledger().tip().state in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)
