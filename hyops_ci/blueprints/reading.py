"""An overlay and, where they are at hand, the module specs: merged into effective inputs, each with its origin.

HyOps merges step inputs over `inputs_file` over the spec's defaults (HyOps `blueprint/schema.py`,
`runtime/module_inputs.py`). The dangerous value is often the default, so a check looks at the merged one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Literal

from hyops_ci.contracts.base import MAX_INT, STATE_REF
from hyops_ci.contracts.facts import EffectiveBlueprint, EffectiveStep
from hyops_ci.contracts.facts import upstream_states as upstream_states
from hyops_ci.errors import Exit, Refusal, shown

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
_STEP_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MODULE: Final = re.compile(r"[a-z0-9][a-z0-9/_-]{0,127}")
_INSTANCE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_STATE: Final = re.compile(STATE_REF, re.ASCII)
_ACTIONS: Final = frozenset({"apply", "deploy", "plan", "validate"})


def read_blueprint(document: Any, overlay_sha256: str, specs: Mapping[str, tuple[Any, str]] | None = None) -> EffectiveBlueprint:
    """Return the effective blueprint of a parsed overlay.

    `specs` maps a module ref to its parsed spec and the spec's digest; None at plan time, where the runner's
    specs are not at hand. Raises Refusal (exit 4) for what HyOps would not load.
    """
    if not isinstance(document, dict) or document.get("kind") != "BlueprintSpec":
        raise _refuse("kind", document.get("kind") if isinstance(document, dict) else type(document).__name__, "kind: BlueprintSpec")
    steps = document.get("steps")
    if not isinstance(steps, list) or not steps:
        raise _refuse("steps", "no steps", "a list of at least one step")
    if any(isinstance(step, dict) and step.get("inputs_file") for step in steps):
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
    module_ref = _text(step.get("module_ref"), f"steps/{index}/module_ref", _MODULE)
    spec, spec_sha256 = (specs or {}).get(module_ref, ({}, ""))
    given = _mapping(step.get("inputs"), f"steps/{index}/inputs")
    inputs, origins = merge(_defaults(spec), given)
    _plain(inputs, f"steps/{index}/inputs")
    instance = str(step.get("state_instance") or "").lower()
    if instance and not _INSTANCE.fullmatch(instance):
        raise _refuse(f"steps/{index}/state_instance", instance, "letters, digits, dot, dash and underscore")
    contracts = _mapping(step.get("contracts"), f"steps/{index}/contracts")
    required = _texts(contracts.get("requires_module_state_ok"), f"steps/{index}/contracts")
    states = tuple(dict.fromkeys([*_needed(inputs, given), *required]))
    if strange := [ref for ref in states if not _STATE.fullmatch(ref.lower())]:
        raise _refuse(f"steps/{index}", shown(strange[0], 200), "state references: <module> or <module>#<instance>")
    return EffectiveStep(
        id=_text(step.get("id"), f"steps/{index}/id", _STEP_ID),
        module_ref=module_ref,
        state_instance=instance,
        action=_action(step.get("action"), f"steps/{index}/action"),
        phase=str(step.get("phase") or ""),
        optional=_flag(step, "optional", index),
        skip_if_state_ok=_flag(step, "skip_if_state_ok", index),
        verify_state_on_skip=_flag(step, "verify_state_on_skip", index),
        with_deps=_flag(step, "with_deps", index),
        retain_on_destroy=_flag(step, "retain_on_destroy", index),
        requires=tuple(_texts(step.get("requires"), f"steps/{index}/requires")),
        inputs=inputs,
        origins=origins,
        required_env=tuple(sorted(set(_texts(inputs.get("required_env"), f"steps/{index}/inputs/required_env")))),
        state_refs=states,
        publishes=f"{module_ref}#{instance}" if instance else module_ref,
        spec_sha256=spec_sha256,
    )


def merge(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Origin]]:
    """`given` over `defaults`, mappings merged at every depth. Return the inputs and the origin of each leaf by JSON pointer."""
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


def state_refs(inputs: Any) -> list[str]:
    """Return every non-empty `*_state_ref` at any depth, in order."""
    found: list[str] = []
    items = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
    for key, value in items:
        if isinstance(value, Mapping | list):
            found += state_refs(value)
        elif str(key).endswith("_state_ref") and isinstance(value, str) and value:
            found.append(value)
    return found


def _needed(inputs: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the states that a step reads; a status step only those it was given, no defaults (HyOps `module_state_contracts.py`)."""
    return state_refs(given if inputs.get("apply_mode") in ("status", "assess") else inputs)


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


def _text(value: Any, where: str, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or not value:
        raise _refuse(where, repr(value), "text")
    if form and not form.fullmatch(value):
        raise _refuse(where, value, f"a name that HyOps takes: {form.pattern}")
    return value


def _texts(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise _refuse(where, repr(value), "a list of names")
    return value


def _flag(step: Mapping[str, Any], key: str, index: int) -> bool:
    value = step.get(key)
    if value is not None and not isinstance(value, bool):
        raise _refuse(f"steps/{index}/{key}", repr(value), "true or false (HyOps takes no other word)")
    return value is True


def _action(value: Any, where: str) -> str:
    action = str(value or "deploy").strip().lower()
    if action not in _ACTIONS:
        raise _refuse(where, repr(value), " or ".join(sorted(_ACTIONS)))
    return action


def _plain(value: Any, where: str) -> None:
    """Refuse what JSON cannot say: the effective blueprint is digested, and a digest needs one spelling."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _refuse(where, f"the key {key!r}", "keys that are text (put it in quotes)")
            _plain(item, f"{where}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _plain(item, f"{where}/{index}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refuse(where, repr(value), "a finite number")
    elif isinstance(value, int) and abs(value) > MAX_INT:
        raise _refuse(where, repr(value), "at most 2^53-1 (as text, in quotes, where it is not a number)")
    elif not isinstance(value, str | bool | int | float | date | None):
        raise _refuse(where, type(value).__name__, "text, a number, true, false, a list or a mapping")


def _refuse(where: str, found: object, expected: str) -> Refusal:
    return Refusal(
        "overlay.blueprint",
        "the overlay is not a blueprint that HyOps would load",
        exit_code=Exit.POLICY,
        found=f"/{where.lstrip('/')}: {found}",
        expected=expected,
        fix="correct the overlay in a pull request; hyops blueprint validate --file <overlay> shows the rest",
    )
