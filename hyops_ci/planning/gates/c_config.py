"""Gates on the config as a whole: what it names exists once, and can be meant only one way."""

from __future__ import annotations

from hyops_ci.config.settings import env_of
from hyops_ci.contracts.child_names import steers
from hyops_ci.contracts.config import Route
from hyops_ci.errors import Exit
from hyops_ci.planning.case import Answer, No, PlanCase, plan_gate


@plan_gate("config.env", "contracts 2", Exit.POLICY, "Does every env of the config belong to a service?")
def config_env(case: PlanCase) -> Answer:
    """An env without a service is a misspelt one: its class would hold for nobody, and the real env is production."""
    used = {env_of(service) for service in case.config.services}
    if stray := sorted(set(case.config.envs) - used):
        return No(
            "the config speaks of an env that no service is in",
            ", ".join(stray),
            " or ".join(sorted(used)),
            "correct the name under envs, or remove it",
        )
    return f"class {case.env.env_class}"


@plan_gate("route.unique", "contracts 1, contracts 3", Exit.POLICY, "Does each record lead to one service at most?")
def route_unique(case: PlanCase) -> Answer:
    """Two routes that one record could fit, to different ends, make the answer a matter of order."""
    routes = case.config.routes
    for index, one in enumerate(routes):
        for other in routes[index + 1 :]:
            if (one.service, one.as_type) != (other.service, other.as_type) and _overlap(one, other):
                return No(
                    "one record could take two routes",
                    f"{one.as_type} {one.service} and {other.as_type} {other.service}",
                    "routes that differ in a field both of them give",
                    "add module_ref, target_ref or desired to both routes",
                )
    return f"{len(routes)} routes"


@plan_gate("config.hyops", "contracts 2", Exit.POLICY, "Do the accepted HyOps versions make sense?")
def config_hyops(case: PlanCase) -> Answer:
    """`hyops.versions` is a PEP 440 specifier; an empty one would accept anything."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    wanted = case.config.hyops.versions
    try:
        fits = bool(list(SpecifierSet(wanted)))
    except InvalidSpecifier:
        fits = False
    return wanted if fits else No("hyops.versions is no version specifier", wanted, '"==0.1.4"', "correct hyops.versions")


@plan_gate("config.env_pass", "contracts 2, hyops 2", Exit.POLICY, "Does no name that the runner hands on steer what HyOps runs?")
def config_env_pass(case: PlanCase) -> Answer:
    """`host.env_pass` hands on the runner's own values; a name that steers a shell, a tool or HyOps is refused before anything starts."""
    if steering := sorted(filter(steers, case.config.host.env_pass)):
        return No(
            "host.env_pass names what steers HyOps' process",
            ", ".join(steering),
            "names that fill variables, such as HTTPS_PROXY or SSL_CERT_FILE",
            "take them out of host.env_pass",
            "hyops.md",
        )
    return ", ".join(case.config.host.env_pass)


def _overlap(one: Route, other: Route) -> bool:
    names = ("decision_type", "module_ref", "runtime_env", "desired", "target_kind", "target_ref", "target_env")
    for name in names:
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is not None and theirs is not None and mine != theirs:
            return False
    return True
