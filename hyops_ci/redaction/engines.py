"""Three engines that find the same: hyperscan, ahocorasick_rs, and the standard library alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

Span = tuple[int, int, int]
"""Start, end, index of the form."""
AHO_LIMIT: Final = 1000
"""Bytes of the longest form given to ahocorasick_rs, which takes minutes over long ones that repeat themselves."""
HYPERSCAN_LIMIT: Final = 8000
"""Bytes of the longest literal given to hyperscan, which refuses those of more than 16,000."""


class Matcher(Protocol):
    """Finds every occurrence of every form in a block, overlapping ones too, in any order."""

    def __call__(self, block: bytes) -> Iterable[Span]:
        """Spans of the matches."""
        ...


def plain_matcher(needles: list[bytes]) -> Matcher:
    """With the standard library alone: one search per form, fast where nothing is found."""

    def search(block: bytes) -> Iterator[Span]:
        for index, needle in enumerate(needles):
            at = block.find(needle)
            while at >= 0:
                yield at, at + len(needle), index
                at = block.find(needle, at + 1)

    return search


def aho_matcher(needles: list[bytes]) -> Matcher:
    """With ahocorasick_rs: one pass, whatever the number of forms. Raises ImportError where it is not installed."""
    from ahocorasick_rs import BytesAhoCorasick

    given, search_others = _split(needles, lambda needle: len(needle) <= AHO_LIMIT)
    automaton = BytesAhoCorasick([needles[index] for index in given])

    def search(block: bytes) -> Iterator[Span]:
        yield from search_others(block)
        for index, start, end in automaton.find_matches_as_indexes(block, overlapping=True):
            yield start, end, given[index]

    return search


def hyperscan_matcher(needles: list[bytes]) -> Matcher:
    """With hyperscan: the fastest. Raises ImportError where it is not installed, or does not run on this processor."""
    import hyperscan

    # The binding hands literals over as C strings: one with a NUL would be cut there and match too much.
    given, search_others = _split(needles, lambda needle: len(needle) <= HYPERSCAN_LIMIT and b"\0" not in needle)
    lengths = [len(needle) for needle in needles]
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    if given:
        try:
            database.compile(expressions=[needles[index] for index in given], ids=given, elements=len(given), literal=True)
        except hyperscan.error as error:
            raise ImportError("hyperscan cannot be used here") from error

    def search(block: bytes) -> list[Span]:
        found = list(search_others(block))

        def hit(index: int, _start: int, end: int, _flags: int, _context: object) -> None:
            # Without SOM, hyperscan tells ends only: a literal's length gives the start, at half the price.
            found.append((end - lengths[index], end, index))

        if given:
            database.scan(block, match_event_handler=hit)
        return found

    return search


def _split(needles: list[bytes], fits: Callable[[bytes], bool]) -> tuple[list[int], Callable[[bytes], Iterator[Span]]]:
    """Indexes of the needles that an engine takes, and a plain search for the few that it does not."""
    given = [index for index, needle in enumerate(needles) if fits(needle)]
    others = [index for index, needle in enumerate(needles) if not fits(needle)]
    plain = plain_matcher([needles[index] for index in others])

    def search(block: bytes) -> Iterator[Span]:
        return ((start, end, others[index]) for start, end, index in plain(block))

    return given, search


ENGINES: Final[tuple[Callable[[list[bytes]], Matcher], ...]] = (hyperscan_matcher, aho_matcher, plain_matcher)


def best_matcher(needles: list[bytes]) -> Matcher:
    """The fastest engine that is installed; all find the same."""
    for engine in ENGINES[:-1]:
        try:
            return engine(needles)
        except ImportError:
            continue
    return plain_matcher(needles)
