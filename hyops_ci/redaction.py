"""Secret values out of any stream or file, in every form in which programs print them (contracts, section 7).

Forms of a value: raw, JSON-escaped, URL-encoded, base64 (both alphabets, its three alignments), and each of
its lines of 16 characters or more in the same forms. All matches are found, overlapping ones too, and their
union is replaced, so that no remainder of one secret is left because another began inside it.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final, Protocol
from urllib.parse import quote, quote_plus

MIN_LINE: Final = 16
"""Characters from which a single line of a value is a secret of its own."""
MIN_FORM: Final = 8
"""Bytes from which a form is searched for; shorter secrets are refused by name before they get here."""
CHUNK: Final = 256 * 1024
Span = tuple[int, int, int]
"""Start, end, index of the form."""


def forms(value: str) -> frozenset[bytes]:
    """All byte strings that give `value` away."""
    lines = [line for line in value.splitlines() if len(line) >= MIN_LINE and line != value]
    found = {form for part in (value, *lines) for form in _spellings(part)}
    return frozenset(form for form in found if len(form) >= MIN_FORM)


def _spellings(text: str) -> Iterator[bytes]:
    raw = text.encode("utf-8", "surrogatepass")
    yield raw
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogatepass")
        yield from (escaped, escaped.replace(b"/", b"\\/"))
    for encoded in (quote(raw, safe=""), quote(raw, safe="/"), quote_plus(raw)):
        yield encoded.encode()
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded).encode()
    for alphabet in (base64.standard_b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The first and last characters also carry bits of the neighbours; those in between are certain.
            code = alphabet(bytes(shift) + raw)
            yield code[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]


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

    automaton = BytesAhoCorasick(needles)

    def search(block: bytes) -> Iterator[Span]:
        for index, start, end in automaton.find_matches_as_indexes(block, overlapping=True):
            yield start, end, index

    return search


def hyperscan_matcher(needles: list[bytes]) -> Matcher:
    """With hyperscan: the fastest where its processor features exist. Raises ImportError where it is not installed."""
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=needles, ids=list(range(len(needles))), elements=len(needles), literal=True)
    lengths = [len(needle) for needle in needles]

    def search(block: bytes) -> list[Span]:
        found: list[Span] = []

        def hit(index: int, _start: int, end: int, _flags: int, _context: object) -> None:
            # Without SOM, hyperscan tells ends only: a literal's length gives the start, at half the price.
            found.append((end - lengths[index], end, index))

        database.scan(block, match_event_handler=hit)
        return found

    return search


ENGINES: Final[tuple[Callable[[list[bytes]], Matcher], ...]] = (hyperscan_matcher, aho_matcher, plain_matcher)


def best_matcher(needles: list[bytes]) -> Matcher:
    """The fastest engine that is installed; all find the same."""
    for engine in ENGINES[:-1]:
        try:
            return engine(needles)
        except ImportError:
            continue
    return plain_matcher(needles)


class Redactor:
    """Takes values out of bytes, text, JSON, files and streams. `repr` shows no value.

    `secrets` maps names to values (the replacement then names the secret), or is just values.
    """

    def __init__(self, secrets: Mapping[str, str] | Iterable[str], engine: Callable[[list[bytes]], Matcher] = best_matcher) -> None:
        named = secrets if isinstance(secrets, Mapping) else dict.fromkeys(secrets, "")
        pairs = named.items() if isinstance(secrets, Mapping) else ((name, value) for value, name in named.items())
        owner: dict[bytes, str] = {}
        for name, value in pairs:
            for form in forms(value):
                owner.setdefault(form, name)
        self._forms = sorted(owner)
        self._marks = [f"[redacted:{owner[form]}]".encode() if owner[form] else b"[redacted]" for form in self._forms]
        self._names = [owner[form] for form in self._forms]
        self._match = engine(self._forms) if self._forms else plain_matcher([])
        self.counts: Counter[str] = Counter()
        """Replacements so far by secret name, for `redactions.json`."""

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def find(self, data: bytes) -> list[str]:
        """Names of the secrets that occur in `data`, sorted."""
        return sorted({self._names[index] for _, _, index in self._match(data)})

    def bytes(self, data: bytes) -> bytes:
        """`data` without any form of any secret."""
        spans = sorted(self._match(data), key=lambda span: (span[0], -span[1]))
        if not spans:
            return data
        out, at = [], 0
        start, end, index = spans[0]
        for next_start, next_end, next_index in [*spans[1:], (len(data) + 1, 0, 0)]:
            if next_start < end:
                end = max(end, next_end)
                continue
            out += [data[at:start], self._marks[index]]
            self.counts[self._names[index]] += 1
            at, start, end, index = end, next_start, next_end, next_index
        out.append(data[at:])
        return b"".join(out)

    def text(self, text: str) -> str:
        """`text` without any form of any secret."""
        return self.bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def json(self, value: Any) -> Any:
        """A JSON value with every string and key redacted; the shape stays."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self.json(item) for key, item in value.items()}
        return [self.json(item) for item in value] if isinstance(value, list | tuple) else value

    def filter(self) -> Filter:
        """A filter for one stream."""
        return Filter(self, self._forms)

    def stream(self, source: BinaryIO, sink: BinaryIO) -> None:
        """Copy a stream of any length without the secrets in it."""
        through = self.filter()
        while chunk := source.read(CHUNK):
            sink.write(through.feed(chunk))
        sink.write(through.close())


class Filter:
    """Redacts a stream that arrives in pieces: holds back only what may still become a secret, so that lines show at once."""

    def __init__(self, redactor: Redactor, needles: list[bytes]) -> None:
        self._redactor, self._held = redactor, b""
        self._multi = [needle for needle in needles if b"\n" in needle]
        self._single = [needle for needle in needles if b"\n" not in needle]
        self._reach_single = max(map(len, self._single), default=1) - 1
        self._reach_multi = max(map(len, self._multi), default=1) - 1
        self._heads = sorted({needle[:MIN_FORM] for needle in self._multi})

    def feed(self, chunk: bytes) -> bytes:
        """As much of the stream as may be shown now."""
        data = self._held + chunk
        cut = self._safe_end(data)
        self._held = data[cut:]
        return self._redactor.bytes(data[:cut])

    def close(self) -> bytes:
        """The rest of the stream."""
        rest, self._held = self._held, b""
        return self._redactor.bytes(rest)

    def _safe_end(self, data: bytes) -> int:
        """Where the tail that may still become a secret begins; matches that it would cut are held whole."""
        line = max(data.rfind(b"\n") + 1, len(data) - self._reach_single)
        cut = next((at for at in range(line, len(data)) if _begins(self._single, data[at:])), len(data))
        if self._multi:
            cut = min(cut, self._multi_tail(data))
        return self._whole_matches(data, cut)

    def _multi_tail(self, data: bytes) -> int:
        window = max(0, len(data) - self._reach_multi)
        hits = []
        for head in self._heads:
            at = data.find(head, window)
            while at >= 0:
                hits.append(at)
                at = data.find(head, at + 1)
        hits += range(max(window, len(data) - MIN_FORM + 1), len(data))
        return next((at for at in sorted(hits) if _begins(self._multi, data[at:])), len(data))

    def _whole_matches(self, data: bytes, cut: int) -> int:
        """Move the cut to the front of matches that reach over it, so that their union is replaced as one."""
        if cut == len(data):
            return cut
        reach = max(self._reach_single, self._reach_multi) + 1
        while True:
            base = max(0, cut - reach)
            spans = self._redactor._match(data[base : cut + reach])
            moved = min((base + start for start, end, _ in spans if base + start < cut < base + end), default=cut)
            if moved == cut:
                return cut
            cut = moved


def _begins(needles: list[bytes], tail: bytes) -> bool:
    """Whether some needle is longer than `tail` and begins with it. `needles` are sorted."""
    at = bisect_left(needles, tail)
    while at < len(needles) and needles[at] == tail:
        at += 1
    return at < len(needles) and needles[at].startswith(tail)
