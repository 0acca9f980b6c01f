"""Gates on the decision itself: it selects and never introduces, and it is of now."""

from __future__ import annotations

from datetime import timedelta

from hyops_ci.config.settings import dr_mode_of, overlay_path, plane_of, repository_refs
from hyops_ci.contracts.base import moment, seconds
from hyops_ci.contracts.config import EnvClass
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, plan_gate
from hyops_ci.text import short_span

CLOCK_SKEW = timedelta(seconds=60)


@plan_gate("decision.selects", "contracts 1, anti-drift 5", Exit.POLICY, "Does the decision only select what the config has?")
def decision_selects(case: PlanCase) -> GateOutcome:
    """Lane, target, runner, repository, profile and plane must equal the config's; a decision introduces nothing."""
    decision, vault = case.decision, case.config.vault
    plane, mode = plane_of(case.blueprint), dr_mode_of(case.action, case.blueprint)
    rows: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
        ("target_cloud", decision.target_cloud, (case.lane.name,)),
        ("runner_ref", decision.runner_ref, (case.lane.runner_ref,)),
        ("dr_mode", decision.dr_mode, (mode.value,)),
        ("execution_plane", decision.execution_plane, (plane,)),
        ("repo_state_ref", decision.repo_state_ref, repository_refs(case.blueprint)),
        ("secret_sync_profile", decision.secret_sync_profile, vault.profiles if vault else ()),
    )
    for name, said, so in rows:
        if said is not None and said not in so:
            return _differs(name, str(said), " or ".join(so) or "none in this config", case)
    return ""


def _differs(name: str, said: str, is_so: str, case: PlanCase) -> GateFailure:
    return GateFailure(
        "the decision names something else than the config",
        f"{name}: {said}",
        f"{is_so}, or no {name} at all",
        f"correct the decision; or change {overlay_path(case.decision.service, case.action)} and .github/dr-dispatch.yml in a pull request",
    )


@plan_gate("decision.future", "contracts 1", Exit.DECISION, "Was the decision made before now?")
def decision_future(case: PlanCase) -> GateOutcome:
    """A minute of clock difference is let pass."""
    ahead = moment(case.decision.issued_at) - case.facts.now
    if ahead > CLOCK_SKEW:
        return GateFailure(
            "the decision is from the future",
            f"issued_at {case.decision.issued_at}, {short_span(ahead)} ahead",
            "a time before now",
            "correct the clock of the issuer",
        )
    return ""


@plan_gate("decision.lifetime", "contracts 1, contracts 2", Exit.DECISION, "Is the decision still valid, and for no longer than allowed?")
def decision_lifetime(case: PlanCase) -> GateOutcome:
    """The expiry given, or `policy.decision_lifetime`; the host trust may allow less."""
    issued, limit = moment(case.decision.issued_at), seconds(case.config.policy.decision_lifetime)
    if case.trust is not None:
        limit = min(limit, seconds(case.trust.max_decision_lifetime))
    expires = moment(case.decision.expires_at) if case.decision.expires_at else issued + timedelta(seconds=limit)
    if expires <= issued or (expires - issued).total_seconds() > limit:
        return GateFailure(
            "the decision lives too long or not at all",
            f"issued {case.decision.issued_at}, expires {case.decision.expires_at}",
            f"at most {short_span(timedelta(seconds=limit))}",
            "correct expires_at, or leave it out",
        )
    if expires <= case.facts.now:
        return GateFailure(
            "the decision has expired",
            f"expired {short_span(case.facts.now - expires)} ago",
            f"a decision of the last {short_span(timedelta(seconds=limit))}",
            "decide again: nothing of an old decision is reused",
        )
    return ""


@plan_gate("approval.required", "contracts 1", Exit.POLICY, "Is approval not given up where it counts?")
def approval_required(case: PlanCase) -> GateOutcome:
    """`requires_approval: false` counts only in an env of class drill or lab."""
    if not case.decision.requires_approval and case.env.env_class is EnvClass.PRODUCTION:
        return GateFailure(
            "a decision cannot do without approval in production",
            f"requires_approval: false, env {case.env.name} of class production",
            "requires_approval: true, or absent",
            "correct the decision",
        )
    return "" if case.decision.requires_approval else "no approval demanded"


@plan_gate("drill.env", "contracts 1, contracts 3", Exit.POLICY, "Does a drill stay out of production?")
def drill_env(case: PlanCase) -> GateOutcome:
    """A drill never runs in an env of class production."""
    if case.decision.exercise and case.decision.exercise.level != "check" and case.env.env_class is EnvClass.PRODUCTION:
        return GateFailure(
            "a drill may not run in production",
            f"exercise {case.decision.exercise.level} on {case.decision.service}, class production",
            "an env of class drill",
            "name a drill service in the config (docs/adopt.md)",
        )
    return ""
