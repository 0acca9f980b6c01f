"""The inputs of a plan: files of the checkout, and what GitHub shows of branch and environments."""

from __future__ import annotations

from pathlib import Path

from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.config.file import CONFIG_PATH
from hyops_ci.config.probes import probe_secrets
from hyops_ci.config.settings import action_for, env_of, env_settings, overlay_path, production_overlays
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import EffectiveBlueprint, EnvironmentFact, PlanFacts, RefFact
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import SecretRef, Source
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.github.api.client import Client
from hyops_ci.github.branch import ref_fact as branch_fact
from hyops_ci.github.codeowners import PLACES
from hyops_ci.github.environments import environment
from hyops_ci.github.repository import repository as repository_fact
from hyops_ci.intake.decision import Intake
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.secrets.map import builtin_bytes, builtin_map, read_map, refs_for
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.origin import Origin

MAX_SOURCE = 1024 * 1024


def read_source(repository: Path, path: str) -> bytes:
    """Return a file of the repository. Raises Refusal (exit 2) for one outside it, absent, or too large."""
    root = repository.resolve()
    target = (root / path).resolve()
    found = ""
    if not target.is_relative_to(root):
        found = f"{path} leads out of the repository"
    elif ".git" in target.relative_to(root).parts:
        found = f"{path} is Git's own: it may hold a token"
    elif not target.is_file():
        found = f"{path} is not there"
    elif target.stat().st_size > MAX_SOURCE:
        found = f"{path} has {target.stat().st_size} bytes"
    if found:
        raise Refusal(
            "config.file",
            "a file that the plan is made of cannot be read",
            exit_code=Exit.USAGE,
            found=found,
            expected=f"a file of at most {MAX_SOURCE} bytes inside the repository",
            fix="commit it (docs/adopt.md), then a new run",
        )
    return target.read_bytes()


def read_overlay(repository: Path, config: DispatchConfig, intake: Intake) -> tuple[bytes, EffectiveBlueprint, Source]:
    """Return the overlay of the decision's service and type, as committed."""
    decision = intake.decision
    action = action_for(config, decision.service, decision.decision_type)
    path = overlay_path(decision.service, action)
    content = read_source(repository, path)
    blueprint = read_blueprint(read_yaml(content, path), digest_bytes(content))
    return content, blueprint, Source(role="overlay", path=path, sha256=digest_bytes(content))


def sibling_sources(repository: Path, config: DispatchConfig, decision: Decision) -> list[tuple[Source, bytes]]:
    """Return, for a drill, production's overlays of the same service, as committed: the runner compares them and has no checkout."""
    found = []
    for path in production_overlays(config, decision.service) if decision.exercise else ():
        content = read_source(repository, path)
        read_blueprint(read_yaml(content, path), digest_bytes(content))
        found.append((Source(role="sibling", path=path, sha256=digest_bytes(content)), content))
    return found


def secret_refs(
    repository: Path, config: DispatchConfig, intake: Intake, blueprint: EffectiveBlueprint
) -> tuple[tuple[SecretRef, ...], Source, bytes]:
    """Return where the authority keeps each secret that the blueprint or a login of a probe needs. Names only."""
    vault = config.vault
    path = vault.secret_map if vault else None
    content = read_source(repository, path) if path else builtin_bytes()
    mount = vault.mount if vault else "secret"
    known = read_map(content, path) if path else builtin_map(mount)
    env = intake.decision.service.partition("/")[2]
    profiles = vault.profiles if vault else ("dr", "shared")
    needed = (*blueprint.required_env(), *probe_secrets(config, intake.decision.service))
    refs = refs_for(known, env, profiles, needed, mount)
    return refs, Source(role="secret_map", path=path or "builtin.csv", sha256=digest_bytes(content)), content


def plan_facts(repository: Path, intake: Intake, config: DispatchConfig, origin: Origin, tip: Tip | None, context: RunContext) -> PlanFacts:
    """Return the facts for the plan gates beside decision, config and overlay: GitHub's on branch and environments, and the ledger's."""
    ref = ref_fact(repository, intake, config, context)
    gate, check_gate = gates_on_github(intake.decision, config, context, private=ref.private)
    return PlanFacts(
        now=context.clock.now(),
        ref=ref,
        gate=gate,
        check_gate=check_gate,
        requesters=origin.requesters,
        tip=tip,
    )


def with_bootstrap(facts: PlanFacts, reason: str, config: DispatchConfig, context: RunContext) -> PlanFacts:
    """Return the facts with why the runner may be made, and the environment of the job that would. Without a reason nobody is asked."""
    if not reason:
        return facts
    name, client = config.policy.bootstrap_environment, context.github
    gate = environment(client, name, private=facts.ref.private) if client is not None else None
    return facts.model_copy(update={"bootstrap_reason": shown(reason), "bootstrap_gate": gate})


def gates_on_github(
    decision: Decision, config: DispatchConfig, context: RunContext, *, private: bool | None = None
) -> tuple[EnvironmentFact | None, EnvironmentFact | None]:
    """Return (approval gate, environment of the check) as GitHub shows them; None where GitHub cannot be asked, or nothing relies on it.

    `private`: whether the repository is, where that is known; it saves a call.
    """
    if context.github is None:
        return None, None
    env = env_settings(config, env_of(decision.service))
    gate = environment(context.github, env.gate, private=private) if "environment" in config.approvals.channels else None
    return gate, environment(context.github, env.check_gate, private=private)


def ref_fact(repository: Path, intake: Intake, config: DispatchConfig, context: RunContext) -> RefFact:
    """Return the commit that config and overlay were read at, as GitHub shows it; in a shell the host trust stands in."""
    job = context.job
    if not job.on_github:
        return RefFact(local=True) if context.github is None else default_branch(context.github)
    if context.github is None:
        return RefFact(commit=job.sha, ref=job.ref, default_branch=job.on_default_branch, protected=job.ref_protected)
    action = action_for(config, intake.decision.service, intake.decision.decision_type)
    workflow = job.workflow_ref.partition("@")[0].removeprefix(f"{job.repository}/")
    paths = (CONFIG_PATH, overlay_path(intake.decision.service, action), workflow)
    owners = code_owners_text(repository)
    return branch_fact(
        context.github,
        ref=job.ref,
        sha=job.sha,
        default_branch=job.default_branch,
        code_owners=owners,
        paths=[path for path in paths if path],
    )


def default_branch(client: Client) -> RefFact:
    """Return the branch that a run would be started on: a checkout does not tell which commit GitHub has."""
    found = branch_fact(client, ref=f"refs/heads/{repository_fact(client).default_branch}", sha="HEAD")
    return found.model_copy(update={"commit": ""})


def code_owners_text(repository: Path) -> str:
    """Return the code owners file of the checkout, from the first place that GitHub reads; empty where there is none."""
    found = next((repository / place for place in PLACES if (repository / place).is_file()), None)
    return found.read_text(encoding="utf-8", errors="replace") if found is not None else ""
