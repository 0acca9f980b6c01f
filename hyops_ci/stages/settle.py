"""Settle: record which side serves after a run that was cut off, on the word of those who approved it (docs/design/contracts.md 6).

It goes the way of a recovery, with plan, check, approval gate and execute, and starts no HyOps. The host that the run was cut off on signs
the settlement on the strength of the approval, as it signs a run's transitions; while HyOps is still at work there, nothing is settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hyops_ci.config.settings import serving_sites
from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import CheckFacts, PreflightFact
from hyops_ci.contracts.plan import Settles
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.kept_journals import last_word
from hyops_ci.ledger.settling import by_key
from hyops_ci.ledger.succession import later
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.planning.case import GateResults
from hyops_ci.stages.module_specs import effective
from hyops_ci.stages.planned_run import CheckedRun, PlannedRun
from hyops_ci.stages.preview import behind_job_hook, hyops_access, identity_of

SETTLEMENT: Final = "settlement.json"
NOT_ASKED: Final = "not asked"
_ASKED: Final = ("runner.", "host.key", "host.clock", "overlay.bytes")
"""Check gates, by the beginning of their ids, that a settlement has to pass: what HyOps would need is not needed."""


def settlement_facts(run: PlannedRun) -> CheckFacts:
    """Return what the host says of itself. HyOps and the authority are not asked. Raises Refusal `lock.host` while HyOps is at work."""
    plan, context = run.plan, run.context
    with hyops_access(run) as access:
        access.lock()
        runner, core_root = identity_of(plan, context, access), access.place.runtime.core_root
    overlay = run.folder.read("sources/overlay")
    sha256 = digest_bytes(overlay)
    return CheckFacts(
        now=context.clock.now(),
        runner=runner,
        runner_verified=run.caller_verified,
        host_keys=tuple(run.host_key.trusted),
        unsigned_ledger=run.host_key.trouble,
        job_hook=behind_job_hook(context),
        hyops_version=NOT_ASKED,
        overlay_sha256=sha256,
        blueprint=effective(read_yaml(overlay, plan.overlay), sha256, core_root),
        preflight=PreflightFact(rc=0, status=NOT_ASKED),
        clock_offset_seconds=context.clock_ahead(),
    )


def settlement_gates(answers: GateResults) -> GateResults:
    """Return the results of the gates that a settlement has to pass."""
    return GateResults(
        tuple(each for each in answers.passed if each.id.startswith(_ASKED)),
        tuple(each for each in answers.refused if each.gate.startswith(_ASKED)),
    )


def note_earlier(part: PartRecorder, run: CheckedRun) -> None:
    """Record the last word of the run before, which may have come after its own job."""
    earlier = dict.fromkeys(tip.claim.run_id for tip in run.head.tips if tip.claim is not None)
    if said := next((word for run_id in earlier if (word := last_word(run.context.state_dir, run_id))), ""):
        part.note("earlier-run", said=said)
        run.context.say(said)


def settle(run: CheckedRun, about: Settles, approvals: Sequence[Approval], part: PartRecorder) -> None:
    """Record the settlement that was approved. Raises Refusal where HyOps is still at work, or the ledger has moved on."""
    if trouble := run.host_key.trouble:
        raise Refusal(
            "settle.key",
            "this host does not sign the ledger, so nobody would believe the settlement",
            exit_code=Exit.CONFLICT,
            found=trouble,
            expected="a key of this host in host_keys",
            fix=f"hyops-ci runner prepare on the runner, as root; or let an approver settle with a key: {by_key(run.plan.service)}",
            docs="ledger.md",
        )
    context, service, reason = run.context, run.plan.service, " ".join(run.decision.rationale.split())
    note_earlier(part, run)
    people = ", ".join(each.approver.login for each in approvals)
    with hyops_access(run) as access:
        access.lock()
        tip = run.ledger.settle(
            host_keys={},  # the lock shows that nothing is at work here: no word of this host is waited for
            serves=about.serves,
            home_site=serving_sites(run.allowed, service)[0],
            reason=reason,
            settled_by=f"{people[:150]} in run {context.job.run_id}",
            at=later(stamp(context.clock.now()), run.head.tip.at),
            epoch=about.epoch,
        )
    said = {name: getattr(tip, name) for name in ("service", "epoch", "position", "serves", "reason", "settled_by", "at")}
    run.folder.write_json(SETTLEMENT, {**said, "claim_id": about.claim_id})
    part.enter(State.SETTLED, serves=tip.serves, epoch=tip.epoch)
    context.say(f"settled: {service} serves from {tip.serves}, position {tip.position}, lock free")
