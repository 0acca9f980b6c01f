"""Decisions and alerts that arrive by `repository_dispatch`: the shipped templates, from the event to what it came to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hyops_ci.contracts.base import stamp
from hyops_ci.readiness.store import ReadinessStore
from tests.act.control import CALLER
from tests.act.dispatched import CarriedOut, carried_out
from tests.act.people import Person
from tests.act.rewriting import ROOT, UNPINNED
from tests.act.running import ActRun
from tests.act.site import OBSERVER, SERVICE, Site
from tests.act.test_dispatch import ALL_GREEN, bundle
from tests.support.issuer import WORKFLOW_SHA

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]
TEMPLATES = ROOT / "workflows-templates"
SENT = ROOT / "tests" / "cases" / "intake" / "accept" / "alert-of-a-payload" / "input.json"
RECORD = ROOT / "tests" / "cases" / "intake" / "accept" / "sample-decision-record-cutover" / "input.json"


@contextmanager
def listening(site: Site, template: str, scenario: str) -> Iterator[CarriedOut]:
    """The site with a template more, whose runs are carried out."""
    text = (TEMPLATES / template).read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}") + OBSERVER
    (site.repository / ".github" / "workflows" / template).write_text(text)
    site.control.repository.add_workflow(f".github/workflows/{template}", text)
    site.write_config()
    with carried_out(site, scenario) as runs:
        yield runs


def send(site: Site, event: str, decision: Any) -> int:
    """Send an event as Alertmanager does: with a token that may do no more, and with no look at the answer but its status."""
    token = site.control.fake.add_token("contents: write", actor="alerts")
    answer = requests.post(
        f"{site.control.fake.url}/repos/{CALLER}/dispatches",
        json={"event_type": event, "client_payload": {"decision": decision}},
        headers={"Authorization": f"Bearer {token}", "User-Agent": "Alertmanager/0.35.0"},
        timeout=30,
    )
    return answer.status_code


def alert(**labels: str) -> dict[str, Any]:
    """What Alertmanager sent, of an alert that began half a minute ago."""
    found: dict[str, Any] = json.loads(SENT.read_text())
    found["commonLabels"] |= labels
    found["alerts"][0] |= {"startsAt": stamp(datetime.now(UTC) - timedelta(seconds=30))}
    return found


def only(runs: CarriedOut) -> ActRun:
    """The one run that was carried out."""
    [found] = runs.acted.values()
    return found


def test_an_alert_has_its_service_checked_and_asks_nobody(site: Site) -> None:
    """Its labels and its summary would command a shell, an expression and the runner, if any of them read it."""
    site.config["alerts"] = [{"service": SERVICE, "labels": {"alertname": "PostgresDown", "env": "lab"}}]
    hostile = alert(
        env="lab", service="web/prod", action="failover", shell="$(touch /tmp/pwned) `id`", line="a\n::set-output name=ready::true"
    )
    hostile["commonAnnotations"] = {"summary": "${{ github.token }} $(id) ::error::x"}
    with listening(site, "dr-alert.yml", "alert, a check") as runs:
        assert send(site, "dr-alert", hostile) == 204
    run = only(runs)
    assert (run.answers["outcome"], run.answers["exit_code"]) == ("CHECK_PASSED", "0"), run.log()
    assert (run.jobs["check"], run.jobs.get("execute", "skipped")) == ("success", "skipped")
    sealed = bundle(site, run, "CHECK_PASSED")
    decision = sealed["decision.json"]
    assert decision["exercise"]["level"] == "check"
    assert re.fullmatch(r"alert-[0-9a-f]{16}-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", decision["decision_id"])
    assert decision["rationale"].endswith("Z: ${{ github.token }} $(id) ::error::x"), "text, and as it came"
    assert [person["login"] for person in sealed["origin.json"]["requesters"]] == ["alerts"]
    assert not [line for line in run.log().splitlines() if re.search(r"\| ::(error|set-output)", line)]
    assert f"gh workflow run dr.yml -f service={SERVICE} -f action=failover" in "\n".join([*run.summaries, run.log()])
    kept = ReadinessStore.over_git(str(site.ledger_repository), SERVICE, state_dir=site.root / "onlooker").read()
    assert kept is not None
    assert site.ledger().tip().epoch == 0
    assert site.tokens.asked == [("check", site.bao.origin)]


def test_what_asks_for_nothing_begins_nothing(site: Site) -> None:
    site.config["alerts"] = [{"service": SERVICE, "labels": {"alertname": "PostgresDown", "env": "lab"}}]
    with listening(site, "dr-alert.yml", "alert, refused") as runs:
        assert send(site, "dr-alert", alert(env="lab") | {"status": "resolved"}) == 204
        assert send(site, "dr-alert", alert(env="nobodys")) == 204
        assert send(site, "dr-alert", alert(x="x" * 1024 * 1024)) == 422, "GitHub takes no megabyte"
    over, unknown = runs.acted.values()
    assert over.jobs.get("plan", "skipped") == "skipped", "what is over starts no job"
    assert (unknown.answers["outcome"], unknown.answers["exit_code"]) == ("BLOCKED", "4"), unknown.log()
    refusal = bundle(site, unknown, "BLOCKED")["refusal.json"]
    assert (refusal["gate"], refusal["docs"]) == ("alert.rule", "alerts.md")
    assert site.tokens.asked == []


def test_an_alert_that_may_ask_for_a_failover_asks_people_and_acts_once(site: Site) -> None:
    site.config["alerts"] = [{"service": SERVICE, "labels": {"alertname": "PostgresDown", "env": "lab"}, "action": "failover"}]
    fires = alert(env="lab")
    with listening(site, "dr-alert.yml", "alert, a failover") as runs:
        assert send(site, "dr-alert", fires) == 204
        waiting = settled(runs, 1)
        assert waiting.answers["outcome"] == "UNSIGNED", waiting.log()
        assert f"approve {site.git.origin}/{CALLER}/actions/runs/{waiting.number}" in waiting.log()
        page = f"{site.git.origin}/{CALLER}/actions/runs/{waiting.number}"
        code, _, said = Person(site, "jonas").says(f"hyops-ci approve {page} --key {site.approver_key} --yes")
        assert code == 0, said
        assert "old side not confirmed off: if it lives, there are two primaries" in said
        recovered = settled(runs, 2)
        assert recovered.jobs == ALL_GREEN, recovered.log()
        sealed = bundle(site, recovered, recovered.answers["outcome"])
        assert [person["login"] for person in sealed["origin.json"]["requesters"]] == ["alerts"]
        assert site.ledger().tip().position == "failed_over"
        fires["alerts"].append({**fires["alerts"][0], "fingerprint": "ffffffffffffffff", "startsAt": stamp(datetime.now(UTC))})
        assert send(site, "dr-alert", fires) == 204
        again = settled(runs, 3)
    assert (again.answers["outcome"], again.answers["exit_code"]) == ("DUPLICATE", "0"), again.log()
    assert site.ledger().tip().epoch == 1


def settled(runs: CarriedOut, count: int) -> ActRun:
    """The last of so many runs, once it has ended."""
    runs.wait_for(count)
    return list(runs.acted.values())[-1]


def test_a_record_of_the_decision_service_waits_for_people(site: Site, tmp_path: Path) -> None:
    """Sent by the edge with the command line, by the template for decisions; who signs it starts the run that goes on."""
    now = datetime.now(UTC)
    record = json.loads(RECORD.read_text()) | {"timestamp_utc": now.isoformat(timespec="microseconds"), "runtime_env": "lab"}
    for check in record["checks"]:
        check["sample_epoch"] = now.timestamp()
    (tmp_path / "record.json").write_text(json.dumps(record))
    route = {"service": SERVICE, "as": "failover", "decision_type": "cutover", "module_ref": record["module_ref"], "runtime_env": "lab"}
    site.config["routes"] = [route]
    with listening(site, "dr-decision.yml", "decision by event") as runs:
        line = f"hyops-ci dispatch --decision @{tmp_path}/record.json --event-type dr-decision --workflow dr-decision.yml"
        code, out, said = Person(site, "edge").says(line)
        assert code == 0, said
        waiting = settled(runs, 1)
        assert f"/actions/runs/{waiting.number}" in out + said
    assert waiting.answers["outcome"] == "UNSIGNED", waiting.log()
    decision = bundle(site, waiting, "UNSIGNED")["decision.json"]
    assert (decision["issuer"], decision["decision_id"]) == ("hybridops:decision-record", record["decision_id"])
    started: list[dict[str, Any]] = []
    asked = site.control.repository.runs[int(waiting.number)]
    next(each for each in site.control.repository.workflows if each.path == asked.path).on_start = lambda run: started.append(run.inputs)
    page = f"{site.git.origin}/{CALLER}/actions/runs/{waiting.number}"
    code, _, said = Person(site, "jonas").says(f"hyops-ci approve {page} --key {site.approver_key} --yes")
    assert code == 0, said
    assert started == [{"resume": waiting.number}]
