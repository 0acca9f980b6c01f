"""Gates on the overlay: complete, private, and closed until a person opens it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hyops_ci.config.probes import probe_secrets
from hyops_ci.config.settings import overlay_path
from hyops_ci.contracts.facts import SELECTORS, EffectiveBlueprint, canonical_ref
from hyops_ci.errors import Exit
from hyops_ci.parsing.strict_json import leaves
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, listed, plan_gate
from hyops_ci.planning.steps import fencing_claims, opened_guards, restores

DATABASE: Final = "platform/postgresql-ha"
ANYWHERE = frozenset({"0.0.0.0/0", "::/0"})
_SOURCES = ("source_ranges", "source_ranges_ssh", "allowed_cidrs", "admin_cidrs", "ssh_source_ranges")


def _fix(case: PlanCase) -> str:
    return f"correct {overlay_path(case.decision.service, case.action)} in a pull request"


@plan_gate("overlay.ref", "contracts 3", Exit.POLICY, "Is the overlay the one of the configured blueprint?")
def overlay_ref(case: PlanCase) -> GateOutcome:
    """The overlay's own `blueprint_ref` must be the config's."""
    if case.blueprint.ref != case.action.blueprint:
        return GateFailure("the overlay belongs to another blueprint", case.blueprint.ref, case.action.blueprint, _fix(case))
    return ""


@plan_gate("overlay.placeholder", "contracts 3, hyops 2", Exit.POLICY, "Is every value of the overlay filled in?")
def overlay_placeholder(case: PlanCase) -> GateOutcome:
    """CHANGE_ME in an input reaches HyOps as it stands; in metadata it is normal."""
    left = [f"{step.id}{pointer}" for step in case.blueprint.steps for pointer, value in leaves(step.inputs) if "CHANGE_ME" in str(value)]
    if left:
        return GateFailure(
            f"{len(left)} inputs were never filled in",
            ", ".join(left),
            "0 CHANGE_ME inputs",
            _fix(case),
        )
    return ""


@plan_gate("overlay.keys", "contracts 3, hyops 2", Exit.POLICY, "Does HyOps know every key of the overlay?")
def overlay_keys(case: PlanCase) -> GateOutcome:
    """HyOps ignores unknown keys in silence; a misspelt one would simply not act."""
    if case.blueprint.unknown_keys:
        return GateFailure("HyOps would ignore parts of the overlay", ", ".join(case.blueprint.unknown_keys), "known keys only", _fix(case))
    return ""


@plan_gate("overlay.public", "anti-drift 3, contracts 3", Exit.POLICY, "Do the targets stay private?")
def overlay_public(case: PlanCase) -> GateOutcome:
    """No public address on any VM, no port open to the world."""
    open_doors = public_addresses(case.blueprint) + open_ports(case.blueprint)
    if open_doors:
        return GateFailure("targets would be reachable from anywhere", ", ".join(open_doors), "private targets", _fix(case))
    return ""


def public_addresses(blueprint: EffectiveBlueprint) -> list[str]:
    """`step/pointer` of every public address that would be assigned."""
    names = ("/assign_public_ip", "/public_ip", "/associate_public_ip_address")
    return [f"{s.id}{pointer}" for s in blueprint.steps for pointer, value in leaves(s.inputs) if pointer.endswith(names) and value is True]


def open_ports(blueprint: EffectiveBlueprint) -> list[str]:
    """`step/pointer` of every source range that is the whole world."""
    return [f"{step.id}{pointer}" for step in blueprint.steps for pointer in _open(step.inputs, "")]


def _open(value: Any, at: str) -> Iterator[str]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key in _SOURCES and any(source in ANYWHERE for source in _texts(item)):
            yield f"{at}/{key}"
        yield from _open(item, f"{at}/{key}")


def _texts(item: Any) -> list[str]:
    return [each for each in (item if isinstance(item, list) else [item]) if isinstance(each, str)]


@plan_gate("overlay.guards", "contracts 3", Exit.POLICY, "Are the guards closed in the committed overlay?")
def overlay_guards(case: PlanCase) -> GateOutcome:
    """An open guard in the repository is a standing approval that no approver gave; the run opens exactly the planned ones."""
    opened = opened_guards(case.blueprint)
    if opened:
        return GateFailure(
            "the committed overlay opens a guard", ", ".join(opened), "guards closed (false): the run opens them once, approved", _fix(case)
        )
    return ""


@plan_gate("guards.fenced", "contracts 4", Exit.POLICY, "Is nothing asserted of the old side that nobody confirmed?")
def guards_fenced(case: PlanCase) -> GateOutcome:
    """Opening `assertions.source_fenced` writes into HyOps' state that the old side is fenced; a drill leaves it in service."""
    claims = fencing_claims(case.blueprint)
    if not claims or (case.decision.old_primary == "confirmed-off" and case.decision.exercise is None):
        return listed(claims)
    drill = case.decision.exercise is not None
    return GateFailure(
        "the run would assert that the old side is off",
        f"{listed(claims)}; {'a drill' if drill else f'old_primary {case.decision.old_primary}'}",
        "old_primary: confirmed-off, said by who made sure of it" if not drill else "a drill of steps that assert nothing of production",
        "fence the old side, then -f old_primary=confirmed-off" if not drill else "give the drill an overlay without these assertions",
    )


@plan_gate("restore.pin", "contracts 1", Exit.POLICY, "Can the named restore point be pinned?")
def restore_pin(case: PlanCase) -> GateOutcome:
    """A label needs a step that restores; otherwise naming one would have no effect."""
    label = case.decision.restore_point
    if label != "latest" and label.lower() == "latest":
        return GateFailure("a label that reads like the newest one", f"restore point {label}", "latest, in small letters", "correct it")
    if label != "latest" and not any(restores(step) for step in case.blueprint.steps):
        return GateFailure(
            "no step of this blueprint restores", f"restore point {label}, blueprint {case.blueprint.ref}", "latest", "leave the label out"
        )
    return "" if label == "latest" else f"pinned to {label}"


@plan_gate("restore.selector", "contracts 1, hyops 2", Exit.POLICY, "Does every restore know what to restore?")
def restore_selector(case: PlanCase) -> GateOutcome:
    """HyOps demands a selector for a restore of PostgreSQL and takes no default; `latest` is one where a backup's state names the set."""
    if case.decision.restore_point != "latest":
        return ""
    bare = [
        step.id
        for step in case.blueprint.steps
        if restores(step) and canonical_ref(step.module_ref) == DATABASE and not any(step.inputs.get(name) for name in SELECTORS)
    ]
    if bare:
        return GateFailure(
            "a restore does not know what to restore",
            f"restore point latest, and none of {', '.join(SELECTORS)} in {', '.join(bare)}",
            f"a state that names the newest set, such as backup_state_ref: {DATABASE}-backup, or a label",
            f"set backup_state_ref in {overlay_path(case.decision.service, case.action)}, in a pull request; tonight: -f restore=<label>",
            "hyops.md",
        )
    return ""


@plan_gate("secrets.mapped", "anti-drift 2.8, contracts 3", Exit.SECRETS, "Does the secret map cover what the steps need?")
def secrets_mapped(case: PlanCase) -> GateOutcome:
    """The union of `required_env` over all steps of the overlay, and what probes log in with; names only."""
    probes = probe_secrets(case.config, case.decision.service)
    needed = set(case.blueprint.required_env()) - set(case.config.host.env_pass) | set(probes)
    mapped = {ref.key for ref in case.secret_refs}
    if missing := sorted(needed - mapped):
        return GateFailure(
            f"{len(missing)} of {len(needed)} secrets are not in the secret map",
            ", ".join(missing),
            f"a row for each, in a scope of {', '.join(case.config.vault.profiles) if case.config.vault else 'the config'}",
            "add the rows to the secret map in a pull request",
            "secrets.md",
        )
    return f"{len(needed)} names"
