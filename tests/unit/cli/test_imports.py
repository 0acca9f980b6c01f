"""What a stage loads before it does anything: each package is a part of every dispatch, whether it is needed or not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.imports import ROOT, SDKS, commands, loaded

ALWAYS = {"annotated_types", "click", "hyops_ci", "pydantic", "pydantic_core", "rfc8785", "typing_extensions", "typing_inspection", "yaml"}
INTAKE = {"jsonschema_rs"}


@pytest.mark.parametrize(("stage", "more"), [("plan", INTAKE), ("watch", set()), ("check", set()), ("execute", set()), ("conclude", set())])
def test_a_stage_loads_what_it_needs(stage: str, more: set[str]) -> None:
    """HTTP, the authority's client, signatures and templates are loaded where they are used."""
    found = loaded((stage,))
    assert found.packages - set(sys.stdlib_module_names) - {"cython_runtime"} == ALWAYS | more
    if stage in ("plan", "watch"):
        elsewhere = ("hyops_ci.execution", "hyops_ci.secrets.authorities", "hyops_ci.operations")
        assert [name for name in found.modules if name.startswith(elsewhere)] == []


def test_a_clouds_client_costs_its_lane_alone() -> None:
    """All commands in one process load none of them; `./dev bench imports` has each alone, with its milliseconds."""
    every = list(commands())
    assert {("plan",), ("ensure-runner",), ("runner", "bootstrap"), ("ledger", "show")} <= set(every)
    clients = set().union(*SDKS.values())
    assert loaded(*every).packages & clients == set()
    for provider, own in SDKS.items():
        assert loaded(providers=(provider,)).packages & clients == own


def test_the_supervisor_of_hyops_loads_no_model() -> None:
    """It starts while the service is down: what only the commands need stays out of it."""
    load = "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import hyops_ci.execution.supervisor"
    command = [sys.executable, "-I", "-c", f"{load}; print(*sorted(set(sys.modules) - before))", str(ROOT)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    packages = {name.partition(".")[0] for name in loaded if not name.startswith("_")}
    assert packages - set(sys.stdlib_module_names) == {"hyops_ci"}
    assert [name for name in loaded if name.startswith("hyops_ci.contracts")] == []
