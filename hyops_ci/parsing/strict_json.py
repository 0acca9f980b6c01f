"""Bytes into one JSON value, strictly: what one reader would accept and another read differently is refused.

RFC 8259 leaves duplicate keys, NaN and depth to the reader; HybridOps' records are written by Python, which
writes NaN for a ratio of 0/0: just when everything is down (docs/design/hyops.md 3.1).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from hyops_ci.contracts.limits import MAX_INT
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal, shown

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 5000
"""Values and keys of a decision. What explains a refusal looks at each of them, a schema's keyword after another."""
BY_HAND: Final = (
    "decide as a person: gh workflow run dr.yml -f action=failover -f service=<name>/<env> "
    '-f reason="INC-..."   (record kept as attachment)'
)
_STRINGS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS: Final = re.compile(r"[\[\]{}]")
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


@dataclass(frozen=True)
class Rule:
    """One thing that is refused, and what to do about it where it is a decision. In `reason`, {} is the number as it was written."""

    gate: str
    reason: str
    fix: str


SIZE: Final = Rule("intake.size", "too large", "send it alone")
VALUES: Final = Rule("intake.size", "holds too many values", "send it alone")
NOT_UTF_8: Final = Rule("intake.encoding", "not UTF-8", "send it as it was written")
MARKED: Final = Rule("intake.encoding", "begins with a byte order mark", "save it as UTF-8 without one (PowerShell: -Encoding utf8NoBOM)")
DEPTH: Final = Rule("intake.depth", "nested too deep", "send it as it was written")
FORM: Final = Rule("intake.json", "not JSON", "send it as it was written; an empty file is not a decision")
TWICE: Final = Rule("intake.duplicate-key", "a key stands twice", "send it as it was written")
NO_NUMBER: Final = Rule("intake.number", "the record holds {}, which is not JSON", BY_HAND)
LARGE: Final = Rule("intake.number", "a number too large to be read alike everywhere", BY_HAND)
HALF: Final = Rule("intake.surrogate", "half a character", "send it as it was written")


class JsonError(ValueError):
    """Why bytes are not read. `found` may quote them."""

    def __init__(self, rule: Rule, found: str, expected: str, reason: str = "") -> None:
        self.rule, self.reason, self.found, self.expected = rule, reason or rule.reason, shown(found), expected
        super().__init__(f"{self.reason}: {self.found}" if found else self.reason)


def parse(
    data: bytes | str,
    *,
    most: int = MAX_BYTES,
    depth: int = MAX_DEPTH,
    values: int | None = None,
    make: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Any:
    """Return the one JSON value in `data`.

    `most`: bytes, `depth`: levels, `values`: values and keys, None for any number; `make` puts another kind of mapping in the place of
    each object. Raises JsonError for more, for text that is not JSON,
    a key that stands twice in an object, a number that JavaScript cannot hold, and half a character.
    """
    text = _text(data, most)
    _check_shape(text, depth, values)
    odd: list[float] = []

    def number(said: str) -> int | float:
        return _number(said, odd)

    pairs = each_key_once if make is None else lambda found: make(each_key_once(found))
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=number)
    except JsonError:
        raise
    except (ValueError, RecursionError) as error:
        found = str(error) if isinstance(error, ValueError) else "nested without end"
        raise JsonError(FORM, found, "one JSON object") from None
    if odd or (("\\" in text or not text.isascii()) and _HALF.search(text)):
        _check_values(value)
    return value


def read_object(data: bytes, what: str = "the record") -> dict[str, Any]:
    """Return the one JSON object in `data`. Raises Refusal (exit 3), each rule with a gate of its own."""
    try:
        value = parse(data, values=MAX_VALUES)
    except JsonError as error:
        rule = error.rule
        raise Refusal(rule.gate, error.reason, exit_code=Exit.DECISION, found=error.found, expected=error.expected, fix=rule.fix) from None
    if not isinstance(value, dict):
        raise Refusal(
            "intake.object",
            "not a JSON object",
            exit_code=Exit.DECISION,
            found=f"a {type(value).__name__}",
            expected="one JSON object",
            fix=f"send {what} itself, not a list of them",
        )
    return value


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object from its pairs, as the hook of `json.loads`. Raises JsonError."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = sorted(key for key, _ in pairs)
    twice = next(name for name, after in pairwise(names) if name == after)
    raise JsonError(TWICE, f"key {twice!r}", "each key once")


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
    """Return whether half a character stands alone: text that no encoding can carry."""
    return any("\ud800" <= char <= "\udfff" for char in text)


class _TooLarge(float):
    """Stands for a number until its place is known: `text` as it was written."""

    text = ""


def _text(data: bytes | str, most: int) -> str:
    if len(data) > most:
        raise JsonError(SIZE, f"{len(data)} bytes", f"at most {most} bytes")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(NOT_UTF_8, f"byte {error.start} is not UTF-8", "UTF-8 without a byte order mark") from None
    if text.startswith("\ufeff"):
        raise JsonError(MARKED, "U+FEFF", "UTF-8 without a byte order mark")
    return text


def _check_shape(text: str, depth: int, values: int | None) -> None:
    """Depth and number of values by brackets and commas outside strings, before a parser recurses."""
    if values is None and text.count("[") + text.count("{") <= depth:
        return  # those inside strings count here too, so there are no more outside
    bare = _STRINGS.sub("", text)
    opened = bare.count("[") + bare.count("{")
    if opened > depth:
        level = 0
        for bracket in _BRACKETS.finditer(bare):
            level += 1 if bracket.group() in "[{" else -1
            if level > depth:
                raise JsonError(DEPTH, f"more than {depth} levels", f"at most {depth}")
    if values is not None and opened + bare.count(",") > values:
        raise JsonError(VALUES, f"{opened + bare.count(',')} values", f"at most {values} values")


def _number(text: str, odd: list[float]) -> int | float:
    """Return the number; one that is not read alike everywhere is noted in `odd`, and its place is looked for afterwards."""
    whole = text.lstrip("-").isdigit()
    # A number of thousands of digits would cost quadratic time.
    value = (int(text) if len(text) < 20 else math.inf) if whole else float(text)
    if abs(value) <= MAX_INT or (not whole and math.isfinite(value)):
        return value
    large = _TooLarge(value)
    large.text = text
    odd.append(large)
    return large


def _check_values(value: Any) -> None:
    """Numbers that JSON cannot say, integers that JavaScript cannot hold, halves of characters: by JSON pointer."""
    for pointer, leaf in leaves(value, keys=True):
        where = f"{_id(value)}{pointer}"
        if isinstance(leaf, str) and halved(leaf):
            raise JsonError(HALF, f"{where}: a lone surrogate", "whole characters")
        if isinstance(leaf, _TooLarge):
            found = f"{where} = {leaf.text}"
            if leaf.text[-1].isdigit():
                raise JsonError(LARGE, found, f"at most {MAX_INT}")
            metric = _metric(value, pointer)
            raise JsonError(NO_NUMBER, f"{found}{metric}", "finite numbers", NO_NUMBER.reason.format(leaf.text))


def _id(value: Any) -> str:
    ids = (value.get(key) for key in ("decision_id", "dispatch_id", "execution_id", "attempt_id")) if isinstance(value, Mapping) else ()
    return next((f"{each}, " for each in ids if isinstance(each, str)), "")


def _metric(value: Any, pointer: str) -> str:
    """Return what a check of a HybridOps record measured, when the number stands in one."""
    parts = pointer.split("/")
    checks = value.get("checks") if isinstance(value, Mapping) else None
    if len(parts) == 4 and parts[1] == "checks" and isinstance(checks, list):
        check = checks[int(parts[2])]
        name = check.get("metric") if isinstance(check, Mapping) else None
        if isinstance(name, str):
            return f" ({name}: 0/0, usual when all is down)"
    return ""
