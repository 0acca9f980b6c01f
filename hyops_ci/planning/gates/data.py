"""Gates on data: clients never move to an old database, and a drill never touches production's backup. Asked first."""

from __future__ import annotations

from hyops_ci.contracts.check import StateFact, StepForecast
from hyops_ci.contracts.facts import BackupIdentity, canonical_ref
from hyops_ci.contracts.plan import PlannedStep, StepClass
from hyops_ci.errors import Exit
from hyops_ci.planning.case import CheckCase, GateFailure, GateOutcome, check_gate


@check_gate("restore.skipped", "contracts 3", Exit.POLICY, "Will every restore run?")
def restore_skipped(case: CheckCase) -> GateOutcome:
    """A restore that HyOps skips on old state lets the later steps move clients to old data."""
    for step in case.plan.steps:
        said = _forecast(case, step)
        if step.restores and said.outcome in ("skip", "unknown"):
            state = _state(case, step)
            day = state.updated_at[:10] if state and state.updated_at else "an unknown day"
            return GateFailure(
                f"clients would move to a database from {day}",
                f"{step.id} would be SKIPPED: {said.why or 'HyOps says nothing of it'}",
                "a restore that runs",
                "-f restore=<label> (another label forces the restore). Same label as the leftover: destroy it first",
            )
    return ""


@check_gate("commit.skipped", "contracts 3", Exit.POLICY, "Will every step that moves clients run?")
def commit_skipped(case: CheckCase) -> GateOutcome:
    """A skipped commit step would end green with clients where they were."""
    for step in case.plan.steps:
        said = _forecast(case, step)
        if step.step_class is StepClass.COMMIT and said.outcome in ("skip", "unknown"):
            return GateFailure(
                "the step that moves clients would not run",
                f"{step.id} would be SKIPPED: {said.why or 'HyOps says nothing of it'}",
                "a step that runs",
                f"set skip_if_state_ok: false on {step.id} in {case.plan.overlay}, in a pull request",
            )
    return ""


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


def _forecast(case: CheckCase, step: PlannedStep) -> StepForecast:
    return next((each for each in case.facts.forecast if each.id == step.id), StepForecast(id=step.id, outcome="unknown"))


def _state(case: CheckCase, step: PlannedStep) -> StateFact | None:
    reference = canonical_ref(f"{step.module_ref}#{step.state_instance}" if step.state_instance else step.module_ref)
    return next((state for state in case.facts.states if canonical_ref(state.ref) == reference), None)
