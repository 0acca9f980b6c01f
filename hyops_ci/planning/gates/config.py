"""Gates on the config as a whole: what it names exists once, and can be meant only one way."""

from __future__ import annotations

from hyops_ci.config.probes import probed_host, probes_of
from hyops_ci.config.settings import env_of, evidence_signer, host_key_path
from hyops_ci.contracts.child_names import SETTINGS, steers, takes
from hyops_ci.contracts.routes import Route
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, plan_gate


@plan_gate("config.env", "contracts 2", Exit.POLICY, "Does every env of the config belong to a service?")
def config_env(case: PlanCase) -> GateOutcome:
    """An env without a service is a misspelt one: no service would have its class, and the real env is production."""
    used = {env_of(service) for service in case.config.services}
    if stray := sorted(set(case.config.envs) - used):
        return GateFailure(
            "the config speaks of an env that no service is in",
            ", ".join(stray),
            " or ".join(sorted(used)),
            "correct the name under envs, or remove it",
        )
    return f"class {case.env.env_class}"


@plan_gate("route.unique", "contracts 1, contracts 3", Exit.POLICY, "Does each record lead to one service at most?")
def route_unique(case: PlanCase) -> GateOutcome:
    """Two routes that one record could fit, to different ends, make the answer a matter of order."""
    routes = case.config.routes
    for index, one in enumerate(routes):
        for other in routes[index + 1 :]:
            if (one.service, one.as_type) != (other.service, other.as_type) and _overlap(one, other):
                return GateFailure(
                    "one record could take two routes",
                    f"{one.as_type} {one.service} and {other.as_type} {other.service}",
                    "routes that differ in a field both of them give",
                    "add module_ref, target_ref or desired to both routes",
                )
    return f"{len(routes)} routes"


@plan_gate("config.hyops", "contracts 2", Exit.POLICY, "Do the accepted HyOps versions make sense?")
def config_hyops(case: PlanCase) -> GateOutcome:
    """`hyops.versions` is a PEP 440 specifier; an empty one would accept anything."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    wanted = case.config.hyops.versions
    try:
        fits = bool(list(SpecifierSet(wanted)))
    except InvalidSpecifier:
        fits = False
    return wanted if fits else GateFailure("hyops.versions is not a version specifier", wanted, '"==0.1.4"', "correct hyops.versions")


@plan_gate("config.env_pass", "contracts 2, hyops 2", Exit.POLICY, "Does no name that the runner hands on steer what HyOps runs?")
def config_env_pass(case: PlanCase) -> GateOutcome:
    """`host.env_pass` hands on the runner's own values; a name that steers a shell, a tool or HyOps is refused before anything starts."""
    if steering := sorted(filter(steers, case.config.host.env_pass)):
        return GateFailure(
            "host.env_pass names what steers HyOps' process",
            ", ".join(steering),
            "names that fill variables, such as HTTPS_PROXY or SSL_CERT_FILE",
            "take them out of host.env_pass",
            "hyops.md",
        )
    return ", ".join(case.config.host.env_pass)


@plan_gate("config.host_env", "contracts 2, hyops 2", Exit.POLICY, "Are the settings of HyOps ones that a config may make?")
def config_host_env(case: PlanCase) -> GateOutcome:
    """`host.env` sets what HyOps reads for itself, such as where Terraform keeps its state; a list says which, and to what."""
    found = case.config.host.env
    if wrong := sorted(f"{name}: {value}" for name, value in found.items() if not takes(name, value)):
        return GateFailure(
            "host.env sets what no config may set",
            ", ".join(wrong),
            "; ".join(f"{name}: {values}" for name, values in SETTINGS.items()),
            "take it out of host.env, or give it one of these values",
            "hyops.md",
        )
    return ", ".join(f"{name}={value}" for name, value in sorted(found.items()))


@plan_gate("config.evidence", "contracts 2, contracts 7", Exit.POLICY, "Can this release sign evidence as the config says?")
def config_evidence(case: PlanCase) -> GateOutcome:
    """`vault-transit` has a place in the config and no signer behind it yet: a bundle that was to be signed would not be."""
    signer = evidence_signer(case.config)
    if signer == "vault-transit":
        return GateFailure(
            "no evidence is signed by Vault in this release",
            "evidence.signer: vault-transit",
            "host-key or none",
            "set evidence: {signer: host-key}, or leave evidence out",
        )
    return "not signed" if signer == "none" else f"signed with {host_key_path(case.config)}"


@plan_gate("config.probe", "contracts 2", Exit.POLICY, "Can this release run every probe of the service?")
def config_probe(case: PlanCase) -> GateOutcome:
    """One of kind `command` has a place in the config and nothing that runs it yet; one that no host can be made of asks nobody."""
    probes = probes_of(case.config, case.decision.service, case.blueprint)
    if commands := [probe.target for probe in probes if probe.kind == "command"]:
        return GateFailure(
            "no probe of kind command is run in this release",
            f"verification.{case.decision.service}: {', '.join(commands)}",
            "probes of kind tcp, dns, http or postgres",
            "replace it by a tcp, dns, http or postgres probe of the same service (docs/verification.md)",
        )
    if strangers := [f"{probe.kind} {probe.target}" for probe in probes if probe.login is not None and probe.kind != "postgres"]:
        return GateFailure(
            "only a postgres probe logs in",
            f"verification.{case.decision.service}: {', '.join(strangers)}, with a login",
            "login beside kind: postgres",
            "make it a postgres probe, or take the login out",
            "verification.md",
        )
    if nobody := [f"{probe.kind} {probe.target}" for probe in probes if probed_host(probe) is None]:
        return GateFailure(
            "a probe asks nobody",
            ", ".join(nobody),
            "host:port (tcp and postgres, port 1 to 65535), a name (dns), or http(s)://host/path (http)",
            f"correct verification.{case.decision.service}, or the endpoint in the overlay",
        )
    return f"{len(case.config.verification.get(case.decision.service, ()))} probes"


@plan_gate("config.registration", "workflows 5", Exit.POLICY, "Where a runner may be made: does the config say how it is registered?")
def config_registration(case: PlanCase) -> GateOutcome:
    """Registering takes a GitHub App whose key the authority keeps; without one a machine would be made for nothing."""
    config = case.config
    if not config.policy.bootstrap_reasons:
        return ""
    if config.registration is None:
        return GateFailure(
            "a runner that is made could not be registered",
            "policy.bootstrap_reasons without registration",
            "registration: {app_id: <number>, key: <path>#<field>}",
            "add the GitHub App that registers it, or remove policy.bootstrap_reasons",
            "runner-recovery.md",
        )
    return f"App {config.registration.app_id}, {f'group {config.registration.group}' if config.registration.group else 'the repository'}"


def _overlap(one: Route, other: Route) -> bool:
    names = ("decision_type", "module_ref", "runtime_env", "desired", "target_kind", "target_ref", "target_env")
    for name in names:
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is not None and theirs is not None and mine != theirs:
            return False
    return True
