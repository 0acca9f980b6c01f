"""Job summaries: parts by weight, cut to what GitHub shows, with every fence closed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_SUMMARY_BYTES: Final = 900 * 1024
"""Of one step. GitHub takes 1 MiB; of a step that has more it shows nothing. It shows the summaries of a job's first 20 steps."""
_OPENS: Final = re.compile("(?m)^(`{3,})[a-z]*$")


@dataclass(frozen=True)
class SummaryPart:
    """One block of a summary. Blocks of higher weight come first, and are kept when there is no room for all."""

    markdown: str
    weight: int = 0


def assemble(parts: Sequence[SummaryPart], room: int) -> str:
    """Return the parts as one text of at most `room` bytes, by weight. Parts without room are counted at the end."""
    kept, left_out = list[str](), 0
    for part in sorted(parts, key=lambda each: -each.weight):
        said = len(_left_out(len(parts)).encode())
        text = part.markdown.rstrip("\n") + "\n\n"
        if len(text.encode("utf-8", "replace")) <= room - said:
            kept.append(text)
        elif not kept and (begun := _cut(text, room - said)):
            kept.append(begun)
        else:
            left_out += 1
            continue
        room -= len(kept[-1].encode("utf-8", "replace"))
    note = _left_out(left_out) if left_out else ""
    return "".join(kept) + (note if len(note.encode()) <= room else "")


def _left_out(count: int) -> str:
    return f"({count} more in the evidence)\n\n"


def _cut(text: str, room: int) -> str:
    """Return the beginning of a text that is too long, up to a line end; a fence that is open there is closed. Empty without room."""
    said = "\n\n(cut here: the rest is in the evidence)\n\n"
    data = text.encode("utf-8", "replace")
    longest = max((len(fence) for fence in _OPENS.findall(text)), default=0)
    end = room - len(said) - longest - 1
    if end <= 0:
        return ""
    begun = data[:end].rpartition(b"\n")[0].decode(errors="ignore")
    opened = ""
    for line in begun.split("\n"):
        if not opened and (found := _OPENS.fullmatch(line)):
            opened = found[1]
        elif opened and re.fullmatch(f"{opened}`*", line):
            opened = ""
    return begun + (f"\n{opened}" if opened else "") + said
