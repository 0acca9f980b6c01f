"""readiness.yml for a caller: the check that is due, by dispatch.yml within; the board and its alarms; the ping, or its silence."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.board import Board
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.readiness import READINESS_PAYLOAD
from hyops_ci.parsing.documents import read_document
from hyops_ci.readiness.store import ReadinessStore
from hyops_ci.signing.dsse import load_key, sign
from tests.act.rewriting import ROOT, UNPINNED
from tests.act.running import ActRun
from tests.act.site import OBSERVER, SERVICE, Site
from tests.support.issuer import WORKFLOW_SHA
from tests.support.receiver import SECRET, start_receiver
from tests.unit.report.sample_board import readiness

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow]
TEMPLATE = ROOT / "workflows-templates" / "dr-readiness.yml"
FILE = "dr-readiness.yml"
SEEN = OBSERVER.replace(" dr\n", " readiness\n").replace(".dr.", ".readiness.")
PING = "c4n4ry-6b1f-4a6e-address-of-the-watcher"


def checked(site: Site, scenario: str, heartbeat: str, every: str = "P1D", **inputs: str) -> ActRun:
    """A run of the shipped template, as the schedule starts it."""
    text = TEMPLATE.read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}") + OBSERVER.replace(" dr\n", " readiness\n").replace(
        ".dr.", ".readiness."
    )
    (site.repository / ".github" / "workflows" / FILE).write_text(text)
    if not any(each.path.endswith(FILE) for each in site.control.repository.workflows):
        site.control.repository.add_workflow(f".github/workflows/{FILE}", text)
    site.config |= {
        "drills": {SERVICE: {"check": {"every": every}}},
        "notify": site.config.get("notify", {}) | {"heartbeat": heartbeat.removesuffix("/dr")},
    }
    site.write_config()
    secrets = {"DR_HEARTBEAT_URL": f"{heartbeat.removesuffix('/dr')}/{PING}", "DR_NOTIFY_SECRET": SECRET}
    return site.start(scenario, inputs, file=FILE, secrets=secrets)


def board_of(ran: ActRun, to: Path) -> Board:
    folder = ran.artifact(f"dr-board-{ran.number}-1", to)
    assert "<!doctype html>" in (folder / "index.html").read_text()
    return read_document(Board, (folder / "board.json").read_bytes())


@pytest.mark.timeout(900)
def test_a_check_that_passes_is_kept_and_the_watcher_hears_of_it(site: Site, tmp_path: Path) -> None:
    with start_receiver() as watcher:
        ran = checked(site, "readiness: good", watcher.url)
        assert ran.jobs.get("due") == "success", ran.log()
        assert ran.jobs.get("conclude") == "success", ran.log()
        board = board_of(ran, tmp_path / "board")
        assert (ran.answers["service"], ran.answers["outcome"]) == (SERVICE, "CHECK_PASSED")
        assert ran.answers["board_artifact"] == f"dr-board-{ran.number}-1"
        assert int(ran.answers["alarms"]) == len(board.alarms)
        [service] = board.services
        assert service.readiness is not None
        assert service.readiness.standing == "ready", ran.log()
        assert [each.state for each in service.obligations] == ["done"]
        assert [alarm.kind for alarm in board.alarms if alarm.level == "alarm"] == [], board.alarms
        assert watcher.pings == [f"/{PING}"], ran.log()
    assert PING not in "\n".join(line for lines in ran.said.values() for line in lines), "the address is shown nowhere"


def keep_an_old_check(site: Site) -> None:
    """A check of three hours ago that passed, signed by the host and kept beside the ledger; it said something for an hour."""
    key, then = load_key(site.root / "runner" / "host.key"), datetime.now(UTC) - timedelta(hours=3)
    record = readiness(
        ledger_id=site.ledger().tip().ledger_id,
        service=SERVICE,
        checked_at=stamp(then),
        expires_at=stamp(then + timedelta(hours=1)),
    )
    envelope = sign(canonical(record.document()), READINESS_PAYLOAD, [key])
    ReadinessStore.over_git(str(site.ledger_repository), SERVICE, state_dir=site.root / "onlooker").keep(canonical(envelope), "old")


def alarms(board: Board) -> list[tuple[str, str | None]]:
    return [(alarm.kind, alarm.service) for alarm in board.alarms if alarm.level == "alarm"]


@pytest.mark.timeout(900)
def test_what_is_stale_and_what_fails_is_an_alarm_and_the_watcher_hears_nothing(site: Site, tmp_path: Path) -> None:
    keep_an_old_check(site)
    with start_receiver() as watcher:
        site.config["notify"] = {"webhook": watcher.url, "at": ["alarm"]}
        stale = checked(site, "readiness: stale", watcher.url, "P30D")
        assert (stale.jobs.get("due"), stale.jobs.get("board"), "plan" in stale.jobs) == ("success", "failure", False), stale.log()
        assert alarms(board_of(stale, tmp_path / "stale")) == [("readiness.stale", SERVICE)]
        shutil.rmtree(site.env_root / "state")
        failing = checked(site, "readiness: failing", watcher.url, "P30D", service=SERVICE)
        assert (failing.answers["outcome"], failing.answers["exit_code"]) == ("BLOCKED", "9"), failing.log()
        # act starts no job after a reusable workflow that failed: the board is that of the next run, in which nothing is due.
        site.control.repository.workflows[-1].state = "disabled_inactivity"
        after = checked(site, "readiness: the run after", watcher.url, "P30D")
        found = board_of(after, tmp_path / "failing")
        assert alarms(found) == [("readiness.refused", SERVICE), ("schedule.disabled", None)]
        [record] = [each.readiness.record for each in found.services if each.readiness is not None]
        assert record is not None
        assert record.run_id == f"{failing.number}-1", "the check that failed was kept, too"
        assert watcher.pings == []
        assert [each["text"] for each in watcher.taken] == [
            f"ALARM  1 alarm: readiness.stale {SERVICE}",
            f"ALARM  2 alarms: readiness.refused {SERVICE}, schedule.disabled",
        ]
        assert (watcher.moments, watcher.forged) == (["alarm", "alarm"], [])
    assert any("readiness.refused" in summary for summary in after.summaries)
