"""Conclude: verify the evidence, settle what never reached the runner, and say how the run ended.

Order (docs/design/workflows.md 2): plan refused -> ledger tip is our claim without execute's part -> execute's own
result -> denied -> no runner -> expired -> cancelled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import TERMINAL, RefusalRecord, Result, State
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from hyops_ci.evidence.verify import Verdict, verify
from hyops_ci.report.text import html
from hyops_ci.stages.conclude.crashed import WALK, cut_off, past_no_return, remains
from hyops_ci.stages.conclude.cross_check import Witness, contradictions, witness
from hyops_ci.stages.conclude.unfinished import why_no_further
from hyops_ci.stages.context import World
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.runner import REFUSAL, StageEnd, run_stage
from hyops_ci.stages.sealing import seal_run
from hyops_ci.stages.watch.stage import Watched


@dataclass(frozen=True)
class Conclusion:
    """The end of a run: its result, its bundle, and what the verifier says of it."""

    result: Result
    bundle: Path
    sha256: str
    verdict: Verdict
    report: Path
    witness: Witness | None = None
    """What GitHub shows of the run by itself; None where it was not asked, or did not answer."""
    contradictions: tuple[str, ...] = ()
    """Where evidence and GitHub do not agree."""

    @property
    def exit_code(self) -> int:
        """Of the report itself: 0 for evidence that is whole, whatever the outcome; 11 where it, or GitHub, says otherwise."""
        return self.verdict.exit_code or int(Exit.EVIDENCE if self.contradictions else Exit.DONE)


def conclude(
    run: RunDir, world: World, *, evidence: Path | None, digest: str, results: Mapping[str, str], watches: Sequence[Watched] = ()
) -> Conclusion:
    """Verify what execute sealed, or seal what never got that far. `results` is GitHub's word on each job, `watches` what was seen of them.

    Raises Refusal (exit 11) for evidence that is not what execute sealed.
    """
    if evidence is not None:
        return compared(take_sealed(evidence, digest, world), world)
    end = settle_state(run, world, results, watches)
    left = remains(run)
    sealed = seal_run(run, world, end, left)
    if left.act_claim is not None and left.plan is not None:
        moved = bool(left.outcome and left.outcome.past_no_return)
        tell(left.plan, left.act_claim, end.state, sealed.sha256, world, moved=moved, unbegun=not has_begun(run))
    result, verdict = run.read_model("result.json", Result), verify(sealed.path)
    return compared(Conclusion(result, sealed.path, sealed.sha256, verdict, write_report(sealed.path)), world)


def compared(ended: Conclusion, world: World) -> Conclusion:
    """The conclusion beside GitHub's own word on jobs and reviews. GitHub's silence is said, and changes no end."""
    if world.github is None:
        return ended
    try:
        seen = witness(world.job, world.github)
    except DispatchError as error:
        world.say(f"not compared with GitHub: {error.title()}")
        return ended
    return replace(ended, witness=seen, contradictions=contradictions(read_files(ended.bundle), seen))


def take_sealed(evidence: Path, digest: str, world: World) -> Conclusion:
    """The bundle of execute, compared with the digest that came another way. A ledger that was not told yet is told."""
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
            fix="keep both; the ledger's last transition holds the true digest: hyops-ci ledger show",
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
            fix=f"hyops-ci evidence verify {evidence.name}",
        )
    result = Result.model_validate_json(content)
    if "claim.json" in files and "plan.json" in files:
        plan, claim = Plan.model_validate_json(files["plan.json"]), Claim.model_validate_json(files["claim.json"])
        tell(plan, claim, result.outcome, digest, world, moved=past_no_return(files))
    return Conclusion(result, evidence, digest, verdict, write_report(evidence))


def write_report(bundle: Path) -> Path:
    """The HTML report of a bundle, made from its contents alone, beside it."""
    target = bundle.with_suffix(".html")
    target.write_text(html(read_files(bundle)), encoding="utf-8")
    return target


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def settle_state(run: RunDir, world: World, results: Mapping[str, str], watches: Sequence[Watched] = ()) -> StageEnd:
    """Bring a run without execute's word to its terminal state."""
    left: list[StageEnd] = []

    def story(part: PartRecorder) -> None:
        part.note("results", **dict(results))
        if part.state is None:
            part.enter(State.RECEIVED)
        if part.state in TERMINAL:
            left.append(StageEnd(part.state, _left_refusal(run)))
            return
        if part.state in WALK and (end := cut_off(part, run, world)):
            left.append(end)
            return
        raise why_no_further(part.state or State.RECEIVED, run, world, results, watches)

    end = run_stage("conclude", run, world, story)
    return left[0] if left else end


def has_begun(run: RunDir) -> bool:
    """Whether the run's own events, or what the ledger showed of it, reach EXECUTING."""
    return any(event.kind == "transition" and event.name == State.EXECUTING for event in read_chain(run.root))


def tell(plan: Plan, claim: Claim, state: State, sha256: str, world: World, *, moved: bool, unbegun: bool = False) -> None:
    """The last transition of a claim, where the runner did not get to say it. `moved`: past the point of no return.

    `unbegun`: nothing known here says that the run has begun; where the ledger knows better, it is not told.
    """
    try:
        ledger = world.ledger(plan.service)
        tip = ledger.tip()
        if tip.claim is None or tip.claim.claim_id != claim.claim_id:
            return
        if tip.state in TERMINAL and (tip.state is not state or tip.bundle_sha256 is not None):
            return
        how = {"past_no_return": moved, "unbegun": unbegun}
        ledger.advance(claim, state, at=stamp(world.clock.now()), bundle_sha256=sha256, serves=plan.target_site, **how)
    except DispatchError as error:
        world.say(f"the ledger was not told: {error.title()}")


def _left_refusal(run: RunDir) -> RefusalRecord | None:
    return run.read_model(REFUSAL, RefusalRecord) if run.has(REFUSAL) else None
