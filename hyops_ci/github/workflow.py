"""Workflow commands: outputs, summary, annotations and masks, safe against text that would be a command.

Besides `cli/`, the only module that prints (architecture, section 6). Limits: GitHub docs, "Workflow
commands" and "Job summaries"; the runner drops an output that equals a masked value, so callers check
that an output arrived non-empty.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TextIO

MAX_SUMMARY_BYTES: Final = 900 * 1024
"""GitHub shows nothing of a summary beyond 1 MiB."""
MAX_MESSAGE: Final = 4000
SHORTEST_MASK: Final = 8
"""A mask of a shorter value would blank harmless text everywhere and drop outputs."""


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class Workflow:
    """The commands of one step. `environ` names the command files; without them this writes nothing."""

    def __init__(self, environ: Mapping[str, str], stream: TextIO) -> None:
        self._environ, self._stream = environ, stream
        self.active = environ.get("GITHUB_ACTIONS") == "true"

    def annotate(self, level: Literal["error", "warning", "notice"], title: str, message: str) -> None:
        """One annotation on the run; newlines and `%` are escaped, so that no text becomes a command."""
        if self.active:
            print(f"::{level} title={_property(title[:200])}::{_data(message[:MAX_MESSAGE])}", file=self._stream, flush=True)

    def mask(self, value: str) -> None:
        """Hide each line of `value` in later log output. Short lines are not masked: see `SHORTEST_MASK`."""
        if self.active:
            for line in value.splitlines():
                if len(line) >= SHORTEST_MASK:
                    print(f"::add-mask::{_data(line)}", file=self._stream, flush=True)

    def outputs(self, values: Mapping[str, str]) -> None:
        """Set step outputs. Each value is written between random delimiters, so that no value can end itself."""
        path = self._environ.get("GITHUB_OUTPUT")
        if not path:
            return
        with Path(path).open("a", encoding="utf-8") as file:
            for name, value in values.items():
                end = f"end-{secrets.token_hex(16)}"
                file.write(f"{name}<<{end}\n{value}\n{end}\n")

    def summary(self, markdown: str) -> None:
        """Append to the job summary, cut at a line end where it would be too long to be shown."""
        path = self._environ.get("GITHUB_STEP_SUMMARY")
        if not path:
            return
        data = markdown.encode()
        if len(data) > MAX_SUMMARY_BYTES:
            kept = data[:MAX_SUMMARY_BYTES].rpartition(b"\n")[0].decode(errors="ignore")
            markdown = f"{kept}\n\n(cut here: the rest is in the evidence)\n"
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown + "\n")
