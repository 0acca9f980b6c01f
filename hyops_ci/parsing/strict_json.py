"""Bytes into one JSON object, strictly: what one reader would accept and another read differently is refused.

RFC 8259 leaves duplicate keys, NaN and depth to the reader; HybridOps' records are written by Python, which
writes NaN for a ratio of 0/0: just when everything is down (docs/design/hyops.md 3.1).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Never

from hyops_ci.contracts.limits import MAX_INT
from hyops_ci.errors import Exit, Refusal

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
BY_HAND: Final = (
    "decide as a person: gh workflow run dr.yml -f action=failover -f service=<name>/<env> "
    '-f reason="INC-..."   (record kept as attachment)'
)


class DuplicateKey(ValueError):
    """A key that stands twice in one object."""


def read_object(data: bytes, what: str = "the record") -> dict[str, Any]:
    """The one JSON object in `data`. Raises Refusal (exit 3), each rule with a gate of its own."""
    if len(data) > MAX_BYTES:
        _refuse("size", "too large to be a decision", f"{len(data)} bytes", f"at most {MAX_BYTES} bytes", f"send {what} alone")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(
            "encoding", "not UTF-8", f"byte {error.start} is not UTF-8", "UTF-8 without a byte order mark", f"send {what} as it was written"
        )
    if text.startswith("\ufeff"):
        _refuse("encoding", "begins with a byte order mark", "U+FEFF", "UTF-8 without a byte order mark", f"send {what} as it was written")
    _check_depth(text)
    try:
        value = json.loads(text, object_pairs_hook=each_key_once, parse_int=_integer)
    except DuplicateKey as error:
        _refuse("duplicate-key", "a key stands twice", str(error), "each key once", f"send {what} as it was written")
    except (ValueError, RecursionError) as error:
        found = str(error) if isinstance(error, ValueError) else "nested without end"
        _refuse("json", "not JSON", found, "one JSON object", f"send {what} as it was written; an empty file is not a decision")
    if not isinstance(value, dict):
        _refuse("object", "not a JSON object", f"a {type(value).__name__}", "one JSON object", f"send {what} itself, not a list of them")
    _check_values(value)
    return value


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object from its pairs, as the hook of `json.loads`. Raises DuplicateKey."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKey(f"key {key!r}")
        found[key] = value
    return found


def _integer(text: str) -> int | float:
    # A number of thousands of digits would cost quadratic time; as infinity it is refused like any that is too large.
    return int(text) if len(text) < 20 else math.copysign(math.inf, -1 if text[0] == "-" else 1)


def _check_depth(text: str) -> None:
    """Depth by counting brackets outside strings, before a parser recurses."""
    depth = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string, escaped = (char != '"' or escaped), (char == "\\" and not escaped)
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(
                    "depth", "nested too deep", f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH}", "send the record as it was written"
                )
        elif char in "]}":
            depth -= 1


def _check_values(value: dict[str, Any]) -> None:
    """Numbers that JSON cannot say, integers that JavaScript cannot hold, halves of characters: by JSON pointer."""
    for pointer, leaf in leaves(value, keys=True):
        if isinstance(leaf, str) and halved(leaf):
            _refuse(
                "surrogate",
                "half a character",
                f"{_id(value)}{pointer}: a lone surrogate",
                "whole characters",
                "send the record as it was written",
            )
        if isinstance(leaf, float) and not math.isfinite(leaf):
            metric = _metric(value, pointer)
            _refuse(
                "number",
                f"the record holds {_name(leaf)}, which is not JSON",
                f"{_id(value)}{pointer} = {_name(leaf)}{metric}",
                "finite numbers",
                BY_HAND,
            )
        if isinstance(leaf, int) and not isinstance(leaf, bool) and abs(leaf) > MAX_INT:
            _refuse(
                "number", "a number too large to be read alike everywhere", f"{_id(value)}{pointer} = {leaf}", f"at most {MAX_INT}", BY_HAND
            )


def leaves(value: object, at: str = "", *, keys: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield JSON pointer and value of everything inside `value` that holds nothing else; with `keys` the keys of each object, too."""
    items: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        items = value.items()
        if keys:
            yield from ((at, key) for key in value)
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        yield at, value
    for key, item in items:
        yield from leaves(item, f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}", keys=keys)


def halved(text: str) -> bool:
    """Whether half a character stands alone: text that no encoding can carry."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def _name(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _id(value: Mapping[str, Any]) -> str:
    ids = (value.get(key) for key in ("decision_id", "dispatch_id", "execution_id", "attempt_id"))
    return next((f"{each}, " for each in ids if isinstance(each, str)), "")


def _metric(value: Mapping[str, Any], pointer: str) -> str:
    """What a check of a HybridOps record measured, when the number stands in one."""
    parts = pointer.split("/")
    checks = value.get("checks")
    if len(parts) == 4 and parts[1] == "checks" and isinstance(checks, list):
        check = checks[int(parts[2])]
        name = check.get("metric") if isinstance(check, Mapping) else None
        if isinstance(name, str):
            return f" ({name}: 0/0, usual when all is down)"
    return ""


def _refuse(rule: str, reason: str, found: str, expected: str, fix: str) -> Never:
    raise Refusal(f"intake.{rule}", reason, exit_code=Exit.DECISION, found=found, expected=expected, fix=fix)
