"""Progress is plain where it is read by machines, and never lets text steer a terminal."""

from __future__ import annotations

import json
import re
import sys

import pytest

from hyops_ci.cli import render
from tests.unit.github.runner import Runner

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


HOSTILE = "::add-mask::prod\n##[add-mask]prod"


def test_no_text_in_a_job_is_a_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    render.say(HOSTILE)
    render.progress(HOSTILE)
    render.emit("text", [HOSTILE], {})
    render.emit("json", [], {"reason": HOSTILE})
    said = capsys.readouterr()
    assert Runner().read(said.err).commands == []
    assert Runner().read(said.out).commands == []
    assert json.loads(said.out[said.out.index("{") :]) == {"reason": HOSTILE}


def test_in_a_shell_text_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    render.say("::add-mask::prod ##[add-mask]prod")
    render.emit("text", [HOSTILE], {})
    said = capsys.readouterr()
    assert (said.err, said.out) == ("::add-mask::prod ##[add-mask]prod\n", HOSTILE + "\n")


def test_a_step_has_one_workflow_and_the_next_step_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts annotations and remembers masks."""
    monkeypatch.setenv("GITHUB_OUTPUT", "one")
    first = render.workflow()
    assert render.workflow() is first
    monkeypatch.setenv("GITHUB_OUTPUT", "two")
    assert render.workflow() is not first
