"""Gates on the overlay: complete, private, and closed until a person opens it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hyops_ci.contracts.facts import GUARDS, EffectiveBlueprint
from hyops_ci.errors import Exit
from hyops_ci.planning.case import Answer, No, PlanCase, plan_gate
from hyops_ci.planning.settings import leaves, overlay_path

ANYWHERE = frozenset({"0.0.0.0/0", "::/0"})
_SOURCES = ("source_ranges", "source_ranges_ssh", "allowed_cidrs", "admin_cidrs", "ssh_source_ranges")


def _fix(case: PlanCase) -> str:
    return f"correct {overlay_path(case.decision.service, case.action)} in a pull request"


@plan_gate("overlay.ref", "contracts 3", Exit.POLICY, "Is the overlay the one of the configured blueprint?")
def overlay_ref(case: PlanCase) -> Answer:
    """The overlay's own `blueprint_ref` must be the config's."""
    if case.blueprint.ref != case.action.blueprint:
        return No("the overlay belongs to another blueprint", case.blueprint.ref, case.action.blueprint, _fix(case))
    return ""


@plan_gate("overlay.placeholder", "contracts 3, HyOps 19", Exit.POLICY, "Is every value of the overlay filled in?")
def overlay_placeholder(case: PlanCase) -> Answer:
    """CHANGE_ME in an input reaches HyOps as it stands; in metadata it is normal."""
    left = [f"{step.id}{pointer}" for step in case.blueprint.steps for pointer, value in leaves(step.inputs) if "CHANGE_ME" in str(value)]
    if left:
        return No(
            f"{len(left)} inputs were never filled in",
            ", ".join(left[:6]) + (" ..." if len(left) > 6 else ""),
            "0 CHANGE_ME inputs",
            _fix(case),
        )
    return ""


@plan_gate("overlay.keys", "contracts 3, HyOps 19", Exit.POLICY, "Does HyOps know every key of the overlay?")
def overlay_keys(case: PlanCase) -> Answer:
    """HyOps ignores unknown keys in silence; a misspelt one would simply not act."""
    if case.blueprint.unknown_keys:
        return No("HyOps would ignore parts of the overlay", ", ".join(case.blueprint.unknown_keys[:6]), "known keys only", _fix(case))
    return ""


@plan_gate("overlay.public", "seed 3, contracts 3", Exit.POLICY, "Do the targets stay private?")
def overlay_public(case: PlanCase) -> Answer:
    """No public address on any VM, no port open to the world."""
    open_doors = public_addresses(case.blueprint) + open_ports(case.blueprint)
    if open_doors:
        return No("targets would be reachable from anywhere", ", ".join(open_doors[:6]), "private targets", _fix(case))
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
        if key in _SOURCES and ANYWHERE & set(item if isinstance(item, list) else [item]):
            yield f"{at}/{key}"
        yield from _open(item, f"{at}/{key}")


@plan_gate("overlay.guards", "contracts 3", Exit.POLICY, "Are the guards closed in the committed overlay?")
def overlay_guards(case: PlanCase) -> Answer:
    """An open guard in the repository is a standing yes that nobody gave; the run opens exactly the planned ones."""
    opened = [f"{step.id}.{name}" for step in case.blueprint.steps for name in GUARDS if step.inputs.get(name) is True]
    if opened:
        return No(
            "the committed overlay opens a guard", ", ".join(opened), "guards closed (false): the run opens them once, approved", _fix(case)
        )
    return ""
