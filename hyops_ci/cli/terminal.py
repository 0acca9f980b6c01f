"""The one place that prints: whatever a line came from, what a terminal would obey or a reader would not see is spelled out.

`::` and `##[` are the runner's, not a terminal's: `hyops_ci.cli.render` takes them out of what a job prints.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from functools import cache
from typing import Final, TextIO

import click

from hyops_ci.streams import READER_LOST, lost_reader_ignored
from hyops_ci.text import fitted, visible

_COLOURS: Final = {"good": "green", "warn": "yellow", "bad": "red", "wait": None}
"""Of a terminal, as the report has them."""
_OTHER_WORDS: Final = {"DRILL PASSED": "good", "NOT CONFIRMED": "warn", "VALID": "good", "INVALID": "bad"}
"""Words that a person looks for, beside the headlines of a run."""


def out(text: str) -> None:
    """Print a result, of one line or several, on stdout. Where its reader ended (`| head -1`), the exit code is still the command's."""
    with lost_reader_ignored(sys.stdout, errors=READER_LOST):
        click.echo(_for(sys.stdout, visible(text, "\n\t")))


def err(text: str) -> None:
    """Print one or several lines on stderr. A recovery goes on although nobody reads how far it is."""
    with lost_reader_ignored(sys.stderr):
        click.echo(_for(sys.stderr, visible(text, "\n\t")), err=True)


def _for(stream: TextIO, text: str) -> str:
    """Return the text as it is for a pipe or a file; for a terminal, with its lines broken between words and its headline in colour."""
    if not stream.isatty():
        return text
    shown = fitted(text, shutil.get_terminal_size().columns)
    return shown if os.environ.get("NO_COLOR") else _painted(shown)


def _painted(text: str) -> str:
    """Return the text with each headline at the beginning of a line in its colour, and what is not confirmed of the old side."""
    moods = _moods()
    words = "|".join(re.escape(each) for each in sorted(moods, key=len, reverse=True))

    def paint(found: re.Match[str]) -> str:
        return found[1] + click.style(found[2], fg=_COLOURS[moods[found[2]]], bold=True)

    return re.sub(rf"^((?:Old side +)?)({words})(?![A-Za-z])", paint, text, flags=re.MULTILINE)


@cache
def _moods() -> dict[str, str]:
    """Return headline -> how good that is."""
    from hyops_ci.contracts.run import ENDINGS

    return {**{ending.headline: ending.mood for ending in ENDINGS.values()}, **_OTHER_WORDS}


def agreed(question: str) -> bool:
    """Ask on the terminal before something is signed; return whether the answer is yes. Raises Refusal (exit 6) where none is there."""
    if not sys.stdin.isatty():
        from hyops_ci.errors import Exit, Refusal

        raise Refusal(
            "approve.terminal",
            "nothing was signed: no terminal to ask on; --yes signs without asking",
            exit_code=Exit.APPROVAL,
            found="standard input is no terminal",
            expected="an answer to what was shown, or --yes",
            fix="read what was shown, then again on a terminal, or with --yes",
            docs="approvals.md",
        )
    return click.confirm(question, err=True)


def usage(error: click.ClickException) -> None:
    """Print what is wrong with how a command was called."""
    told = io.StringIO()
    error.show(file=told)
    err(told.getvalue().rstrip())
