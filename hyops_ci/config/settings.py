"""The config resolved: every default of docs/design/contracts.md 2 in one place, each value with where it came from.

A setting is asked for by name (`lane_settings(config, "gcp")`), so a reader finds the rule beside the question.
`hyops_ci.config.explain` lists them all. Pure: a value follows from the file, a default, the overlay or a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hyops_ci.contracts.authorities import AUTHORITIES
from hyops_ci.contracts.config import DispatchConfig, EnvClass, Lane, Objective, ServiceAction
from hyops_ci.contracts.decision import DecisionType, DrMode, ExecutionPlane
from hyops_ci.contracts.facts import EffectiveBlueprint
from hyops_ci.contracts.lanes import LANES, ON_PREM, LaneName
from hyops_ci.contracts.plan import SecretPlan, SecretRef
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal

ACTIONS: dict[DecisionType, str] = {
    DecisionType.FAILOVER: "failover",
    DecisionType.FAILBACK_ONPREM: "failback",
    DecisionType.BURST: "burst",
}
HOST_KEY = "/etc/dr-dispatch/host.key"
"""Private key of a recovery host: it signs evidence and transitions of the ledger."""


@dataclass(frozen=True)
class LaneSettings:
    """One lane, nothing left open."""

    name: str
    enabled: bool
    runner_ref: str
    labels: tuple[str, ...]
    names: tuple[str, ...]
    failure_domain: str
    drill_runner_ref: str

    @property
    def runner(self) -> tuple[str, tuple[str, ...]]:
        """The lane's runner, and the labels that its jobs ask for."""
        return self.runner_ref, self.labels

    @property
    def drill_runner(self) -> tuple[str, tuple[str, ...]]:
        """The runner of a drill, and its labels: those of the lane with the one runner's name in the place of the other's."""
        name = self.drill_runner_ref
        return name, tuple(dict.fromkeys(name if label.casefold() == self.runner_ref else label for label in self.labels))


@dataclass(frozen=True)
class EnvSettings:
    """One env, nothing left open. `known` is false for an env that no service of the config is in."""

    name: str
    env_class: EnvClass
    gate: str
    """The GitHub environment that holds `execute`."""
    check_gate: str
    reviewers: int
    known: bool


def lane_settings(config: DispatchConfig, name: str) -> LaneSettings:
    """Return a lane by name."""
    said = next((lane for key, lane in config.lanes.items() if key == name), Lane())
    fixed = LANES[name]
    runner_ref = said.runner_ref or fixed.runner_ref
    return LaneSettings(
        name=name,
        enabled=fixed.enabled if said.enabled is None else said.enabled,
        runner_ref=runner_ref,
        labels=said.labels or ("self-hosted", runner_ref),
        names=said.names,
        failure_domain=said.failure_domain or name,
        drill_runner_ref=said.drill_runner_ref or runner_ref,
    )


def env_of(service: str) -> str:
    """Return the env of a service id: what follows the slash."""
    return service.partition("/")[2]


def env_settings(config: DispatchConfig, name: str) -> EnvSettings:
    """Return an env by name: production unless the config says otherwise."""
    said = config.envs.get(name)
    return EnvSettings(
        name=name,
        env_class=said.env_class if said else EnvClass.PRODUCTION,
        gate=(said.github_environment if said else None) or f"dr-{name}",
        check_gate=said.check_environment if said else "dr-check",
        reviewers=said.reviewers if said else 1,
        known=any(env_of(service) == name for service in config.services),
    )


def action_of(config: DispatchConfig, service: str, decision_type: DecisionType) -> ServiceAction | None:
    """Return how a service carries out this type of decision; None where the config does not have it."""
    found = config.services.get(service)
    name = ACTIONS.get(decision_type)
    if found is None or name is None:
        return None
    action: ServiceAction | None = getattr(found, name)
    return action


def overlay_path(service: str, action: ServiceAction) -> str:
    """Return the committed overlay: the usual one unless the config names another."""
    return action.overlay or usual_overlay(service, action.blueprint)


def usual_overlay(service: str, blueprint: str) -> str:
    """Return where a service has its overlay of a blueprint: `.github/dr/<env>/<blueprint name>.yml`."""
    return f".github/dr/{env_of(service)}/{blueprint_name(blueprint)}.yml"


def blueprint_name(blueprint: str) -> str:
    """Return the name of a blueprint, without its folder and version."""
    return blueprint.partition("@")[0].rpartition("/")[2]


def production_overlays(config: DispatchConfig, service: str) -> tuple[str, ...]:
    """Return the paths of all overlays of the same service in other envs of class production, sorted: what a drill must not share."""
    return tuple(sorted({path for other in production_services(config, service) for path in overlays_of(config, other)}))


def production_services(config: DispatchConfig, service: str) -> tuple[str, ...]:
    """Return the same service in other envs of class production, sorted."""
    name = service.partition("/")[0]
    same = (other for other in config.services if other.partition("/")[0] == name and other != service)
    return tuple(sorted(other for other in same if env_settings(config, env_of(other)).env_class is EnvClass.PRODUCTION))


def overlays_of(config: DispatchConfig, service: str) -> frozenset[str]:
    """Return the paths of all overlays of a service."""
    entry = config.services[service]
    return frozenset(overlay_path(service, action) for action in (entry.failover, entry.failback, entry.burst) if action)


def data_home(config: DispatchConfig, service: str) -> LaneName:
    """Return the lane where the primary is in normal operation: the failback lane, else on-prem (docs/design/anti-drift.md 2.6)."""
    found = config.services[service]
    if found.data_home:
        return found.data_home
    return found.failback.lane if found.failback else ON_PREM.name


def sites_of(config: DispatchConfig, service: str, decision_type: DecisionType) -> tuple[str, str]:
    """(site that the service leaves, site that it goes to), from the config alone: observed facts are not part of a plan."""
    home = lane_settings(config, data_home(config, service)).failure_domain
    action = action_of(config, service, decision_type)
    target = lane_settings(config, action.lane).failure_domain if action else home
    if decision_type is DecisionType.FAILBACK_ONPREM:
        away = config.services[service].failover
        return (lane_settings(config, away.lane).failure_domain if away else "unknown", target)
    return home, target


def serving_sites(config: DispatchConfig, service: str) -> tuple[str, ...]:
    """Return every site that a service may serve from, as plans name them, its home first; none for a service that is not there."""
    known = config.services.get(service)
    if known is None:
        return ()
    lanes = [data_home(config, service), *(each.lane for each in (known.failover, known.failback, known.burst) if each is not None)]
    return tuple(dict.fromkeys(lane_settings(config, lane).failure_domain for lane in lanes))


def addresses(config: DispatchConfig) -> tuple[tuple[str, str], ...]:
    """(origin, site) of every address of the authority, in the order tried; the site is empty where it is not given."""
    vault = config.vault
    if vault is None:
        return ()
    single = ((vault.address, vault.site or ""),) if vault.address else ()
    return tuple(dict.fromkeys((*single, *((one.url, one.site) for one in vault.addresses))))


def role_of(config: DispatchConfig, env: str) -> str:
    """Return the authority's role for the secrets of an env; empty where the config names no authority."""
    vault = config.vault
    return (vault.role or f"dr-{env}") if vault is not None else ""


def namespace_of(config: DispatchConfig) -> str:
    """Return the authority's namespace; empty where the config names none."""
    return (config.vault.namespace or "") if config.vault is not None else ""


def secret_plan(config: DispatchConfig, env: str, refs: Iterable[SecretRef] = ()) -> SecretPlan | None:
    """Return where the secrets `refs` of an env come from, with role `dr-<env>`; None where the config names no authority."""
    vault = config.vault
    if vault is None:
        return None
    return SecretPlan(
        kind=vault.kind,
        addresses=addresses(config) if AUTHORITIES[vault.kind].remote else (),
        path=vault.path or "",
        mount=vault.mount,
        auth_path=vault.auth_path if vault.auth_path.startswith("auth/") else f"auth/{vault.auth_path}",
        namespace=namespace_of(config),
        proxy=vault.proxy or "",
        role=role_of(config, env),
        check_role=vault.check_role,
        max_token_ttl=vault.max_token_ttl,
        refs=tuple(sorted(refs, key=lambda ref: ref.key)),
    )


def dr_mode_of(action: ServiceAction, blueprint: EffectiveBlueprint) -> DrMode:
    """Return how data comes back: beside the service's lane, else what the overlay's steps do."""
    if action.dr_mode:
        return action.dr_mode
    modes = {str(step.inputs.get("apply_mode", "")) for step in blueprint.steps}
    if "restore" in modes:
        return DrMode.RESTORE
    managed = any("cloudsql" in step.module_ref for step in blueprint.steps) or "cloudsql" in blueprint.ref
    return DrMode.MANAGED_PROMOTE if managed else DrMode.WARM_PROMOTE


def repository_refs(blueprint: EffectiveBlueprint) -> tuple[str, ...]:
    """Return the states that name the backup: of the run that made it, and of the repository that holds it."""
    names = ("backup_state_ref", "repo_state_ref")
    return tuple(dict.fromkeys(str(step.inputs[name]) for name in names for step in blueprint.steps if step.inputs.get(name)))


def plane_of(blueprint: EffectiveBlueprint) -> str:
    """Return the access mode that the overlay works by: what its first step with one says, else `runner-local`."""
    return next(
        (str(plane) for step in blueprint.steps if (plane := step.inputs.get("execution_plane"))), ExecutionPlane.RUNNER_LOCAL.value
    )


def objective_of(config: DispatchConfig, service: str) -> Objective:
    """Return what was promised for a service; figures without a verdict where nothing was."""
    return config.objectives.get(service, Objective())


def action_for(config: DispatchConfig, service: str, decision_type: DecisionType) -> ServiceAction:
    """Return the action, as `action_of`. Raises Refusal `config.service` (exit 4) for a service or action that the config does not know."""
    found = action_of(config, service, decision_type)
    if found is None:
        known = ", ".join(
            f"{name} ({', '.join(word for word in ACTIONS.values() if getattr(entry, word))})"
            for name, entry in sorted(config.services.items())
        )
        raise Refusal(
            "config.service",
            "the config has no word for this service and decision",
            exit_code=Exit.POLICY,
            found=f"{decision_type} of {service}",
            expected=known,
            fix="correct the service name, or add it to .github/dr-dispatch.yml in a pull request",
            docs="adopt.md",
        )
    return found


def require_service(service: str, known: Collection[str]) -> None:
    """Raise Refusal `form.service` (exit 2) for a service that is none of the config's: its ledger would only seem to be missing."""
    if service not in known:
        raise Refusal(
            "form.service",
            "the config knows no such service",
            exit_code=Exit.USAGE,
            found=f"--service {service}",
            expected=" or ".join(known),
            fix="write the service as the config does",
        )


def evidence_signer(config: DispatchConfig) -> str:
    """Return who signs the evidence: what the config says, else the host where the config has `host_keys`."""
    said = config.evidence
    return said.signer if "signer" in said.model_fields_set or not config.host_keys else "host-key"


def host_key_path(config: DispatchConfig) -> str:
    """Return where a recovery host keeps its private key."""
    key = config.evidence.key
    return key if key and evidence_signer(config) == "host-key" else HOST_KEY
