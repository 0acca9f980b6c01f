"""drill.yml for a caller, as its schedule starts it: restored, proven, removed; and each way in which that does not go well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.act.conftest import in_the_table
from tests.act.drilling import DRILL, DRILL_HOST, PING, PROD, DrillSite, drill_authority, drilling
from tests.act.running import ActRun
from tests.act.site import make_site
from tests.act.test_dispatch import bundle
from tests.support.openbao import OpenBao

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def authority() -> Iterator[OpenBao]:
    with drill_authority() as server:
        yield server


@pytest.fixture
def drills(tmp_path: Path, authority: OpenBao, request: pytest.FixtureRequest) -> Iterator[DrillSite]:
    """A site on which a drill is due."""
    with make_site(tmp_path, authority) as site, drilling(site) as made:
        yield made
        in_the_table(request, site)


def ended(drills: DrillSite, run: ActRun, outcome: str, exit_code: str) -> dict[str, Any]:
    """The documents of the evidence of a drill that ended so."""
    assert (run.answers.get("outcome"), run.answers.get("exit_code")) == (outcome, exit_code), run.log()
    return bundle(drills.site, run, outcome)


def test_the_drill_that_is_due_is_made_once_and_leaves_nothing(drills: DrillSite) -> None:
    production = drills.ledger(PROD).head().commit
    run = drills.drill("drill: due, passes")
    sealed = ended(drills, run, "COMPLETED_WITH_EXCEPTIONS", "0")
    assert {run.jobs.get(job) for job in ("due", "plan", "check", "execute", "conclude", "ping")} == {"success"}, run.log()
    headline = sealed["result.json"]["headline"]
    assert headline.startswith("DRILL PASSED, "), headline
    assert ": restored latest, 6 steps destroyed, 0 left; production repository and lock of pg-ha/prod untouched" in headline
    assert drills.restored.there == [True, False], "it came with the restore, and went with its destroy"
    assert set(drills.states().values()) == {"destroyed"}
    cleanup = sealed["cleanup.json"]
    assert [(each["target"].partition(":")[0], each["answers"]) for each in cleanup["probes"]] == [(DRILL_HOST, False)]
    assert len(cleanup["removed"]["destroyed"]) == 6
    figures = sealed["objectives.json"]["figures"]
    assert drills.ledger(PROD).head().commit == production, "nothing of production's ledger was touched"
    tip = drills.ledger().tip()
    assert tip.figures is not None, figures
    assert (tip.figures.level, tip.figures.cleaned, tip.figures.verdict) == ("isolated", True, "met")
    assert (tip.figures.request_to_proven or 0) > 0
    assert {audience for _, audience in drills.site.tokens.asked} == {"dr-dispatch:gcp-ops-runner", drills.site.bao.origin}
    assert drills.watcher.pings == [f"/{PING}"]

    again = drills.drill("drill: nothing is due")
    assert (again.rc, again.jobs.get("due"), again.jobs.get("ping"), "plan" in again.jobs) == (0, "success", "success", False), again.log()
    assert f"drill of {PROD} on {DRILL} every P30D: next " in again.log()
    assert drills.ledger().tip().epoch == tip.epoch
    assert drills.watcher.pings == [f"/{PING}"] * 2
    assert PING not in run.log() + again.log(), "the address is shown nowhere"
