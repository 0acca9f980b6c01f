"""Pins of a checkout are read and moved, file by file, and a file that somebody else changed is left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hyops_ci import portable
from hyops_ci.errors import Refusal
from hyops_ci.operations.upgrade.checkout import changes, others, pins_of, replace, write
from tests.unit.operations.upgrade.calling import calling

OLD, NEW = "3f2a" + "0" * 36, "4b1c" + "1" * 36


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_workflow_moves_and_nothing_else(tmp_path: Path) -> None:
    checkout = calling(tmp_path, OLD)
    (checkout / ".github" / "workflows" / "ci.yml").write_text(f"jobs: {{a: {{steps: [{{uses: actions/checkout@{OLD}}}]}}}}\n")
    (checkout / ".github" / "notes.md").write_text(f"We pin {OLD}.\n")
    before = everything(checkout)
    made = changes(checkout, pins_of(checkout), NEW, "v1.1.0")
    assert everything(checkout) == before, "nothing is written yet"
    assert [(Path(each.file).name, each.pins) for each in made] == [
        ("dr-decision.yml", 1),
        ("dr-drill.yml", 1),
        ("dr.yml", 1),
        ("nightly.yml", 1),
    ]
    assert made[-1].diff().splitlines()[-1].endswith(f'- {{uses: "hybridops/dr-dispatch@{NEW}"}} # v1.1.0')
    write(checkout, made)
    after = everything(checkout)
    assert {name for name in before if before[name] != after[name]} == {each.file for each in made}
    assert changes(checkout, pins_of(checkout), NEW, "v1.1.0") == ()
    assert others(checkout, OLD, [each.file for each in made]) == (".github/notes.md", ".github/workflows/ci.yml")


def test_a_file_keeps_its_mode_and_no_draft_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    path.chmod(0o664)
    umask = os.umask(0o077)
    try:
        replace(path, b"one", b"two")
    finally:
        os.umask(umask)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o664)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_file_keeps_its_owner_and_group_where_root_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trust of a host may be root's and readable by the runner's group alone."""
    path = tmp_path / "trust.json"
    path.write_bytes(b"one")
    path.chmod(0o640)
    facts, given = path.stat(), []
    monkeypatch.setattr(portable, "user_id", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda handle, user, group: given.append((os.fstat(handle).st_ino, user, group)))
    replace(path, b"one", b"two")
    now = path.stat()
    assert (path.read_bytes(), stat.S_IMODE(now.st_mode)) == (b"two", 0o640)
    assert given == [(now.st_ino, facts.st_uid, facts.st_gid)], "before it is in its place"


def test_a_file_that_was_changed_meanwhile_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"three")
    with pytest.raises(Refusal, match="cannot be changed") as refused:
        replace(path, b"one", b"two")
    assert (refused.value.gate, refused.value.found) == ("upgrade.file", f"{path} was changed meanwhile")
    assert path.read_bytes() == b"three"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be changed"):
        replace(tmp_path / "gone", b"one", b"two")
    assert list(tmp_path.iterdir()) == []


def test_a_workflow_that_is_a_link_is_refused(tmp_path: Path) -> None:
    checkout = calling(tmp_path / "checkout", OLD)
    workflow = checkout / ".github" / "workflows" / "dr.yml"
    workflow.rename(tmp_path / "dr.yml")
    workflow.symlink_to(tmp_path / "dr.yml")
    with pytest.raises(Refusal, match="cannot be changed") as refused:
        pins_of(checkout)
    assert refused.value.found == ".github/workflows/dr.yml is a symbolic link"


@pytest.mark.parametrize("place", [".github", ".github/workflows"])
def test_a_folder_that_leads_elsewhere_is_refused(place: str, tmp_path: Path) -> None:
    checkout = calling(tmp_path / "checkout", OLD)
    (checkout / place).rename(tmp_path / "elsewhere")
    (checkout / place).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal) as refused:
        pins_of(checkout)
    assert (refused.value.gate, refused.value.found) == ("upgrade.file", f"{place} is a symbolic link")
