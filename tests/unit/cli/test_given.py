"""A file that a person names is read up to a limit, or refused in words, whatever lies there; no command shows a traceback for it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from hyops_ci.cli.given import MOST, beginning, given
from hyops_ci.errors import Refusal


def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert given(path, 10) == b"x" * 10
    assert beginning(path, 4) == b"xxxx"
    with pytest.raises(Refusal, match="cannot be read") as refused:
        given(path, 9)
    assert (refused.value.gate, refused.value.exit_code, refused.value.found) == ("intake.file", 2, f"{path}: more than 9 bytes")


def test_what_has_no_end_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        given(Path("/dev/zero"))
    assert refused.value.found == f"/dev/zero: more than {MOST} bytes"


def test_a_pipe_of_the_shell_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"services: {}\n"))
    writer.start()
    assert given(tmp_path / "pipe") == b"services: {}\n"
    writer.join()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nothing").symlink_to("gone")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(3 << 30)
    return tmp_path


PLACES = ("folder", "circle", "nothing", "gone", "file/below", "large", "file")
COMMANDS = (
    ("config", "explain"),
    ("validate",),
    ("status", "--config"),
    ("drill", "due", "--config"),
    ("recovery", "verify"),
    ("evidence", "show"),
    ("rehearse", "--config"),
    ("rehearse", "--decision"),
    ("rehearse", "--folder"),
    ("upgrade", "--commit", "4" * 40, "--trust"),
    ("upgrade", "--finish", "--into"),
)
MADE = {("rehearse --folder", name) for name in ("folder", "gone", "nothing")}
"""There it is rehearsed."""
CASES = [(words, name) for words in COMMANDS for name in PLACES if (" ".join(words), name) not in MADE]


@pytest.mark.parametrize(("words", "name"), CASES, ids=[f"{' '.join(words)} {name}" for words, name in CASES])
def test_every_command_refuses_a_place_that_is_something_else(
    words: tuple[str, ...], name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, str(place / name)])
    said = capsys.readouterr()
    assert ended.value.code in {2, 3, 11}, said.err
    assert "Traceback" not in said.err
    assert "found " in said.err + said.out or "Error: " in said.err, said
