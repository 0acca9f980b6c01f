"""What Alertmanager sends into a Decision, by the rules of the reviewed config (docs/design/contracts.md 1).

An alert names neither service nor action: a rule of the config does, by labels that all alerts of the notification have. Nothing of an
alert's own text decides anything, and none of it is shown but a summary that is one line of plain text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hyops_ci.contracts.alerts import AlertNotification, AlertRule
from hyops_ci.contracts.base import FORBIDDEN, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision, is_seen
from hyops_ci.contracts.digest import digest
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.parsing.documents import read_model
from hyops_ci.parsing.strict_json import BY_HAND

MOST_SUMMARY: Final = 300
"""Characters of a summary; a longer one is left out, not cut."""
MOST_SIGNALS: Final = 50
TIMELESS: Final = "an alert carries no time of its sending: it counts as made when it was received"


def from_alerts(value: Mapping[str, Any], config: DispatchConfig, received_at: datetime) -> tuple[Decision, tuple[str, ...]]:
    """Return the decision that a notification asks for, and warnings.

    Raises Refusal: exit 3 for one of which nothing fires any more, 4 where not exactly one rule of the config fits.
    """
    notification = read_model(AlertNotification, value, "the alert")
    identity = alert_id(value)
    rule = _rule(notification, config, identity)
    fires = sorted((_since(each.startsAt), each.fingerprint) for each in notification.alerts if each.status == "firing")
    name, summary = rule.labels["alertname"], notification.commonAnnotations.get("summary", "")
    plain = bool(summary) and len(summary) <= MOST_SUMMARY and is_seen(summary) and not re.search(FORBIDDEN, summary)
    made: dict[str, Any] = {
        "decision_id": identity,
        "decision_type": "failover",
        "service": rule.service,
        "rationale": f"alert {name}, firing since {stamp(fires[0][0].replace(microsecond=0))}{f': {summary}' if plain else ''}",
        "issued_at": stamp(received_at.replace(microsecond=0)),
        "issuer": "alertmanager",
        "signals": [
            {"name": name, "value": f"firing, fingerprint {fingerprint}", "observed_at": stamp(since)}
            for since, fingerprint in fires[:MOST_SIGNALS]
        ],
    }
    if rule.action == "check":
        made["exercise"] = {"kind": "drill", "level": "check", "drill_id": identity}
    left_out = ("the alert's summary is not one line of plain text, and is left out",) if summary and not plain else ()
    return read_model(Decision, made, "the alert"), (TIMELESS, *left_out)


def alert_id(value: Mapping[str, Any]) -> str:
    """Return the id of the decision that a well-formed notification asks for: its oldest alert, since when, and a digest of the whole.

    A repeated notification says it in other words, and two decisions never have one id; that both are about one outage is known by
    the ledger (docs/design/contracts.md 6). Raises Refusal (exit 3) where nothing fires any more.
    """
    fires = [(_since(str(each["startsAt"])), str(each["fingerprint"])) for each in value["alerts"] if each["status"] == "firing"]
    if value["status"] != "firing" or not fires:
        raise Refusal(
            "alert.resolved",
            "the alert fires no more, so it asks for nothing",
            exit_code=Exit.DECISION,
            found=f"status {value['status']}, {len(fires)} of {len(value['alerts'])} alerts firing",
            expected="a notification of alerts that fire",
            fix="send_resolved: false in the receiver of Alertmanager",
            docs="alerts.md",
        )
    since, fingerprint = min(fires)
    return f"alert-{fingerprint}-{since:%Y%m%dT%H%M%SZ}-{digest(value)[7:15]}"


def _rule(notification: AlertNotification, config: DispatchConfig, identity: str) -> AlertRule:
    there = notification.commonLabels
    fits = [rule for rule in config.alerts if rule.labels.items() <= there.items()]
    if len(fits) != 1:
        raise Refusal(
            "alert.rule",
            "no rule of the config takes this alert" if not fits else f"{len(fits)} rules of the config take this alert",
            exit_code=Exit.POLICY,
            found=f"{identity}: alertname {shown(there.get('alertname', 'none'))}, labels {shown(', '.join(sorted(there)))}",
            expected="exactly one rule, with alertname among its labels, all of which the alerts have in common",
            fix="correct alerts in .github/dr-dispatch.yml in a pull request",
            docs="alerts.md",
        )
    return fits[0]


def _since(text: str) -> datetime:
    """Return the instant of a time of Go. Raises Refusal (exit 3) for a day that does not exist."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refusal(
            "intake.schema",
            "the alert began on a day that does not exist",
            exit_code=Exit.DECISION,
            found=f"/alerts/startsAt = {shown(text)}",
            expected="a time that Alertmanager wrote",
            fix=BY_HAND,
        ) from None
