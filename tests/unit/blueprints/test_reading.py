from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.blueprints.guards import open_guards, to_yaml
from hyops_ci.blueprints.reading import merge, read_blueprint
from hyops_ci.contracts.facts import EffectiveBlueprint, canonical_ref, upstream_states
from hyops_ci.contracts.plan import Guard
from hyops_ci.errors import Exit, Refusal

CASES = Path(__file__).parents[2] / "cases" / "blueprints"
SHA = "sha256:" + "0" * 64


def read(case: dict[str, Any]) -> EffectiveBlueprint:
    specs = {ref: ({"inputs": {"defaults": defaults}}, SHA) for ref, defaults in case.get("specs", {}).items()}
    return read_blueprint(case["document"], SHA, specs if "specs" in case else None)


@pytest.mark.parametrize("path", sorted((CASES / "accept").glob("*.yml")), ids=lambda path: path.stem)
def test_accept(path: Path) -> None:
    case = yaml.safe_load(path.read_bytes())
    blueprint, expect = read(case), case["expect"]
    found: dict[str, Any] = {
        "ref": blueprint.ref,
        "required_env": list(blueprint.required_env()),
        "publishes": [step.publishes for step in blueprint.steps],
        "upstream": list(dict.fromkeys(ref for _, ref in upstream_states(blueprint.steps))),
        "unknown_keys": list(blueprint.unknown_keys),
        "inputs": blueprint.steps[0].inputs,
        "origins": {pointer: blueprint.steps[0].origins.get(pointer) for pointer in expect.get("origins", {})},
    }
    assert {name: found[name] for name in expect} == expect


@pytest.mark.parametrize("path", sorted((CASES / "refuse").glob("*.yml")), ids=lambda path: path.stem)
def test_refuse(path: Path) -> None:
    case = yaml.safe_load(path.read_bytes())
    with pytest.raises(Refusal) as caught:
        read(case)
    assert (caught.value.gate, caught.value.exit_code) == ("overlay.blueprint", Exit.POLICY)
    assert case["expect"] in caught.value.found
    assert caught.value.fix


def test_a_missing_spec_is_named_only_where_specs_were_asked_for() -> None:
    document = {"kind": "BlueprintSpec", "blueprint_ref": "dr/x@v1", "mode": "hybrid", "steps": [{"id": "a", "module_ref": "m/x"}]}
    assert read_blueprint(document, SHA).specs_missing == ()
    assert read_blueprint(document, SHA, {}).specs_missing == ("m/x",)


def test_second_names_are_one_state() -> None:
    assert canonical_ref("platform/onprem/postgresql-ha#A") == canonical_ref("platform/postgresql-ha#a")
    assert canonical_ref("platform/onprem/postgresql-ha-backup") == "platform/postgresql-ha-backup"
    assert canonical_ref("platform/onprem/platform-vm") == "platform/onprem/platform-vm"


def test_opening_sets_exactly_the_planned_inputs_in_a_copy() -> None:
    document = {
        "blueprint_ref": "dr/x@v1",
        "steps": [
            {"id": "gate", "inputs": {"confirm": False, "assertions": {"fenced": False, "other": False}}},
            {"id": "restore", "inputs": {"restore_confirm": False}},
            {"id": "bare"},
        ],
    }
    before = to_yaml(document)
    guards = (
        Guard(step="gate", input="assertions.fenced", value=True),
        Guard(step="restore", input="restore_confirm", value=True),
        Guard(step="bare", input="restore_set", value="20261123-020003F"),
    )
    after = open_guards(document, guards)
    assert to_yaml(document) == before
    steps = {step["id"]: step.get("inputs") for step in after["steps"]}
    assert steps["gate"] == {"confirm": False, "assertions": {"fenced": True, "other": False}}
    assert steps["restore"] == {"restore_confirm": True}
    assert steps["bare"] == {"restore_set": "20261123-020003F"}
    assert yaml.safe_load(to_yaml(after)) == after
    with pytest.raises(KeyError):
        open_guards(document, [Guard(step="nobody", input="confirm", value=True)])


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=6), st.integers()), inner, max_size=3)),
    max_leaves=12,
)
KEYS = "id module_ref action phase requires with_deps skip_if_state_ok optional inputs inputs_file state_instance contracts".split()
STEPS = st.dictionaries(st.sampled_from(KEYS), st.one_of(VALUES, st.sampled_from(["a", "m/x", True, {}, []])), max_size=6)


@given(
    st.one_of(
        VALUES,
        st.fixed_dictionaries(
            {
                "kind": st.just("BlueprintSpec"),
                "blueprint_ref": st.just("dr/x@v1"),
                "mode": st.just("hybrid"),
                "steps": st.lists(STEPS, max_size=3),
            }
        ),
    ),
    VALUES,
)
def test_whatever_comes_is_read_or_refused(document: Any, defaults: Any) -> None:
    specs = {"m/x": ({"inputs": {"defaults": defaults}}, SHA), "a": (defaults, SHA)}

    def answer() -> str:
        try:
            return read_blueprint(document, SHA, specs).digest()
        except Refusal as refusal:
            return refusal.gate

    first = answer()
    assert first == answer()
    assert first.startswith("sha256:") or first == "overlay.blueprint"


MAPPINGS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6),
    max_size=3,
)


@given(MAPPINGS, MAPPINGS)
def test_merging_keeps_what_was_given(defaults: dict[str, Any], given_: dict[str, Any]) -> None:
    merged, origins = merge(defaults, given_)
    assert merge(merged, given_)[0] == merged
    assert set(merged) == set(defaults) | set(given_)
    assert set(origins.values()) <= {"spec", "overlay"}
    if not given_:
        assert merged == defaults
