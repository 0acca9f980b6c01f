"""Conclude: verify the evidence, end what never reached the runner, and report how the run ended.

Order (docs/design/workflows.md 2): plan refused -> ledger tip is our claim without execute's part -> execute's own
result -> denied -> no runner -> expired -> cancelled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ensured import DOCUMENT as ENSURED
from hyops_ci.contracts.ensured import Ensured
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import TERMINAL, RefusalRecord, Result, State
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.evidence.conclusions import is_seen, past_no_return
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from hyops_ci.evidence.verify import VerificationResult, verify
from hyops_ci.parsing.documents import read_document
from hyops_ci.report.html import html
from hyops_ci.stages.conclude.cross_check import GitHubRecord, contradictions, github_record
from hyops_ci.stages.conclude.gave_way import gave_way_to
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.stages.planned_run import CONFIG, read_allowed
from hyops_ci.stages.readiness import keep_readiness
from hyops_ci.stages.runner import REFUSAL, StageEnd, run_stage
from hyops_ci.stages.sealing import seal_run
from hyops_ci.stages.telling import tell_ended
from hyops_ci.text import shell

if TYPE_CHECKING:
    from hyops_ci.stages.conclude.unfinished import Seen


@dataclass(frozen=True)
class Conclusion:
    """The end of a run: its result, its bundle, and what the verifier says of it."""

    result: Result
    bundle: Path
    sha256: str
    verdict: VerificationResult
    report: Path
    github: GitHubRecord | None = None
    """What GitHub shows of the run by itself; None where it was not asked, or did not answer."""
    contradictions: tuple[str, ...] = ()
    """Where evidence and GitHub disagree."""
    gave_way: str = ""
    """Of a drill whose job was cancelled: the real run that needed its runner, as GitHub shows it."""

    @property
    def exit_code(self) -> int:
        """Of the report itself: 0 for evidence that verifies, whatever the outcome; 11 where it does not, or GitHub contradicts it."""
        return self.verdict.exit_code or int(Exit.EVIDENCE if self.contradictions else Exit.DONE)


@dataclass(frozen=True)
class Closing:
    """The last transition of a claim."""

    state: State
    bundle_sha256: str
    past_no_return: bool = False
    unseen: bool = False
    """Only HyOps says that the service has moved."""
    unbegun: bool = False
    """No event known here says that the run has begun: where the ledger knows better, nothing is recorded."""

    def without_key(self, *, begun: bool) -> Closing:
        """Return what a job without the key of a host may say of it: a run that has begun is settled by people."""
        return replace(self, state=State.INDETERMINATE if begun else self.state, past_no_return=False)


def conclude(
    folder: RunDir, context: RunContext, *, evidence: Path | None, digest: str, results: Mapping[str, str], watches: Sequence[Seen] = ()
) -> Conclusion:
    """As `verified_end`, and people are told how the run ended. What its check found is kept as the service's readiness."""
    with ThreadPoolExecutor(1) as beside:
        kept = beside.submit(keep_readiness, folder, context)  # a branch of its own, for which nothing of the run's end has to wait
        ended = verified_end(folder, context, evidence=evidence, digest=digest, results=results, watches=watches)
        plan = folder.read_model("plan.json", Plan) if folder.has("plan.json") else None
        if plan is not None and plan.destroys and context.github is not None and "cancelled" in results.values():
            ended = replace(ended, gave_way=gave_way_to(plan, context.github, context))
        tell_ended(context, ended.result)
        kept.result()
    return ended


def verified_end(
    folder: RunDir, context: RunContext, *, evidence: Path | None, digest: str, results: Mapping[str, str], watches: Sequence[Seen] = ()
) -> Conclusion:
    """Verify what execute sealed, or seal what never got that far.

    `evidence` is the bundle of execute, if it sealed one, and `digest` its sha256, which came another way. `results` is GitHub's result
    of each job, `watches` what was seen of the jobs while they waited, and what became of a runner that was missing. Raises Refusal
    (exit 11) for evidence that execute did not seal.
    """
    if evidence is not None:
        with ThreadPoolExecutor(1) as beside:
            seen = beside.submit(record_of_github, context)
            ended = accept_sealed(evidence, digest, context)
        return cross_checked(ended, seen.result())
    return cross_checked(seal_what_is_left(folder, context, results, watches), record_of_github(context))


def seal_what_is_left(folder: RunDir, context: RunContext, results: Mapping[str, str], watches: Sequence[Seen]) -> Conclusion:
    """Seal a run that execute did not seal, as far as its events, this host and the ledger know it, and end its claim."""
    # What reads the journals of a crash loads for it alone, here and below: a run that ended does not wait for it.
    from hyops_ci.stages.conclude.crashed import CONTRADICTION, recover_state

    end = terminal_state(folder, context, results, watches)
    execution = recover_state(folder, context)
    sealed = seal_run(folder, context, end, execution)
    if execution.claim is not None and execution.plan is not None:
        moved, unbegun = execution.past_no_return, not has_begun(folder)
        closing = Closing(end.state, sealed.sha256, moved, execution.unseen, unbegun)
        close_claim(execution.plan, execution.claim, closing, read_allowed(folder.read(CONFIG), CONFIG, context), context)
    result, verdict = folder.read_model("result.json", Result), verify(sealed.path)
    said = tuple(event.data["found"] for event in read_chain(folder.root) if (event.kind, event.name) == ("note", CONTRADICTION))
    return Conclusion(result, sealed.path, sealed.sha256, verdict, write_report(sealed.path, verdict), contradictions=said)


def record_of_github(context: RunContext) -> GitHubRecord | None:
    """Return what GitHub shows of jobs and reviews; None where it is not asked or does not answer: then an end stays as it is."""
    if context.github is None:
        return None
    try:
        return github_record(context.job, context.github)
    except DispatchError as error:
        context.say(f"not compared with GitHub: {error.title()}")
        return None


def cross_checked(ended: Conclusion, seen: GitHubRecord | None) -> Conclusion:
    """Return the conclusion compared with what GitHub shows of the run."""
    if seen is None:
        return ended
    return replace(ended, github=seen, contradictions=(*ended.contradictions, *contradictions(read_files(ended.bundle), seen)))


def accept_sealed(evidence: Path, digest: str, context: RunContext) -> Conclusion:
    """Accept the bundle of execute if its digest is the one that came another way, and record its end in the ledger if that is missing."""
    try:
        found = sha256_of(evidence)
    except OSError as error:
        found = f"no readable file: {error.strerror}"
    if found != digest:
        raise Refusal(
            "evidence.digest",
            "the evidence that arrived is not what execute sealed",
            exit_code=Exit.EVIDENCE,
            found=found,
            expected=digest,
            fix="keep both; the digest that its host signed on the ledger is the true one: hyops-ci ledger show",
        )
    verdict = verify(evidence)
    files = read_files(evidence) if verdict.ok else {}
    content = files.get("result.json")
    if content is None:
        raise Refusal(
            "evidence.verify",
            "the evidence does not verify",
            exit_code=Exit.EVIDENCE,
            found="; ".join(verdict.problems[:3]) or "no result in it",
            expected="a bundle that verifies",
            fix=shell("hyops-ci evidence verify {}", evidence.name),
        )
    result = read_document(Result, content)
    with ThreadPoolExecutor(1) as beside:
        report = beside.submit(write_report, evidence, verdict)
        if "claim.json" in files and "plan.json" in files:
            plan, claim = read_document(Plan, files["plan.json"]), read_document(Claim, files["claim.json"])
            closing = Closing(result.outcome, digest, past_no_return(files), not is_seen(plan, result.proven))
            close_claim(plan, claim, closing, read_allowed(files[CONFIG], CONFIG, context), context)
        return Conclusion(result, evidence, digest, verdict, report.result())


def write_report(bundle: Path, verdict: VerificationResult) -> Path:
    """Write the HTML report of a bundle beside it, from its contents and what the verifier said. Return its path."""
    target = bundle.with_suffix(".html")
    target.write_text(html(read_files(bundle), verdict.signed_by if verdict.ok else ""), encoding="utf-8")
    return target


def sha256_of(path: Path) -> str:
    """Return the digest of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def terminal_state(folder: RunDir, context: RunContext, results: Mapping[str, str], watches: Sequence[Seen] = ()) -> StageEnd:
    """Bring a run that execute left without a result to its terminal state, and return it."""
    from hyops_ci.stages.conclude.crashed import WALK, cut_off
    from hyops_ci.stages.conclude.unfinished import stopped_because

    left: list[StageEnd] = []

    def settle(part: PartRecorder) -> None:
        part.note("results", **dict(results))
        keep_ensured(part, folder, watches)
        if part.state is None:
            part.enter(State.RECEIVED)
        if part.state in TERMINAL:
            left.append(StageEnd(part.state, folder.read_model(REFUSAL, RefusalRecord) if folder.has(REFUSAL) else None))
            return
        if is_whole_drill(part.state, folder, results):
            part.enter(State.CHECK_PASSED)
            left.append(StageEnd(State.CHECK_PASSED))
            return
        if part.state in WALK and (end := cut_off(part, folder, context, results)):
            left.append(end)
            return
        raise stopped_because(part.state or State.RECEIVED, folder, context, results, watches)

    end = run_stage("conclude", folder, context, settle)
    return left[0] if left else end


def keep_ensured(part: PartRecorder, folder: RunDir, watches: Sequence[Seen]) -> None:
    """Keep what was done about a missing runner with the run: its own job's folder is not the one that the check handed on."""
    ensured = next((each for each in watches if isinstance(each, Ensured)), None)
    if ensured is not None and not folder.has(ENSURED):
        part.note("ensured", **ensured.document())
        folder.write_model(ENSURED, ensured)


def is_whole_drill(state: State | None, folder: RunDir, results: Mapping[str, str]) -> bool:
    """Return whether the check that passed was all that was asked for."""
    return (
        state is State.CHECKED and results.get("check", "success") == "success" and folder.read_model("plan.json", Plan).exercise == "check"
    )


def has_begun(folder: RunDir) -> bool:
    """Return whether the run's own events, or what the ledger showed of it, reach EXECUTING."""
    return any(event.kind == "transition" and event.name == State.EXECUTING for event in read_chain(folder.root))


def close_claim(plan: Plan, claim: Claim, closing: Closing, config: DispatchConfig, context: RunContext) -> None:
    """Record the last transition of a claim, where the runner did not get to it. Its own trouble is shown, and changes no end.

    Without the key of a host it may only say that nothing had begun, or that the outcome is unknown to the ledger.
    """
    try:
        ledger = vouched_ledger(config, plan.service, context)
        tip = ledger.tip()
        if tip.claim is None or tip.claim.claim_id != claim.claim_id:
            return
        if ledger.lacks_key:
            closing = closing.without_key(begun=tip.mutating)
        if tip.state in TERMINAL and (tip.state is not closing.state or tip.bundle_sha256 is not None):
            return
        ledger.advance(
            claim,
            closing.state,
            at=stamp(context.clock.now()),
            bundle_sha256=closing.bundle_sha256,
            serves=plan.target_site,
            past_no_return=closing.past_no_return,
            unseen=closing.unseen,
            unbegun=closing.unbegun,
        )
    except DispatchError as error:
        context.say(f"the ledger was not updated: {error.title()}")
