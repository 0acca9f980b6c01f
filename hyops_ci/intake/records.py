"""What HybridOps emits today into a Decision, through the config's routes (docs/design/contracts.md 1).

A record says that something happened; only a route says what that means for which service. `cutover` alone
selects nothing: the shipped edge blueprint calls a traffic burst by that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Never

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision, is_seen
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.records import DecisionRecord, DispatchRequest, ExecutionRecord, ExecutorAttempt, RecordCheck
from hyops_ci.contracts.routes import Route
from hyops_ci.errors import Exit, Refusal
from hyops_ci.intake.kinds import check_mode, identity_of
from hyops_ci.parsing.documents import read_model

Record = DecisionRecord | DispatchRequest | ExecutionRecord | ExecutorAttempt
MODELS: Final[Mapping[str, type[Record]]] = {
    "decision-record": DecisionRecord,
    "dispatch-request": DispatchRequest,
    "execution-record": ExecutionRecord,
    "executor-attempt": ExecutorAttempt,
}
REQUEST_WARNING: Final = "a request hides how its source record was made: a rehearsal or an action already executed cannot be told apart"
"""Of a dispatch request, and as much of the records that are made of one: an execution record and an executor's attempt."""
NO_APPROVER_WARNING: Final = "the record calls itself approved and names no approver: an empty approval file is not an approval"


def from_record(kind: str, value: Mapping[str, Any], config: DispatchConfig) -> tuple[Decision, tuple[str, ...]]:
    """Return the decision that a record means, and warnings. Raises Refusal (exit 3, or 4 where the routes say no)."""
    record = read_model(MODELS[kind], value, f"the {kind}")
    identity = identity_of(kind, value)
    check_mode(kind, value)
    _check_freshness(record, identity)
    route = _route(kind, record, config, identity)
    env = record.runtime_env if isinstance(record, DecisionRecord) else record.target_env
    if env != route.service.partition("/")[2]:
        _refuse(
            "route.env",
            "the record is about another env",
            f"{identity}: env {env or 'none'}, service {route.service}",
            "the same env",
            Exit.POLICY,
        )
    if not isinstance(record, DecisionRecord) and not route.accept_requests:
        _refuse(
            "route.requests",
            "requests, and what is made of them, are not accepted here",
            f"{identity}: {REQUEST_WARNING}",
            "accept_requests: true on the route",
            Exit.POLICY,
        )
    claims = _claims(record)
    made: dict[str, Any] = {
        "decision_id": decision_id(identity),
        "decision_type": route.as_type.value,
        "service": route.service,
        "rationale": record.rationale if is_seen(record.rationale) else "no reason given by the record",
        "issued_at": stamp(record.at()),
        "issuer": f"hybridops:{kind}",
        "signals": [_signal(check) for check in record.checks],
        "extensions": claims,
    }
    if plane := getattr(record, "execution_plane", ""):
        made["execution_plane"] = plane
    return read_model(Decision, made, f"the {kind}"), tuple(_warnings(record))


def _signal(check: RecordCheck) -> dict[str, str]:
    """Return a measurement, carried and shown: its number becomes text."""
    observed = datetime.fromtimestamp(check.sample_epoch, UTC)
    return {"name": check.metric, "value": str(check.value), "observed_at": stamp(observed)}


def _warnings(record: Record) -> Iterator[str]:
    if not isinstance(record, DecisionRecord):
        yield REQUEST_WARNING
    if isinstance(record, ExecutionRecord | ExecutorAttempt) and record.approval.required and not record.approval.approved_by.strip():
        yield NO_APPROVER_WARNING


def decision_id(identity: str) -> str:
    """Return a record's id as a decision's: the same where it fits in 128 characters, else its beginning and a digest of the whole."""
    return identity if len(identity) <= 128 else f"{identity[:95]}-{digest_bytes(identity.encode())[7:39]}"


def _check_freshness(record: Record, identity: str) -> None:
    stale = [check.metric for check in record.checks if not check.fresh]
    if stale or not record.checks:
        found = f"{identity}: {', '.join(stale) or 'no checks'}"
        _refuse("record.fresh", "the record rests on stale measurements, or on none", found, "fresh checks")
    if isinstance(record, DecisionRecord):
        _check_sense(record, identity)


def _check_sense(record: DecisionRecord, identity: str) -> None:
    """What the decision service always writes together (docs/design/hyops.md 3.1)."""
    cutover = record.decision_type == "cutover"
    failing = any(not check.ok for check in record.checks)
    if not (record.signal_ready and record.degraded == cutover == failing and (record.target_mode == "SECONDARY") == cutover):
        said = f"degraded {record.degraded}, checks {'failing' if failing else 'ok'}, to {record.target_mode}, ready {record.signal_ready}"
        expected = "a cutover to SECONDARY when degraded, a failback to PRIMARY when all checks are ok"
        _refuse("record.sense", "the record contradicts itself", f"{identity}: {record.decision_type}, {said}", expected)


def _route(kind: str, record: Record, config: DispatchConfig, identity: str) -> Route:
    fields = (
        ("decision_type", "module_ref", "runtime_env", "desired")
        if kind == "decision-record"
        else ("decision_type", "target_kind", "target_ref", "target_env")
    )
    fits = [route for route in config.routes if _fits(route, record, fields)]
    if len(fits) != 1:
        shown = ", ".join(f"{name} {getattr(record, name) or 'none'}" for name in fields)
        reason = "no route of the config takes this record" if not fits else f"{len(fits)} routes take this record"
        _refuse("route.unique", reason, f"{identity}: {shown}", "exactly one route", Exit.POLICY)
    return fits[0]


def _fits(route: Route, record: Record, fields: tuple[str, ...]) -> bool:
    """Every field the route names is this record's. It must name the decision type, and more: alone it selects nothing."""
    named = {name: getattr(route, name) for name in _ROUTED if getattr(route, name) is not None}
    telling = named.keys() & {"module_ref", "target_ref"}
    return (
        bool(telling)
        and "decision_type" in named
        and named.keys() <= set(fields)
        and all(getattr(record, name) == value for name, value in named.items())
    )


_ROUTED: Final = ("decision_type", "module_ref", "runtime_env", "desired", "target_kind", "target_ref", "target_env")


def _claims(record: Record) -> dict[str, str]:
    """Return what others say of an approval: recorded, shown, and worth nothing."""
    approval = getattr(record, "approval", None)
    said = approval.approved_by.strip() if approval is not None else ""
    return {"claimed_approved_by": said[:200]} if said else {}


def _refuse(gate: str, reason: str, found: str, expected: str, exit_code: Exit = Exit.DECISION) -> Never:
    fix = "correct routes in .github/dr-dispatch.yml" if gate.startswith("route.") else "decide as a person, or wait for the next record"
    raise Refusal(
        gate, reason, exit_code=exit_code, found=found, expected=expected, fix=fix, docs="adopt.md" if gate.startswith("route.") else ""
    )
