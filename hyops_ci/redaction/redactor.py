"""Remove known secrets from bytes, text, JSON, files and streams.

All matches are found, overlapping ones too, and their union is replaced, so that no remainder of one secret is
left because another began inside it. The mark names the secret of the leftmost, then longest match.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from hyops_ci.redaction.forms import MIN_FORM, forms
from hyops_ci.redaction.matcher import Matcher

CHUNK: Final = 256 * 1024
"""Bytes read at once from a stream."""


class Redactor:
    """Removes secrets from bytes, text, JSON, files and streams. `repr` shows no value.

    `secrets` maps names to values (the replacement then names the secret), or is an iterable of values. A value that is a part of one of
    the `public` words is not searched for: everybody may read it there, and without the word the output says nothing.
    """

    def __init__(self, secrets: Mapping[str, str] | Iterable[str], public: Sequence[str] = ()) -> None:
        named = secrets if isinstance(secrets, Mapping) else dict.fromkeys(secrets, "")
        pairs = named.items() if isinstance(secrets, Mapping) else ((name, value) for value, name in named.items())
        owner: dict[bytes, str] = {}
        self.too_short: list[str] = []
        """Names of secrets that are not searched for, because they are shorter than `MIN_FORM` bytes."""
        in_public: dict[str, None] = {}
        known = [word.encode("utf-8", "surrogatepass") for word in public]
        for name, value in pairs:
            if value and len(value.encode("utf-8", "surrogatepass")) < MIN_FORM:
                self.too_short.append(name)
            for form in forms(value):
                if any(form in word for word in known):
                    in_public[name] = None
                else:
                    owner.setdefault(form, name)
        self.in_public = list(in_public)
        """Names of secrets of which a form is a part of a public word, and not searched for."""
        self._forms = sorted(owner)
        self._marks = [f"[redacted:{owner[form]}]".encode() if owner[form] else b"[redacted]" for form in self._forms]
        self._names = [owner[form] for form in self._forms]
        self._matcher = Matcher(self._forms)
        self.counts: Counter[str] = Counter()
        """Replacements so far by secret name, for `redactions.json`."""

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def find(self, data: bytes) -> list[str]:
        """Return the names of the secrets that occur in `data`, sorted."""
        return sorted({self._names[index] for _, _, index in self._matcher.find(data)})

    def _cut(self, data: bytes, until: int, swallow: int) -> tuple[bytes, int]:
        """Return `data[:until]` with every union of overlapping matches replaced, and how far the last one reaches past `until`.

        The first `swallow` bytes belong to a union whose mark was written before.
        """
        out: list[bytes] = []
        end = swallow
        for start, stop, index in sorted(self._matcher.find(data), key=lambda span: (span[0], -span[1])):
            if start >= until:
                break
            if start >= end:
                out += [data[end:start], self._marks[index]]
                self.counts[self._names[index]] += 1
            end = max(end, stop)
        out.append(data[end:until])
        return b"".join(out), max(0, end - until)

    def bytes(self, data: bytes) -> bytes:
        """Return `data` without any form of any secret."""
        return self._cut(data, len(data), 0)[0]

    def text(self, text: str) -> str:
        """Return `text` without any form of any secret."""
        return self.bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def json(self, value: Any) -> Any:
        """Return a JSON value with every string and key redacted; its shape stays."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._object(value)
        return [self.json(item) for item in value] if isinstance(value, list | tuple) else value

    def _object(self, value: Mapping[str, Any]) -> dict[str, Any]:
        clean: dict[str, Any] = {}
        for key, item in value.items():
            name = whole = self.text(key)
            number = 2
            while name in clean:  # two keys may lose what told them apart; neither entry may be lost with it
                name, number = f"{whole}#{number}", number + 1
            clean[name] = self.json(item)
        return clean

    def filter(self) -> Filter:
        """Return a filter for one stream."""
        return Filter(self)

    def stream(self, source: BinaryIO, sink: BinaryIO) -> None:
        """Copy a stream of any length without the secrets in it."""
        through = self.filter()
        while chunk := source.read(CHUNK):
            sink.write(through.feed(chunk))
        sink.write(through.close())

    def file(self, source: Path, target: Path) -> None:
        """Copy a file without the secrets in it; `target` must not exist, and is readable by its owner only."""
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with source.open("rb") as opened, os.fdopen(descriptor, "wb") as sink:
            self.stream(opened, sink)


class Filter:
    """Redacts a stream that arrives in pieces: holds back only what may still become a secret, so that lines show at once.

    Whatever the pieces, the output is that of `Redactor.bytes` on the whole. It holds fewer bytes than the longest form has.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor, self._held, self._swallow = redactor, b"", 0
        self._needles = redactor._forms
        self._heads = {needle[:MIN_FORM] for needle in self._needles}
        self._reach = max((len(needle) for needle in self._needles if b"\n" not in needle), default=1) - 1
        multi = [needle for needle in self._needles if b"\n" in needle]
        self._multi_reach = max(map(len, multi), default=1) - 1
        self._multi_heads = sorted({needle[:MIN_FORM] for needle in multi})

    def feed(self, chunk: bytes) -> bytes:
        """Return as much of the stream as may be shown now."""
        data = self._held + chunk
        return self._show(data, self._safe_end(data))

    def close(self) -> bytes:
        """Return the rest of the stream."""
        return self._show(self._held, len(self._held))

    def _show(self, data: bytes, until: int) -> bytes:
        clean, self._swallow = self._redactor._cut(data, until, self._swallow)
        self._held = data[until:]
        return clean

    def _safe_end(self, data: bytes) -> int:
        """Return the offset of the first tail that may still become a secret."""
        size = len(data)
        starts = {at for at in self._line_starts(data) if size - at < MIN_FORM or data[at : at + MIN_FORM] in self._heads}
        starts.update(range(max(0, size - min(MIN_FORM - 1, self._multi_reach)), size))
        window = max(0, size - self._multi_reach)
        for head in self._multi_heads:
            at = data.find(head, window)
            while at >= 0:
                starts.add(at)
                at = data.find(head, at + 1)
        return next((at for at in sorted(starts) if _begins(self._needles, data[at:])), size)

    def _line_starts(self, data: bytes) -> range:
        """Return the offsets at which a form of one line may begin: behind the last line end."""
        return range(max(data.rfind(b"\n") + 1, len(data) - self._reach), len(data))


def _begins(needles: list[bytes], tail: bytes) -> bool:
    """Return whether a needle is longer than `tail` and begins with it. `needles` are sorted."""
    at = bisect_left(needles, tail)
    while at < len(needles) and needles[at] == tail:
        at += 1
    return at < len(needles) and needles[at].startswith(tail)
