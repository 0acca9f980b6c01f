"""Config against host trust: the stricter of the two wins, and a config that asks for more than the host allows is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hyops_ci.config.settings import addresses, env_of, env_settings, namespace_of, role_of
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.config import DispatchConfig, Host
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.plan import ApprovalDemand, Plan
from hyops_ci.errors import Exit, Refusal


def narrow(config: DispatchConfig, trust: HostTrust) -> DispatchConfig:
    """Return the config under this host: limits that the file leaves open become the host's where those are stricter.

    A value that the file gives itself and that is looser is not adjusted: Refusal (`trust.looser`, exit 4).
    """
    if looser := next(_looser(config, trust), None):
        raise _refuse(*looser)
    policy, approvals = config.policy, config.approvals
    if seconds(policy.decision_lifetime) > seconds(trust.max_decision_lifetime):
        policy = policy.model_copy(update={"decision_lifetime": trust.max_decision_lifetime})
    if seconds(approvals.lifetime) > seconds(trust.max_approval_lifetime):
        approvals = approvals.model_copy(update={"lifetime": trust.max_approval_lifetime})
    if approvals.quorum < trust.quorum:
        approvals = approvals.model_copy(update={"quorum": trust.quorum})
    hosts = {name: key for name, key in config.host_keys.items() if key in trust.evidence_keys}
    return config.model_copy(update={"policy": policy, "approvals": approvals, "host_keys": hosts})


def _looser(config: DispatchConfig, trust: HostTrust) -> Iterator[tuple[str, str, str]]:
    """(setting, what the config says, what the host allows) of everything that the file says itself and the host does not allow."""
    said, allowed = config.policy.decision_lifetime, trust.max_decision_lifetime
    if "decision_lifetime" in config.policy.model_fields_set and seconds(said) > seconds(allowed):
        yield "policy.decision_lifetime", said, f"at most {allowed}"
    said, allowed = config.approvals.lifetime, trust.max_approval_lifetime
    if "lifetime" in config.approvals.model_fields_set and seconds(said) > seconds(allowed):
        yield "approvals.lifetime", said, f"at most {allowed}"
    if "quorum" in config.approvals.model_fields_set and config.approvals.quorum < trust.quorum:
        yield "approvals.quorum", str(config.approvals.quorum), f"at least {trust.quorum}"
    yield from _strange_keys(config.approvals.approvers, trust)
    if config.host_keys and not set(config.host_keys.values()) & set(trust.evidence_keys):
        yield (
            "host_keys",
            ", ".join(sorted(config.host_keys.values())),
            " or ".join(trust.evidence_keys) or "a key of evidence_keys: it is empty",
        )
    yield from _authorities(config, trust)
    for name in Host.model_fields if trust.host is not None or config.host.user else ():
        here, there = getattr(config.host, name), getattr(trust.host, name, None)
        if here != there and (trust.host is not None or name == "user"):
            yield f"host.{name}", str(here or "not set"), str(there or "not set, in host of the file")
    for name in sorted({env_of(service) for service in config.services}):
        gate = trust.gates.get(name)
        if gate is not None and env_settings(config, name).gate != gate:
            yield f"envs.{name}.github_environment", env_settings(config, name).gate, gate


def _strange_keys(approvers: Mapping[str, str], trust: HostTrust) -> Iterator[tuple[str, str, str]]:
    """Keys that this host takes no signature from: one more in the config would be one more approver."""
    keys = {person.login: person.key for person in trust.approvers}
    for login, key in sorted(approvers.items()):
        if keys.get(login) != key:
            yield f"approvals.approvers.{login}", "a key that the host does not know", ", ".join(sorted(keys)) or "no key at all"


def _authorities(config: DispatchConfig, trust: HostTrust) -> Iterator[tuple[str, str, str]]:
    for env in sorted({env_of(service) for service in config.services}):
        yield from _strange_authorities(addresses(config), (namespace_of(config), role_of(config, env)), env, trust)


def _strange_authorities(
    where: Iterable[tuple[str, str]], login: tuple[str, str], env: str, trust: HostTrust
) -> Iterator[tuple[str, str, str]]:
    """Authorities that this host does not ask, or not in this namespace or as this role. A host that lists none asks the config's."""
    namespace, role = login
    known = {each.origin: each.roles for each in trust.authorities}
    namespaces = {each.origin: each.namespace for each in trust.authorities}
    for origin, _ in where if known else ():
        if origin not in known:
            yield "vault.address", origin, ", ".join(sorted(known))
        elif namespace != namespaces[origin]:
            yield "vault.namespace", f"{namespace or 'none'} at {origin}", namespaces[origin] or "none"
        elif env in trust.gates and role not in known[origin]:
            yield "vault.role", f"{role} at {origin}", ", ".join(known[origin])


def plan_fits(plan: Plan, config: DispatchConfig, trust: HostTrust) -> None:
    """That this host takes this plan: its runner is one of the host's, and it asks for no more than host and config allow.

    `config` is the one it was made of, as written: where that leaves a limit open, `stricter` adopts the host's.
    Raises Refusal (`trust.runner`, exit 7, or `trust.looser`, exit 4).
    """
    if plan.runner_ref not in trust.runner_refs:
        raise Refusal(
            "trust.runner",
            "this host is not the plan's runner",
            exit_code=Exit.RUNNER,
            found=plan.runner_ref,
            expected=" or ".join(trust.runner_refs),
            fix="look at the lane's labels; or name the runner in the host's trust file",
        )
    if plan.destroys and plan.env not in trust.drill_envs:
        raise _refuse("an env that a drill destroys", plan.env, " or ".join(trust.drill_envs) or "none (drill_envs in the trust file)")
    demand, approvals = plan.approval, config.approvals
    gate = trust.gates.get(plan.env)
    if gate is not None and demand.gate != gate:
        raise _refuse("approval gate", demand.gate, gate)
    if demand.required and "signed" in demand.channels and (strange := next(_strange_keys(demand.approvers, trust), None)):
        raise _refuse(*strange)
    if demand.quorum < approvals.quorum:
        raise _refuse("quorum", str(demand.quorum), f"at least {approvals.quorum}")
    if seconds(demand.lifetime) > seconds(approvals.lifetime):
        raise _refuse("approval lifetime", demand.lifetime, f"at most {approvals.lifetime}")
    if strange := next(_strange_authorities(plan.secrets.addresses, (plan.secrets.namespace, plan.secrets.role), plan.env, trust), None):
        raise _refuse(*strange)


def stricter(demand: ApprovalDemand, config: DispatchConfig) -> ApprovalDemand:
    """Return the plan's demand under a narrowed config: no fewer approvals than either asks for, and valid for no longer."""
    approvals = config.approvals
    lifetime = min(demand.lifetime, approvals.lifetime, key=seconds)
    return demand.model_copy(update={"quorum": max(demand.quorum, approvals.quorum), "lifetime": lifetime})


def _refuse(setting: str, found: str, expected: str) -> Refusal:
    return Refusal(
        "trust.looser",
        "the config asks for more than this host allows",
        exit_code=Exit.POLICY,
        found=f"{setting}: {found}",
        expected=expected,
        fix="narrow .github/dr-dispatch.yml in a pull request; or, as root on the runner, widen /etc/dr-dispatch/trust.json",
    )
