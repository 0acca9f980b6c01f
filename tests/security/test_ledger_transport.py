"""Attack: what lies beside the ledger's branch, below it, or in the runner's copy of it is to be taken for the ledger."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.standby import RISK, choose
from tests.security.incident import SERVICE, Incident, assert_recovered, assert_refused, start_incident
from tests.support.git_http import GitServer, No, serving

REF = f"refs/heads/dr-ledger/{SERVICE}"
BESIDE = [f"refs/heads/a/{REF}", f"refs/heads/{REF}"]
"""A ruleset for dr-ledger/** covers neither."""
TOKEN = "ghs_CANARYcanary0123456789"


def git(incident: Incident, *words: str, stdin: str = "") -> str:
    """What somebody with a push to the repository can make of it."""
    command = ["git", "-c", "user.name=mallory", "-c", "user.email=m@example.invalid", *words]
    done = subprocess.run(command, cwd=incident.site.root / "ledger.git", input=stdin, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def checked_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    with start_incident(tmp_path_factory.mktemp("transport")) as made:
        made.reach_gate()
        yield made


@pytest.fixture
def there(checked_night: Incident) -> Iterator[Incident]:
    """The run at the gate; the branch is put back afterwards."""
    checked_night.again()
    tip = git(checked_night, "rev-parse", REF)
    yield checked_night
    git(checked_night, "update-ref", REF, tip)


@pytest.mark.parametrize("name", BESIDE)
def test_a_branch_that_ends_like_the_ledgers(incident: Incident, name: str) -> None:
    """It stands at the ledger of before: a host without memory would forget the claim, a push would find two that fit. Neither happens."""
    git(incident, "update-ref", name, REF)
    incident.reach_gate()
    world = dataclasses.replace(incident.world("execute"), state_dir=incident.site.root / "fresh-host")
    assert_recovered(incident, incident.execute(incident.signed("jonas"), world=world))
    assert git(incident, "rev-list", "--count", name) == "1"
    onlooker = Ledger.over_git(str(incident.site.root / "ledger.git"), SERVICE, state_dir=incident.site.root / "another-host")
    assert onlooker.tip().state in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)


@pytest.mark.parametrize("name", BESIDE)
def test_a_branch_that_ends_like_the_ledgers_stands_for_none(there: Incident, name: str) -> None:
    git(there, "update-ref", name, REF)
    git(there, "update-ref", "-d", REF)
    world = dataclasses.replace(there.world("execute"), state_dir=there.site.root / "fresh-host")
    assert_refused(there, there.execute(there.signed("jonas"), world=world), "ledger.missing", 5, epoch=None)


@pytest.mark.parametrize("host", ["host", "a-host-that-never-saw-it"])
def test_a_merge_with_a_history_of_somebody_elses(there: Incident, host: str) -> None:
    """A fast-forward; read by first parents it is a ledger without claims, and every spent approval counts again."""
    orphan = git(there, "commit-tree", f"{REF}^{{tree}}", "-m", "init")
    git(there, "update-ref", REF, git(there, "commit-tree", f"{REF}^{{tree}}", "-p", orphan, "-p", REF, "-m", "claim"))
    world = there.world("execute")
    world = world if host == "host" else dataclasses.replace(world, state_dir=there.site.root / host)
    ended = there.execute(there.signed("jonas"), world=world)
    assert_refused(there, ended, "ledger.unreadable", 5, "a merge", epoch=None)


def test_a_tip_of_sixty_megabytes(there: Incident) -> None:
    """Nobody reads it: neither seconds nor memory, of this run or of any later one."""
    tip = json.loads(git(there, "show", f"{REF}:tip.json"))
    blob = git(there, "hash-object", "-w", "--stdin", stdin=json.dumps(tip | {"reason": "x" * (60 * 1024 * 1024)}))
    tree = git(there, "mktree", stdin=f"100644 blob {blob}\ttip.json\n")
    git(there, "update-ref", REF, git(there, "commit-tree", tree, "-p", REF, "-m", "claim"))
    begun = time.monotonic()
    ended = there.execute(there.signed("jonas"))
    assert_refused(there, ended, "ledger.unreadable", 5, "at most", epoch=None)
    assert time.monotonic() - begun < 20


class Forge:
    """The ledger of the incident behind HTTP, open to the job's token; and a server of the attacker's."""

    def __init__(self, incident: Incident, ledgers: GitServer, theirs: GitServer) -> None:
        self.remote, self.ledgers, self.theirs = ledgers.url("ledger.git"), ledgers, theirs
        self.folder = incident.site.root / "state"

    def ledger(self, remote: str = "") -> Ledger:
        return Ledger.over_git(remote or self.remote, SERVICE, state_dir=self.folder, token=TOKEN)


@pytest.fixture
def forge(incident: Incident, tmp_path: Path) -> Iterator[Forge]:
    (tmp_path / "theirs").mkdir()
    with serving(incident.site.root, TOKEN) as ledgers, serving(tmp_path / "theirs") as theirs:
        yield Forge(incident, ledgers, theirs)


def test_the_copy_on_the_runner_leads_the_token_elsewhere(incident: Incident, forge: Forge) -> None:
    """A job that ran on the host before edits the copy's config: the next true job's token goes nowhere else."""
    forge.ledger().tip()
    (copy,) = forge.folder.glob("ledger-*.git")
    with (copy / "config").open("a") as config:
        config.write(f'[url "{forge.theirs.origin}/"]\n\tinsteadOf = {forge.remote.removesuffix("ledger.git")}\n')
    assert forge.ledger().tip().service == SERVICE
    assert forge.theirs.seen == []


def test_a_token_is_for_the_ledgers_own_origin(incident: Incident, forge: Forge) -> None:
    """Whatever leads git to another server: the header is not for it."""
    git_of_the_store = forge.ledger()._store._git  # type: ignore[attr-defined]  # the store of these tests is one of Git
    git_of_the_store.copy.prepare()
    git_of_the_store.run("ls-remote", "--", forge.theirs.url("ledger.git"))
    assert {authorization for _, _, authorization in forge.theirs.seen} == {""}


def test_the_copy_on_the_runner_holds_objects_of_somebody_elses(incident: Incident, forge: Forge) -> None:
    """A job that ran before writes another tip under the name of the true one: every name is compared with what it names."""
    forge.ledger().tip()
    (copy,) = forge.folder.glob("ledger-*.git")
    name = git(incident, "rev-parse", f"{REF}:tip.json")
    tip = json.loads(git(incident, "show", f"{REF}:tip.json"))
    planted = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=copy,
        input=json.dumps(tip | {"position": "failed_over", "serves": "gcp"}, sort_keys=True, separators=(",", ":")).encode(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    path = copy / "objects" / name[:2] / name[2:]
    path.unlink()
    (copy / "objects" / planted[:2] / planted[2:].strip()).rename(path)
    assert forge.ledger().tip().position == "primary"


def no_longer_a_ledger(incident: Incident, forge: Forge) -> str:
    """Whoever may push makes it unreadable."""
    tree = git(incident, "mktree", stdin=f"100644 blob {git(incident, 'rev-parse', f'{REF}:tip.json')}\tother.json\n")
    git(incident, "update-ref", REF, git(incident, "commit-tree", tree, "-p", REF, "-m", "claim"))
    return "ledger.unreadable"


def renamed(incident: Incident, forge: Forge) -> str:
    """Whoever may rename the repository does."""
    forge.ledgers.redirect_to, forge.ledgers.redirect_status = forge.theirs.origin, 301
    return "ledger.moved"


def answers_nonsense(incident: Incident, forge: Forge) -> str:
    forge.ledgers.everything = True
    forge.ledgers.trouble.extend([No(418, "go to the other one")] * 20)
    return "ledger.failed"


@pytest.fixture
def standby(incident: Incident, tmp_path: Path) -> Ledger:
    """A second ledger, where the lock may be free while the first one's is not."""
    subprocess.run(["git", "clone", "--quiet", "--mirror", incident.site.root / "ledger.git", tmp_path / "standby.git"], check=True)
    return Ledger.over_git(str(tmp_path / "standby.git"), SERVICE, state_dir=tmp_path / "host")


@pytest.mark.parametrize("deed", [no_longer_a_ledger, renamed, answers_nonsense], ids=lambda each: each.__name__)
def test_a_no_of_the_ledger_is_to_be_taken_for_silence(
    incident: Incident, forge: Forge, standby: Ledger, monkeypatch: pytest.MonkeyPatch, deed: Callable[[Incident, Forge], str]
) -> None:
    """A run without GitHub may use the standby where nobody answers, and there alone."""
    monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", ())
    gate = deed(incident, forge)
    with pytest.raises(DispatchError) as caught:
        choose(forge.ledger(), standby, break_glass=True)
    assert caught.value.gate == gate
    assert forge.theirs.seen == []


def test_where_nobody_answers_the_standby_is_used(
    incident: Incident, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin."""
    monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", ())
    with serving(incident.site.root, TOKEN) as ledgers:
        address = ledgers.url("ledger.git")
    primary = Ledger.over_git(address, SERVICE, state_dir=tmp_path / "host", token=TOKEN)
    assert choose(primary, standby, break_glass=True).risks == (RISK,)


def test_the_ledger_and_the_token_as_they_are(incident: Incident, forge: Forge) -> None:
    """The twin: the token opens the ledger, and its reader has a copy that it uses again."""
    assert forge.ledger().tip().service == SERVICE
    assert forge.ledger().tip().position == "primary"
    with pytest.raises(DispatchError, match=r"ledger\.token"):
        Ledger.over_git(forge.remote, SERVICE, state_dir=forge.folder, token="ghs_of_somebody_else").tip()


def test_the_ledger_as_it_was(incident: Incident) -> None:
    """The twin: a branch alone, a host that never saw it; it takes the lock."""
    incident.reach_gate()
    world = dataclasses.replace(incident.world("execute"), state_dir=incident.site.root / "fresh-host")
    assert_recovered(incident, incident.execute(incident.signed("jonas"), world=world))
