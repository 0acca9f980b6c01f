"""Gates on where the config and the secrets come from."""

from __future__ import annotations

from hyops_ci.address import host_of, is_this_host
from hyops_ci.config.probes import probed_host, probes_of
from hyops_ci.config.settings import addresses, data_home, lane_settings
from hyops_ci.contracts.authorities import AUTHORITIES
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.facts import BranchRules, RefFact
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, plan_gate
from hyops_ci.text import counted


@plan_gate("config.ref", "contracts 2", Exit.POLICY, "Were config and overlay read from the protected default branch?")
def config_ref(case: PlanCase) -> GateOutcome:
    """Anyone who can push a branch can edit the config on it; only the default branch counts, and only when it is protected."""
    ref = case.facts.ref
    if ref.local:
        if case.trust is None and case.env.env_class is not EnvClass.LAB:
            return GateFailure(
                "in a shell, without host trust, nothing vouches for the config",
                f"no GitHub, no /etc/dr-dispatch/trust.json, env {case.env.name} of class {case.env.env_class}",
                "host trust on the runner, or class lab",
                "hyops-ci init prints the trust file to install; or start the workflow on GitHub",
            )
        return "in a shell: the host trust stands in" if case.trust else "in a shell, class lab"
    if not ref.default_branch:
        return GateFailure(
            "the config was not read from the default branch",
            f"ref {ref.ref or 'unknown'}",
            "the default branch",
            "start the workflow on the default branch; merge the change first",
        )
    vouched = case.trust is not None and "signed" in case.config.approvals.channels
    if not ref.protected and not vouched:
        return GateFailure(
            "the branch that holds the config protects nothing",
            f"ref {ref.ref}, not protected{f' ({ref.note})' if ref.note else ''}",
            "a protected default branch; or host trust together with the signed channel",
            _RULESET,
            "approvals.md",
        )
    rules = ref.rules
    pushes = rules is not None and not rules.pull_request and not ref.classic
    if pushes and ref.protected and not vouched and case.env.env_class is EnvClass.PRODUCTION:
        return GateFailure(
            "a push alone changes the config",
            f"ref {ref.ref}, no rule demands a pull request; rules: {rule_words(rules) or 'none of them'}",
            "a pull request for every change, in class production",
            _RULESET,
            "approvals.md",
        )
    return branch_note(ref) if ref.protected else "unprotected: host trust and signed approvals stand in"


def rule_words(rules: BranchRules | None) -> str:
    """The rules of a branch in a line."""
    if rules is None:
        return ""
    said = [
        (rules.pull_request, f"pull request with {counted(rules.approvals, 'review')}"),
        (rules.code_owners, "code owners"),
        (rules.dismiss_stale, "stale reviews dismissed"),
        (rules.last_push, "not by the last to push"),
        (rules.no_deletion, "no deletion"),
        (rules.no_force_push, "no force-push"),
    ]
    return ", ".join(words for holds, words in said if holds)


def branch_note(ref: RefFact) -> str:
    """What guards the branch, and which of `.github/**` needs no review."""
    said, rules = ["protected"], ref.rules
    if ref.classic:
        said.append("classic, its terms are for administrators to read")
    elif rules is None:
        said.append(f"rules not known{f' ({ref.note})' if ref.note else ''}")
    else:
        said.append(rule_words(rules) or "no rule demands a review")
        if not rules.approvals and not (rules.code_owners and ref.unowned == ()):
            said.append("no review of .github/** is required")
        elif not rules.code_owners:
            said.append("any review of .github/** counts: no code owner is asked")
    if ref.unowned and (rules is None or rules.code_owners or ref.classic):
        said.append(f"no code owner: {', '.join(ref.unowned)}")
    return "; ".join(said)


_RULESET = "add a branch ruleset: pull request required, code owners over .github/** (hyops-ci init prints it)"


@plan_gate("authority.site", "anti-drift 2.8", Exit.POLICY, "Does the secret authority stand outside the site that may be gone?")
def authority_site(case: PlanCase) -> GateOutcome:
    """Secrets that are lost with the primary recover nothing. A failback may ask where the service lives now."""
    vault, home = case.config.vault, data_home(case.config, case.decision.service)
    kind = AUTHORITIES[vault.kind] if vault is not None else None
    if kind is None or (kind.remote and not addresses(case.config)):
        return GateFailure(
            "no secret authority is configured", "no vault.address", "an address and its site", "add vault: {address: ..., site: ...}"
        )
    if kind.lab_only and case.env.env_class is not EnvClass.LAB:
        return GateFailure(
            f"secrets come from a {kind.name} in the lab only",
            f"vault.kind {kind.name}, env class {case.env.env_class}",
            "an external authority",
            "use Vault outside the lab",
        )
    if not kind.remote:
        return f"a {kind.name}, in the lab"
    failed = lane_settings(case.config, home).failure_domain
    for origin, site in addresses(case.config):
        if case.decision.decision_type is DecisionType.FAILOVER and site in (failed, home):
            return GateFailure(
                "the secret authority stands in the site that may be gone",
                f"{origin} at site {site}",
                f"a site other than {failed}",
                "move the authority, or list one outside that site in vault.addresses and remove this one",
            )
        if not site:
            return GateFailure("the authority's site is not said", f"{origin} without a site", "the site it stands in", "add vault.site")
    return ", ".join(f"{origin} at {site}" for origin, site in addresses(case.config))


@plan_gate("authority.address", "anti-drift 2.8, contracts 3", Exit.POLICY, "Is the authority another host, reached over TLS?")
def authority_address(case: PlanCase) -> GateOutcome:
    """Not the runner itself, not in clear; outside class lab."""
    if case.env.env_class is EnvClass.LAB:
        return "class lab"
    for origin, _ in addresses(case.config):
        if not origin.startswith("https://"):
            return GateFailure(
                "secrets would travel in clear", origin, "an https address", "give the authority a certificate that the runner trusts"
            )
        try:
            host = host_of(origin).lower()
        except ValueError:
            return GateFailure("the authority's address is none", origin, "an IPv6 address in the brackets", "correct vault.address")
        if is_this_host(host) or host.partition(".")[0] in (case.lane.runner_ref, *map(str.lower, case.lane.names)):
            return GateFailure("the authority would be the runner itself", origin, "another host", "name the authority's own address")
    return ""


@plan_gate("probe.address", "contracts 3", Exit.POLICY, "Do the probes ask another host?")
def probe_address(case: PlanCase) -> GateOutcome:
    """A listener on the runner would prove that the service is there; outside class lab."""
    if case.env.env_class is EnvClass.LAB:
        return "class lab"
    probes = probes_of(case.config, case.decision.service, case.blueprint)
    if here := [f"{probe.kind} {probe.target}" for probe in probes if (host := probed_host(probe)) is not None and is_this_host(host)]:
        return GateFailure(
            "a probe would ask the runner itself",
            ", ".join(here),
            "another host",
            f"correct verification.{case.decision.service}, or the endpoint in the overlay",
        )
    return ""
