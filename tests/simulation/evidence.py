"""The evidence of a schedule's runs, written by the real recorder while it happens; sealed and verified where that is asked for."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.run import ENDINGS, EXIT_OF, TERMINAL, RefusalRecord, Result, State, may_follow
from hyops_ci.evidence.bundle import seal
from hyops_ci.evidence.conclusions import RECOVERED, UNREFUSED, VERIFIED, gaps_besides, good_headline, proven_by
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from hyops_ci.evidence.verify import verify
from tests.ledger.ledger_setup import SERVICE
from tests.simulation.invariants import BROKEN, Violation
from tests.simulation.process import Entered, moment_of
from tests.simulation.state import Process
from tests.unit.evidence import sample_run


class _Clock:
    """The schedule's time, as of the event being written."""

    def __init__(self) -> None:
        self.at = 0

    def now(self) -> datetime:
        return moment_of(self.at)

    def monotonic(self) -> float:
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def _refused(state: State) -> RefusalRecord:
    """What ended a run in this state."""
    return RefusalRecord(gate="run.ended", reason=f"the run ended {state}", exit_code=EXIT_OF[state])


class Evidence:
    """One folder for each run and, where execute's never arrived, one of conclude's own."""

    def __init__(self, root: Path, bundles: bool) -> None:
        self._root, self._bundles, self._clock = root, bundles, _Clock()
        self._parts: dict[Path, PartRecorder] = {}
        self.sealed_runs: set[int] = set()
        self.violations: list[Violation] = []
        self.bundles = 0

    def _folder(self, process: Process) -> Path:
        return self._root / f"{process.role}-{process.run.number}"

    def begun(self, process: Process, how: str) -> None:
        """Conclude begins with what arrived: all of execute's folder, or the parts of plan and check."""
        if process.role != "conclude":
            return
        theirs, mine = self._root / f"execute-{process.run.number}", self._folder(process)
        self._close(mine)
        shutil.rmtree(mine, ignore_errors=True)
        if theirs.exists():
            shutil.copytree(theirs, mine)
        if how == "find nothing":
            shutil.rmtree(mine / "parts" / "execute", ignore_errors=True)

    def entered(self, process: Process, what: Entered) -> None:
        """One transition, with the refusal that led to it."""
        folder, self._clock.at = self._folder(process), what.at
        part = self._parts.get(folder)
        if part is None or part.folder.name != what.stage:
            self._close(folder)
            part = self._parts[folder] = PartRecorder(folder, what.stage, self._clock)
        if self._bundles and what.stage != "conclude":
            sample_run.leave(folder, what.state, process.run.run_id, clean=True)
        if what.state in TERMINAL - UNREFUSED:
            part.refusal(what.refusal or "run.ended", **_refused(what.state).document())
        part.enter(what.state)

    def sealed(self, process: Process, state: State) -> None:
        """The end of a run: its chain is read again, and sealed where asked for."""
        folder, run = self._folder(process), process.run
        self._close(folder)
        events = list(read_chain(folder))
        now: State | None = None
        for event in events:
            if event.kind == "transition":
                after = State(event.name)
                if not (after is State.RECEIVED if now is None else may_follow(now, after)):
                    self._wrong(f"evidence of run {run.number}: {now} became {after}")
                now = after
        if now is not state or now not in TERMINAL:
            self._wrong(f"evidence of run {run.number} ends in {now}, the run in {state}")
        if self._bundles:
            result = self._result(folder, run.run_id, state, events[0].at)
            sample_run.close(folder, result, clean=True)
            bundle = seal(folder, result, to=folder.with_suffix(".tar"), clock=self._clock)
            if not (verdict := verify(bundle.path)).ok:
                self._wrong(f"bundle of run {run.number}: {'; '.join(verdict.problems)}")
            self.bundles += 1
        self.sealed_runs.add(run.number)

    def _result(self, folder: Path, run_id: str, state: State, begun: str) -> Result:
        """What the documents in a folder come to."""
        has = {path.name for path in folder.iterdir()}
        of, seen = sample_run.planned(clean=True)
        return Result(
            run_id=run_id,
            outcome=state,
            exit_code=EXIT_OF[state],
            headline=f"{good_headline(False, 0)}  {SERVICE}" if state in RECOVERED else ENDINGS[state].headline,
            decision_id=of.decision_id if "decision.json" in has else "",
            service=SERVICE if "decision.json" in has else None,
            plan_digest=of.digest() if "plan.json" in has else None,
            check_digest=seen.digest() if "check.json" in has else None,
            claim_id=sample_run.claim(of, seen).claim_id if "claim.json" in has else "",
            epoch=sample_run.claim(of, seen).epoch if "claim.json" in has else None,
            started_at=begun,
            ended_at=stamp(self._clock.now()),
            refusal=_refused(state) if state not in UNREFUSED else None,
            proven=proven_by(sample_run.PROBES) if "probes.json" in has else (),
            not_proven=tuple(f"{gap} (nobody was asked)" for gap in gaps_besides({}, sample_run.PROBES)) if state in VERIFIED else (),
        )

    def close(self, runs: int) -> list[Violation]:
        """Return the violations in the evidence, once the simulation is over."""
        for folder in list(self._parts):
            self._close(folder)
        for run in sorted(set(range(runs)) - self.sealed_runs):
            self._wrong(f"run {run} left no evidence of its end")
        return self.violations

    def _close(self, folder: Path) -> None:
        if (part := self._parts.pop(folder, None)) is not None:
            part.__exit__(None, None, None)

    def _wrong(self, text: str) -> None:
        self.violations.append(Violation(BROKEN, text))
