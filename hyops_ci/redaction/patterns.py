"""Find credentials of unknown value by their form, in the records of HyOps.

HyOps' own redaction leaves bare Vault tokens, PEM blocks and URLs with passwords as they are (HyOps `runtime/redact.py`).
Every repetition is bounded and every pattern begins with a literal, so that the cost grows with the length of the text only.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

PATTERNS: Final[dict[str, re.Pattern[str]]] = {
    # Ends at its END line, or where a cut record ends: what follows an open block is no loss beside a key.
    "private-key": re.compile(
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----)){0,16384}(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?"
    ),
    "vault-token": re.compile(r"(?<![A-Za-z0-9_.-])(?:hv[sbr]\.[A-Za-z0-9_-]{20,512}|[sbr]\.[A-Za-z0-9]{24}(?![A-Za-z0-9]))"),
    "jwt": re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,16384}\.[A-Za-z0-9_-]{0,4096}"),
    "github-token": re.compile(r"(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})"),
    "url-password": re.compile(r"(?<=://)(?P<keep>[^\s/:@\"'<>]{0,256}:)[^\s/\"'<>]{1,512}(?=@)"),
}
"""Name in the replacement -> pattern; a group `keep` stays."""


def scrub_patterns(text: str, counts: Counter[str] | None = None) -> str:
    """Return `text` with everything that looks like a credential replaced by `[redacted:<kind>]`; adds to `counts` by kind."""
    for kind, pattern in PATTERNS.items():
        keeps = "keep" in pattern.groupindex
        text, number = pattern.subn(rf"\g<keep>[redacted:{kind}]" if keeps else f"[redacted:{kind}]", text)
        if counts is not None and number:
            counts[kind] += number
    return text
