"""What HyOps reads of the lent overlay is what its digest covers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from hyops_ci.blueprints.guards import to_yaml
from hyops_ci.contracts.base import MAX_INT

KEYS = st.text(min_size=1, max_size=6)
LEAVES = (
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


@given(document=st.dictionaries(KEYS, VALUES, max_size=4))
@example(document={"k": "\x85"})
@example(document={"k": "a\u2028b", "\u2029": "\ufeff"})
@example(document={"k": "22:22", "d": "2026-11-28", "n": "0o17", "b": "on", "e": "=", "m": "<<"})
@example(document={"k": "x" * 2000 + " " + "y" * 2000 + "\n\n" + " z"})
def test_hyops_reads_what_was_meant(document: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(document)) == document


@pytest.mark.parametrize("number", [1e16, -2.5e-7, 0.1, 1e22, float(MAX_INT)])
def test_numbers_stay_numbers(number: float) -> None:
    read = yaml.safe_load(to_yaml({"n": number}))["n"]
    assert (read, type(read)) == (number, float)
