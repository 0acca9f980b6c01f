"""Progress is plain where it is read by machines, and never lets text steer a terminal."""

from __future__ import annotations

import re
import sys

import pytest

from hyops_ci.cli import render

LINE = "3/6 [bold]postgresql_restore[/bold] failed 2s (no such backup set)"


def test_plain_in_ci(capsys: pytest.CaptureFixture[str]) -> None:
    render.progress(LINE)
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ " + re.escape(LINE) + "\n", capsys.readouterr().err)


def test_on_a_terminal_the_words_stay_as_they_are(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    render.progress(LINE)
    printed = capsys.readouterr().err
    assert "\x1b[" in printed
    assert LINE in re.sub(r"\x1b\[[0-9;]*m", "", printed)
