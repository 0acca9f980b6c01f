"""A incident of its own for each attack; or one for a module, whose run waits at the gate, for attacks that are to leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.incident import Incident, start_incident


@pytest.fixture
def incident(tmp_path: Path) -> Iterator[Incident]:
    with start_incident(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def long_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    """jonas and priya sign or review; both are needed by nobody but the tests that say so."""
    with start_incident(tmp_path_factory.mktemp("incident")) as made:
        made.approvers("jonas", "priya", "maria", channels=("environment", "signed"))
        made.gate.reviewers = [made.fake.account("jonas"), made.fake.account("priya")]
        made.pinned = True
        made.reach_gate()
        yield made


@pytest.fixture
def at_the_gate(long_night: Incident) -> Incident:
    """maria's run, checked; nobody has answered yet."""
    long_night.again()
    return long_night
