"""Find credentials of unknown value by their form, in the output and the records of HyOps.

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


MAX_LINE: Final = 64 * 1024
"""Bytes of a line without an end before a stream is passed on."""
MAX_KEY_LINES: Final = 400
_HINT: Final = re.compile(rb"-----BEGIN |hv[sbr]\.|[sbr]\.[A-Za-z0-9]{24}|eyJ|gh[pousr]_|github_pat_|://")
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")
_OPENED: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?!.*-----END )", re.DOTALL)
_CLOSED: Final = re.compile(rb"^.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_KEY_LINE: Final = re.compile(rb"[\s\"',\\]*(?:[A-Za-z0-9+/=]{1,80}|(?:Proc-Type|DEK-Info): [^\r\n]{1,80})?[\s\"',\\]*")


class PatternFilter:
    """`scrub_patterns` for a stream that arrives in pieces, line by line. A private key over several lines is one mark.

    Known secrets are to be gone already (`Filter`). A key that is announced and does not follow hides no line that is none of a key.
    """

    def __init__(self, counts: Counter[str] | None = None) -> None:
        self._rest, self._counts = b"", counts
        self._key_lines = 0
        """How many lines may still belong to a private key."""

    def feed(self, chunk: bytes) -> bytes:
        """Return the lines that ended in this chunk, clean."""
        text = self._rest + chunk
        end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if len(text) - end > MAX_LINE:
            end = len(text)
        self._rest = text[end:]
        return self._clean(text[:end])

    def close(self) -> bytes:
        """Return the rest of the stream."""
        rest, self._rest = self._rest, b""
        return self._clean(rest)

    def _clean(self, text: bytes) -> bytes:
        if not self._key_lines and not _HINT.search(text):
            return text
        ended = _LINE.findall(text)
        return b"".join(map(self._line, [*ended, text[sum(map(len, ended)) :]]))

    def _line(self, line: bytes) -> bytes:
        if self._key_lines:
            self._key_lines -= 1
            if closed := _CLOSED.match(line):
                self._key_lines, line = 0, line[closed.end() :]
            elif _KEY_LINE.fullmatch(line):
                return b""
            else:
                self._key_lines = 0
        if not _HINT.search(line):
            return line
        body = line.rstrip(b"\r\n")
        if _OPENED.search(body):
            self._key_lines = MAX_KEY_LINES
        clean = scrub_patterns(body.decode("utf-8", "surrogateescape"), self._counts)
        return clean.encode("utf-8", "surrogateescape") + line[len(body) :]
