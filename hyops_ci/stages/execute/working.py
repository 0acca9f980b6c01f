"""What a run works with once it holds its claim: HyOps under its supervisor, the ledger, the evidence, and the secrets that it brought."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Final

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.dataclass import dataclass
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.grammar import VOCABULARY
from hyops_ci.execution.journal import Ended, JournalView, Stop
from hyops_ci.execution.outcome import Outcome
from hyops_ci.execution.records import state_reference
from hyops_ci.execution.run_handle import Condition, SupervisedRun
from hyops_ci.execution.run_records import is_of, log_path
from hyops_ci.execution.streams import printable
from hyops_ci.github.actions.commands import MASKED_BY_GITHUB
from hyops_ci.hyops_access.port import DEPLOY_JOURNAL, lent_overlay, runtime_bundle
from hyops_ci.redaction import MIN_FORM, Redactor
from hyops_ci.secrets.port import Purpose
from hyops_ci.secrets.sync import Synced, sync
from hyops_ci.stages.execute.heartbeat import heartbeat
from hyops_ci.stages.execute.progress import StepProgress
from hyops_ci.stages.execute.refusals import interrupted_by
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.planned_run import CheckedRun
from hyops_ci.stages.preview import HyOpsView, authority_of, command_of

STEP_WAIT: Final = 9.0
"""Seconds that a cancelled step waits for HyOps: GitHub kills it soon after (docs/design/workflows.md 4)."""
SET_ASIDE: Final = 4 << 20
"""Bytes kept free for the end of a run on a disk that fills up: its events, its result and its bundle."""
JOB_TOKENS: Final = (*MASKED_BY_GITHUB, "DR_STANDBY_TOKEN", "DR_NOTIFY_SECRET", "DR_NOTIFY_TOKEN")
"""Variables whose values HyOps does not get, and which are hidden all the same: its children run beside this process."""
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_./-]")


@dataclass(frozen=True)
class Worked:
    """What a command of HyOps left."""

    view: JournalView
    ended: Ended | None
    """None where it gave no final answer in time."""
    since: datetime
    states: Mapping[str, StateFact]
    """The state of each planned step after it."""
    asked: tuple[str, ...]
    """By whom it was asked to stop."""


class Working:
    """A run under its claim: the env is locked for as long as HyOps lives."""

    def __init__(self, run: CheckedRun, view: HyOpsView, claim: Claim, state: ExecutionState, part: PartRecorder) -> None:
        """Prepare it. `state` is filled in on the way."""
        self.run, self.plan, self.context = run, run.plan, run.context
        self.view, self.access = view, view.access
        self.claim, self.state, self.part = claim, state, part
        self.redactor = Redactor({})
        self.probe_logins: dict[str, str] = {}
        """Passwords of the plan's probes, by the names of their secrets."""
        self.brought: dict[str, str] = {}
        """What HyOps gets, in its environment and its bundle."""

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
        self.brought = dict(synced.values)
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
    def cleaned_up(self, journal: str = DEPLOY_JOURNAL) -> Iterator[None]:
        """Leave the env as it was: by the supervisor when HyOps has ended, by this process where none will do it."""
        try:
            yield
        finally:
            running = SupervisedRun.attach(self.access.place.journal(journal))
            self.state.at_work = running.condition is Condition.RUNNING
            if self.state.at_work:
                self.part.note("leftovers", pending="HyOps is ending; its supervisor cleans up after it")
            else:
                view = running.view()
                done = view.cleaned or self.access.clean_up(view.started_at)
                self.part.note("leftovers", **{name: done.get(name) for name in ("removed", "kept", "bundle_kept")})
                for line in leftover_lines(done):
                    self.context.say(line)

    @contextmanager
    def secrets_again(self) -> Iterator[None]:
        """Keep overlay and secrets in the env for one more command: its supervisor takes them away, as that of the command before did."""
        with runtime_bundle(self.access) as bundle:
            if bundle is not None:
                bundle.merge(self.brought)
        with self.lent():
            yield

    def lent(self) -> AbstractContextManager[None]:
        """Keep the run's copy of the overlay in the env for the length of the block."""
        return lent_overlay(self.access, self.context.job.run_id, self.view.opened)

    def work(self, name: str, journal: str, progress: StepProgress) -> Worked:
        """Start a planned command under a supervisor that outlives this process, and wait for its end while the claim is renewed."""
        access, started = self.access, self.context.clock.now()
        access.start(self.context.job.run_id, command_of(self.plan, name), journal)
        running = SupervisedRun.attach(
            access.place.journal(journal), on_line=self.context.hyops_line, on_step=progress, cancel=lambda: access.cancel(journal)
        )
        asked: list[str] = []

        def superseded() -> None:
            asked.append("asked by this run itself: another run has taken the lock")
            running.cancel()

        with heartbeat(self.claim, self.plan.service, self.context, superseded) as alarms:
            ended = running.wait_past_cancel(STEP_WAIT)
        if self.state.reserve is not None:
            self.state.reserve.release()
        progress.close()
        self.state.alarms += tuple(alarms)
        for alarm in alarms:
            self.part.note("ledger", alarm=alarm)
        view = running.view()
        self.redactor.counts.update(view.redactions)  # what the supervisor took out, this process never saw
        if not asked and ended is not None and ended.stop is Stop.CANCEL:
            asked.append(f"asked by {interrupted_by(self.context.job)}")
        return Worked(view, ended, view.started_at or started, self.states(), tuple(asked))

    def states(self) -> dict[str, StateFact]:
        """Return the state of each planned step as it is now."""
        references = {step.id: state_reference(step) for step in self.plan.steps}
        found = {each.ref: each for each in self.access.states(tuple(references.values()), self.context.clock.now())}
        return {name: found[reference] for name, reference in references.items()}

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

    def show_end_of_log(self, since: datetime, outcome: Outcome | None) -> str:
        """Show the last 40 lines of the log of the step that was reached, for the person who reads why it stopped (docs/design/texts.md 4).

        Return the log's path on this runner, empty where that step left none.
        """
        reached = outcome.reached if outcome is not None else None
        step = next((step for step in self.plan.steps if reached is not None and step.id == reached.id), None)
        records = [each for each in self.access.records(since) if step is None or is_of(each, step.module_ref)]
        lines = self.access.record_end(records[-1]) if records else ()
        for line in lines:
            self.context.say(printable(self.state.clean(line).encode()))
        return str(log_path(self.access.place.runtime.root, records[-1])) if lines else ""

    def _clean_bytes(self, content: bytes) -> bytes:
        return self.state.clean(content.decode("utf-8", "replace")).encode()

    def now(self) -> str:
        """Return the time as the ledger has it."""
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
