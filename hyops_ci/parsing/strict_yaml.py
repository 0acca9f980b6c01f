"""YAML of config and overlays, strictly: safe types, each key once, no aliases, dates left as text.

PyYAML reads YAML 1.1, where `on`, `yes` and `off` are booleans; HyOps reads the same dialect, so it stays.
"""

from __future__ import annotations

from typing import Any, Never

from hyops_ci.contracts.limits import MAX_INT
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.strict_json import halved, leaves
from hyops_ci.parsing.yaml_loader import MAX_BYTES, StrictLoader, YamlError, load
from hyops_ci.text import HIDDEN


def read_yaml(data: bytes, what: str, *, most: int = MAX_BYTES) -> Any:
    """Return the one YAML document in `data`, of at most `most` bytes. `what` names the file.

    Raises Refusal (exit 2) with line and column.
    """
    _check_text(data[: most + 1].decode("utf-8", "replace"), what)
    value, found = None, ""
    try:
        value = load(data, StrictLoader, most=most)
    except YamlError as error:
        found = str(error)
    if found:
        _refuse(what, found, "plain YAML in UTF-8: each key once, no aliases, no tags")
    _check_values(value, what)
    return value


def _check_text(text: str, what: str) -> None:
    """Nothing stands in a comment that ends it for this reader and not for the one who reviews it, or that is not seen at all."""
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), start=1):
        if hit := HIDDEN.search(line):
            found = f"line {number}, column {hit.start() + 1}: U+{ord(hit.group()):04X}"
            _refuse(what, found, "visible characters: what cannot be seen cannot be reviewed")


def _check_values(value: Any, what: str) -> None:
    """Numbers and text that JSON cannot say have no digest."""
    for pointer, leaf in leaves(value, keys=True):
        if isinstance(leaf, str) and (hit := HIDDEN.search(leaf)):
            _refuse(what, f"{pointer or '/'}: U+{ord(hit.group()):04X}", "visible characters, written as themselves")
        if isinstance(leaf, str) and halved(leaf):
            _refuse(what, f"{pointer or '/'}: half a character", "whole characters, written as themselves")
        if isinstance(leaf, int | float) and not -MAX_INT <= leaf <= MAX_INT:
            _refuse(what, f"{pointer or '/'}: a number that is not finite, or too large to be read alike everywhere", f"at most {MAX_INT}")


def _refuse(what: str, found: str, expected: str) -> Never:
    raise Refusal(
        "intake.yaml",
        f"{what} cannot be read",
        exit_code=Exit.USAGE,
        found=found,
        expected=expected,
        fix=f"correct {what}",
    )
