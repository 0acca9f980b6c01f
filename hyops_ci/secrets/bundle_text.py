"""The text inside HyOps' runtime bundle (`runtime/vault.py: _render_env, _parse_env`), written and read as HyOps does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_HEAD: Final = (
    "# purpose: HybridOps.Core bootstrap vault env (ansible-vault encrypted)",
    "# maintainer: HybridOps.Tech",
    "",
)
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\r": "\\r", "\n": "\\n"}
_UNESCAPES: Final = {"n": "\n", "r": "\r", '"': '"', "\\": "\\"}


def render(values: Mapping[str, str]) -> str:
    """Return the text that HyOps would write for `values`: keys sorted, one per line, quoted. Byte for byte the same as HyOps'."""
    rows = (f'{key}="{_escape(values[key])}"' for key in sorted(values))
    return "\n".join((*_HEAD, *rows, ""))


def parse(text: str) -> dict[str, str]:
    """Return what HyOps reads from `text`, with its leniencies: a later line wins, a line without `=` is ignored, unknown escapes stay."""
    values: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.strip()
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if line.startswith("#") or not equals or not key:
            continue
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[key] = _unescape(value)
    return values


def _escape(value: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in value)


def _unescape(value: str) -> str:
    pieces = iter(value)
    out: list[str] = []
    for character in pieces:
        if character != "\\":
            out.append(character)
            continue
        following = next(pieces, "")
        out.append(_UNESCAPES.get(following, "\\" + following))
    return "".join(out)
