"""The list of needs against the code: nothing that execute refuses for is missing in it, and what can be known before is asked before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hyops_ci
from hyops_ci.planning.case import load
from hyops_ci.planning.needs import NEEDS, SeenFrom, need_of

SOURCE = Path(hyops_ci.__file__).parent
OF_EXECUTE = ("execution/*.py", "hyops_access/*.py", "secrets/**/*.py", "ledger/host_lock.py", "stages/execute/*.py")
AT_THE_AUTHORITY = (
    *("secrets.address", "secrets.file", "secrets.login", "secrets.token", "secrets.missing", "secrets.subkeys"),
    *("secrets.path", "secrets.denied", "secrets.authority", "secrets.mount"),
)
ASKED_BY_CHECK = {
    **dict.fromkeys(("hyops.env-dir", "hyops.missing", "hyops.version", "hyops.user"), "HyOps is looked at in the same way by both stages"),
    **dict.fromkeys(("hyops.environment", "hyops.command", "hyops.overlay"), "the check starts HyOps' preflight in the same way"),
    **dict.fromkeys(AT_THE_AUTHORITY, "the check logs in there and asks for the names"),
    **dict.fromkeys(("secrets.map.missing", "secrets.map."), "the map is read by the plan"),
    "run.debug": "a setting of the one job",
    "run.attempt": "of the one job",
}
"""Refusals that are raised by what check, or plan, calls as well."""
ONLY_THEN = {
    "check.changed": "compares with the check",
    "secrets.value": "a value is read after the approval only",
    "drill.level": "the check is the whole drill",
    "recovery.wave": "all waves are checked and approved before the first begins",
    "hyops.supervisor": "of the process that runs HyOps",
    "drill.not-cleaned": "what a drill leaves is seen when it has ended",
    "verification.failed": "the service is asked after HyOps",
    "evidence.unwritten": "a disk that fills up while the run writes",
}
"""Refusals of which nothing can be known before an approval, each with why."""


def raised() -> Iterator[str]:
    """Yield the ids of all refusals in the modules that execute works with before HyOps acts."""
    for pattern in OF_EXECUTE:
        for path in SOURCE.glob(pattern):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Refusal", "Fault"):
                    first = node.args[0]
                    yield str(first.value) if isinstance(first, ast.Constant) else ast.unparse(first).split("'")[1].partition("{")[0]


def test_what_execute_refuses_for_is_asked_before_the_approval() -> None:
    asked = {gate.id for gate in load("check")} | ASKED_BY_CHECK.keys()
    found = set(raised())
    assert {"lock.host", "secrets.password", "secrets.bundle"} <= found
    assert found - asked - ONLY_THEN.keys() == set()
    assert (ASKED_BY_CHECK.keys() | ONLY_THEN.keys()) <= found, "a reason without its refusal"


def test_what_execute_refuses_for_has_its_need() -> None:
    here = {gate for gate in raised() if gate not in ONLY_THEN and not gate.startswith("run.")}
    assert {gate for gate in here if need_of(gate) is NEEDS[0]} == set()


@pytest.mark.parametrize(
    ("gate", "topic"),
    [
        ("restore.skipped", "restore"),
        ("restore.pin", "overlay"),
        ("commit.skipped", "restore"),
        ("runner.identity", "runner"),
        ("runner.trust", "host"),
        ("lock.host", "host"),
        ("lock.held", "lock"),
        ("authority.site", "vault"),
        ("approval.gate", "gate"),
        ("states.ok", "states"),
        ("secrets.names", "secrets"),
        ("secrets.password", "bundle"),
        ("hyops.preflight", "hyops"),
        ("overlay.placeholder", "overlay"),
        ("config.probe", "probes"),
        ("config.ref", "config"),
        ("lane.enabled", "config"),
    ],
)
def test_a_refusal_and_its_need(gate: str, topic: str) -> None:
    assert need_of(gate).topic == topic


def test_each_gate_of_the_check_is_seen_from_the_runner_or_says_otherwise() -> None:
    places = {gate.id: need_of(gate.id).seen_from for gate in load("check")}
    assert {gate for gate, place in places.items() if place is not SeenFrom.RUNNER} == {
        *("overlay.bytes", "specs.present", "effective.plane", "effective.bastion", "effective.ssh", "effective.public", "effective.steps"),
        *("drill.shares", "secrets.names"),
    }


def test_topics_are_told_once() -> None:
    assert len({need.topic for need in NEEDS}) == len(NEEDS)
