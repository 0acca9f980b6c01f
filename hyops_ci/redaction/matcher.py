"""Search for many forms at once, whatever quoting, wrapping and colours stand between their bytes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from hyops_ci.dataclass import dataclass
from hyops_ci.redaction.forms import Form
from hyops_ci.redaction.spellings import COLOUR, COLOURS, MIN_ANCHOR, MIN_FORM, NOISE, folded

MAX_GAP: Final = 256
"""Bytes that are skipped at most between two bytes of a form: what is held back of a stream stays bounded."""
_GAP: Final = re.compile(rb"(?:[ \t\r\n\\\"']|" + COLOUR + rb")*")
_RUN: Final = re.compile(rb"\x1b|[^ \t\r\n\\\"'\x1b]+")
_ENDS_COLOUR: Final = re.compile(COLOUR + rb"\Z")
_PARTIAL: Final = re.compile(rb"\x1b(?:\[[0-9;:]{0,24})?\Z")
_COLOUR_SIZE: Final = 28
_NEAR: Final = 64
"""Bytes from an anchor on by which most of the forms that share it are told apart."""
_LINE_END: Final = re.compile(rb"[\r\n]")


class Span(NamedTuple):
    """Where a form stands."""

    start: int
    stop: int
    form: int
    """Its place among the forms."""


class _Owner(NamedTuple):
    """A form that has an anchor, and what of it is before the anchor and from it on."""

    form: int
    before: bytes
    rest: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What a block holds: whole forms, and where a form begins that the next block may complete (else the block's length)."""

    spans: list[Span]
    open: int


class Matcher:
    """Finds every occurrence of every form in one pass over a block.

    The automaton looks for short anchors only, and each hit is compared in full: its size depends on the number of forms and not on
    their length, so that it stays in the processor's cache. The first `first_line` bytes of a form stand on one line: else a line
    that ends like a secret begins would wait for the next one.
    """

    def __init__(self, forms: Sequence[Form]) -> None:
        from ahocorasick_rs import BytesAhoCorasick, Implementation

        self._forms: Final = tuple(forms)
        owners: dict[bytes, list[_Owner]] = {}
        for number, form in enumerate(forms):
            for at, anchor in form.anchors:
                owners.setdefault(anchor, []).append(_Owner(number, form.text[:at], form.text[at:]))
        self._owners: Final = tuple(owners.values())
        self._anchors: Final = BytesAhoCorasick(list(owners), implementation=Implementation.DFA)
        loose = [form for form in forms if not form.exact]
        self._reach = max((at + len(anchor) for form in loose for at, anchor in form.anchors), default=0)
        self._texts = sorted(form.text for form in loose)
        self._starts = frozenset(form.text[:MIN_ANCHOR] for form in loose)
        self._early = sorted((form.text, form.first_line) for form in loose if form.first_line < MIN_FORM)
        self._exact = sorted(form.text for form in forms if form.exact)

    def find(self, block: bytes) -> list[Span]:
        """Return the span of each match, overlapping ones too, in no order."""
        return self.search(block, last=True).spans

    def search(self, block: bytes, *, last: bool = False) -> Found:
        """Return what the block holds and what it may hold together with the next one, unless it is the last."""
        end = partial.start() if (partial := _PARTIAL.search(block, max(0, len(block) - _COLOUR_SIZE))) else len(block)
        spans: set[Span] = set()
        opened = len(block)
        for anchor, at, _ in self._anchors.find_matches_as_indexes(block, overlapping=True):
            near = block[at : at + _NEAR]
            ahead = b"" if b"\x1b" in near else near.translate(None, NOISE)
            for owner in self._owners[anchor]:
                form = self._forms[owner.form]
                if not (form.exact or owner.rest.startswith(ahead) or ahead.startswith(owner.rest)):
                    continue  # other forms share the anchor
                start = at - len(owner.before)
                if start >= 0 and block.startswith(form.text, start):  # as most are: without anything in between
                    found: Span | None = Span(start, start + len(form.text), owner.form)
                    if not form.exact and b"\x1b" in block[max(0, start - _COLOUR_SIZE) : at]:  # its first letters may end a colour
                        earlier = _back(block, at, owner.before)
                        if 0 <= earlier < start and not _LINE_END.search(block, earlier, start):
                            found = Span(earlier, start + len(form.text), owner.form)
                elif form.exact:
                    found = Span(at, 0, owner.form) if form.text.startswith(block[at:]) else None
                else:
                    found = self._loosely(block, at, owner, end)
                if found is not None and form.trails and found.stop:
                    found = found._replace(stop=_with_trail(block, found.stop, form.trails, last=last))
                if found is not None and found.stop:
                    spans.add(found)
                elif found is not None:
                    opened = min(opened, found.start)
        return Found(list(spans), len(block) if last else min(opened, end, self._tail(block, end), self._in_colour(block, end)))

    def _loosely(self, block: bytes, at: int, owner: _Owner, end: int) -> Span | None:
        """Return the span of a form whose bytes have gaps between them; one without a stop where the block ends first."""
        start = at - len(owner.before)
        if start < 0 or block[start:at] != owner.before:
            start = _back(block, at, owner.before)
            if start < 0:
                return None
        stop = at + len(owner.rest)
        if not block.startswith(owner.rest, at):
            stop = _forth(block, at, owner.rest, end)
            if stop < 0:
                return None
        line = _LINE_END.search(block, start, stop or end)
        if line and len(folded(block[start : line.start()])) < self._forms[owner.form].first_line:
            return None
        return Span(start, stop, owner.form)

    def _tail(self, block: bytes, end: int) -> int:
        """Return the offset of the first tail that is too short for an anchor and may still become a form."""
        opened = next((at for at in range(max(0, len(block) - MIN_FORM + 1), len(block)) if _begins(self._exact, block[at:])), len(block))
        places = _places(block, end, self._reach)
        text = bytes(block[at] for at in places)
        for number, at in enumerate(places):
            if at >= opened:
                break
            if number + MIN_ANCHOR <= len(text) and text[number : number + MIN_ANCHOR] not in self._starts:
                continue
            tail = text[number:]
            if _begins(self._texts, tail) and self._on_its_line(block, at, end, tail):
                return at
        return opened

    def _in_colour(self, block: bytes, end: int) -> int:
        """Return where a form begins in what looks like a colour, and goes on behind it to the end; the block's length for nowhere."""
        near = max(0, end - 2 * (self._reach + MAX_GAP + _COLOUR_SIZE))
        if b"\x1b" not in block[near:end]:
            return len(block)
        places = _places(block, end, self._reach)
        for colour in COLOURS.finditer(block, near, end):
            behind = [at for at in places if at >= colour.end()]
            gap = block[colour.end() : behind[0] if behind else end]
            if len(gap) > MAX_GAP or folded(gap):
                continue
            for at in range(colour.start() + 2, colour.end()):
                if _begins(self._texts, block[at : colour.end()] + bytes(block[each] for each in behind)):
                    return at
        return len(block)

    def _on_its_line(self, block: bytes, at: int, end: int, tail: bytes) -> bool:
        line = _LINE_END.search(block, at, end)
        before = len(folded(block[at : line.start()])) if line else MIN_FORM
        if before >= MIN_FORM:
            return True
        place = bisect_left(self._early, (tail, 0))
        while place < len(self._early) and self._early[place][0].startswith(tail):
            if self._early[place][1] <= before:
                return True
            place += 1
        return False


def _with_trail(block: bytes, stop: int, trails: Sequence[bytes], *, last: bool) -> int:
    """Return where the match ends with what the value itself has at its end; 0 where the next block has to tell."""
    for trail in trails:
        if block.startswith(trail, stop):
            return stop + len(trail)
        if not last and trail.startswith(block[stop:]):
            return 0
    return stop


def _back(block: bytes, at: int, text: bytes) -> int:
    """Return where `text` begins that ends at `at` but for gaps; -1 where it does not.

    What ends a colour may be the beginning of the text instead: then it begins there, unless it goes on before the colour.
    """
    left, gap, in_colour = len(text), 0, -1
    while left:
        if at == 0:
            return in_colour
        byte = block[at - 1]
        if skipped := _skipped(block, at, byte):
            if left < skipped and block.endswith(text[:left], at - skipped, at):
                in_colour = at - left
            at, gap = at - skipped, gap + skipped
            if gap > MAX_GAP:
                return in_colour
        elif byte == text[left - 1]:
            at, left, gap = at - 1, left - 1, 0
        else:
            return in_colour
    return at


def _skipped(block: bytes, at: int, byte: int) -> int:
    """Return how many bytes before `at` are skipped in one go; `byte` is the last of them."""
    if byte in NOISE:
        return 1
    if b"\x1b" in block[max(0, at - _COLOUR_SIZE) : at] and (colour := _ENDS_COLOUR.search(block, max(0, at - _COLOUR_SIZE), at)):
        return at - colour.start()
    return 0


def _forth(block: bytes, at: int, text: bytes, end: int) -> int:
    """Return where `text` ends that begins at `at` but for gaps; 0 where the block ends first, -1 where it does not go on so."""
    done = 0
    while done < len(text):
        gap = _GAP.match(block, at, end)
        at, skipped = (gap.end(), gap.end() - at) if gap else (at, 0)
        if done and skipped > MAX_GAP:
            return -1
        run = _RUN.match(block, at, end)
        if run is None:
            return 0
        piece = run[0][: len(text) - done]
        if not text.startswith(piece, done):
            return -1
        at, done = at + len(piece), done + len(piece)
    return at


def _places(block: bytes, end: int, count: int) -> list[int]:
    """Return the offsets of the last `count` bytes before `end` that are not skipped, up to a gap that is too long."""
    places: list[int] = []
    at, gap = end, 0
    if b"\x1b" not in block[max(0, end - 2 * count - _COLOUR_SIZE) : end]:  # no colours: nearly always
        while at and len(places) < count and end - at < 2 * count and gap <= MAX_GAP:
            at -= 1
            if block[at] in NOISE:
                gap += 1
            else:
                gap = 0
                places.append(at)
    while at and len(places) < count and gap <= MAX_GAP:
        byte = block[at - 1]
        if skipped := _skipped(block, at, byte):
            at, gap = at - skipped, gap + skipped
        else:
            at, gap = at - 1, 0
            places.append(at)
    return places[::-1]


def _begins(texts: Sequence[bytes], tail: bytes) -> bool:
    """Return whether one of the texts, which are sorted, is longer than `tail` and begins with it."""
    at = bisect_left(texts, tail)
    while at < len(texts) and texts[at] == tail:
        at += 1
    return at < len(texts) and texts[at].startswith(tail)
