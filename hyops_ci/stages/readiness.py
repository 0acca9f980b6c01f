"""The readiness of a service: signed by the host that checked it, kept on its branch by the report, read by whoever plans or asks.

Nothing of this changes how a run ends: a check that cannot be signed or kept is said, and is no readiness.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from hyops_ci.config.drills import drills_of, next_action, runner_names, runner_of
from hyops_ci.contracts.base import seconds, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.readiness import MAX_READINESS, READINESS, READINESS_PAYLOAD, HostNote, Readiness, ReadinessEnvelope, ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.readiness.judging import About, readiness_of
from hyops_ci.readiness.store import KeptChecks, ReadinessStore
from hyops_ci.signing.dsse import open_envelope
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.planned_run import CONFIG, PlannedRun, read_allowed
from hyops_ci.stages.runner import StageEnd

WEEK: Final = 7 * 86400
"""Seconds after which a check says nothing any more, where the config demands no age and owes no check."""
HostNotes = Callable[[DispatchConfig, str, datetime], tuple[HostNote, ...]]
"""Asks a host about itself: the config, the lane, and the time."""
_MOST: Final = 20
_LONGEST: Final = 300


def sign_readiness(run: PlannedRun, end: StageEnd, notes: HostNotes | None = None) -> None:
    """Leave what this check found as `readiness.json`, signed with the host's key. Without a key that others believe there is none.

    `notes` asks the host about itself; only a check that was asked for by itself takes that time.
    """
    say = run.context.say
    if run.plan.settles is not None:
        return
    if run.host_key.trouble:
        say(f"no readiness is signed: {run.host_key.trouble}")
        return
    try:
        record = _record(run, end, run.head.tip.ledger_id)
        if notes is not None and run.plan.exercise == "check":
            record = record.model_copy(update={"host": notes(run.config, run.plan.lane, run.context.clock.now())[:_MOST]})
        run.folder.write_json(READINESS, _signed(run, record))
    except DispatchError as error:
        say(f"no readiness is signed: {error.title()}")


def keep_readiness(folder: RunDir, context: RunContext) -> None:
    """Keep the readiness that the check of this run left, on the service's branch. What is not this run's, or nobody's, is not kept."""
    if not folder.has(READINESS):
        return
    try:
        config, plan = read_allowed(folder.read(CONFIG), CONFIG, context), folder.read_model("plan.json", Plan)
        envelope = read_document(ReadinessEnvelope, folder.read(READINESS), most=MAX_READINESS)
        opened = open_envelope(envelope.document(), READINESS_PAYLOAD, config.host_keys.values())
        record = read_document(Readiness, opened.payload)
    except (JsonError, ValueError, DispatchError):
        context.say("the readiness of this check cannot be read, and was not kept")
        return
    if not opened.signers or (record.service, record.run_id) != (plan.service, context.job.run_id):
        context.say("the readiness of this check is signed by no host of the config, or is another run's: it was not kept")
        return
    word = "ready" if record.ready else f"{record.outcome} {record.gate}".rstrip()
    try:
        store = context.checks(plan.service, hasty=not context.job.on_github)  # with GitHub down nobody waits for what does not answer
        store.keep(canonical(envelope.document()), f"{record.decision_type} by run {record.run_id}: {word}")
    except DispatchError as error:
        context.say(f"the readiness of this check was not kept: {error.title()}")


def kept_checks(store: Callable[[], ReadinessStore]) -> KeptChecks | DispatchError | None:
    """Return what lies on a service's branch, or why that is not known: a recovery does not wait for it, and a look goes on without."""
    try:
        return store().read()
    except DispatchError as error:
        return error


def readiness_fact(kept: KeptChecks | DispatchError | None, tip: Tip, config: DispatchConfig, now: datetime) -> ReadinessFact:
    """Return what is known of the readiness of the move that comes next. `config` is the reviewed one under the host's trust."""
    if isinstance(kept, DispatchError):
        return ReadinessFact(standing="unknown", why=kept.title(), unanswered=kept.gate == "ledger.unreachable")
    move = next_action(tip.position)
    about = About(
        service=tip.service,
        ledger_id=tip.ledger_id,
        decision_type=move,
        runner_ref=runner_of(config, tip.service, move),
        now=now,
        host_keys=config.host_keys,
        runners=runner_names(config),
        lasts=timedelta(seconds=lasts(config, tip.service)),
    )
    return readiness_of(kept, about)


def _record(run: PlannedRun, end: StageEnd, ledger_id: str) -> Readiness:
    plan, folder, refusal = run.plan, run.folder, end.refusal
    ready = end.state is State.CHECKED
    check = folder.read_model("check.json", Check) if folder.has("check.json") else None
    now = run.context.clock.now()
    return Readiness(
        ledger_id=ledger_id,
        service=plan.service,
        decision_type=plan.decision_type,
        lane=plan.lane,
        runner_ref=plan.runner_ref,
        runner=(check.runner.name or check.runner.hostname)[:1000] if check is not None else "",
        ready=ready,
        outcome=State.CHECK_PASSED if ready else end.state,
        gate=refusal.gate[:200] if refusal is not None else "",
        reason=f"{refusal.reason}; {refusal.found}"[:1000] if refusal is not None else "",
        checked_at=stamp(now),
        expires_at=stamp(now + timedelta(seconds=lasts(run.config, plan.service))),
        plan_digest=plan.digest(),
        check_digest=check.digest() if check is not None else None,
        hyops_version=check.hyops_version[:1000] if check is not None else "",
        deviations=tuple(each[:_LONGEST] for each in check.deviations[:_MOST]) if check is not None else (),
        run_id=run.context.job.run_id,
        url=run.context.job.url[:1000],
    )


def _signed(run: PlannedRun, record: Readiness) -> dict[str, object]:
    """Return the envelope; what does not fit into it of the deviations is left out."""
    envelope = run.host_key.sign(canonical(record.document()), READINESS_PAYLOAD)
    if len(json.dumps(envelope)) <= MAX_READINESS - 1024 or not (record.deviations or record.host):
        return envelope
    if not record.deviations:
        return _signed(run, record.model_copy(update={"host": record.host[:-1]}))
    return _signed(run, record.model_copy(update={"deviations": record.deviations[:-1]}))


def lasts(config: DispatchConfig, service: str) -> int:
    """Return for how many seconds a check of today says something: the age that the config demands, else twice the span that it owes."""
    owed = drills_of(config, service).check
    if config.policy.readiness_age is not None:
        return seconds(config.policy.readiness_age)
    return 2 * seconds(owed.every) if owed is not None else WEEK
