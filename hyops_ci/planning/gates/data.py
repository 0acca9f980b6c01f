"""Gates on data: clients never move to an old database, and a drill never touches production's backup. Asked first."""

from __future__ import annotations

from collections.abc import Iterable

from hyops_ci.contracts.check import StateFact, StepForecast
from hyops_ci.contracts.facts import BackupIdentity, canonical_ref
from hyops_ci.contracts.plan import PlannedStep, StepClass
from hyops_ci.errors import Exit
from hyops_ci.planning.case import CheckCase, GateFailure, GateOutcome, check_gate, listed


@check_gate("restore.skipped", "contracts 3", Exit.POLICY, "Will every restore run?")
def restore_skipped(case: CheckCase) -> GateOutcome:
    """A restore that HyOps skips on old state lets the later steps move clients to old data."""
    skipped = _skipped(case, [step for step in case.plan.steps if step.restores])
    if not skipped:
        return ""
    states = [_state(case, step) for step in skipped]
    days = [state.updated_at[:10] if state and state.updated_at else "an unknown day" for state in states]
    return GateFailure(
        f"clients would move to a database from {' and '.join(dict.fromkeys(days))}",
        listed(f"{step.id} would be SKIPPED: {why}" for step, why in skipped.items()),
        "a restore that runs",
        "-f restore=<label> (another label forces the restore). Same label as the leftover: destroy it first",
    )


@check_gate("commit.skipped", "contracts 3", Exit.POLICY, "Will every step that moves clients run?")
def commit_skipped(case: CheckCase) -> GateOutcome:
    """A skipped commit step would end green with clients where they were."""
    skipped = _skipped(case, [step for step in case.plan.steps if step.step_class is StepClass.COMMIT])
    if not skipped:
        return ""
    return GateFailure(
        "the step that moves clients would not run",
        listed(f"{step.id} would be SKIPPED: {why}" for step, why in skipped.items()),
        "a step that runs",
        f"set skip_if_state_ok: false on {', '.join(step.id for step in skipped)} in {case.plan.overlay}, in a pull request",
    )


@check_gate("drill.shares", "contracts 3", Exit.POLICY, "Does a drill share nothing with production?")
def drill_shares(case: CheckCase) -> GateOutcome:
    """Never the same backup repository, path and stanza; never a DNS name or a state instance of production."""
    if not case.plan.exercise:
        return "no drill"
    if missing := case.facts.sibling_specs_missing:
        return GateFailure(
            "what production uses is not known here",
            f"no spec of {', '.join(missing)}, which production's overlays name",
            f"specs below {case.plan.core_root}/modules",
            "install the HyOps release that has them; their defaults name backups and states",
        )
    pairs = [(own, other) for own in case.facts.identities for other in case.facts.siblings]
    for shared in (_backup, _endpoint, _state_instance):  # the worst first
        for own, other in pairs:
            if what := shared(own, other):
                return GateFailure(
                    "the drill would work on what production uses",
                    f"{own.step}: {what}, as production's {other.step}",
                    "a backup path, stanza, DNS name and state instance of its own",
                    f"name them apart in {case.plan.overlay}, in a pull request",
                )
    if not case.facts.siblings:
        return "nothing to compare with: no env of class production has this service"
    return f"{len(case.facts.siblings)} production identities compared"


def _backup(own: BackupIdentity, other: BackupIdentity) -> str:
    """What both archive to, in words, or empty: two clusters in one stanza destroy each other's WAL archive."""
    mine, theirs = (own.repository, own.path, own.stanza), (other.repository, other.path, other.stanza)
    if own.repository and mine == theirs:
        return f"repository {own.repository}, path {own.path or '(default)'}, stanza {own.stanza or '(default)'}"
    return ""


def _endpoint(own: BackupIdentity, other: BackupIdentity) -> str:
    same = own.dns_name.lower().rstrip(".") == other.dns_name.lower().rstrip(".")
    return f"DNS name {own.dns_name}" if own.dns_name and same else ""


def _state_instance(own: BackupIdentity, other: BackupIdentity) -> str:
    same = canonical_ref(own.state_instance) == canonical_ref(other.state_instance)
    return f"state {own.state_instance}" if own.state_instance and same else ""


def _skipped(case: CheckCase, steps: Iterable[PlannedStep]) -> dict[PlannedStep, str]:
    """Return those that would not run, each with why."""
    said = {each.id: each for each in case.facts.forecast}
    found = {step: said.get(step.id, StepForecast(id=step.id, outcome="unknown")) for step in steps}
    return {step: each.why or "HyOps says nothing of it" for step, each in found.items() if each.outcome in ("skip", "unknown")}


def _state(case: CheckCase, step: PlannedStep) -> StateFact | None:
    reference = canonical_ref(f"{step.module_ref}#{step.state_instance}" if step.state_instance else step.module_ref)
    return next((state for state in case.facts.states if canonical_ref(state.ref) == reference), None)
