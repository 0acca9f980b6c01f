"""A night of its own for each attack; or one for a module, whose run waits at the gate, for attacks that are to leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.kit import Night, a_night


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with a_night(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def long_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """jonas and priya sign or review; both are needed by nobody but the tests that say so."""
    with a_night(tmp_path_factory.mktemp("night")) as made:
        made.approvers("jonas", "priya", "maria", channels=("environment", "signed"))
        made.gate.reviewers = [made.fake.account("jonas"), made.fake.account("priya")]
        made.pinned = True
        made.come_to_the_gate()
        yield made


@pytest.fixture
def at_the_gate(long_night: Night) -> Night:
    """maria's run, checked; nobody has answered yet."""
    long_night.again()
    return long_night
