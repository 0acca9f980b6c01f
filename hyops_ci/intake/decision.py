"""Any of the inputs into one Decision (docs/design/contracts.md 1): canonical, minimal artifact, HybridOps record, alert, or form."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final

from hyops_ci.contracts.base import moment, seconds, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision, DecisionType
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.lanes import ON_PREM
from hyops_ci.contracts.records import MinimalArtifact
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.intake.alerts import from_alerts
from hyops_ci.intake.form import CHECK, DRILL, SETTLE, Form
from hyops_ci.intake.kinds import ALERTS
from hyops_ci.intake.records import MODELS as RECORDS
from hyops_ci.intake.records import from_record
from hyops_ci.intake.validate import validate
from hyops_ci.parsing.documents import read_model
from hyops_ci.parsing.strict_json import BY_HAND, read_object
from hyops_ci.text import short_span

FUTURE: Final = timedelta(seconds=60)
"""Difference of clocks that is let pass."""


@dataclass(frozen=True)
class Intake:
    """A decision, and the bytes it was read from."""

    decision: Decision
    source: bytes = field(repr=False)
    form: str
    """`decision`, `minimal-artifact`, `alert-notification`, `form`, or the kind of a HybridOps record."""
    warnings: tuple[str, ...] = ()

    @property
    def source_sha256(self) -> str:
        """Digest of exactly the bytes that came in."""
        return digest_bytes(self.source)


def read_decision(data: bytes, *, config: DispatchConfig, now: datetime, received_at: datetime | None = None) -> Intake:
    """Return the decision in `data`. Raises Refusal: exit 3, or 4 where the routes say no.

    `received_at` (default: now) is when an artifact without a time counts as made. Where the config has one service, the command
    in its fix is ready to paste.
    """
    try:
        return _read(data, config, now, received_at or now)
    except Refusal as refusal:
        if len(config.services) == 1:
            refusal.fix = refusal.fix.replace("<name>/<env>", next(iter(config.services)))
        raise


def _read(data: bytes, config: DispatchConfig, now: datetime, received_at: datetime) -> Intake:
    kind = validate(data)
    value = read_object(data)
    warnings: tuple[str, ...] = ()
    if kind == "decision":
        decision = read_model(Decision, value, "the decision")
    elif kind == "minimal-artifact":
        decision = _from_artifact(read_model(MinimalArtifact, value, "the artifact"), config, received_at)
        warnings = ("the minimal artifact carries no time: it counts as made when it was received",)
    elif kind == ALERTS:
        decision, warnings = from_alerts(value, config, received_at)
    else:
        decision, warnings = from_record(kind, value, config)
    check_age(decision, config, now)
    if kind in RECORDS:
        check_samples(decision, config, now)
    return Intake(decision, data, kind, warnings)


def read_form(form: Form, *, repository_id: int, run_id: str, login: str, created_at: str) -> Intake:
    """Return the decision of a form that `login` sent with run `run_id`. Its id is the same for every attempt of the run.

    Raises Refusal (exit 3) for what does not fit.
    """
    types = {
        "failover": DecisionType.FAILOVER,
        "failback": DecisionType.FAILBACK_ONPREM,
        "burst": DecisionType.BURST,
        "hold": DecisionType.HOLD,
    }
    if form.action not in types:
        raise Refusal(
            "intake.action",
            "the form names no action",
            exit_code=Exit.DECISION,
            found=f"action={shown(form.action) or 'nothing'}",
            expected=f"one of {', '.join((*types, CHECK, DRILL, SETTLE))}",
            fix="gh workflow run dr.yml -f action=failover -f service=<name>/<env> -f reason=...",
        )
    number = run_id.partition("-")[0] if run_id[:1].isdigit() else run_id
    value: dict[str, Any] = {
        "api_version": "hybridops/v1",
        "kind": "Decision",
        "decision_id": f"manual-{repository_id}-{number}",
        "decision_type": types[form.action].value,
        "service": form.service,
        "rationale": form.reason,
        "issued_at": created_at,
        "issuer": f"github:{login}",
        "restore_point": "latest" if form.restore.lower() in ("", "latest") else form.restore,
        "old_primary": form.old_primary or "not-confirmed",
    }
    if form.check_only or form.isolated:
        level = "check" if form.check_only else "isolated"
        value["exercise"] = {"kind": "drill", "level": level, "drill_id": value["decision_id"]}
    if form.isolated:
        value["requires_approval"] = False
    if form.serves:
        value["settles"] = form.serves
    source = json.dumps(value, indent=2, sort_keys=True).encode()
    validate(source, "the form", "correct what was filled in: reason is /rationale, restore is /restore_point, serves is /settles")
    return Intake(read_model(Decision, value, "the form"), source, "form")


def check_age(decision: Decision, config: DispatchConfig, now: datetime) -> None:
    """Raise Refusal (exit 3) `intake.age` or `intake.future` for a decision of another time."""
    issued, limit = moment(decision.issued_at), timedelta(seconds=seconds(config.policy.decision_age))
    if issued - now > FUTURE:
        raise Refusal(
            "intake.future",
            "written in the future",
            exit_code=Exit.DECISION,
            found=f"{decision.decision_id}, written {decision.issued_at}, {short_span(issued - now)} ahead of this clock",
            expected="a time before now",
            fix="correct the clock of the issuer, or of this host",
        )
    if now - issued > limit:
        raise Refusal(
            "intake.age",
            "too old to act on",
            exit_code=Exit.DECISION,
            found=f"{decision.decision_id}, written {decision.issued_at}, {short_span(now - issued)} ago",
            expected=f"at most {short_span(limit)}",
            fix=f"wait for the next record (10m), or {BY_HAND}",
        )


def check_samples(decision: Decision, config: DispatchConfig, now: datetime) -> None:
    """Raise Refusal (exit 3) `intake.sample` for a record whose measurements are of another time than now."""
    limit = timedelta(seconds=seconds(config.policy.decision_age))
    for signal in decision.signals:
        age = now - moment(signal.observed_at or decision.issued_at)
        if not -FUTURE <= age <= limit:
            raise Refusal(
                "intake.sample",
                "the record rests on measurements of another time",
                exit_code=Exit.DECISION,
                found=f"{decision.decision_id}, {signal.name} of {signal.observed_at}, "
                + (f"{short_span(age)} ago" if age > limit else f"{short_span(-age)} ahead of this clock"),
                expected=f"at most {short_span(limit)} old",
                fix=f"correct the clock of the edge or of its Prometheus, or {BY_HAND}",
            )


def _from_artifact(artifact: MinimalArtifact, config: DispatchConfig, received_at: datetime) -> Decision:
    """A minimal artifact names a target, not a service: it fits when exactly one service of the config does."""
    kind = DecisionType.FAILBACK_ONPREM if artifact.decision_type == "failback" else DecisionType(artifact.decision_type)
    name = {DecisionType.FAILOVER: "failover", DecisionType.FAILBACK_ONPREM: "failback", DecisionType.BURST: "burst"}.get(kind, "")
    lane = {"none": ON_PREM.name}.get(artifact.target_cloud, artifact.target_cloud) if name == "failback" else artifact.target_cloud
    fits = [
        service
        for service, known in config.services.items()
        if name and getattr(known, name) is not None and getattr(known, name).lane == lane
    ]
    if kind is DecisionType.HOLD:
        fits = list(config.services)
    if len(fits) != 1:
        raise Refusal(
            "intake.service",
            "the artifact does not say which service it means",
            exit_code=Exit.DECISION,
            found=f"{artifact.decision_type} at {artifact.target_cloud}: {len(fits)} services of the config fit ({', '.join(fits[:5])})",
            expected="exactly one",
            fix="send a canonical Decision (kind: Decision) with its service",
        )
    fields = artifact.document()
    selected: dict[str, Any] = {key: fields[key] for key in ("runner_ref", "execution_plane", "requires_approval") if key in fields}
    target = {} if artifact.target_cloud == "none" else {"target_cloud": artifact.target_cloud}
    repo = {"repo_state_ref": artifact.repo_state_ref} if artifact.repo_state_ref else {}
    base = {"decision_id": artifact.decision_id, "decision_type": kind.value, "service": fits[0], "rationale": artifact.rationale}
    made = {"issued_at": stamp(received_at.replace(microsecond=0)), "issuer": "hybridops:decision-artifact"}
    return read_model(Decision, {**base, **made, **selected, **target, **repo, "dr_mode": artifact.dr_mode}, "the artifact")
