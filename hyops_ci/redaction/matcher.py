"""Search for many byte strings at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hyops_ci.redaction.forms import MIN_FORM

Span = tuple[int, int, int]
"""Start, end, index of the form."""


class Matcher:
    """Finds every occurrence of every form in one pass over a block.

    The automaton looks for the first `MIN_FORM` bytes of each form only, and each hit is compared in full: its size depends on
    the number of forms and not on their length, so that it stays in the processor's cache.
    """

    def __init__(self, forms: Sequence[bytes]) -> None:
        from ahocorasick_rs import BytesAhoCorasick, Implementation

        self._forms: Final = tuple(forms)
        by_head: dict[bytes, list[int]] = {}
        for index, form in enumerate(self._forms):
            by_head.setdefault(form[:MIN_FORM], []).append(index)
        self._candidates: Final = tuple(by_head.values())
        self._heads: Final = BytesAhoCorasick(list(by_head), implementation=Implementation.DFA)

    def find(self, block: bytes) -> Iterator[Span]:
        """Yield the span of each match, overlapping ones too, by ascending end of the first `MIN_FORM` bytes."""
        for head, start, _ in self._heads.find_matches_as_indexes(block, overlapping=True):
            for index in self._candidates[head]:
                form = self._forms[index]
                if block.startswith(form, start):
                    yield start, start + len(form), index
