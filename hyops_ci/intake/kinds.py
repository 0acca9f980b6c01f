"""Which kind of document an object is: from its content, never from a file name; an object that could be two kinds is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hyops_ci.errors import Exit, Refusal

ALERTS: Final = "alert-notification"
IDS: Final = {"execution_id": "execution-record", "dispatch_id": "dispatch-request", "attempt_id": "executor-attempt"}
TAKEN: Final = {
    "decision-record": ({"emitted"}, "emit-only"),
    "dispatch-request": ({"awaiting-approval", "queued"}, "record-only"),
    "execution-record": ({"approved-ready"}, "approval-only"),
    "executor-attempt": ({"dry-run-ready"}, "dry-run"),
}
WHY_NOT: Final = {
    "proposed": "a dry run of the decision service",
    "queued-local-exec": "already executed at the edge",
    "local-hyops": "already executed at the edge, or blocked there",
}
"""Why a record in this state or mode is not acted on."""
_RECORD_ONLY: Final = frozenset({"module_ref", "target_mode", "thanos_query_url", "signal_ready"})


def kind_of(value: Mapping[str, Any]) -> str:
    """Return the published kind of `value`. Raises Refusal (exit 3) when none or more than one fits."""
    kinds = {kind for key, kind in IDS.items() if key in value}
    if "alerts" in value:
        kinds.add(ALERTS)
    if "kind" in value:
        kinds.add("decision")
    elif "decision_id" in value:
        minimal = "target_cloud" in value or "dr_mode" in value
        record = bool(_RECORD_ONLY & value.keys())
        kinds |= {"minimal-artifact"} if minimal else set()
        kinds |= {"decision-record"} if record or not minimal else set()
    if len(kinds) == 1:
        return kinds.pop()
    raise Refusal(
        "intake.kind",
        "this can be read in more than one way" if kinds else "this is not a decision",
        exit_code=Exit.DECISION,
        found=f"readable as {' and as '.join(sorted(kinds))}" if kinds else f"fields {', '.join(sorted(map(str, value))[:8]) or 'none'}",
        expected="a Decision (kind: Decision), the minimal artifact, one HybridOps record with one of its ids, or alerts of Alertmanager",
        fix="send the document as its author wrote it, one at a time",
    )


def identity_of(kind: str, value: Mapping[str, Any]) -> str:
    """Return the id of a record of this kind; of alerts, as `alert_id`."""
    if kind == ALERTS:
        from hyops_ci.intake.alerts import alert_id

        return alert_id(value)
    return str(value[next((key for key, known in IDS.items() if known == kind), "decision_id")])


def check_mode(kind: str, value: Mapping[str, Any]) -> None:
    """Raise Refusal (exit 3) `record.mode` for a well-formed record that says it is a dry run, or executed already."""
    statuses, mode = TAKEN[kind]
    for said, allowed in ((str(value["status"]), statuses), (str(value["execution_mode"]), {mode})):
        if said not in allowed:
            why = WHY_NOT.get(said, f"not {' or '.join(sorted(allowed))}")
            raise Refusal(
                "record.mode",
                f"the record is {why}",
                exit_code=Exit.DECISION,
                found=f"{identity_of(kind, value)}: {said}",
                expected=f"status {' or '.join(sorted(statuses))}, mode {mode}",
                fix="decide as a person, or wait for the next record",
            )
