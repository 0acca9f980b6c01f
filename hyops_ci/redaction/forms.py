"""The forms of a value: raw, as JSON and Python escape it, URL-encoded, base64, and each of its longer lines in the same forms."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MIN_LINE: Final = 16
"""Characters from which a single line of a value is a secret of its own."""
MIN_FORM: Final = 8
"""Bytes from which a form is searched for. Shorter values occur inside ordinary words: `secrets` refuses them by name, and a
`Redactor` that is given one names it in `too_short`, for the evidence."""


def forms(value: str) -> frozenset[bytes]:
    """Return all byte strings that reveal `value`."""
    lines = {part for line in value.splitlines() for part in (line, line.strip()) if len(part) >= MIN_LINE}
    found = {form for part in {value, *lines} for form in _spellings(part)}
    return frozenset(form for form in found if len(form) >= MIN_FORM)


def _spellings(text: str) -> Iterator[bytes]:
    raw = text.encode("utf-8", "surrogatepass")
    yield raw
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogatepass")
        yield from (escaped, escaped.replace(b"/", b"\\/"), _html_safe(escaped))
    # Python escapes an apostrophe only where the same string also holds a double quote, which may stand beside the value.
    for shown in (repr(text)[1:-1], repr("\"'" + text)[4:-1]):
        yield shown.encode()
    for encoded in (quote(raw, safe=""), quote(raw, safe="/"), quote(raw, safe="!'()*"), quote_plus(raw)):
        yield encoded.encode()
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded).encode()
    for alphabet in (base64.standard_b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The first and last characters also carry bits of the neighbours; those in between are certain.
            code = alphabet(bytes(shift) + raw)
            yield code[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]


def _html_safe(escaped: bytes) -> bytes:
    """Return JSON as Go writes it (terraform, vault): angle brackets and ampersands by number."""
    return escaped.replace(b"&", b"\\u0026").replace(b"<", b"\\u003c").replace(b">", b"\\u003e")
