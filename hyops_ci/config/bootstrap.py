"""What making the runner of a lane asks of the authority: as which role, for which places, and how careful it must be."""

from __future__ import annotations

from hyops_ci.config.settings import EnvSettings, env_of, env_settings, secret_plan
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.contracts.plan import SecretPlan


def bootstrap_secrets(config: DispatchConfig) -> SecretPlan | None:
    """Return the authority as the role that making a runner reads with; None where the config names no authority."""
    plan = secret_plan(config, "")
    if plan is None or config.vault is None:
        return None
    return plan.model_copy(update={"role": config.vault.bootstrap_role, "check_role": ""})


def bootstrap_places(config: DispatchConfig, lane: str = "") -> tuple[str, ...]:
    """Return the places that it reads: the App's key, and the provider's token where the lane's provider has one. No lane: any lane's."""
    machines = [each.machine for name, each in config.lanes.items() if lane in ("", name)]
    own = [place for machine in machines if machine is not None for place in machine.secrets]
    return (*([config.registration.key] if config.registration else []), *dict.fromkeys(own))


def bootstrap_class(config: DispatchConfig, lane: str) -> EnvClass:
    """Return how careful making the runner of a lane must be: as the most careful env that recovers there, production where none does."""
    classes = {each.env_class for each in recovering_on(config, lane)}
    return next((each for each in EnvClass if each in classes), EnvClass.PRODUCTION)


def recovering_on(config: DispatchConfig, lane: str) -> list[EnvSettings]:
    """Return the envs that recover on a lane, each once."""
    names = [
        env_of(name)
        for name, service in config.services.items()
        if any(action.lane == lane for action in (service.failover, service.failback, service.burst) if action)
    ]
    return [env_settings(config, name) for name in dict.fromkeys(names)]
