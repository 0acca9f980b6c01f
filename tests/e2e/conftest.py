"""Rehearsals that several tests look at."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache

import pytest

from hyops_ci.files import locked
from tests.e2e.rehearsal import Rehearsal, Rehearsed, rehearse


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """Each scenario once for all processes of the suite, when it is first asked for: it is looked at, and changed by nobody."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # each process of several has a folder below the common one

    @cache
    def ask(scenario: str) -> Rehearsal:
        place = shared / f"rehearsal-{scenario}"
        place.mkdir(exist_ok=True)
        kept = place / "ended.json"
        with locked(place / "lock", wait=None):
            if not kept.exists():
                ended = rehearse(place / scenario, "--scenario", scenario).ended
                kept.write_text(json.dumps([[str(word) for word in ended.args], ended.returncode, ended.stdout, ended.stderr]))
        return Rehearsal(place / scenario, subprocess.CompletedProcess(*json.loads(kept.read_text())))

    return ask
