"""Gates on what must be there before a person is asked: a check that passed lately, states, secret names, HyOps' own preflight."""

from __future__ import annotations

from datetime import timedelta

from hyops_ci.contracts.base import moment, seconds, whole_second
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.facts import canonical_ref, demanded_states
from hyops_ci.errors import Exit
from hyops_ci.planning.case import CheckCase, GateFailure, GateOutcome, PlanCase, as_execute_says, check_gate, listed, plan_gate
from hyops_ci.text import shell


@plan_gate("readiness.age", "contracts 8", Exit.POLICY, "Has a check of this move passed as lately as the config demands?")
def readiness_age(case: PlanCase) -> GateOutcome:
    """`policy.readiness_age` is for real moves: a check, a drill, a burst and a settlement need none, or nothing could ever begin.

    With GitHub down nobody can say it, and people with the host's keys approve: then it is not known, and said.
    """
    demanded, decision, known = case.config.policy.readiness_age, case.decision, case.facts.readiness
    if demanded is None or decision.exercise is not None or decision.settles is not None or decision.decision_type is DecisionType.BURST:
        return ""
    passed = known.last_passed if known is not None else None
    if passed is not None and passed.decision_type is decision.decision_type:
        age = case.facts.now - moment(passed.checked_at)
        if age <= timedelta(seconds=seconds(demanded)):
            return f"passed {whole_second(passed.checked_at)} by run {passed.run_id}"
    if known is not None and known.unanswered and case.facts.ref.local:
        return f"not known: {known.why}"
    last = f"the last one passed {whole_second(passed.checked_at)}" if passed is not None else ""
    found = last or (known.why if known is not None else "") or "none passed"
    return GateFailure(
        "no check of this move has passed as lately as the config demands",
        found,
        f"a check that passed within {demanded} (policy.readiness_age), signed by a host of the config",
        shell("gh workflow run dr.yml -f action=check -f service={}; then a new run", decision.service),
        "readiness.md",
    )


@check_gate("states.ok", "contracts 3", Exit.HYOPS, "Are the upstream states there?")
def states_ok(case: CheckCase) -> GateOutcome:
    """Every state that HyOps demands for a step and no earlier step publishes has status ok on this runner."""
    status = {canonical_ref(state.ref): state.status for state in case.facts.states}
    needed = demanded_states(case.facts.blueprint.steps, case.facts.preflight, case.facts.states)
    bad = [(step, ref, status.get(canonical_ref(ref), "not looked at")) for step, ref in needed if status.get(canonical_ref(ref)) != "ok"]
    total = len({canonical_ref(ref) for _, ref in needed})
    if bad:
        first = {canonical_ref(ref): f"{step}: {ref} is {word}" for step, ref, word in reversed(bad)}
        return GateFailure(
            f"{len(first)} of {total} upstream states are not ok",
            listed(first[canonical_ref(ref)] for _, ref, _ in bad),
            f"the {total} upstream states of env {case.plan.env} on this runner",
            "re-apply the upstream module with HyOps, or bring the env's state to this runner",
            "hyops.md",
        )
    return f"{total} of {total} states"


@check_gate("secrets.names", "anti-drift 2.8, contracts 3", Exit.SECRETS, "Does the authority have every secret, by name?")
def secrets_names(case: CheckCase) -> GateOutcome:
    """The union over all steps, inherited defaults included: HyOps' preflight does not look beyond the first blocked step."""
    needed = set(case.facts.blueprint.required_env()) - set(case.plan.env_pass)
    planned = {ref.key for ref in case.plan.secrets.refs}
    if unplanned := sorted(needed - planned):
        return GateFailure(
            "a step needs a secret that the plan does not fetch",
            ", ".join(unplanned),
            "every name of required_env, the module specs' defaults included, in the overlay",
            f"list it under required_env in {case.plan.overlay}, and map it in the secret map",
            "secrets.md",
        )
    if missing := sorted(key for key in planned if not case.facts.secret_names.get(key)):
        return GateFailure(
            f"{len(missing)} of {len(planned)} secrets are not in the authority",
            ", ".join(missing),
            f"{len(planned)} of {len(planned)} names",
            "put them there; values are never read by the check",
            "secrets.md",
        )
    return f"{len(planned)} of {len(planned)} names"


@check_gate("secrets.password", "anti-drift 2.8, contracts 3", Exit.SECRETS, "Is the password of HyOps' bundle there?")
def secrets_password(case: CheckCase) -> GateOutcome:
    """A private file of this user or root. An env without a bundle needs none: HyOps then has the secrets in its environment alone."""
    return as_execute_says(case, "secrets.password")


@check_gate("secrets.bundle", "anti-drift 2.8, contracts 3", Exit.SECRETS, "Can HyOps' bundle be opened and written?")
def secrets_bundle(case: CheckCase) -> GateOutcome:
    """Whether the password fits is known by the bundle's authentication code: nothing of it is decrypted."""
    return as_execute_says(case, "secrets.bundle")


@check_gate("hyops.preflight", "contracts 3", Exit.HYOPS, "Does HyOps itself say that it can start?")
def hyops_preflight(case: CheckCase) -> GateOutcome:
    """Exit code, status and every step: ready or skipped. Deferred steps were not examined."""
    preflight = case.facts.preflight
    blocked = [step for step in preflight.steps if step.status == "blocked"]
    waiting = [step for step in preflight.steps if step.status == "deferred"]
    if preflight.rc != 0 or preflight.status != "ok" or blocked or preflight.required_failures:
        said = listed(f"{step.id}: {step.reason}" for step in blocked) or preflight.error or f"rc {preflight.rc}, status {preflight.status}"
        return GateFailure(
            f"HyOps cannot start; {len(blocked)} blocked, {len(waiting)} not examined",
            said,
            "preflight status ok",
            "follow HyOps' own hint above; then a new run",
            "hyops.md",
        )
    return f"{len(preflight.steps)} steps looked at"
