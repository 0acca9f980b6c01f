"""The runs of one recovery that wait for signatures: found by the recovery's id, believed as `approve` believes each of them."""

from __future__ import annotations

from collections import defaultdict

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.runs import runs_titled
from hyops_ci.operations.approve import PendingRun, pending_run
from hyops_ci.operations.recovery.context import Recovery, starting


def pending_runs(recovery: Recovery, services: tuple[str, ...]) -> dict[str, PendingRun]:
    """Return, for each of `services`, the run that waits for its signatures.

    A run counts for what it asks, not for what it is called: it must be about this service and this recovery by the reviewed config's plan.
    Raises Refusal (exit 6) where one is missing, or two wait for the same service; Fault (exit 12) where GitHub does not answer.
    """
    found: dict[str, list[PendingRun]] = defaultdict(list)
    for run in runs_titled(recovery.client, recovery.workflow, recovery.id):
        if run.status != "completed":
            continue
        try:
            pending = pending_run(recovery.client, run.run_id)
        except Refusal as error:  # anybody can give a run this name
            recovery.say(f"run {run.run_id} does not wait for signatures: {error.title()}")
            continue
        part, decision = pending.request.decision.part_of, pending.request.decision
        if part is not None and (part.recovery_plan, part.recovery_id) == (recovery.name, recovery.id):
            found[decision.service].append(pending)
    if missing := [each for each in services if not found[each]]:
        raise _incomplete(recovery, f"no run waits for {', '.join(missing)}", "one run for every service that is not proven yet")
    if twice := [each for each in services if len(found[each]) > 1]:
        runs = ", ".join(str(run.run.run_id) for each in twice for run in found[each])
        raise _incomplete(recovery, f"runs {runs} ask for {', '.join(twice)}", "one run for each service")
    changed = [each for each in services if found[each][0].config.recovery_plans.get(recovery.name) != recovery.plan]
    if changed:
        raise _incomplete(
            recovery, f"{', '.join(changed)}: planned with other waves than this checkout has", "the plan of the reviewed config"
        )
    return {service: found[service][0] for service in services}


def _incomplete(recovery: Recovery, found: str, expected: str) -> Refusal:
    return Refusal(
        "recovery.incomplete",
        "this recovery cannot be approved as a whole, so no part of it is",
        exit_code=Exit.APPROVAL,
        found=found,
        expected=expected,
        fix=f"{starting(recovery.name)}; it starts a check for each service that is left",
        docs="recovery-plans.md",
    )
