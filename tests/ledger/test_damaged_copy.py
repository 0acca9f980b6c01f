"""This host's copy of the ledger after a power cut, a killed git or somebody's hands: made anew, and nobody's silence is blamed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger.git_store import GitStore
from hyops_ci.ledger.ledger import Ledger
from tests.ledger.ledger_setup import BRANCH, SERVICE, at, bare, git, on_host, request
from tests.support.git_http import GitServer, serving
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

REF = f"refs/heads/{BRANCH}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", ())


def on(remote: Path, host: Path) -> Ledger:
    return on_host(str(remote), state_dir=host)


def copy_in(host: Path) -> Path:
    (found,) = host.glob("ledger-*.git")
    return found


def loose(copy: Path) -> list[Path]:
    """Its loose objects, the newest last."""
    return sorted(copy.glob("objects/[0-9a-f][0-9a-f]/*"), key=lambda each: each.stat().st_mtime_ns)


def empty_objects(copy: Path) -> None:
    """What a power cut leaves of files that were written a moment before."""
    for path in loose(copy)[-3:]:
        path.chmod(0o600)
        path.write_bytes(b"")


def all_objects_empty(copy: Path) -> None:
    for path in loose(copy):
        path.chmod(0o600)
        path.write_bytes(b"")


def object_of_another(copy: Path) -> None:
    """Readable, and not what its name says: somebody's hands."""
    paths = loose(copy)
    content = paths[0].read_bytes()
    for path in paths[1:]:
        path.chmod(0o600)
        path.write_bytes(content)


def cut_pack(copy: Path) -> None:
    git(copy, "repack", "-a", "-d", "--quiet")
    for path in copy.glob("objects/pack/*.pack"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pack_without_index(copy: Path) -> None:
    git(copy, "repack", "-a", "-d", "--quiet")
    for path in copy.glob("objects/pack/*.idx"):
        path.unlink()


def empty_note(copy: Path) -> None:
    (copy / "refs" / "heads" / "seen").write_text("")


def note_of_nothing(copy: Path) -> None:
    (copy / "refs" / "heads" / "seen").write_text("e" * 40 + "\n")


def empty_head(copy: Path) -> None:
    (copy / "HEAD").write_text("")


def no_head(copy: Path) -> None:
    (copy / "HEAD").unlink()


def broken_config(copy: Path) -> None:
    (copy / "config").write_text("[core\n")


def locks(copy: Path) -> None:
    """Of a git that was killed."""
    for name in ("config.lock", "HEAD.lock", "index.lock", "packed-refs.lock", "shallow.lock", "refs/heads/seen.lock"):
        (copy / name).touch()


def shallow(copy: Path) -> None:
    (copy / "shallow").write_text(f"{git(copy, 'rev-parse', 'seen')}\n")


def no_objects(copy: Path) -> None:
    (copy / "objects").rename(copy / "elsewhere")


def no_refs(copy: Path) -> None:
    (copy / "refs").rename(copy / "elsewhere")


def a_file_for_objects(copy: Path) -> None:
    no_objects(copy)
    (copy / "objects").touch()


def copy_of_another(copy: Path) -> None:
    """Another ledger's: whole, and of no use."""
    other = bare(copy.parent / "other.git")
    on(other, copy.parent / "other-host").init("gcp", at())
    (theirs,) = (copy.parent / "other-host").glob("ledger-*.git")
    copy.rename(copy.with_name("mine"))
    theirs.rename(copy)


DAMAGES = [
    empty_objects,
    all_objects_empty,
    object_of_another,
    cut_pack,
    pack_without_index,
    empty_note,
    note_of_nothing,
    empty_head,
    no_head,
    broken_config,
    locks,
    shallow,
    no_objects,
    no_refs,
    a_file_for_objects,
    copy_of_another,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_a_damaged_copy_is_made_anew(damage: Callable[[Path], None], remote: Path, tmp_path: Path) -> None:
    """Reading, and changing on top of a head that was read before."""
    damaged_and_used(str(remote), damage, False, remote, tmp_path)


@pytest.mark.parametrize("damage", [empty_objects, note_of_nothing], ids=lambda each: each.__name__)
def test_a_damaged_copy_of_a_branch_that_has_moved_on(
    damage: Callable[[Path], None], server: GitServer, remote: Path, tmp_path: Path
) -> None:
    damaged_and_used(server.url(remote.name), damage, True, remote, tmp_path)


def damaged_and_used(address: str, damage: Callable[[Path], None], moved: bool, remote: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    ledger = on_host(address, state_dir=host)
    ledger.init("onprem", at(-60))
    ledger.advance(ledger.claim(request(7, at=at(-50))), State.FAILED, at=at(-49))
    (memory,) = host.glob("ledger-*.json")
    remembered = memory.read_bytes()
    if moved:
        theirs = on(remote, tmp_path / "elsewhere")
        theirs.advance(theirs.claim(request(8, at=at(-40))), State.FAILED, at=at(-39))
    damage(copy_in(host))
    assert memory.read_bytes() == remembered
    again = on_host(address, state_dir=host)
    assert [tip.epoch for tip in again.history()] == [2, 2, 1, 1, 0][0 if moved else 2 :]
    empty_objects(copy_in(host))
    claim = again.claim(request(1))
    assert claim.epoch == (3 if moved else 2)
    all_objects_empty(copy_in(host))
    assert ledger.advance(claim, State.FAILED, at=at(1)).state is State.FAILED, "and the one that knew the branch before"
    git(remote, "fsck", "--strict")


def test_what_this_host_saw_is_not_forgotten_with_its_copy(made: Ledger, remote: Path, tmp_path: Path) -> None:
    made.claim(request(1))
    empty_objects(copy_in(tmp_path / "host"))
    git(remote, "update-ref", REF, f"{REF}^")
    with pytest.raises(Refusal, match=r"ledger\.alarm"):
        on(remote, tmp_path / "host").tip()


def test_a_copy_that_is_put_aside_may_restore_the_branch(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """Rolled back, and this host's copy is damaged: what can still be read of it is the proof."""
    made.claim(request(1))
    copy, head = copy_in(tmp_path / "host"), git(remote, "rev-parse", REF)
    first = git(remote, "rev-parse", f"{REF}^:tip.json")
    git(remote, "update-ref", REF, f"{REF}^")
    path = copy / "objects" / first[:2] / first[2:]
    path.chmod(0o600)
    path.write_bytes(b"")
    with pytest.raises(Refusal, match=r"ledger\.alarm"):
        on(remote, tmp_path / "host").tip()
    aside = copy.with_name(f"{copy.name}.damaged")
    assert json.loads(git(aside, "show", f"{head}:tip.json"))["epoch"] == 1


def test_the_silence_of_the_remote_damages_no_copy(made: Ledger, remote: Path, tmp_path: Path) -> None:
    with serving(remote.parent, port=free_port()) as server:
        address = server.url(remote.name)
        ledger = on_host(address, state_dir=tmp_path / "http")
        ledger.tip()
    copy = copy_in(tmp_path / "http")
    before = copy.stat().st_ino
    with pytest.raises(Fault, match=r"ledger\.unreachable"):
        ledger.tip()
    assert copy.stat().st_ino == before
    recalled = ledger.recalled()
    assert recalled is not None
    assert recalled.tip.epoch == 0


def test_a_damaged_copy_is_not_recalled(made: Ledger, tmp_path: Path) -> None:
    """The remote is silent and the copy is of no use: nothing is known, which is said, and nothing is made up."""
    made.claim(request(1))
    all_objects_empty(copy_in(tmp_path / "host"))
    assert made.recalled() is None


def test_a_folder_that_cannot_be_written_is_this_hosts(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """No copy can be made: said of this host, never as a ledger that is missing."""
    (tmp_path / "full").write_text("not a folder")
    with pytest.raises(Fault, match=r"ledger\.git") as caught:
        Ledger(GitStore(str(remote), BRANCH, tmp_path / "full" / "copy.git"), SERVICE).tip()
    assert caught.value.exit_code is Exit.UNAVAILABLE
    assert str(tmp_path / "full") in caught.value.fix


def test_a_file_in_its_place_is_put_aside(made: Ledger, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.git").write_text("not a folder")
    assert Ledger(GitStore(str(remote), BRANCH, tmp_path / "copy.git"), SERVICE).tip().epoch == 0


def test_nothing_in_the_folder_is_obeyed(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """Config, hooks, refs, alternates, grafts and replacements: whoever could leave them was on the host."""
    copy = copy_in(tmp_path / "host")
    canary, elsewhere = tmp_path / "canary", bare(tmp_path / "elsewhere.git")
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    first = git(remote, "rev-parse", REF)
    claim = made.claim(request(1))
    settings = (
        f"[core]\n\thooksPath = {script.parent}\n\tsshCommand = {script}\n\tfsmonitor = {script}\n\talternateRefsCommand = {script}\n"
        f'[url "{elsewhere}"]\n\tinsteadOf = {remote}\n\tpushInsteadOf = {remote}\n[include]\n\tpath = {tmp_path}/more\n'
        f"[credential]\n\thelper = !{script}\n[uploadpack]\n\tpackObjectsHook = {script}\n"
    )
    (tmp_path / "more").write_text(f"[core]\n\tgitProxy = {script}\n")
    with (copy / "config").open("a") as config:
        config.write(settings)
    for folder in ("hooks", "info", "objects/info", "refs/replace", "worktrees"):
        (copy / folder).mkdir(parents=True, exist_ok=True)
    for hook in ("pre-push", "reference-transaction", "post-checkout"):
        (copy / "hooks" / hook).symlink_to(script)
    (copy / "info" / "grafts").write_text(f"{git(remote, 'rev-parse', REF)}\n")
    (copy / "info" / "attributes").write_text("* filter=evil\n")
    (copy / "objects" / "info" / "alternates").write_text(f"{elsewhere}/objects\n")
    (copy / "refs" / "replace" / git(remote, "rev-parse", REF)).write_text(f"{first}\n")
    (copy / "commondir").write_text(f"{elsewhere}\n")
    again = on(remote, tmp_path / "host")
    assert again.tip().claim == claim
    assert again.advance(claim, State.FAILED, at=at(1)).state is State.FAILED
    assert [tip.epoch for tip in on(remote, tmp_path / "fresh-host").history()] == [1, 1, 0]
    assert git(elsewhere, "for-each-ref") == ""
    assert not canary.exists()
    assert not (copy / "objects" / "info").exists()
    assert json.loads(next((tmp_path / "host").glob("ledger-*.json")).read_text())["commit"] == git(remote, "rev-parse", REF)


def test_no_folder_of_a_call_stays(made: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    made.claim(request(1))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_many_at_once_find_the_copy_damaged(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """One copy, six threads: whoever comes second uses the new one, and nobody is told of a fault."""
    all_objects_empty(copy_in(tmp_path / "host"))
    found: list[object] = []

    def look() -> None:
        try:
            found.append(on(remote, tmp_path / "host").tip().epoch)
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            found.append(error)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0] * 6
