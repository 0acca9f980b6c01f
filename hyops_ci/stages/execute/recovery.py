"""The recovery itself: secrets, HyOps' preflight, HyOps' deploy, and the proof that the service answers.

Called by `execute`, which holds the host lock and the claim around it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.evidence.conclusions import RECOVERED
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.grammar import VOCABULARY
from hyops_ci.execution.journal import Stop
from hyops_ci.execution.outcome import Observed, Outcome, determine_outcome
from hyops_ci.execution.records import state_reference
from hyops_ci.execution.run_handle import Condition, SupervisedRun
from hyops_ci.execution.run_records import is_of, log_path
from hyops_ci.execution.streams import printable
from hyops_ci.execution.verification import run_probes
from hyops_ci.github.actions.commands import MASKED_BY_GITHUB
from hyops_ci.hyops_access.port import lent_overlay, runtime_bundle
from hyops_ci.planning.case import CheckCase, run_gates
from hyops_ci.planning.checking import report
from hyops_ci.redaction import MIN_FORM, Redactor
from hyops_ci.secrets.port import Purpose
from hyops_ci.secrets.sync import Synced, sync
from hyops_ci.stages.execute.heartbeat import heartbeat
from hyops_ci.stages.execute.progress import StepProgress
from hyops_ci.stages.execute.refusals import changed, differs, interrupted_by, not_proven
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.planned_run import CheckedRun
from hyops_ci.stages.preview import HyOpsView, authority_of, command_of, facts_of, with_ledger

STEP_WAIT: Final = 9.0
"""Seconds that a cancelled step waits for HyOps: GitHub kills it soon after (docs/design/workflows.md 4)."""
SET_ASIDE: Final = 4 << 20
"""Bytes kept free for the end of a run on a disk that fills up: its events, its result and its bundle."""
JOB_TOKENS: Final = (*MASKED_BY_GITHUB, "DR_STANDBY_TOKEN", "DR_NOTIFY_SECRET", "DR_NOTIFY_TOKEN")
"""Variables whose values HyOps does not get, and which are hidden all the same: its children run beside this process."""
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_./-]")


class Recovery:
    """One recovery under a claim: secrets, HyOps' preflight, HyOps' deploy, and the proof that the service answers."""

    def __init__(self, run: CheckedRun, view: HyOpsView, claim: Claim, state: ExecutionState, part: PartRecorder) -> None:
        """Prepare it. `state` is filled in on the way; the env is locked already, for as long as HyOps lives."""
        self.run, self.plan, self.context = run, run.plan, run.context
        self.view, self.access = view, view.access
        self.claim, self.state, self.part = claim, state, part
        self.redactor = Redactor({})
        self.probe_logins: dict[str, str] = {}
        """Passwords of the plan's probes, by the names of their secrets."""

    def carry_out(self) -> None:
        """Recover: HyOps, with exactly the planned guards open, in a copy of the overlay that is gone afterwards."""
        with self.cleaned_up():
            names = self.bring_secrets()
            with lent_overlay(self.access, self.context.job.run_id, self.view.opened):
                self.preflight(names)
                self.part.enter(State.PREFLIGHT_PASSED)
                # From here on an effect may happen. The push comes first: a run that was superseded stops here.
                self.state.begun = True
                self.run.ledger.advance(self.claim, State.EXECUTING, at=self._now(), mutating=True)
                self.part.enter(State.EXECUTING)
                outcome = self.deploy()
        self.prove(outcome)

    def bring_secrets(self) -> Collection[str]:
        """Bring fresh secrets into HyOps' bundle and return their names; the login is revoked before anything else happens."""
        plan, context = self.plan, self.context
        job = {name: context.environ[name] for name in JOB_TOKENS if len(context.environ.get(name, "")) >= MIN_FORM}
        tokens: list[str] = []

        def learn(token: str) -> None:
            """Hide it before the next request: an authority that refuses may repeat what it was sent."""
            tokens.append(token)
            self._hide({**_logins(tokens), **job})

        authority = authority_of(self.run, Purpose.EXECUTE, learn=learn)
        required = [ref.key for ref in plan.secrets.refs]
        withheld = set(plan.probe_secrets) - set(self.view.blueprint.required_env())
        synced = sync(plan.secrets, authority, runtime_bundle(self.access), required, withheld=withheld, clock=context.clock)
        known = {**synced.values, **synced.withheld}
        self.probe_logins = {name: known[name] for name in plan.probe_secrets}
        brought = set(known.values())
        others = {f"bundle-{number}": value for number, value in enumerate(synced.hidden, 1) if value not in brought}
        hidden = {**synced.values, **others, **_logins(tokens), **job}
        self._hide({**hidden, **synced.withheld})
        self.access.give(dict(synced.values), hidden, public_words(plan))
        if self.redactor.in_public:
            context.say(f"not hidden, since the plan says the same word: {', '.join(self.redactor.in_public)}")
        self.run.folder.write_model("secrets.json", synced.manifest)
        count = len(synced.manifest.secrets)
        context.say(f"secrets: {count} of {len(required)} from {synced.manifest.origin}{_as(synced)}")
        self.part.enter(State.SECRETS_READY, names=[each.key for each in synced.manifest.secrets])
        return known.keys()

    def _hide(self, secrets: Mapping[str, str]) -> None:
        """Let nothing of these values through any more, in place of those before."""
        self.redactor = self.state.redactor = Redactor(secrets, public_words(self.plan))
        self.part.redact = self.redactor.json

    @contextmanager
    def cleaned_up(self) -> Iterator[None]:
        """Leave the env as it was: by the supervisor when HyOps has ended, by this process where none will do it."""
        try:
            yield
        finally:
            running = SupervisedRun.attach(self.access.place.deploy)
            self.state.at_work = running.condition is Condition.RUNNING
            if self.state.at_work:
                self.part.note("leftovers", pending="HyOps is ending; its supervisor cleans up after it")
            else:
                view = running.view()
                done = view.cleaned or self.access.clean_up(view.started_at)
                self.part.note("leftovers", **{name: done.get(name) for name in ("removed", "kept", "bundle_kept")})
                for line in leftover_lines(done):
                    self.context.say(line)

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
        now = report(case, run_gates("check", case), run_id=self.context.job.run_id, checked_at=self._now())
        if now.digest() != self.run.check.digest():
            raise changed(self.run, differs(self.run.check, now))
        run_count = sum(step.status == "ready" for step in answer.steps)
        self.context.say(f"preflight ok: {run_count} run, {len(answer.steps) - run_count} skip, as approved")

    def deploy(self) -> Outcome:
        """Deploy under a supervisor that outlives this process, and return the outcome as judged by what HyOps left."""
        plan, clock, access = self.plan, self.context.clock, self.access
        command = command_of(plan, "deploy")
        self.part.intent("hyops.deploy", argv=list(command.argv), point_of_no_return=plan.point_of_no_return)
        started = clock.now()
        progress = StepProgress(plan, self.context, self.state.steps, self.part)
        access.deploy(self.context.job.run_id, command)
        running = SupervisedRun.attach(access.place.deploy, on_line=self.context.hyops_line, on_step=progress, cancel=access.cancel)
        asked: list[str] = []

        def superseded() -> None:
            asked.append("asked by this run itself: another run has taken the lock")
            running.cancel()

        with heartbeat(self.claim, plan.service, self.context, superseded) as alarms:
            ended = running.wait_past_cancel(STEP_WAIT)
        if self.state.reserve is not None:
            self.state.reserve.release()
        progress.close()
        self.state.alarms = tuple(alarms)
        for alarm in alarms:
            self.part.note("ledger", alarm=alarm)
        view = running.view()
        found = {each.ref: each for each in access.states(tuple(state_reference(step) for step in plan.steps), clock.now())}
        states = {step.id: found[state_reference(step)] for step in plan.steps}
        self.redactor.counts.update(view.redactions)  # what the supervisor took out, this process never saw
        since = view.started_at or started
        seen = Observed(plan.steps, view.lines, states, since, ended, plan.blueprint, view.full)
        outcome = self.state.outcome = self._clean(determine_outcome(seen))
        self.keep_records(since)
        log = self.show_end_of_log(since, outcome) if outcome.state not in RECOVERED else ""
        if not asked and ended is not None and ended.stop is Stop.CANCEL:
            asked.append(f"asked by {interrupted_by(self.context.job)}")
        self.part.result(
            "hyops.deploy",
            rc=ended.rc if ended is not None else None,
            outcome=outcome.state.value,
            reasons=list(outcome.reasons),
            deviations=list(outcome.deviations),
            past_no_return=outcome.past_no_return,
            asked=asked,
            left=[self.state.clean(outcome.left())],
            log=[self.state.clean(f"log {log}")] if log else [],
            redactions=dict(view.redactions),
        )
        return outcome

    def keep_records(self, since: datetime) -> None:
        """Keep the steps, and the part of HyOps' own records that may leave the runner."""
        lines = "".join(json.dumps(step, sort_keys=True) + "\n" for step in self.state.steps)
        self.run.folder.write("steps.jsonl", self.redactor.text(lines).encode())
        for record in self.access.records(since):
            if shutil.disk_usage(self.run.folder.root).free < SET_ASIDE:
                self.part.note("records", left_out=f"those from {record} on: the disk is full")
                return
            for path, content in self.access.record_files(record).items():
                # The folders are named by HyOps' modules: nothing but the names of a path may be left of a mark.
                self.run.folder.write(f"hyops/{_NO_NAME.sub('_', self.state.clean(path))}", self._clean_bytes(content))

    def show_end_of_log(self, since: datetime, outcome: Outcome) -> str:
        """Show the last 40 lines of the log of the step that was reached, for the person who reads why it stopped (docs/design/texts.md 4).

        Return the log's path on this runner, empty where that step left none.
        """
        reached = next((step for step in self.plan.steps if outcome.reached is not None and step.id == outcome.reached.id), None)
        records = [each for each in self.access.records(since) if reached is None or is_of(each, reached.module_ref)]
        lines = self.access.record_end(records[-1]) if records else ()
        for line in lines:
            self.context.say(printable(self.state.clean(line).encode()))
        return str(log_path(self.access.place.runtime.root, records[-1])) if lines else ""

    def prove(self, outcome: Outcome) -> None:
        """Enter the run's last state: HyOps' own report is not proof, the probes are."""
        if outcome.state not in RECOVERED:
            self.part.enter(outcome.state, reasons=list(outcome.reasons))
            return
        self.part.enter(State.VERIFYING)
        if self.plan.verification:
            self.context.say(f"HyOps says that it is done; asking {len(self.plan.verification)} probes whether the service is there")
        verification = self.state.verification = run_probes(self.plan.verification, self.context.clock, self.probe_logins)
        results = verification.results
        self.run.folder.write_json(
            "probes.json", [{"kind": each.kind, "target": each.target, "proven": each.proven, "text": each.text} for each in results]
        )
        if results and not verification.proven:
            raise not_proven(self.plan, verification)
        exceptions = bool(outcome.deviations or self.run.check.deviations or self.state.alarms)
        self.part.enter(State.COMPLETED_WITH_EXCEPTIONS if exceptions else State.COMPLETED, proven=list(verification.proofs()))

    def _clean(self, outcome: Outcome) -> Outcome:
        """Return the outcome without secrets: it quotes what HyOps left in its states."""
        clean = self.state.clean
        steps = tuple(replace(step, reason=clean(step.reason)) for step in outcome.steps)
        return replace(outcome, reasons=tuple(map(clean, outcome.reasons)), deviations=tuple(map(clean, outcome.deviations)), steps=steps)

    def _clean_bytes(self, content: bytes) -> bytes:
        return self.state.clean(content.decode("utf-8", "replace")).encode()

    def _now(self) -> str:
        return stamp(self.context.clock.now())


def public_words(plan: Plan) -> tuple[str, ...]:
    """Return what the plan and HyOps' grammar say in any case. A value that is a part of it cannot be hidden: the run could not be read."""
    return (*VOCABULARY, plan.blueprint, *(step.id for step in plan.steps), *(step.module_ref for step in plan.steps))


def _logins(tokens: Sequence[str]) -> dict[str, str]:
    return {f"login-{number}": token for number, token in enumerate(dict.fromkeys(tokens), 1)}


def leftover_lines(done: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person should know of what HyOps left on the runner."""
    for found, text in (("removed", "removed from the runner, with secrets in it"), ("kept", "left on the runner, with secrets in it")):
        if names := done.get(found):
            yield f"{text}: {', '.join(map(str, names))}"
    if done.get("bundle_kept"):
        yield "the runtime bundle was changed by another program and keeps this run's secrets"


def _as(synced: Synced) -> str:
    revoked = "; token revoked" if synced.manifest.revoked else ""
    return f" as {synced.manifest.role}{revoked}" if synced.manifest.role else revoked
