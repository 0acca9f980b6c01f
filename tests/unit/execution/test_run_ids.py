"""The ids of HyOps' runs: the time in them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.execution.run_ids import started_at


@pytest.mark.parametrize(
    "run_id,when",
    [
        ("apply-20261123T135214Z-3284b2c9", datetime(2026, 11, 23, 13, 52, 14, tzinfo=UTC)),
        ("init-gcp-20261123T135214Z-3284b2c9", datetime(2026, 11, 23, 13, 52, 14, tzinfo=UTC)),
        ("apply-20261399T135214Z-3284b2c9", None),
        ("apply-20261123T135214Z-3284b2c9-x", None),
        ("apply", None),
        ("", None),
    ],
)
def test_when_a_run_began(run_id: str, when: datetime | None) -> None:
    assert started_at(run_id) == when


@given(st.integers(946684800, 4102444800))
def test_run_ids_are_read_back(epoch: int) -> None:
    when = datetime.fromtimestamp(epoch, UTC)
    assert started_at(f"apply-{when:%Y%m%dT%H%M%SZ}-0badcafe") == when
