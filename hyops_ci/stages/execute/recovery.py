"""The effect itself: secrets, HyOps' preflight, HyOps' deploy, and the proof that the service is there.

Told by `execute`, which holds the lock and the claim around it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hyops_ci.blueprints.guards import opened, to_yaml
from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.base import seconds, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.command import Runtime, child_environment, command_line
from hyops_ci.execution.grammar import HyOpsLine, StepEvent, StepStatus
from hyops_ci.execution.outcome import Observed, Outcome, judge
from hyops_ci.execution.overlay import lent_overlay
from hyops_ci.execution.records import read_preflight, read_state, state_reference
from hyops_ci.execution.run_handle import Supervisor
from hyops_ci.execution.run_records import evidence_files, last_lines, new_runs
from hyops_ci.execution.streams import printable
from hyops_ci.execution.verification import Verification, verify
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.redaction import Redactor, scrub_patterns
from hyops_ci.secrets.password import read_password
from hyops_ci.secrets.port import Purpose
from hyops_ci.secrets.sync import Synced, sync
from hyops_ci.stages.context import World
from hyops_ci.stages.execute.heartbeat import heartbeat
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.preview import authority_of, command_of
from hyops_ci.text import span

STEP_WAIT: Final = 9.0
"""Seconds that a cancelled step waits for HyOps: GitHub kills it soon after (docs/design/workflows.md 4)."""


@dataclass
class Act:
    """What execute has done so far: what sealing and the ledger need, however it ends."""

    claim: Claim | None = None
    redactor: Redactor = field(default_factory=lambda: Redactor({}))
    outcome: Outcome | None = None
    verification: Verification | None = None
    approvals: tuple[Approval, ...] = ()
    tip: Tip | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)

    def held(self) -> Claim:
        """The claim; there is no recovery without one."""
        if self.claim is None:
            raise AssertionError("no recovery without a claim")
        return self.claim


def bring_secrets(plan: Plan, root: Path, part: PartRecorder, run: RunDir, world: World, act: Act) -> Synced:
    """Fresh secrets into the bundle, the login revoked before anything else happens."""
    password = read_password(plan.vault_password_file or world.environ.get("HYOPS_VAULT_PASSWORD_FILE", ""))
    authority = authority_of(plan, run, world, Purpose.EXECUTE)
    required = [ref.key for ref in plan.secrets.refs]
    synced = sync(plan.secrets, authority, root / "vault" / "bootstrap.vault.env", password, required, clock=world.clock)
    others = {f"bundle-{number}": value for number, value in enumerate(synced.hidden, 1)}
    act.redactor = Redactor({**synced.values, **others})
    part.redact = act.redactor.json
    run.write_model("secrets.json", synced.manifest)
    count = len(synced.manifest.secrets)
    world.say(f"secrets: {count} of {len(required)} from {synced.manifest.origin}{_as(synced)}")
    return synced


def _as(synced: Synced) -> str:
    revoked = "; token revoked" if synced.manifest.revoked else ""
    return f" as {synced.manifest.role}{revoked}" if synced.manifest.role else revoked


def recover(plan: Plan, root: Path, lock: int, synced: Synced, part: PartRecorder, run: RunDir, world: World, act: Act) -> None:
    """HyOps, with exactly the planned guards open, in a copy of the overlay that is gone afterwards."""
    document = read_yaml(run.read("sources/overlay"), plan.overlay)
    content = to_yaml(opened(document, plan.guards))
    runtime = Runtime.of(plan, world.home)
    environment = child_environment(runtime, base=world.environ, secrets=synced.values, env_pass=plan.env_pass)
    with lent_overlay(root, world.job.run_id, content) as overlay:
        preflight(plan, runtime, overlay, environment, synced, part, run, world)
        part.enter(State.PREFLIGHT_PASSED)
        # From here on an effect may happen. The push comes first: a run that was superseded stops here.
        world.ledger(plan.service).advance(act.held(), State.EXECUTING, at=stamp(world.clock.now()), mutating=True)
        part.enter(State.EXECUTING)
        deploy(plan, runtime, overlay, environment, lock, synced, part, run, world, act)
    conclude_execution(plan, part, run, world, act)


def preflight(
    plan: Plan, runtime: Runtime, overlay: Path, environment: dict[str, str], synced: Synced, part: PartRecorder, run: RunDir, world: World
) -> None:
    """HyOps' own preflight with the real secrets. Raises Refusal (exit 9)."""
    command = command_of(plan, "preflight")
    part.intent("hyops.preflight", argv=list(command.argv))
    asked = Supervisor.start(
        command_line(command, runtime, overlay),
        environment,
        run.private / "preflight",
        timeout=seconds(command.timeout),
        secrets=synced.values,
    )
    ended = asked.wait()
    answer = read_preflight(asked.stdout(), ended.rc if ended is not None and ended.rc is not None else -1)
    part.result("hyops.preflight", rc=answer.rc, status=answer.status, steps={step.id: step.status for step in answer.steps})
    if answer.status != "ok" or answer.rc != 0:
        blocked = [f"{step.id}: {step.reason}" for step in answer.steps if step.status == "blocked"]
        raise Refusal(
            "hyops.preflight",
            f"HyOps cannot start; {len(blocked)} blocked, {sum(step.status == 'deferred' for step in answer.steps)} not examined",
            exit_code=Exit.HYOPS,
            found="; ".join(blocked) or answer.error or f"rc {answer.rc}",
            expected="every step ready or skipped",
            fix="HyOps' own hint is in the line above; then a new run",
        )
    run_count = sum(step.status == "ready" for step in answer.steps)
    world.say(f"preflight ok: {run_count} run, {len(answer.steps) - run_count} skip, as approved")


def deploy(
    plan: Plan,
    runtime: Runtime,
    overlay: Path,
    environment: dict[str, str],
    lock: int,
    synced: Synced,
    part: PartRecorder,
    run: RunDir,
    world: World,
    act: Act,
) -> None:
    """The recovery itself, under a supervisor that outlives this process; judged by what it left."""
    command = command_of(plan, "deploy")
    part.intent("hyops.deploy", argv=list(command.argv), point_of_no_return=plan.point_of_no_return)
    watch = StepWatch(plan, world, act.steps, part)
    started = world.clock.now()
    running = Supervisor.start(
        command_line(command, runtime, overlay),
        environment,
        run.private / "deploy",
        timeout=seconds(command.timeout),
        secrets=synced.values,
        on_line=world.hyops_line,
        on_step=watch,
        remove_after=[overlay],
        hold=(lock,),
    )
    with heartbeat(act.held(), plan.service, world, running.cancel):
        ended = running.see_through(STEP_WAIT)
    view = running.view()
    states = {step.id: read_state(runtime.root, state_reference(step), world.clock.now()) for step in plan.steps}
    since = view.started_at or started
    act.outcome = judge(Observed(plan.steps, view.lines, states, since, ended))
    keep_records(runtime.root, since, run, act)
    if act.outcome.state is State.FAILED:
        show_end_of_log(runtime.root, since, world, act)
    part.result(
        "hyops.deploy",
        rc=ended.rc if ended is not None else None,
        outcome=act.outcome.state.value,
        reasons=list(act.outcome.reasons),
        deviations=list(act.outcome.deviations),
        past_no_return=act.outcome.past_no_return,
        redactions=dict(view.redactions),
    )


def keep_records(root: Path, since: datetime, run: RunDir, act: Act) -> None:
    """Steps, and the little of HyOps' own records that may leave the runner."""
    lines = "".join(json.dumps(step, sort_keys=True) + "\n" for step in act.steps)
    run.write("steps.jsonl", act.redactor.text(lines).encode())
    for record in new_runs(root, since):
        for path, content in evidence_files(record, lambda text: scrub_patterns(act.redactor.text(text))).items():
            run.write(f"hyops/{path}", content)


def show_end_of_log(root: Path, since: datetime, world: World, act: Act) -> None:
    """The last 40 lines of the log of HyOps' last run, for the person who reads why it stopped (docs/design/texts.md 4)."""
    records = new_runs(root, since)
    for line in last_lines(records[-1], lambda text: scrub_patterns(act.redactor.text(text))) if records else ():
        world.say(printable(line.encode()))


def conclude_execution(plan: Plan, part: PartRecorder, run: RunDir, world: World, act: Act) -> None:
    """From HyOps' outcome to the run's: HyOps' word is not proof, the probes are."""
    outcome = act.outcome
    if outcome is None:
        raise AssertionError("no conclusion without an outcome")
    if outcome.state not in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS):
        part.enter(outcome.state, reasons=list(outcome.reasons))
        return
    part.enter(State.VERIFYING)
    act.verification = verify(plan.verification, world.clock)
    run.write_json(
        "probes.json",
        [{"kind": each.kind, "target": each.target, "proven": each.proven, "text": each.text} for each in act.verification.results],
    )
    check = run.read_model("check.json", Check)
    failed = [each.text for each in act.verification.results if not each.proven]
    exceptions = bool(outcome.deviations or check.deviations or failed)
    part.enter(State.COMPLETED_WITH_EXCEPTIONS if exceptions else State.COMPLETED, proven=list(act.verification.proofs()))


@dataclass
class StepWatch:
    """Turns HyOps' lines into progress that a person reads and steps that the evidence keeps."""

    plan: Plan
    world: World
    steps: list[dict[str, Any]]
    part: PartRecorder
    begun: dict[str, datetime] = field(default_factory=dict)

    def __call__(self, line: HyOpsLine, at: datetime) -> None:
        """One line that means something, with its time."""
        if not isinstance(line, StepEvent):
            return
        ids = [step.id for step in self.plan.steps]
        place = f"{ids.index(line.step) + 1}/{len(ids)} {line.step}" if line.step in ids else line.step
        took = at - self.begun.setdefault(line.step, at)
        entry = {
            "step": line.step,
            "status": line.status.value,
            "at": stamp(at),
            "reason": line.reason,
            "seconds": int(took.total_seconds()),
        }
        self.steps.append(entry)
        self.part.note("step", **entry)
        if line.status is StepStatus.RUNNING:
            last = line.step == self.plan.point_of_no_return
            where = "from here cancelling does not undo" if last else f"Cancel now: clients stay {self.plan.source_site}"
            behind = self._behind(line.step)
            self.world.say(f"{place} running   {'' if behind else where}".rstrip())
        else:
            self.world.say(f"{place} {line.status.value} {span(took.total_seconds())}{f' ({line.reason})' if line.reason else ''}")

    def _behind(self, step: str) -> bool:
        """Whether the point of no return is already behind this step."""
        ids = [each.id for each in self.plan.steps]
        last = self.plan.point_of_no_return
        return bool(last) and step in ids and ids.index(step) > ids.index(last)
