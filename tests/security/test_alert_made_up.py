"""Attack: an alert that somebody made up, or whose text would command, sent by whoever has Alertmanager's token (docs/alerts.md)."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.run import State
from hyops_ci.report.approval_page import approval_lines
from tests.security.incident import SERVICE, Incident, assert_refused

SENT = Path(__file__).parents[1] / "cases" / "intake" / "accept" / "alert-of-a-payload" / "input.json"
LABELS = {"alertname": "PostgresDown", "env": "prod"}


def alert(incident: Incident, summary: str = "no primary", **labels: str) -> bytes:
    """What Alertmanager sends, of an alert that has just begun."""
    value = json.loads(SENT.read_text("utf-8"))
    value["alerts"][0]["startsAt"] = incident.site.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z")
    value["commonLabels"] |= labels
    value["commonAnnotations"] = {"summary": summary}
    return json.dumps(value).encode()


def rule(incident: Incident, **more: Any) -> None:
    incident.configure(lambda config: config.update(alerts=[{"service": SERVICE, "labels": LABELS, **more}]))


def test_an_alert_that_no_rule_is_for(incident: Incident) -> None:
    assert_refused(incident, incident.plan(alert(incident)), "alert.rule", 4, "alertname PostgresDown")


def test_a_rule_for_a_service_that_the_config_does_not_have(incident: Incident) -> None:
    rule(incident, service="nobody/lab")
    assert_refused(incident, incident.plan(alert(incident)), "config.service", 4, "nobody/lab", epoch=None)


@pytest.mark.parametrize("label", ["service", "action", "decision_type", "requires_approval"])
def test_labels_that_would_choose_what_is_done(incident: Incident, label: str) -> None:
    """By a rule that lets it ask for a check, an alert ends with one, whatever it says of itself; nobody is asked to approve."""
    rule(incident)
    assert incident.plan(alert(incident, **{label: "failover"})).state is State.PLANNED
    decision = incident.folder.read_model("decision.json", Decision)
    assert (decision.service, decision.requires_approval) == (SERVICE, True)
    assert decision.exercise is not None
    assert decision.exercise.level == "check"
    assert incident.check().state is State.CHECKED
    assert incident.execute().refusal is not None
    assert incident.ledger().tip().epoch == 0


@pytest.mark.parametrize("summary", ["a\n::error::x", "\x1b[2Jcleared", "abc\u202egpj"])
def test_a_summary_that_would_command(incident: Incident, summary: str) -> None:
    rule(incident, action="failover")
    assert incident.plan(alert(incident, summary)).state is State.PLANNED
    assert incident.folder.read_model("decision.json", Decision).rationale.count(":") == 2, "its time, and nothing of the summary"


def test_an_alert_of_a_megabyte(incident: Incident) -> None:
    rule(incident)
    assert_refused(incident, incident.plan(alert(incident, x="x" * 1024 * 1024)), "intake.size", 3, "bytes")


def test_an_alert_that_may_ask_for_a_failover_still_needs_people(incident: Incident) -> None:
    """The twin: by a rule that says so, the approvers are asked, and read that an alert asks."""
    rule(incident, action="failover")
    assert incident.plan(alert(incident)).state is State.PLANNED
    assert incident.check().state is State.CHECKED
    page = "\n".join(approval_lines(incident.folder.read_model("request.json", ApprovalRequest)))
    assert "alert PostgresDown, firing since" in page
    assert_refused(incident, incident.execute(), "approval.unsigned", 6)
