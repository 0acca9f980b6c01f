"""Attack: somebody who may push says in a ledger that a drill has passed, so that none is made and nobody is alarmed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from hyops_ci.cli.ledger_options import places
from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.board import Board
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.run import State
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.board.board import BoardFacts, make_board
from hyops_ci.operations.next_drill import NextDrill, next_drill
from hyops_ci.operations.status import ServiceStatus, status
from hyops_ci.signing.dsse import new_key
from tests.security.incident import SERVICE, Incident
from tests.security.ledger_attacker import OTHER, request
from tests.support.host_key import host_signs

DRILLED = "pg-ha/drill"
OVERLAY = ".github/dr/lab/postgresql-ha-failover-gcp.yml"


@pytest.fixture
def owing(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> Incident:
    """A drill every month is owed, and was never made: its ledger is half a year old."""
    monkeypatch.setenv("HOME", mkdtemp(dir=incident.site.root.parent))

    def owes(config: dict[str, Any]) -> None:
        config["services"][DRILLED] = {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1", "overlay": OVERLAY}}
        config.setdefault("envs", {})["drill"] = {"class": "drill"}
        config["drills"] = {SERVICE: {"isolated": {"every": "P30D"}}}

    incident.configure(owes)
    drilled(incident).init("onprem", stamp(incident.site.clock.now() - timedelta(days=180)))
    return incident


def drilled(incident: Incident) -> Ledger:
    """The drilled service's ledger, as somebody else's machine sees and writes it."""
    return Ledger.over_git(str(incident.site.root / "ledger.git"), DRILLED, state_dir=Path(mkdtemp(dir=incident.site.root.parent)))


def passed(ledger: Ledger, incident: Incident) -> None:
    """A drill from its claim to an end that counts: proven, and nothing is left."""
    claim = ledger.claim(request(incident, service=DRILLED, drill=True))
    at = stamp(incident.site.clock.now())
    ledger.advance(claim, State.EXECUTING, at=at, mutating=True)
    figures = Figures(level="isolated", request_to_proven=600, verdict="met", cleaned=True)
    ledger.advance(claim, State.COMPLETED, at=at, figures=figures, bundle_sha256=OTHER)


def known(incident: Incident) -> tuple[tuple[ServiceStatus, ...], NextDrill, Board]:
    """What the schedules of drills and of readiness make of it."""
    content = (incident.site.repository / ".github" / "dr-dispatch.yml").read_bytes()
    config, now = parsed_config(content), incident.site.clock.now()
    assert isinstance(config, DispatchConfig)
    found = status(config, places(config, str(incident.site.root / "ledger.git")), now, None)
    board = make_board(BoardFacts(config=config, config_sha256=OTHER, services=found, now=now)).board
    return found, next_drill(found, "", 0), board


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "by-a-strangers-key"])
def test_a_drill_that_never_happened(owing: Incident, signed: bool, tmp_path: Path) -> None:
    ledger = drilled(owing)
    if signed:
        new_key(tmp_path / "key.pem")
        host_signs(ledger, tmp_path / "key.pem")
    passed(ledger, owing)
    found, due, board = known(owing)
    [owed] = [owed for each in found if each.known is not None for owed in each.known.obligations]
    assert owed.done_at is None
    assert owed.state in ("missed", "unknown"), owed
    assert not due.quiet, "the watcher outside hears nothing"
    assert [(alarm.kind, alarm.exit_code) for alarm in board.alarms if alarm.service == DRILLED and alarm.level == "alarm"] == [
        ("ledger.unvouched", 5)
    ]


def test_a_drill_that_its_host_signed(owing: Incident) -> None:
    """The twin: the same by a host of the config is done."""
    _, before, _ = known(owing)
    assert (before.service, before.quiet) == (SERVICE, False)
    ledger = drilled(owing)
    host_signs(ledger, owing.site.host_key)
    passed(ledger, owing)
    found, due, board = known(owing)
    [owed] = [owed for each in found if each.known is not None for owed in each.known.obligations]
    assert (owed.state, due.service, due.quiet) == ("done", "", True), (owed, board.alarms)
