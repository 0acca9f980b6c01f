"""Gates on data: clients never move to an old database, and a drill never touches production's backup. Asked first."""

from __future__ import annotations

from hyops_ci.contracts.check import StateFact, StepForecast
from hyops_ci.contracts.facts import BackupIdentity, canonical_ref
from hyops_ci.contracts.plan import PlannedStep, StepClass
from hyops_ci.errors import Exit
from hyops_ci.planning.case import Answer, CheckCase, No, check_gate


@check_gate("restore.skipped", "contracts 3", Exit.POLICY, "Will every restore run?")
def restore_skipped(case: CheckCase) -> Answer:
    """A restore that HyOps skips on old state lets the later steps move clients to old data."""
    for step in case.plan.steps:
        said = _forecast(case, step)
        if step.restores and said.outcome in ("skip", "unknown"):
            state = _state(case, step)
            day = state.updated_at[:10] if state and state.updated_at else "an unknown day"
            return No(
                f"clients would move to a database from {day}",
                f"{step.id} would be SKIPPED: {said.why or 'HyOps says nothing of it'}",
                "a restore that runs",
                "-f restore=<label> (another label forces the restore). Same label as the leftover: destroy it first",
            )
    return ""


@check_gate("commit.skipped", "contracts 3", Exit.POLICY, "Will every step that moves clients run?")
def commit_skipped(case: CheckCase) -> Answer:
    """A skipped commit step would end green with clients where they were."""
    for step in case.plan.steps:
        said = _forecast(case, step)
        if step.step_class is StepClass.COMMIT and said.outcome in ("skip", "unknown"):
            return No(
                "the step that moves clients would not run",
                f"{step.id} would be SKIPPED: {said.why or 'HyOps says nothing of it'}",
                "a step that runs",
                f"set skip_if_state_ok: false on {step.id} in {case.plan.overlay}, in a pull request",
            )
    return ""


@check_gate("restore.point", "contracts 3", Exit.POLICY, "Is the restore point there, and still kept?")
def restore_point(case: CheckCase) -> Answer:
    """Where it can be read: the label exists, and is younger than the repository keeps."""
    facts, wanted = case.facts, case.plan.restore_point
    if not any(step.restores for step in case.plan.steps):
        return "nothing is restored"
    if facts.restore_label is None:
        return "restore point not readable here"
    if wanted not in ("latest", facts.restore_label):
        return No("the restore point is another one", facts.restore_label, wanted, "name a label that the repository has")
    age, kept = facts.restore_label_age_days, facts.retention_days
    if age is not None and kept is not None and not age < kept:
        return No(
            "the restore point is older than the repository keeps",
            f"{facts.restore_label}, {age:.0f} d old",
            f"younger than {kept:.0f} d",
            "-f restore=<label> with a younger one",
        )
    return facts.restore_label


@check_gate("drill.shares", "contracts 3", Exit.POLICY, "Does a drill share nothing with production?")
def drill_shares(case: CheckCase) -> Answer:
    """Never the same backup repository, path and stanza; never a DNS name or a state instance of production."""
    if not case.plan.exercise:
        return "no drill"
    for own in case.facts.identities:
        for other in case.facts.siblings:
            if what := _shared(own, other):
                return No(
                    "the drill would work on what production uses",
                    f"{own.step}: {what}, as production's {other.step}",
                    "a backup path, stanza, DNS name and state instance of its own",
                    f"name them apart in {case.plan.overlay}, in a pull request",
                )
    return f"{len(case.facts.siblings)} production identities compared"


def _shared(own: BackupIdentity, other: BackupIdentity) -> str:
    mine, theirs = (own.repository, own.path, own.stanza), (other.repository, other.path, other.stanza)
    if own.repository and mine == theirs:
        return f"repository {own.repository}, path {own.path or '(default)'}, stanza {own.stanza or '(default)'}"
    if own.dns_name and own.dns_name.lower().rstrip(".") == other.dns_name.lower().rstrip("."):
        return f"DNS name {own.dns_name}"
    if own.state_instance and canonical_ref(own.state_instance) == canonical_ref(other.state_instance):
        return f"state {own.state_instance}"
    return ""


def _forecast(case: CheckCase, step: PlannedStep) -> StepForecast:
    return next((each for each in case.facts.forecast if each.id == step.id), StepForecast(id=step.id, outcome="unknown"))


def _state(case: CheckCase, step: PlannedStep) -> StateFact | None:
    reference = canonical_ref(f"{step.module_ref}#{step.state_instance}" if step.state_instance else step.module_ref)
    return next((state for state in case.facts.states if canonical_ref(state.ref) == reference), None)
