"""Gates on who may say yes and where secrets come from."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.errors import Exit
from hyops_ci.planning.case import Answer, No, PlanCase, plan_gate
from hyops_ci.planning.settings import addresses, data_home, lane_settings


@plan_gate("config.ref", "contracts 2", Exit.POLICY, "Were config and overlay read from the protected default branch?")
def config_ref(case: PlanCase) -> Answer:
    """Anyone who can push a branch can edit the config on it; only the default branch counts, and only when it is protected."""
    ref = case.facts.ref
    if ref.local:
        if case.trust is None and case.env.env_class is not EnvClass.LAB:
            return No(
                "in a shell, without host trust, nothing vouches for the config",
                f"no GitHub, no /etc/dr-dispatch/trust.json, env {case.env.name} of class {case.env.env_class}",
                "host trust on the runner, or class lab",
                "hyops-ci init prints the trust file to install; or start the workflow on GitHub",
            )
        return "in a shell: the host trust stands in" if case.trust else "in a shell, class lab"
    if not ref.default_branch:
        return No(
            "the config was not read from the default branch",
            f"ref {ref.ref or 'unknown'}",
            "the default branch",
            "start the workflow on the default branch; merge the change first",
        )
    if not ref.protected and not (case.trust is not None and "signed" in case.config.approvals.channels):
        return No(
            "the branch that holds the config protects nothing",
            f"ref {ref.ref}, not protected",
            "a protected default branch; or host trust together with the signed channel",
            "add a branch ruleset: pull request required, code owners over .github/**",
        )
    return "" if ref.protected else "unprotected: host trust and signed approvals stand in"


@plan_gate("approval.gate", "contracts 2, 5; workflows 2", Exit.POLICY, "Is there somebody who must say yes?")
def approval_gate(case: PlanCase) -> Answer:
    """The environment protects as demanded, or signed approvers exist. What cannot be read protects nothing (fail closed)."""
    approvals, env = case.config.approvals, case.env
    if not case.decision.requires_approval:
        return "none demanded"
    if "signed" in approvals.channels:
        able = sorted(set(approvals.approvers) - {requester(case)})
        if len(able) < approvals.quorum:
            return No(
                "fewer approvers than the quorum",
                f"{', '.join(able) or 'nobody'} may approve, quorum {approvals.quorum}; asked by {case.decision.issuer}",
                "as many approvers as the quorum, the requester not counted",
                "add approvals.approvers in a pull request",
            )
        return f"signed, {approvals.quorum} of {', '.join(able)}"
    gate = case.facts.gate
    if approvals.quorum > 1:
        return No(
            "GitHub's environments know no quorum",
            f"quorum {approvals.quorum}, channel environment",
            "channel signed",
            "add signed to approvals.channels",
        )
    if gate is None or not gate.readable:
        found, why = "protection of the environment could not be read", gate.note if gate else "no control plane was asked"
        return No(found, f"{env.gate}: {why}", "an environment whose rules can be read", _FIX, "adopt.md")
    able = sorted(set(gate.reviewers) - {requester(case)})
    if gate.name != env.gate or not gate.exists or len(able) < env.reviewers or not gate.prevent_self_review:
        own = "prevented" if gate.prevent_self_review else "allowed"
        rules = f"{gate.name} exists, {len(able)} reviewers besides the requester, self-review {own}"
        return No(
            f"environment {env.gate} stops nobody",
            rules if gate.exists else f"{env.gate} does not exist (GitHub would make it, unprotected)",
            f"at least {env.reviewers} reviewer other than the requester, or approvers with keys",
            _FIX,
            "adopt.md",
        )
    return f"{env.gate}: {', '.join(able)}; {'protected branches only' if gate.branch_policy else 'any branch'}"


def requester(case: PlanCase) -> str:
    """Login of whoever asked, or empty: that person approves nothing."""
    kind, _, login = case.decision.issuer.partition(":")
    return login if kind == "github" else ""


_FIX = "protect the environment (Settings, Environments); or add approvals.channels: [signed] and two people's keys in one pull request"


@plan_gate("authority.site", "seed 2.8", Exit.POLICY, "Does the secret authority stand outside the site that may be gone?")
def authority_site(case: PlanCase) -> Answer:
    """Secrets that are lost with the primary recover nothing. A failback may ask where the service lives now."""
    vault, home = case.config.vault, data_home(case.config, case.decision.service)
    if vault is None or (vault.kind == "vault" and not addresses(case.config)):
        return No(
            "no secret authority is configured", "no vault.address", "an address and its site", "add vault: {address: ..., site: ...}"
        )
    if vault.kind == "file":
        if case.env.env_class is not EnvClass.LAB:
            return No(
                "a file is no secret authority",
                f"vault.kind file, env class {case.env.env_class}",
                "an external authority",
                "use Vault outside the lab",
            )
        return "a file, in the lab"
    failed = lane_settings(case.config, home).failure_domain
    for origin, site in addresses(case.config):
        if case.decision.decision_type is DecisionType.FAILOVER and site in (failed, home):
            return No(
                "the secret authority stands in the site that may be gone",
                f"{origin} at site {site}",
                f"a site other than {failed}",
                "move the authority, or list one outside that site in vault.addresses and remove this one",
            )
        if not site:
            return No("the authority's site is not said", f"{origin} without a site", "the site it stands in", "add vault.site")
    return ", ".join(f"{origin} at {site}" for origin, site in addresses(case.config))


@plan_gate("authority.address", "seed 2.8, contracts 3", Exit.POLICY, "Is the authority another host, reached over TLS?")
def authority_address(case: PlanCase) -> Answer:
    """Not the runner itself, not in clear; outside class lab."""
    if case.env.env_class is EnvClass.LAB:
        return "class lab"
    for origin, _ in addresses(case.config):
        parts = urlsplit(origin)
        if parts.scheme != "https":
            return No(
                "secrets would travel in clear", origin, "an https address", "give the authority a certificate that the runner trusts"
            )
        if _is_this_host(parts.hostname or "") or (parts.hostname or "").partition(".")[0] in (case.lane.runner_ref, *case.lane.names):
            return No("the authority would be the runner itself", origin, "another host", "name the authority's own address")
    return ""


def _is_this_host(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified or address.is_link_local
