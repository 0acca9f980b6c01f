"""Values that may become secrets of a run. Those that would arrive changed, or could not be redacted, are refused by name.

Measured on HyOps 0.1.4: its bundle reader cuts a value at everything that `str.splitlines` calls a line
end, and its own `vault-sync` stores `str(value).strip()`, which turns `true` into `True` and an object
into a Python repr. A value that was refused is never shown, nor its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.redaction import MIN_FORM

MIN_CHARACTERS: Final = MIN_FORM
"""Shorter values occur in ordinary text: hiding them would blank the log, showing them would show the secret."""
MAX_ENTRY_BYTES: Final = 128 * 1024 - 1
"""`KEY=value` of one environment variable on Linux (MAX_ARG_STRLEN, without its NUL)."""
CUTS: Final = {
    "\u000b": "VT",
    "\u000c": "FF",
    "\u001c": "FS",
    "\u001d": "GS",
    "\u001e": "RS",
    "\u0085": "NEL",
    "\u2028": "U+2028",
    "\u2029": "U+2029",
}
"""Line ends of `str.splitlines` besides CR and LF, which HyOps escapes."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret as the authority gave it. `repr` and `str` show name and version only."""

    key: str
    value: str = field(repr=False)
    version: str = ""


@dataclass(frozen=True, slots=True)
class NormalizedValues:
    """Values that HyOps reads back unchanged, and notes on what was normalized."""

    values: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()


def normalize(raw: Mapping[str, object]) -> NormalizedValues:
    """Return all of `raw` as it is stored. Raises Refusal (exit 8) `secrets.value` naming every key at fault.

    The one change ever made: a single-line value loses one trailing line end (`kv put KEY=@file` leaves it; HyOps' own
    sync drops it), and a note says so. Values of several lines (PEM, JSON files) keep theirs.
    """
    values: dict[str, str] = {}
    notes: list[str] = []
    faults: list[str] = []
    for key, value in sorted(raw.items()):
        if fault := text_fault(value):
            faults.append(f"{key}: {fault}")
            continue
        text = _without_final_newline(str(value))
        if text != value:
            notes.append(f"{key}: one trailing line end dropped")
        if fault := value_fault(key, text):
            faults.append(f"{key}: {fault}")
        values[key] = text
    if faults:
        raise refuse_values(faults)
    return NormalizedValues(values, tuple(notes))


def text_fault(value: object) -> str:
    """Return why `value` is not text, or empty. Numbers and objects have more than one spelling."""
    kinds = {bool: "true or false", int: "a number", float: "a number", dict: "an object", list: "a list", type(None): "null"}
    return "" if isinstance(value, str) else f"is {kinds.get(type(value), 'no text')}, not text"


def value_fault(key: str, value: str) -> str:
    """Return why HyOps would read another value, or why this one cannot be redacted; empty for a good one. Reveals nothing."""
    if not value:
        return "is empty"
    if value.strip() != value and (_one_line(value) or value.rstrip("\r\n").strip() != value.rstrip("\r\n")):
        return "begins or ends with white space, which HyOps strips"
    if "\0" in value:
        return "holds NUL, which no environment variable can"
    if cut := next((name for character, name in CUTS.items() if character in value), ""):
        return f"holds {cut}, where HyOps cuts a value"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "is not valid Unicode"
    if len(value) < MIN_CHARACTERS:
        return f"is shorter than {MIN_CHARACTERS} characters and could not be hidden in logs"
    if len(key.encode()) + 1 + len(value.encode()) > MAX_ENTRY_BYTES:
        return "is too long for an environment variable (128 KiB)"
    return ""


def refuse_values(faults: Iterable[str]) -> Refusal:
    """Return the refusal for values at fault, each as `KEY: reason`."""
    listed = list(faults)
    return Refusal(
        "secrets.value",
        f"{len(listed)} of the secrets would not arrive in HyOps as they are kept; the bundle was not touched",
        exit_code=Exit.SECRETS,
        found="; ".join(listed),
        expected=f"text of {MIN_CHARACTERS} characters or more, no white space at its ends, no VT FF FS GS RS NEL U+2028 U+2029 NUL",
        fix="store the value as text at the authority (`kv put PATH KEY=@file` for files), then a new run",
        docs="secrets.md",
    )


def _one_line(value: str) -> bool:
    return not any(end in value.rstrip("\r\n") for end in "\r\n")


def _without_final_newline(value: str) -> str:
    if _one_line(value):
        return value[:-2] if value.endswith("\r\n") else value[:-1] if value.endswith("\n") else value
    return value
