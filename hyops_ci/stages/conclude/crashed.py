"""Reconstruct the outcome of an execute job that died, from its events and journal on this host, and from the ledger.

Nothing is guessed in favour of a good end: a run that had pushed EXECUTING and has no end of its own is INDETERMINATE.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.cleanup import CLEANUP, Cleanup
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import EXIT_OF, TERMINAL, RefusalRecord, State, may_follow
from hyops_ci.errors import Fault, Refusal
from hyops_ci.evidence.conclusions import deploy_in
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from hyops_ci.execution.kept_journals import NAMES, at_work, journal_of, last_word
from hyops_ci.execution.outcome import Observed, Outcome, determine_outcome
from hyops_ci.execution.run_handle import Condition, SupervisedRun
from hyops_ci.execution.verification import ProbeResult, Verification
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import DONE
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.planned_run import acting_ledger
from hyops_ci.stages.runner import REFUSAL, StageEnd

WALK: Final = (
    State.CHECKED,
    State.APPROVED,
    State.CLAIMED,
    State.SECRETS_READY,
    State.PREFLIGHT_PASSED,
    State.EXECUTING,
    State.VERIFYING,
    State.CLEANING_UP,
)
"""The states of a run that goes well, from where only execute can have continued."""
CONTRADICTION: Final = "contradiction"
"""Note of an event: where the ledger says what cannot be so."""


def cut_off(part: PartRecorder, folder: RunDir, context: RunContext, results: Mapping[str, str]) -> StageEnd | None:
    """Return the end of a run whose execute left none, None where it never held a claim. Enters the states up to it."""
    plan = folder.read_model("plan.json", Plan)
    before = part.state or State.CHECKED
    try:
        ledger = acting_ledger(folder, plan.service, context)
        tip = ledger.tip()
    except Refusal as refusal:
        if results.get("execute") not in ("failure", "cancelled"):
            raise
        # It may have begun, and what the ledger says of it cannot be believed.
        part.note(CONTRADICTION, found=refusal.title())
        return _ended(part, folder, before, State.INDETERMINATE, RefusalRecord.of(refusal))
    ours, last = _is_of(tip, context.job.run_id), tip
    contradicted = contradiction(tip, results) if ours else ""
    if contradicted:
        part.note(CONTRADICTION, found=contradicted)
    if tip.claim is not None and ours:
        folder.write_model("claim.json", tip.claim)
        part.note("ledger", state=(tip.state or State.CLAIMED).value, mutating=tip.mutating, epoch=tip.epoch)
        if not contradicted and _end(before, tip) is State.FAILED and tip.state not in TERMINAL:
            last = _closed(ledger, tip.claim, context)
    elif WALK.index(before) < WALK.index(State.CLAIMED):
        return None
    end = State.INDETERMINATE if contradicted else _end(before, last if _is_of(last, context.job.run_id) else None)
    record = RefusalRecord.of(cut_off_fault(before, tip if ours else None, end))
    return _ended(part, folder, before, end, record, seen="ledger" if ours else "events")


def _ended(part: PartRecorder, folder: RunDir, before: State, end: State, record: RefusalRecord, seen: str = "ledger") -> StageEnd:
    """Enter the states from `before` to `end`, with what ended the run."""
    part.refusal(record.gate, **record.document())
    folder.write_json(REFUSAL, record.document())
    for state in WALK[WALK.index(before) + 1 :]:
        if may_follow(part.state or before, end):
            break
        part.enter(state, seen="ledger")
    part.enter(end, seen=seen)
    return StageEnd(end, record)


def contradiction(tip: Tip, results: Mapping[str, str]) -> str:
    """Return where the ledger says of this run what cannot be so: a good end is only ever the bundle that execute sealed."""
    if results.get("execute") == "skipped":
        return f"the ledger holds a claim of this run (epoch {tip.epoch}, {tip.state}), and its execute was skipped"
    if tip.state in DONE:
        return f"the ledger says {tip.state} of this run, and no bundle of its execute arrived ({tip.bundle_sha256 or 'none was sealed'})"
    return ""


def _is_of(tip: Tip, run_id: str) -> bool:
    """Return whether the claim is this run's, at any attempt: conclude may run again, and what an earlier attempt began stays begun."""
    if tip.claim is None:
        return False
    holder, asker = tip.claim.run_id, run_id
    if asker.startswith("local-"):
        return holder == asker
    return holder.partition("-")[0] == asker.partition("-")[0]


def _closed(ledger: Ledger, claim: Claim, context: RunContext) -> Tip:
    """Record that nothing had begun before relying on it: a run that GitHub only lost sight of is then stopped at its next push.

    Answers what the ledger says after that: this end; or that the run has begun in the meantime, or that the lock is another's.
    """
    try:
        return ledger.advance(claim, State.FAILED, at=stamp(context.clock.now()), unbegun=True)
    except Refusal:
        return ledger.tip()


def _end(before: State, tip: Tip | None) -> State:
    """Return the terminal state of the ledger where it has one, and not a good one; else INDETERMINATE from the first mutating push on."""
    if tip is not None and tip.state in TERMINAL:
        return tip.state
    acting = before in (State.EXECUTING, State.VERIFYING, State.CLEANING_UP)
    return State.INDETERMINATE if acting or (tip is not None and tip.mutating) else State.FAILED


def cut_off_fault(before: State, tip: Tip | None, end: State) -> Fault:
    """Return the fault of an execute job that ended without a result of its own."""
    said = f"; the ledger says {tip.state or State.CLAIMED} since {tip.at}" if tip is not None else ""
    unknown = end is State.INDETERMINATE
    return Fault(
        "run.cut-off",
        "the run was cut off and said no end",
        exit_code=EXIT_OF[end],
        found=f"last word {before}{said}",
        expected="an end that execute writes itself",
        fix="look which side serves, then settle" if unknown else "start a new run: nothing had begun",
    )


def recover_state(folder: RunDir, context: RunContext | None = None) -> ExecutionState:
    """Return what another process had done, as far as the folder of its run, its events and its journal on this host show it."""
    journal = folder.root / "private" / "deploy"
    if context is not None and not journal.is_dir():
        journal = journal_of(context.state_dir, context.job.run_id) or journal
    plan = folder.read_model("plan.json", Plan) if folder.has("plan.json") else None
    answers = sorted((folder.root / "approvals").glob("*.json"))
    return ExecutionState(
        plan=plan,
        claim=folder.read_model("claim.json", Claim) if folder.has("claim.json") else None,
        outcome=_outcome(folder, journal, plan) if plan is not None else None,
        verification=_verification(folder),
        cleanup=folder.read_model(CLEANUP, Cleanup) if folder.has(CLEANUP) else None,
        at_work=_at_work(folder, journal, context),
        last_word=last_word(context.state_dir, context.job.run_id) if context is not None else "",
        approvals=tuple(folder.read_model(f"approvals/{path.name}", Approval) for path in answers if path.stem != "envelopes"),
    )


def _at_work(folder: RunDir, journal: Path, context: RunContext | None) -> bool | None:
    """Return whether HyOps is at work on this host, None where nothing is known of it here."""
    if context is not None and (known := at_work(context.state_dir, context.job.run_id)) is not None:
        return known
    found = [each for each in (journal, *(folder.root / "private" / name for name in NAMES)) if each.is_dir()]
    return any(SupervisedRun.attach(each).condition is Condition.RUNNING for each in found) if found else None


def _outcome(folder: RunDir, journal: Path, plan: Plan) -> Outcome | None:
    """Return HyOps' end as execute judged it or, where it did not get that far, as far as the journal goes."""
    if not journal.is_dir():
        return None
    view = SupervisedRun.attach(journal).view()
    started = view.started_at or datetime.max.replace(tzinfo=UTC)
    seen = determine_outcome(Observed(plan.steps, view.lines, {}, started, None, plan.blueprint, view.full))
    said = deploy_in(read_chain(folder.root))
    if not said:
        return seen
    return Outcome(
        state=State(said["outcome"]),
        reasons=tuple(said["reasons"]),
        deviations=tuple(said.get("deviations", ())),
        steps=seen.steps,
        past_no_return=bool(said["past_no_return"]),
    )


def _verification(folder: RunDir) -> Verification | None:
    if not folder.has("probes.json"):
        return None
    return Verification(tuple(ProbeResult(looks=0, **each) for each in folder.read_json("probes.json")))
