"""An overlay and, where they are at hand, the module specs: merged into effective inputs, each with its origin.

HyOps merges step inputs over `inputs_file` over the spec's defaults (HyOps `blueprint/schema.py`,
`runtime/module_inputs.py`). The dangerous value is often the default, so a check looks at the merged one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from hyops_ci.contracts.facts import EffectiveBlueprint, EffectiveStep
from hyops_ci.errors import Exit, Refusal

Origin = Literal["spec", "inputs_file", "overlay", "guard"]
TOP_KEYS: Final = frozenset(
    "api_version kind blueprint_ref mode metadata policy recoverable_secrets access archive_before_destroy steps".split()
)
STEP_KEYS: Final = frozenset(
    (
        "id module_ref execution_profile action phase requires with_deps skip_if_state_ok verify_state_on_skip retain_on_destroy "
        "destroy_gate optional inputs inputs_file state_instance presentation contracts"
    ).split()
)
ALIASES: Final = {
    "platform/onprem/postgresql-ha": "platform/postgresql-ha",
    "platform/onprem/postgresql-ha-backup": "platform/postgresql-ha-backup",
}
"""Second names of modules, by their first (HyOps `runtime/module_state.py`)."""


def canonical_ref(ref: str) -> str:
    """A state reference under its module's first name."""
    module, mark, instance = ref.partition("#")
    return f"{ALIASES.get(module, module)}{mark}{instance}"


def read_blueprint(document: Any, overlay_sha256: str, specs: Mapping[str, tuple[Any, str]] | None = None) -> EffectiveBlueprint:
    """The effective blueprint of a parsed overlay.

    `specs` maps a module ref to its parsed spec and the spec's digest; None at plan time, where the runner's
    specs are not at hand. Raises Refusal (exit 4) for what HyOps would not load.
    """
    if not isinstance(document, dict) or document.get("kind") != "BlueprintSpec":
        raise _refuse("kind", document.get("kind") if isinstance(document, dict) else type(document).__name__, "kind: BlueprintSpec")
    steps = document.get("steps")
    if not isinstance(steps, list) or not steps:
        raise _refuse("steps", "no steps", "a list of at least one step")
    if "inputs_file" in {key for step in steps if isinstance(step, dict) for key in step}:
        raise _refuse("steps", "a step with inputs_file", "inputs in the overlay itself, where the reviewer and the plan see them")
    unknown = [f"/{key}" for key in document if key not in TOP_KEYS]
    effective = []
    for index, step in enumerate(steps):
        effective.append(_step(step, index, specs))
        unknown += [f"/steps/{index}/{key}" for key in step if key not in STEP_KEYS]
    ids = [step.id for step in effective]
    if len(set(ids)) != len(ids):
        raise _refuse("steps", f"ids {', '.join(ids)}", "each id once")
    missing = sorted({step.module_ref for step in effective if specs is not None and step.module_ref not in specs})
    return EffectiveBlueprint(
        ref=_text(document.get("blueprint_ref"), "blueprint_ref"),
        mode=_text(document.get("mode"), "mode"),
        steps=tuple(effective),
        overlay_sha256=overlay_sha256,
        unknown_keys=tuple(unknown),
        specs_missing=tuple(missing),
    )


def _step(step: Any, index: int, specs: Mapping[str, tuple[Any, str]] | None) -> EffectiveStep:
    if not isinstance(step, dict):
        raise _refuse(f"steps/{index}", type(step).__name__, "a mapping")
    module_ref = _text(step.get("module_ref"), f"steps/{index}/module_ref")
    spec, spec_sha256 = (specs or {}).get(module_ref, ({}, ""))
    inputs, origins = merge(_defaults(spec), _mapping(step.get("inputs"), f"steps/{index}/inputs"))
    instance = step.get("state_instance") or ""
    contracts = _mapping(step.get("contracts"), f"steps/{index}/contracts")
    return EffectiveStep(
        id=_text(step.get("id"), f"steps/{index}/id"),
        module_ref=module_ref,
        state_instance=str(instance),
        action=str(step.get("action", "deploy")),
        phase=str(step.get("phase", "")),
        optional=step.get("optional") is True,
        skip_if_state_ok=step.get("skip_if_state_ok") is True,
        verify_state_on_skip=step.get("verify_state_on_skip") is True,
        with_deps=step.get("with_deps") is True,
        requires=tuple(str(name) for name in step.get("requires") or ()),
        inputs=inputs,
        origins=origins,
        required_env=tuple(sorted({str(key) for key in inputs.get("required_env") or ()})),
        state_refs=tuple(dict.fromkeys([*state_refs(inputs), *map(str, contracts.get("requires_module_state_ok") or ())])),
        publishes=f"{module_ref}#{instance}" if instance else module_ref,
        spec_sha256=spec_sha256,
    )


def merge(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Origin]]:
    """`given` over `defaults`, mappings merged at every depth. Answers the inputs and the origin of each leaf by JSON pointer."""
    origins: dict[str, Origin] = {}
    return _merge(defaults, given, "", origins), origins


def _merge(defaults: Mapping[str, Any], given: Mapping[str, Any], at: str, origins: dict[str, Origin]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key in [*defaults, *(key for key in given if key not in defaults)]:
        pointer = f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"
        old, new = defaults.get(key), given.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            merged[key] = _merge(old, new, pointer, origins)
        else:
            merged[key] = new if key in given else old
            origins[pointer] = "overlay" if key in given else "spec"
    return merged


def state_refs(inputs: Mapping[str, Any]) -> list[str]:
    """Every non-empty `*_state_ref` at any depth."""
    found = []
    for key, value in inputs.items():
        if isinstance(value, Mapping):
            found += state_refs(value)
        elif str(key).endswith("_state_ref") and isinstance(value, str) and value:
            found.append(value)
    return found


def upstream_states(steps: Sequence[EffectiveStep]) -> list[tuple[str, str]]:
    """(step, reference) of every state that must be there before the run: those that no earlier step publishes."""
    needed, published = [], set[str]()
    for step in steps:
        needed += [(step.id, ref) for ref in step.state_refs if canonical_ref(ref) not in published]
        published.add(canonical_ref(step.publishes))
    return needed


def _defaults(spec: Any) -> Mapping[str, Any]:
    inputs = spec.get("inputs") if isinstance(spec, dict) else None
    defaults = inputs.get("defaults") if isinstance(inputs, dict) else None
    return defaults if isinstance(defaults, dict) else {}


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refuse(where, type(value).__name__, "a mapping")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _refuse(where, repr(value), "text")
    return value


def _refuse(where: str, found: object, expected: str) -> Refusal:
    return Refusal(
        "overlay.blueprint",
        "the overlay is no blueprint that HyOps would load",
        exit_code=Exit.POLICY,
        found=f"/{where.lstrip('/')}: {found}",
        expected=expected,
        fix="correct the overlay in a pull request; hyops blueprint validate --file <overlay> shows the rest",
    )
