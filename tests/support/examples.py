"""How many examples a property is tried with: as many as its test says, and its share of them under `./dev test quick`."""

from __future__ import annotations

from hypothesis import settings

FULL = 100
"""Examples of a test that names no number, in every profile but `quick` (tests/conftest.py)."""


def examples(most: int) -> int:
    """Return what the profile of this session leaves of `most` examples: all, or a share, at least one."""
    return max(1, most * settings().max_examples // FULL)
