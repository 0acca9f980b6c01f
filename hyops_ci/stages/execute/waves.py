"""The waves of a recovery of several services, held where a run begins: no earlier wave may be unproven."""

from __future__ import annotations

from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.rules import has_arrived
from hyops_ci.planning.waves import earlier
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.stages.planned_run import CheckedRun
from hyops_ci.text import shell


def refuse_early_wave(run: CheckedRun) -> None:
    """Refuse a part of a recovery of several services whose earlier waves are not proven, as their own ledgers say.

    Whoever started this run, and whatever they waited for. Raises Refusal (exit 5), and what an earlier service's ledger raises.
    """
    part = run.decision.part_of
    if part is None:
        return
    first = earlier(run.config.recovery_plans[part.recovery_plan], run.plan.service)
    tips = {service: vouched_ledger(run.allowed, service, run.context).tip() for service in first}
    late = [
        f"{service}: {tip.state or tip.position} since {tip.at}"
        for service, tip in tips.items()
        if not has_arrived(tip, run.plan.decision_type)
    ]
    if late:
        raise Refusal(
            "recovery.wave",
            "an earlier wave of this recovery is not proven",
            exit_code=Exit.CONFLICT,
            found="; ".join(late),
            expected=f"every service of the earlier waves of {part.recovery_plan} where its {run.plan.decision_type} puts it",
            fix=shell("look at those first; then hyops-ci recovery go-on {}", part.recovery_id),
            docs="recovery-plans.md",
        )
