"""drill.yml for a caller, as its schedule starts it: restored, proven, removed; and each way in which that does not go well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.ledger.rules import lock_of
from tests.act.agents import Agents
from tests.act.conftest import in_the_table
from tests.act.drilling import (
    DRILL,
    DRILL_HOST,
    FILE,
    MODULES,
    PING,
    PROD,
    RESTORE,
    DrillSite,
    drill_authority,
    drilling,
    second_host,
    status_of,
)
from tests.act.running import ActRun
from tests.act.site import make_site
from tests.act.test_dispatch import ALL_GREEN, bundle, decision
from tests.act.test_readiness import board_of
from tests.hyops_double import Double
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


def test_a_restore_that_fails_is_removed_and_a_clean_up_that_fails_is_louder(drills: DrillSite) -> None:
    """Two nights. The watcher hears of neither, and the drill stays owed."""
    drills.site.double.script(steps={"postgresql_restore": {"do": "fail"}})
    failed = drills.drill("drill: the restore fails")
    sealed = ended(drills, failed, "FAILED", "9")
    assert (failed.jobs["execute"], failed.jobs.get("ping", "skipped")) == ("failure", "skipped"), failed.log()
    headline = sealed["result.json"]["headline"]
    assert headline.startswith("STOPPED in a drill of pg-ha/drill: step 3/6 postgresql_restore failed after "), headline
    assert headline.endswith("3 steps destroyed, 0 left. Lock free")
    assert any("a failed drill is what a night would have been" in each for each in sealed["result.json"]["next"])
    assert set(drills.states().values()) == {"destroyed"}
    assert drills.restored.there == []

    drills.site.double.script(steps={"postgresql_restore": {"do": "fail"}, "drill_gcp_pg_vms": {"destroy": "fail"}})
    left = drills.drill("drill: what it made stays")
    result = ended(drills, left, "NOT_CLEANED", "14")["result.json"]
    assert result["headline"].startswith("NOT CLEANED UP  the drill of pg-ha/drill left drill_gcp_pg_egress (not reached, state ok); ")
    assert "drill_gcp_pg_vms (" in result["headline"]
    assert result["refusal"]["gate"] == "drill.not-cleaned"
    for job in ("execute", "conclude"):
        assert "NOT CLEANED UP" in "\n".join(left.said[job])
        assert "hyops blueprint destroy --env drill --file " in "\n".join(left.said[job])
    assert drills.states()["gcp_pg_vms"] == "ok"
    tip = drills.ledger().tip()
    assert (tip.state, lock_of(tip, tip.at)) == (State.NOT_CLEANED, "unknown")
    assert drills.ledger(PROD).tip().claim is None
    assert drills.watcher.pings == []


@contextmanager
def at_work(drills: DrillSite, scenario: str, env: Path | None = None, **more: Any) -> Iterator[Future[ActRun]]:
    """A drill, from the moment at which it restores."""
    restore = (env or drills.env) / MODULES / RESTORE
    with ThreadPoolExecutor(1) as beside:
        drill = beside.submit(drills.drill, scenario, **more)
        until = time.monotonic() + 300
        while not drill.done() and status_of(restore) != "running" and time.monotonic() < until:
            time.sleep(0.1)
        assert status_of(restore) == "running", drill.result(300).log()
        yield drill


def failover(drills: DrillSite, scenario: str, **more: Any) -> ActRun:
    """A real one of production, which jonas approves."""
    inputs = {"action": "failover", "service": PROD, "reason": "INC-4242 power lost", "old_primary": "confirmed-off"}
    return drills.site.start(scenario, inputs, **more)


def test_a_real_run_ends_the_drill_that_its_runner_is_busy_with(drills: DrillSite) -> None:
    site, agents = drills.site, Agents(drills.site)
    drilling_now = site.control.beside(caller_job="drill / Drill")
    drilling_now.opened = lambda run: setattr(run, "on_cancel", agents.cancels(drilling_now))
    site.double.script(steps={"postgresql_restore": {"until": str(site.root / "never")}})
    with at_work(drills, "drill: given up for a real run", control=drilling_now) as drill:
        site.double.script()
        site.control.answer, site.control.late = ("jonas", "approved"), True
        real = failover(drills, "a recovery that needs its runner")
        gone = drill.result(120)
    assert real.jobs == ALL_GREEN, real.log()
    assert bundle(site, real, real.answers["outcome"])["result.json"]["headline"].startswith("RECOVERED"), real.log()
    assert f"run {gone.number} is a drill, and this is a real run: ended for this run" in real.log()
    assert drills.ledger(PROD).tip().serves == "gcp"

    sealed = ended(drills, gone, "NOT_CLEANED", "14")
    assert sealed["cleanup.json"]["withheld"].startswith("asked by "), sealed["cleanup.json"]
    assert "clean-up: destroying" not in gone.log()
    assert f"Gave way   to run {real.number} (" in gone.log()
    assert drills.ledger().tip().state is State.NOT_CLEANED
    assert drills.watcher.pings == []


def test_with_a_runner_of_its_own_nobody_waits_and_whose_service_is_recovered_takes_the_lock(drills: DrillSite) -> None:
    """Production is recovered beside the drill. A real run of the very service that is drilled takes its lock, on another host."""
    site, host = drills.site, second_host(drills)
    site.write_config()
    slow = Double(host.root / "bin" / "hyops", host.root / "core")
    go_on = site.root / "go-on"
    slow.script(steps={"postgresql_restore": {"until": str(go_on)}})
    control = site.control.beside(caller_job="drill / Drill", runner="dr-drill-runner-01")
    with at_work(drills, "drill: on a runner of its own", host.env, control=control, **host.options) as drill:
        site.control.answer, site.control.late = ("jonas", "approved"), True
        real = failover(drills, "a recovery beside it")
        site.control.answer = None
        taking = site.start("a recovery of what is drilled", decision("inc-4242-the-drilled-one", DRILL))
        go_on.touch()
        gone = drill.result(200)
    assert real.jobs == ALL_GREEN, real.log()
    assert "busy" not in real.log()
    assert bundle(site, real, real.answers["outcome"])["result.json"]["headline"].startswith("RECOVERED")
    assert drills.ledger(PROD).tip().serves == "gcp"
    assert taking.answers["exit_code"] == "0", taking.log()
    bundle(site, taking, taking.answers["outcome"])
    sealed = ended(drills, gone, "NOT_CLEANED", "14")
    assert sealed["cleanup.json"]["withheld"] == "another run has taken the lock"
    assert "clean-up: destroying" not in gone.log()
    tip = drills.ledger().tip()
    assert tip.claim is not None
    assert (tip.claim.run_id, tip.claim.drill, tip.state) == (f"{taking.number}-1", False, State(taking.answers["outcome"]))
    assert [call for call in site.control.fake.calls if call.path.endswith("/cancel")] == []


def test_a_drill_that_nothing_started_is_missed_where_somebody_else_looks(
    tmp_path: Path, authority: OpenBao, request: pytest.FixtureRequest
) -> None:
    """GitHub started no drill for two months. The other schedule makes the board: its run is red, and the watcher hears nothing."""
    with make_site(tmp_path, authority) as site, drilling(site, since=timedelta(days=65)) as drills:
        drills.copy_template(FILE)
        ran = drills.readiness("readiness: a drill was missed")
        in_the_table(request, site)
    assert (ran.jobs.get("due"), ran.jobs.get("board"), "plan" in ran.jobs) == ("success", "failure", False), ran.log()
    board = board_of(ran, tmp_path / "board")
    missed = [alarm for alarm in board.alarms if alarm.kind == "drill.missed"]
    assert [(alarm.level, alarm.service) for alarm in missed] == [("alarm", PROD)], board.alarms
    [owed] = [owed for service in board.services for owed in service.obligations]
    assert (owed.state, owed.practised_on) == ("missed", DRILL)
    assert any("drill.missed" in summary for summary in ran.summaries)
    assert drills.watcher.pings == []
