"""The planner: decision, config and overlay in, one plan out; the same inputs give the same bytes. Pure.

What was observed (who reviews, where the ledger stands) is looked at by gates and kept in `gates.json`; the plan
itself holds nothing of it, so its digest is the same tomorrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from hyops_ci.config import settings
from hyops_ci.config.machines import machine_name, machine_of
from hyops_ci.config.probes import probes_of
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.contracts.decision import Decision, DecisionType, DrMode, ExecutionPlane
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.facts import EffectiveBlueprint, PlanFacts
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.lanes import TargetCloud
from hyops_ci.contracts.plan import (
    DESTROY,
    MAX_PLAN_BYTES,
    ApprovalDemand,
    Bootstrap,
    Command,
    GatePass,
    Guard,
    Plan,
    SecretPlan,
    SecretRef,
    Settles,
    Source,
    Undoes,
)
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.planning import steps, waves
from hyops_ci.planning.case import GateResults, PlanCase

PREFLIGHT_TIMEOUT: Final = "PT15M"
DEPLOY_TIMEOUT: Final = "PT4H"
DESTROY_TIMEOUT: Final = "PT1H"


@dataclass(frozen=True)
class Recorded:
    """A decision that asks for nothing: a hold, or the mode `deny`. It ends the run as RECORDED, exit 0."""

    decision_id: str
    reason: str


def recorded(decision: Decision) -> Recorded | None:
    """Return whether the decision only wants to be written down. Such a decision carries no lane, and no config is asked."""
    if decision.decision_type is DecisionType.HOLD:
        return Recorded(decision.decision_id, "hold: nothing is to happen")
    if decision.dr_mode is DrMode.DENY:
        return Recorded(decision.decision_id, "dr_mode deny: recovery was decided against")
    return None


def case_of(
    decision: Decision,
    config: DispatchConfig,
    blueprint: EffectiveBlueprint,
    facts: PlanFacts,
    *,
    secret_refs: Sequence[SecretRef] = (),
    trust: HostTrust | None = None,
    warnings: Sequence[str] = (),
) -> PlanCase:
    """Return what the plan gates look at; `warnings` are the intake's.

    Raises Refusal `config.service` for a service or action that the config does not know.
    """
    action = settings.action_for(config, decision.service, decision.decision_type)
    return PlanCase(decision, config, action, blueprint, facts, trust, tuple(secret_refs), tuple(warnings))


def plan(case: PlanCase, answers: GateResults, config_digest: str, sources: Sequence[Source]) -> Plan:
    """Return the plan of a case that every gate let pass. Raises the first Refusal of `answers`, in the order of the gates."""
    if answers.refused:
        raise answers.refused[0]
    return assemble(case, config_digest, sources, answers.passed)


def assemble(case: PlanCase, config_digest: str, sources: Sequence[Source], passed: Sequence[GatePass]) -> Plan:
    """Return the plan of a case, whatever the gates say: only `plan` makes one that may be carried out. Raises Refusal (exit 4)."""
    try:
        made = _assemble(case, config_digest, tuple(sources), passed)
    except ValueError as error:
        raise _no_plan(case, error) from None
    size = len(canonical(made.document()))
    if size > MAX_PLAN_BYTES:
        raise Refusal(
            "plan.size",
            "the plan is too large to travel between jobs",
            exit_code=Exit.POLICY,
            found=f"{size} bytes",
            expected=f"at most {MAX_PLAN_BYTES} bytes",
            fix="split the blueprint, or shorten the lists of approvers and probes",
        )
    return made


def _assemble(case: PlanCase, config_digest: str, sources: tuple[Source, ...], passed: Sequence[GatePass]) -> Plan:
    decision, config, action, env, lane = case.decision, case.config, case.action, case.env, case.lane
    planned = steps.planned_steps(case.blueprint, action.step_classes)
    source_site, target_site = settings.sites_of(config, decision.service, decision.decision_type)
    # A drill of the check asks the runner that a real run would use.
    runner_ref, labels = lane.drill_runner if is_isolated(decision) else lane.runner
    return Plan(
        decision_id=decision.decision_id,
        decision_digest=decision.digest(),
        decision_type=decision.decision_type,
        service=decision.service,
        env=env.name,
        env_class=env.env_class,
        exercise=decision.exercise.level if decision.exercise else "",
        config_digest=config_digest,
        config_commit=case.facts.ref.commit,
        lane=lane.name,
        source_site=source_site,
        target_site=target_site,
        target_cloud=TargetCloud(lane.name),
        runner_ref=runner_ref,
        runs_on=labels,
        runner_names=lane.names,
        dr_mode=settings.dr_mode_of(action, case.blueprint),
        execution_plane=ExecutionPlane(settings.plane_of(case.blueprint)),
        restore_point=decision.restore_point,
        old_primary=decision.old_primary,
        blueprint=action.blueprint,
        overlay=settings.overlay_path(decision.service, action),
        sources=tuple(sorted(sources, key=lambda source: (source.role, source.path))),
        guards=guards_of(case.blueprint, decision.restore_point) if decision.settles is None else (),
        commands=commands_for(env.name, destroys=is_isolated(decision)) if decision.settles is None else (),
        steps=planned,
        point_of_no_return=steps.point_of_no_return(planned),
        core_root=config.host.core_root,
        hyops=config.host.hyops,
        hyops_versions=config.hyops.versions,
        envs_base=config.host.envs_base or "",
        vault_password_file=config.host.vault_password_file or "",
        env_pass=config.host.env_pass,
        host_env=dict(sorted(config.host.env.items())),
        secrets=settings.secret_plan(config, env.name, case.secret_refs) or SecretPlan(kind="vault", addresses=()),
        approval=_approval(case),
        verification=probes_of(config, decision.service, case.blueprint),
        objective=settings.objective_of(config, decision.service),
        undoes=_undoes(case),
        settles=_settles(case),
        bootstrap=_bootstrap(case),
        gates=tuple(GatePass(id=each.id) for each in passed),
        warnings=warnings(case),
    )


def guards_of(blueprint: EffectiveBlueprint, restore_point: str) -> tuple[Guard, ...]:
    """Return the inputs that this run sets, in its own copy of the overlay: guards opened, restore point pinned."""
    return steps.closed_guards(blueprint) + steps.restore_pins(blueprint, restore_point)


def commands_for(env: str, *, destroys: bool = False) -> tuple[Command, ...]:
    """Return the HyOps commands of a run, exactly (docs/design/workflows.md 4). `{hyops}` and `{overlay}` are filled on the runner.

    `destroys` for a drill, which removes what it made.
    """
    common = ("--env", env, "--file", "{overlay}")
    destroy = Command(name=DESTROY, argv=("{hyops}", "blueprint", "destroy", *common, "--execute", "--yes"), timeout=DESTROY_TIMEOUT)
    return (
        Command(name="preflight", argv=("{hyops}", "blueprint", "preflight", *common, "--json"), timeout=PREFLIGHT_TIMEOUT),
        Command(name="deploy", argv=("{hyops}", "blueprint", "deploy", *common, "--execute", "--yes"), timeout=DEPLOY_TIMEOUT),
        *((destroy,) if destroys else ()),
    )


def is_isolated(decision: Decision) -> bool:
    """Return whether this is a drill that recovers into an env of its own, and removes it again."""
    return decision.exercise is not None and decision.exercise.level == "isolated"


def warnings(case: PlanCase) -> tuple[str, ...]:
    """Return what the approver should know and no gate refuses. From the inputs alone: they are part of the digest."""
    decision, config = case.decision, case.config
    said = [*case.warnings, *_wave(case)]
    if decision.settles is not None:
        return tuple(case.warnings)
    if decision.old_primary == "not-confirmed" and decision.exercise is None:
        said.append("old side not confirmed off: if it lives, there are two primaries; this tool does not fence")
    if decision.exercise and case.env.env_class is not EnvClass.PRODUCTION and not settings.production_overlays(config, decision.service):
        said.append("drill: no env of class production has this service here, so nothing was compared with production")
    if not probes_of(config, decision.service, case.blueprint):
        said.append("no verification: the result will be called not proven")
    if any(route.service == decision.service and route.accept_requests for route in config.routes):
        said.append("requests are accepted: a rehearsal or an already executed action cannot be told apart")
    if settings.evidence_signer(config) == "none":
        said.append("evidence is chained but not signed")
    return tuple(said)


def _approval(case: PlanCase) -> ApprovalDemand:
    approvals, env = case.config.approvals, case.env
    return ApprovalDemand(
        required=case.decision.requires_approval,
        gate=env.gate,
        check_gate=env.check_gate,
        channels=approvals.channels,
        quorum=approvals.quorum,
        reviewers=env.reviewers,
        approvers=dict(sorted(approvals.approvers.items())),
        lifetime=approvals.lifetime,
    )


def _undoes(case: PlanCase) -> Undoes | None:
    tip = case.facts.tip
    if case.decision.decision_type is not DecisionType.FAILBACK_ONPREM or tip is None or tip.claim is None:
        return None
    return Undoes(claim_id=tip.claim.claim_id, epoch=tip.claim.epoch)


def _settles(case: PlanCase) -> Settles | None:
    """Return the claim that the decision settles. Raises Refusal (exit 5) where there is none."""
    site, tip = case.decision.settles, case.facts.tip
    if site is None:
        return None
    if tip is None or tip.claim is None:
        raise Refusal(
            "lock.settle",
            "nothing is to be settled",
            exit_code=Exit.CONFLICT,
            found=f"no claim of {case.decision.service}",
            expected="a run that was cut off",
            fix="none",
            docs="ledger.md",
        )
    return Settles(serves=site, claim_id=tip.claim.claim_id, epoch=tip.claim.epoch, run_id=tip.claim.run_id)


def _bootstrap(case: PlanCase) -> Bootstrap | None:
    """Return what may be done about a missing runner; None without a reason. What does not fit was refused by a gate."""
    machine = machine_of(case.config, case.lane.name)
    reason = next((each for each in case.config.policy.bootstrap_reasons if each == case.facts.bootstrap_reason), None)
    if reason is None or machine is None:
        return None
    return Bootstrap(
        reason=reason,
        gate=case.config.policy.bootstrap_environment,
        provider=machine.provider,
        machine=machine_name(case.lane),
        settings=machine.digest(),
        runs_on=machine.made_on,
    )


def _wave(case: PlanCase) -> list[str]:
    """Return which wave of which recovery this is a part of, and what must be proven before it begins."""
    part = case.decision.part_of
    plan = case.config.recovery_plans.get(part.recovery_plan) if part is not None else None
    if part is None or plan is None:
        return []
    first = waves.earlier(plan, case.decision.service)
    begins = f"it begins when {', '.join(first)} {'is' if len(first) == 1 else 'are'} proven" if first else "it begins at once"
    where = f"wave {waves.wave_of(plan, case.decision.service)} of {len(plan.waves)}"
    return [f"part of recovery {part.recovery_id} by plan {part.recovery_plan}, {where}: {begins}"]


def _no_plan(case: PlanCase, error: ValueError) -> Refusal:
    found = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        found = "/" + "/".join(str(part) for part in first["loc"]) + f": {first['msg']}"
    return Refusal(
        "plan.form",
        "config and overlay do not make a plan",
        exit_code=Exit.POLICY,
        found=found,
        expected="names, paths and labels that a plan can carry",
        fix=f"correct {settings.overlay_path(case.decision.service, case.action)} or .github/dr-dispatch.yml in a pull request",
    )
