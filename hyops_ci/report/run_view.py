"""The documents of a bundle, read for a report: tolerant where `verify` is strict, because a broken bundle must still be readable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, TypeVar

from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.base import Model, moment
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.manifest import Manifest
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import Event, Result
from hyops_ci.contracts.track_record import TRACK_RECORD, TrackRecord
from hyops_ci.dataclass import dataclass, field
from hyops_ci.evidence.approved import ENVELOPES
from hyops_ci.evidence.recorder import EVENTS, STAGES
from hyops_ci.parsing.documents import json_object, read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.report.times import Times, as_count, as_text, read_times
from hyops_ci.report.track_record import expected_time

_FORECAST: Final = {"run": "would run", "skip": "would be skipped", "blocked": "blocked", "unknown": "unknown"}
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class StepView:
    """One step of the plan, with what HyOps reported of it."""

    id: str
    status: str
    """As HyOps last reported it, or `not reached`; where HyOps never started, `would run` by the check, or `planned`."""
    kind: str = ""
    reason: str = ""
    begun: datetime | None = None
    seconds: int | None = None
    no_return: bool = False

    @property
    def mood(self) -> Literal["good", "bad", "other"]:
        """The colour of its status. A step that is still running in a bundle never ended."""
        return "good" if self.status == "ok" else "bad" if self.status in ("failed", "cancelled", "running") else "other"


@dataclass(frozen=True)
class RunView:
    """The documents of a bundle. One that is absent or cannot be read is None or empty."""

    result: Result | None = None
    decision: dict[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    check: Check | None = None
    claim: Claim | None = None
    approvals: tuple[Approval, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)
    steps: tuple[StepView, ...] = ()
    events: tuple[Event, ...] = ()
    objectives: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    manifest: Manifest | None = None
    signers: tuple[str, ...] = ()
    known: TrackRecord | None = None
    """What was known of the service before the run."""

    @property
    def before(self) -> str:
        """How long others took, beside what was promised; empty where no plan knew it."""
        if self.known is None or self.plan is None or not (self.known.drills.proven or self.known.runs.proven):
            return ""
        return expected_time(self.known, self.plan.objective)

    @cached_property
    def times(self) -> Times:
        """The figures of `objectives.json`."""
        return read_times(self.objectives)

    @property
    def transitions(self) -> list[tuple[str, datetime]]:
        """The states that were entered, with their times."""
        return [(event.name, moment(event.at)) for event in self.events if event.kind == "transition"]

    @property
    def requesters(self) -> list[str]:
        """The logins of the requesters, as the request or an approval names them."""
        people = self.request.get("requesters") if isinstance(self.request.get("requesters"), list) else None
        named = [each.get("login") for each in people if isinstance(each, dict)] if people else []
        return [login for login in named if isinstance(login, str)] or [p.login for a in self.approvals[:1] for p in a.requesters]


def view_of(files: Mapping[str, bytes]) -> RunView:
    """Return the documents in `files`. Raises nothing."""
    plan = _model(files, "plan.json", Plan)
    check = _model(files, "check.json", Check)
    events = tuple(_events(files))
    signatures = (json_object(files.get("manifest.dsse.json")) or {}).get("signatures")
    return RunView(
        result=_model(files, "result.json", Result),
        decision=json_object(files.get("decision.json")) or {},
        plan=plan,
        check=check,
        claim=_model(files, "claim.json", Claim),
        approvals=tuple(_approvals(files)),
        request=json_object(files.get("request.json")) or {},
        steps=tuple(_steps(files, plan, check, started=any(event.name == "EXECUTING" for event in events))),
        events=events,
        objectives=json_object(files.get("objectives.json")) or {},
        secrets=json_object(files.get("secrets.json")) or {},
        manifest=_model(files, "manifest.json", Manifest),
        known=_model(files, TRACK_RECORD, TrackRecord),
        signers=tuple(str(each.get("keyid")) for each in signatures if isinstance(each, dict)) if isinstance(signatures, list) else (),
    )


def _model(files: Mapping[str, bytes], name: str, model: type[M]) -> M | None:
    try:
        return read_document(model, files.get(name, b""))
    except JsonError:
        return None


def _approvals(files: Mapping[str, bytes]) -> list[Approval]:
    names = sorted(name for name in files if name.startswith("approvals/") and name != ENVELOPES)
    return [approval for name in names if (approval := _model(files, name, Approval)) is not None]


def _events(files: Mapping[str, bytes]) -> list[Event]:
    """Return the events in order. Whether they form a chain is for the verifier to say."""
    found = []
    for stage in STAGES:
        for line in files.get(f"parts/{stage}/{EVENTS}", b"").splitlines():
            try:
                found.append(read_document(Event, line))
            except JsonError:
                continue
    return found


def _steps(files: Mapping[str, bytes], plan: Plan | None, check: Check | None, *, started: bool) -> list[StepView]:
    """Return the plan's steps in order, each with what HyOps reported of it; then steps that the plan does not have."""
    reported: dict[str, list[dict[str, Any]]] = {}
    for line in files.get("steps.jsonl", b"").splitlines():
        entry = json_object(line) or {}
        if isinstance(entry.get("step"), str):
            reported.setdefault(entry["step"], []).append(entry)
    planned = {step.id: step for step in plan.steps} if plan else {}
    forecast = {step.id: step for step in check.steps} if check and not started else {}
    steps = []
    for name in dict.fromkeys((*planned, *reported)):
        entries = reported.get(name, [{}])
        step, expected = planned.get(name), forecast.get(name)
        silent = _FORECAST[expected.outcome] if expected else "not reached" if started else "planned"
        steps.append(
            StepView(
                id=name,
                status=as_text(entries[-1].get("status")) or silent,
                kind=step.step_class.value if step else "not planned",
                reason=as_text(entries[-1].get("reason")) or (expected.why if expected else ""),
                begun=_time(entries[0].get("at")),
                seconds=as_count(entries[-1].get("seconds")),
                no_return=bool(plan and name == plan.point_of_no_return),
            )
        )
    return steps


def _time(value: object) -> datetime | None:
    try:
        return moment(value) if isinstance(value, str) else None
    except ValueError:
        return None
