"""A recovery of a service whose drill was missed: its approver reads it, it goes through, and its result repeats it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.run import Result, State
from hyops_ci.contracts.track_record import TRACK_RECORD, TrackRecord
from hyops_ci.intake.form import Form
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.report.approval_page import approval_lines
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.track_record import track_record_in
from tests.security.incident import RECOVERED, SERVICE, Incident, start_incident

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
OVERLAY = ".github/dr/lab/postgresql-ha-failover-gcp.yml"
MISSED = f"drill of {SERVICE} on pg-ha/drill every P30D: MISSED since"


@pytest.fixture
def incident(tmp_path: Path) -> Any:
    """The config owes a drill, and the ledger of the service that it would restore is a year old."""
    with start_incident(tmp_path) as made:
        practice = {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1", "overlay": OVERLAY}}

        def owes(config: dict[str, Any]) -> None:
            config["services"]["pg-ha/drill"] = practice
            config.setdefault("envs", {})["drill"] = {"class": "drill"}
            config["drills"] = {SERVICE: {"check": {"every": "P1D"}, "isolated": {"every": "P30D"}}}

        made.configure(owes)
        ledger = Ledger.over_git(str(made.site.root / "ledger.git"), "pg-ha/drill", state_dir=made.site.root / "maker")
        ledger.init("onprem", stamp(made.site.clock.now() - timedelta(days=365)))
        yield made


def checked(incident: Incident) -> None:
    plan(Ask(incident.site.repository, form=Form("check", SERVICE, "weekly")), incident.folder, incident.world("plan"))
    incident.check()
    incident.conclude()
    incident.start(actor="maria")


def test_an_approver_reads_what_was_missed_and_the_run_goes_through(incident: Incident) -> None:
    checked(incident)
    incident.reach_gate()
    page = approval_lines(incident.folder.read_model("request.json", ApprovalRequest), known=track_record_in(incident.folder))
    told = {line[:10].strip(): line[11:] for line in page}
    assert ", ready, run " in told["Last check"]
    assert f"check of {SERVICE} every P1D: next " in told["Owed"]
    assert MISSED in told["Owed"]
    assert any(line.startswith("Deviation") and MISSED in line for line in page)
    assert incident.execute(incident.signed("jonas")).state in RECOVERED, "the words are the same before the start as at the check"
    result = incident.folder.read_model("result.json", Result)
    assert any(MISSED in each for each in result.deviations)


def test_the_next_run_is_told_how_long_this_one_took(incident: Incident) -> None:
    incident.reach_gate()
    assert incident.execute(incident.signed("jonas")).state in RECOVERED
    incident.start(actor="maria")
    plan(Ask(incident.site.repository, form=Form("failback", SERVICE, "home")), incident.folder, incident.world("plan"))
    known = incident.folder.read_model(TRACK_RECORD, TrackRecord)
    assert (known.runs.runs, len(known.runs.proven)) == (1, 1)
    assert any(line.startswith("last runs: ") for line in incident.said)


def test_a_check_is_no_deviation_of_what_is_owed(incident: Incident) -> None:
    plan(Ask(incident.site.repository, form=Form("check", SERVICE, "weekly")), incident.folder, incident.world("plan"))
    assert incident.check().state is State.CHECKED
    assert not any("MISSED" in each for each in incident.folder.read_model("check.json", Check).deviations)
    assert incident.folder.read_model(TRACK_RECORD, TrackRecord).missed() != ()
