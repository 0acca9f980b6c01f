"""Rehearsals that several tests look at."""

from __future__ import annotations

import pytest

from tests.e2e.rehearsal import Rehearsal, Rehearsed, rehearse


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """Each scenario once per process, when it is first asked for: it is looked at, and changed by nobody."""
    done: dict[str, Rehearsal] = {}

    def ask(scenario: str) -> Rehearsal:
        if scenario not in done:
            done[scenario] = rehearse(tmp_path_factory.mktemp("rehearsal") / scenario, "--scenario", scenario)
        return done[scenario]

    return ask
