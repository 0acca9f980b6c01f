from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.plan import GatePass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.planning.case import FAMILIES, CheckCase, Gate, load, run_gates
from tests.unit.planning.gate_cases import CASES, check_facts, checked, gate_case
from tests.unit.planning.gate_cases import load as load_case
from tools.refusal_pages import gates_page

ROOT = Path(__file__).parents[3]
GATES: dict[str, Gate[Any]] = {gate.id: gate for kind in ("plan", "check") for gate in load(kind)}  # type: ignore[arg-type]  # the two kinds, as text
ON_THE_RUNNER = {gate.id for gate in load("check")}
FILES = sorted(path for path in (CASES / "gates").glob("*/*/*.yml"))


def answer(gate_id: str, case: dict[str, Any]) -> GatePass | Refusal:
    """What one gate says of one case."""
    set_up = gate_case(case)
    if gate_id not in ON_THE_RUNNER:
        return GATES[gate_id](set_up.plan_case())
    made = set_up.plan()
    return GATES[gate_id](CheckCase(made, check_facts(set_up, made)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_case(path: Path) -> None:
    case = load_case(path)
    gate_id, verdict = path.parts[-3], path.parts[-2]
    said = answer(gate_id, case)
    expect = dict(case.get("expect", {}))
    if verdict == "accept":
        assert isinstance(said, GatePass), said.lines() if isinstance(said, Refusal) else said
        assert expect.get("note", "") in said.note
        return
    assert isinstance(said, Refusal), f"{gate_id} let it pass: {said}"
    assert expect, "a refusal's text is part of the case"
    assert said.gate == gate_id
    assert said.exit_code is GATES[gate_id].exit_code
    for field, words in expect.items():
        assert words in getattr(said, field), f"{field}: {getattr(said, field)}"
    assert said.reason
    assert said.found
    assert said.expected
    assert said.fix, "a refusal tells what to do"


@pytest.mark.parametrize("gate_id", sorted(GATES))
@pytest.mark.parametrize("verdict", ["accept", "refuse"])
def test_every_gate_has_cases_of_both_kinds(gate_id: str, verdict: str) -> None:
    assert list((CASES / "gates" / gate_id / verdict).glob("*.yml")), f"tests/cases/gates/{gate_id}/{verdict}/ is empty"


def test_every_case_belongs_to_a_gate() -> None:
    assert {path.parts[-3] for path in FILES} <= set(GATES)


@pytest.mark.parametrize("base", ["failover", "failback", "drill"])
def test_every_gate_lets_the_base_pass(base: str) -> None:
    set_up = gate_case({"base": base})
    made = set_up.plan()
    siblings = {"check": {"states_of": {}}}
    facts = check_facts(gate_case({"base": base} | siblings), made)
    assert [str(refusal) for refusal in run_gates("check", CheckCase(made, facts)).refused] == []


def test_gate_ids_are_unique_and_dotted() -> None:
    ids = [gate.id for kind in ("plan", "check") for gate in load(kind)]  # type: ignore[arg-type]  # the two kinds, as text
    assert len(ids) == len(set(ids))
    assert all(part.isidentifier() for gate_id in ids for part in gate_id.split("."))
    assert all(
        gate.exit_code in (Exit.DECISION, Exit.POLICY, Exit.CONFLICT, Exit.RUNNER, Exit.SECRETS, Exit.HYOPS) for gate in GATES.values()
    )


def test_the_table_in_docs_is_the_code() -> None:
    assert (ROOT / "docs" / "gates.md").read_text("utf-8") == gates_page(ROOT / "docs")


def test_all_refusals_are_told_and_the_worst_is_raised() -> None:
    case = {
        "check": {
            "preflight_steps": {"restore": {"status": "skipped"}},
            "disks": [{"place": "/e", "free_bytes": 1, "holds_env": True}],
            "hyops_version": "9.9",
        }
    }
    set_up = gate_case(case)
    made = set_up.plan()
    facts = check_facts(set_up, made)
    assert [refusal.gate for refusal in run_gates("check", CheckCase(made, facts)).refused] == [
        "restore.skipped",
        "hyops.version",
        "host.disk",
    ]
    with pytest.raises(Refusal) as caught:
        checked(made, facts)
    assert caught.value.gate == "restore.skipped"


def test_every_module_of_gates_has_its_place_in_the_order() -> None:
    modules = {path.stem for path in (ROOT / "hyops_ci" / "planning" / "gates").glob("*.py")} - {"__init__"}
    assert set(FAMILIES) == modules
    assert len(set(FAMILIES)) == len(FAMILIES)
