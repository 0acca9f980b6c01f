"""One place prints, and what it prints is text that a terminal obeys in nothing and a reader sees whole."""

from __future__ import annotations

import ast
import io
import os
import pty
import subprocess
import sys
import termios
import unicodedata
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyops_ci.cli
from hyops_ci.cli import terminal
from hyops_ci.cli.app import main
from hyops_ci.cli.render import emit, progress, say
from hyops_ci.contracts.run import ENDINGS
from hyops_ci.text import visible

CLI = Path(hyops_ci.cli.__file__).parent
UNSEEN = {
    "escape": "\x1b[2J",
    "title of the window": "\x1b]0;gone\x07",
    "c1": "\x9b2J",
    "carriage return": "ok\rFAILED",
    "backspace": "ab\x08\x08",
    "bidi": "\u202egnp\u2066",
    "zero width": "pg\u200b-ha\u200d\ufeff",
    "tags": "".join(chr(0xE0000 + ord(c)) for c in "sign it"),
    "variation selectors": "a\ufe0f\U000e0101",
    "fillers": "\u3164\u115f\uffa0\u2800\u034f",
    "lone surrogate": "\ud800",
    "line separator": "a\u2028b",
}


def assert_only_seen(text: str) -> None:
    for each in text:
        assert each in "\n\t" or (each.isprintable() and unicodedata.category(each)[0] != "C"), repr(each)
    assert not set(text) & set("\u3164\u115f\uffa0\u2800\u034f\ufe0f\U000e0101")


@pytest.mark.parametrize("name", UNSEEN)
def test_whatever_is_printed(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    text = f"run 212 does {UNSEEN[name]} on r"
    say(text)
    progress(text)
    emit("text", [text, f"a\tb{text}"], {})
    emit("json", [], {"a": text})
    terminal.usage(click.UsageError(text))
    shown = capsys.readouterr()
    assert_only_seen(shown.out + shown.err)
    assert "run 212 does" in shown.err
    assert "a\tb" in shown.out


def test_what_was_typed_is_repeated_visibly(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rehearse", "--scenario", "x\x1b[2J\u200b"])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert_only_seen(shown.out + shown.err)
    assert "no scenario" in shown.err


def test_one_line_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    say("signed: approve by jonas\nsigned: approve by priya")
    assert capsys.readouterr().err == "signed: approve by jonas\\u000asigned: approve by priya\n"


@given(st.text())
def test_any_text(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown
    assert text != shown or text.isprintable()


def test_nothing_else_prints() -> None:
    """A line that another module prints by itself would pass the filter by."""
    found = []
    for path in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write") or name.endswith(".show"):
                found.append((path.name, name))
    assert sorted(found) == [("terminal.py", "click.echo"), ("terminal.py", "click.echo"), ("terminal.py", "error.show")]


def test_a_narrow_terminal_breaks_between_words_and_a_pipe_gets_lines_whole() -> None:
    said = "Old side   NOT CONFIRMED off. If it lives, you get two primaries. This tool does not fence"
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"NO_COLOR": "1"}

    def printed(to: int) -> None:
        code = f"from hyops_ci.cli.terminal import out; out({said!r})"
        subprocess.run([sys.executable, "-c", code], stdout=to, stdin=subprocess.DEVNULL, check=True, cwd=CLI.parents[1], env=plain)
        os.close(to)

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    printed(theirs)
    with os.fdopen(ours, "rb") as shown:
        assert shown.read1().decode().split("\r\n")[:2] == [
            "Old side   NOT CONFIRMED off. If it lives, you get two",
            "           primaries. This tool does not fence",
        ]
    ours, theirs = os.pipe()
    printed(theirs)
    with os.fdopen(ours) as shown_to_a_program:
        assert shown_to_a_program.read() == f"{said}\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("ending", sorted({(ending.headline, ending.mood) for ending in ENDINGS.values()}))
def test_a_headline_has_its_colour_on_a_terminal_and_nowhere_else(ending: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    headline, mood = ending
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    code = {"good": "\x1b[32m\x1b[1m", "warn": "\x1b[33m\x1b[1m", "bad": "\x1b[31m\x1b[1m", "wait": "\x1b[1m"}[mood]
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    terminal.out(f"{headline}, x\n  found    {headline}\nOld side   NOT CONFIRMED off\nX{headline}")
    assert shown.getvalue().splitlines() == [
        f"{code}{headline}\x1b[0m, x",
        f"  found    {headline}",
        "Old side   \x1b[33m\x1b[1mNOT CONFIRMED\x1b[0m off",
        f"X{headline}",
    ]
    for stream, colour in ((io.StringIO(), ""), (Terminal(), "1")):
        monkeypatch.setenv("NO_COLOR", colour)
        monkeypatch.setattr(sys, "stdout", stream)
        terminal.out(headline)
        assert stream.getvalue() == f"{headline}\n"
