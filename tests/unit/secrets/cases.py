"""Case files of this room: `tests/cases/secrets/{accept,refuse}/`; a map's facts stand in its own `# name: value` lines."""

from __future__ import annotations

from pathlib import Path

CASES = Path(__file__).parents[2] / "cases" / "secrets"


def case_files(verdict: str, pattern: str) -> list[Path]:
    """The files of one verdict, sorted; an empty answer would test nothing and is an error."""
    found = sorted((CASES / verdict).glob(pattern))
    if not found:
        raise FileNotFoundError(f"no cases {pattern} in {CASES / verdict}")
    return found


def facts(data: bytes) -> dict[str, list[str]]:
    """`# name: value` lines of a map case."""
    out: dict[str, list[str]] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        if line.startswith("# ") and ":" in line:
            name, _, value = line[2:].partition(":")
            out.setdefault(name, []).append(value.strip())
    return out
