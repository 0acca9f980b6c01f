"""Job summaries, cut to what GitHub shows."""

from __future__ import annotations

from typing import Final

MAX_SUMMARY_BYTES: Final = 900 * 1024
"""Of one step. GitHub takes 1 MiB; of a step that has more it shows nothing. It shows the summaries of a job's first 20 steps."""
_CUT: Final = "\n\n(cut here: the rest is in the evidence)\n\n"


def cut_to(room: int, markdown: str) -> str:
    """Return a text as a part of a summary, of at most `room` bytes: one that is too long ends at a line end. Empty without room."""
    data = markdown.rstrip("\n").encode("utf-8", "replace") + b"\n\n"
    if len(data) > room:
        end = room - len(_CUT)
        return data[:end].rpartition(b"\n")[0].decode(errors="ignore") + _CUT if end > 0 else ""
    return data.decode()
