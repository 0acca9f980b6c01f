"""The recovery itself: secrets, HyOps' preflight, HyOps' deploy, and the proof that the service answers.

Called by `execute`, which holds the host lock and the claim around it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hyops_ci.contracts.run import State
from hyops_ci.evidence.conclusions import RECOVERED
from hyops_ci.execution.outcome import Observed, Outcome, determine_outcome
from hyops_ci.execution.verification import Verification, run_probes
from hyops_ci.hyops_access.port import DEPLOY_JOURNAL
from hyops_ci.planning.case import CheckCase, run_gates
from hyops_ci.planning.checking import report
from hyops_ci.stages.execute.cleaning import Cleaning
from hyops_ci.stages.execute.progress import StepProgress
from hyops_ci.stages.execute.refusals import changed, differs, not_proven
from hyops_ci.stages.execute.working import Worked, Working
from hyops_ci.stages.preview import command_of, facts_of, with_ledger
from hyops_ci.text import counted


class Recovery(Working):
    """One recovery under a claim: secrets, HyOps' preflight, HyOps' deploy, and the proof that the service answers."""

    worked: Worked | None = None
    """What the deploy left."""

    def carry_out(self) -> None:
        """Recover: HyOps, with exactly the planned guards open, in a copy of the overlay that is gone afterwards."""
        cleaning = Cleaning(self) if self.plan.destroys else None
        with self.cleaned_up():
            names = self.bring_secrets()
            if cleaning is not None:
                cleaning.remove_earlier()
            with self.secrets_again() if cleaning is not None and cleaning.began else self.lent():
                self.preflight(names)
                self.part.enter(State.PREFLIGHT_PASSED)
                # From here on an effect may happen. The push comes first: a run that was superseded stops here.
                self.state.begun = True
                self.run.ledger.advance(self.claim, State.EXECUTING, at=self.now(), mutating=True)
                self.part.enter(State.EXECUTING)
                outcome = self.deploy()
        if cleaning is None:
            self.prove(outcome)
        else:
            self.prove_and_remove(outcome, cleaning)

    def preflight(self, brought: Collection[str]) -> None:
        """Ask HyOps' own preflight with the real secrets; what the approver relied on must still hold.

        Raises Refusal: exit 9 where HyOps cannot start, exit 4 where it would do something else than was approved, or what a gate says.
        """
        command = command_of(self.plan, "preflight")
        self.part.intent("hyops.preflight", argv=list(command.argv))
        answer = self.access.preflight(self.context.job.run_id, command, {})
        self.part.result("hyops.preflight", rc=answer.rc, status=answer.status, steps={step.id: step.status for step in answer.steps})
        there = {*brought, *(name for name in self.plan.env_pass if name in self.context.environ)}
        names = {name: name in there for name in (*self.view.blueprint.required_env(), *self.plan.probe_secrets)}
        case = with_ledger(CheckCase(self.plan, facts_of(self.run, self.view, names, answer)), self.run)
        now = report(case, run_gates("check", case), run_id=self.context.job.run_id, checked_at=self.now())
        if now.digest() != self.run.check.digest():
            raise changed(self.run, differs(self.run.check, now))
        run_count = sum(step.status == "ready" for step in answer.steps)
        self.context.say(f"preflight ok: {run_count} run, {len(answer.steps) - run_count} skip, as approved")

    def deploy(self) -> Outcome:
        """Deploy under a supervisor that outlives this process, and return the outcome as judged by what HyOps left."""
        plan = self.plan
        self.part.intent("hyops.deploy", argv=list(command_of(plan, "deploy").argv), point_of_no_return=plan.point_of_no_return)
        worked = self.worked = self.work("deploy", DEPLOY_JOURNAL, StepProgress(plan, self.context, self.state.steps, self.part))
        view = worked.view
        seen = Observed(plan.steps, view.lines, worked.states, worked.since, worked.ended, plan.blueprint, view.full)
        outcome = self.state.outcome = self._clean(determine_outcome(seen))
        self.keep_records(worked.since)
        log = self.show_end_of_log(worked.since, outcome) if outcome.state not in RECOVERED else ""
        self.part.result(
            "hyops.deploy",
            rc=worked.ended.rc if worked.ended is not None else None,
            outcome=outcome.state.value,
            reasons=list(outcome.reasons),
            deviations=list(outcome.deviations),
            past_no_return=outcome.past_no_return,
            asked=list(worked.asked),
            left=[self.state.clean(outcome.left())],
            log=[self.state.clean(f"log {log}")] if log else [],
            redactions=dict(view.redactions),
        )
        return outcome

    def prove(self, outcome: Outcome) -> None:
        """Enter the run's last state: HyOps' own report is not proof, the probes are."""
        if outcome.state not in RECOVERED:
            self.part.enter(outcome.state, reasons=list(outcome.reasons))
            return
        self.conclude(outcome, self.verify())

    def prove_and_remove(self, outcome: Outcome, cleaning: Cleaning) -> None:
        """Enter a drill's last state, once what it made is gone. Where HyOps may still be at work nothing is removed."""
        worked, verification = self.worked, None
        if worked is None or worked.ended is None:
            self.prove(outcome)
            return
        if outcome.state in RECOVERED:
            try:
                verification = self.verify()
            except KeyboardInterrupt:
                worked = None
        failed = "; ".join(outcome.reasons if outcome.state not in RECOVERED else () if verification is None else verification.gaps())
        cleaning.end(worked, failed if verification is None or self.plan.verification else "")
        if verification is not None:
            self.conclude(outcome, verification)
            return
        # Whatever HyOps had left unknown is gone: the drill has failed, and that is known.
        ended = State.CANCELLED if worked is None else State.FAILED if outcome.state is State.INDETERMINATE else outcome.state
        self.part.enter(ended, reasons=list(outcome.reasons))

    def verify(self) -> Verification:
        """Ask the probes, and keep what they saw."""
        self.part.enter(State.VERIFYING)
        if self.plan.verification:
            probes = counted(len(self.plan.verification), "probe")
            self.context.say(f"HyOps says that it is done; asking {probes} whether the service is there")
        verification = self.state.verification = run_probes(self.plan.verification, self.context.clock, self.probe_logins)
        results = verification.results
        self.run.folder.write_json("probes.json", [each.document() for each in results])
        return verification

    def conclude(self, outcome: Outcome, verification: Verification) -> None:
        """Enter the end of a recovery that HyOps calls done. Raises Refusal (exit 13) where a probe does not see the service."""
        if verification.results and not verification.proven:
            raise not_proven(self.plan, verification)
        touched = self.state.cleanup.touched() if self.state.cleanup is not None else ()
        exceptions = bool(outcome.deviations or self.run.check.deviations or self.state.alarms or touched)
        self.part.enter(State.COMPLETED_WITH_EXCEPTIONS if exceptions else State.COMPLETED, proven=list(verification.proofs()))

    def _clean(self, outcome: Outcome) -> Outcome:
        """Return the outcome without secrets: it quotes what HyOps left in its states."""
        clean = self.state.clean
        steps = tuple(replace(step, reason=clean(step.reason)) for step in outcome.steps)
        return replace(outcome, reasons=tuple(map(clean, outcome.reasons)), deviations=tuple(map(clean, outcome.deviations)), steps=steps)
