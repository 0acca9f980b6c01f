"""Remove known secrets from bytes, text, JSON, files and streams.

All matches are found, overlapping ones too, and their union is replaced, so that no remainder of one secret is
left because another began inside it. The mark names the secret of the leftmost, then longest match.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from hyops_ci import portable
from hyops_ci.redaction.forms import Form, forms
from hyops_ci.redaction.matcher import Matcher, Span
from hyops_ci.redaction.spellings import MIN_FORM, folded

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
        owner: dict[Form, str] = {}
        self.too_short: list[str] = []
        """Names of secrets that are not searched for, because they are shorter than `MIN_FORM` bytes."""
        in_public: dict[str, None] = {}
        words = [word.encode("utf-8", "surrogatepass") for word in public]
        loose = [folded(word) for word in words]
        for name, value in pairs:
            if value and len(value.encode("utf-8", "surrogatepass")) < MIN_FORM:
                self.too_short.append(name)
            for form in forms(value):
                if any(form.text in word for word in (words if form.exact else loose)):
                    in_public[name] = None
                else:
                    owner.setdefault(form, name)
        self.in_public = list(in_public)
        """Names of secrets of which a form is a part of a public word, and not searched for."""
        self._names = list(owner.values())
        self._marks = [f"[redacted:{name}]".encode() if name else b"[redacted]" for name in self._names]
        self._matcher = Matcher(list(owner))
        self.counts: Counter[str] = Counter()
        """Replacements so far by secret name, for `redactions.json`."""

    def __repr__(self) -> str:
        return f"Redactor({len(self._names)} forms)"

    def find(self, data: bytes) -> list[str]:
        """Return the names of the secrets that occur in `data`, sorted."""
        return sorted({self._names[span.form] for span in self._matcher.find(data)})

    def _cut(self, data: bytes, spans: Iterable[Span], until: int, swallow: int) -> tuple[bytes, int]:
        """Return `data[:until]` with every union of overlapping matches replaced, and how far the last one reaches past `until`.

        The first `swallow` bytes belong to a union whose mark was written before.
        """
        out: list[bytes] = []
        end = swallow
        for start, stop, form in sorted(spans, key=lambda span: (span.start, -span.stop, span.form)):
            if start >= until:
                break
            if start >= end:
                out += [data[end:start], self._marks[form]]
                self.counts[self._names[form]] += 1
            end = max(end, stop)
        out.append(data[end:until])
        return b"".join(out), max(0, end - until)

    def bytes(self, data: bytes) -> bytes:
        """Return `data` without any form of any secret."""
        return self._cut(data, self._matcher.find(data), len(data), 0)[0]

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
        descriptor = os.open(target, portable.NEW, 0o600)
        with source.open("rb") as opened, os.fdopen(descriptor, "wb") as sink:
            self.stream(opened, sink)


class Filter:
    """Redacts a stream that arrives in pieces: holds back only what may still become a secret, so that lines show at once.

    Whatever the pieces, the output is that of `Redactor.bytes` on the whole. It holds fewer bytes than the longest form has with its gaps.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor, self._held, self._swallow = redactor, b"", 0

    def feed(self, chunk: bytes) -> bytes:
        """Return as much of the stream as may be shown now."""
        data = self._held + chunk
        found = self._redactor._matcher.search(data)
        return self._show(data, found.spans, found.open)

    def close(self) -> bytes:
        """Return the rest of the stream."""
        return self._show(self._held, self._redactor._matcher.find(self._held), len(self._held))

    def _show(self, data: bytes, spans: Iterable[Span], until: int) -> bytes:
        clean, self._swallow = self._redactor._cut(data, spans, until, self._swallow)
        self._held = data[until:]
        return clean
