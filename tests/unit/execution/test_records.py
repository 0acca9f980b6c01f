from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.check import StateFact
from hyops_ci.execution import records
from hyops_ci.execution.records import read_preflight, read_state, read_states, state_path

RECORDED = Path(__file__).parents[2] / "cases" / "execution" / "recorded"
NOW = datetime(2026, 11, 23, 14, 0, 0, tzinfo=UTC)


def put(root: Path, reference: str, content: bytes) -> None:
    path = state_path(root, reference)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_recorded_states_are_read(tmp_path: Path) -> None:
    for name, reference in (("ok", "core/shared/manual-gate#ci_e2e_gate"), ("error", "core/shared/manual-gate#ci_e2e_gate_fail")):
        put(tmp_path, reference, (RECORDED / f"module-state-{name}.json").read_bytes())
    ok, error = read_states(
        tmp_path,
        ["core/shared/manual-gate#ci_e2e_gate", "core/shared/manual-gate#ci_e2e_gate_fail", "core/shared/manual-gate#ci_e2e_gate"],
        NOW,
    )
    assert ok == StateFact(
        ref="core/shared/manual-gate#ci_e2e_gate",
        status="ok",
        run_id="apply-20261123T134150Z-3c0811b1",
        updated_at="2026-11-23T13:41:54Z",
        age_seconds=18 * 60 + 6,
    )
    assert (error.status, error.run_id) == ("error", "apply-20261123T135224Z-c26e9a62")


def test_where_a_state_lies(tmp_path: Path) -> None:
    base = tmp_path / "state" / "modules"
    assert state_path(tmp_path, "org/gcp/wan-hub-network") == base / "org__gcp__wan-hub-network" / "latest.json"
    assert state_path(tmp_path, "platform/gcp/platform-vm#PG_VMS") == base / "platform__gcp__platform-vm" / "instances" / "pg_vms.json"


@pytest.mark.parametrize("reference", ["", "#x", "../x", "a//../b#..", "a#", "a#../x", "a#b/c", "A/b", "a\n", "a#b\n"])
def test_what_is_no_reference(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ValueError, match="state reference"):
        state_path(tmp_path, reference)


def test_the_second_name_counts_where_only_it_exists(tmp_path: Path) -> None:
    put(tmp_path, "platform/onprem/postgresql-ha", b'{"status": "ok", "run_id": "apply-20260914T101500Z-0badcafe"}')
    assert read_state(tmp_path, "platform/postgresql-ha", NOW).run_id == "apply-20260914T101500Z-0badcafe"
    path = tmp_path / "state" / "modules" / "platform__postgresql-ha" / "latest.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"status": "error"}')
    assert read_state(tmp_path, "platform/postgresql-ha", NOW).status == "error"


def test_an_instance_is_not_the_latest(tmp_path: Path) -> None:
    put(tmp_path, "platform/postgresql-ha", b'{"status": "ok"}')
    assert read_state(tmp_path, "platform/postgresql-ha#restore", NOW).status == "missing"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"{}", b'{"status": 3}', b'{"status": "o\\nk"}', b'{"status": ""}']
)
def test_a_state_that_says_nothing_is_unreadable_and_never_ok(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, "a/b", content)
    assert read_state(tmp_path, "a/b", NOW).status == "unreadable"


@pytest.mark.parametrize(
    "stamp,age", [("2026-11-23T13:59:00Z", 60), ("2026-11-24T00:00:00Z", 0), ("yesterday", None), ("2026-11-23T13:59:00", None), (7, None)]
)
def test_ages(tmp_path: Path, stamp: object, age: int | None) -> None:
    put(tmp_path, "a/b", json.dumps({"status": "ok", "updated_at": stamp}).encode())
    assert read_state(tmp_path, "a/b", NOW).age_seconds == age


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8)
)
def test_no_state_file_raises(content: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), "a/b", json.dumps(content).encode())
        assert read_state(Path(folder), "a/b", NOW).status != "missing"


ANSWER = {
    "blueprint_ref": "dr/x@v1",
    "status": "failed",
    "required_failures": ["a"],
    "steps": [
        {
            "id": "a",
            "status": "blocked",
            "checks": [{"name": "contracts", "ok": True, "detail": "ok"}, {"name": "required_env", "ok": False, "detail": "missing K"}],
        },
        {
            "id": "b",
            "status": "deferred",
            "checks": [{"name": "dependencies", "ok": True, "detail": "deferred because upstream preflight failed: a"}],
        },
        {"id": "c", "status": "skipped", "checks": [{"name": "state_skip", "ok": True, "detail": "module state is ok"}]},
        {"id": "d", "status": "ready", "checks": [{"name": "contracts", "ok": True, "detail": "ok"}]},
    ],
}


def test_preflight_is_read_between_the_braces() -> None:
    text = "WARN: {\nnote\n" + json.dumps(ANSWER, indent=2) + "\nrun record: /x\n}x\n"
    fact = read_preflight(text, 2)
    assert (fact.rc, fact.status, fact.required_failures, fact.error) == (2, "failed", ("a",), "")
    assert [(step.id, step.status, step.reason) for step in fact.steps] == [
        ("a", "blocked", "missing K"),
        ("b", "deferred", "deferred because upstream preflight failed: a"),
        ("c", "skipped", "module state is ok"),
        ("d", "ready", ""),
    ]


@pytest.mark.parametrize(
    "text,error",
    [
        ("", "no JSON answer"),
        ("ERR: blueprint preflight failed: kind must be BlueprintSpec\n", "ERR: blueprint preflight failed: kind must be BlueprintSpec"),
        ("{\n}\n", "no JSON answer"),
        ("}\n{\n", "no JSON answer"),
        (json.dumps(ANSWER), "no JSON answer"),
        ("{\n" + json.dumps(ANSWER | {"steps": None})[1:-1] + "\n}\n", "no JSON answer"),
        ("{\n" + json.dumps(ANSWER | {"steps": [{"id": "a", "status": "fine"}]})[1:-1] + "\n}\n", "no JSON answer"),
        ("{\n" + json.dumps(ANSWER | {"steps": ["a"]})[1:-1] + "\n}\n", "no JSON answer"),
    ],
)
def test_an_answer_that_cannot_be_read_blocks(text: str, error: str) -> None:
    fact = read_preflight(text, 0)
    assert (fact.status, fact.error, fact.steps) == ("failed", error, ())


@given(st.text())
def test_no_output_raises(text: str) -> None:
    read_preflight("{\n" + text + "\n}", 0)
    assert read_preflight(text, 0).status == "failed"


def test_a_file_may_vanish_between_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/b", b"{}")

    def gone(path: Path, most: int) -> dict[str, Any]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(records, "read_object", gone)
    assert read_state(tmp_path, "a/b", NOW + timedelta(1)).status == "missing"


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_a_state_that_is_too_deep_is_unreadable(tmp_path: Path, depth: int) -> None:
    put(tmp_path, "a/b", b'{"status": "ok", "x": ' + b"[" * depth + b"]" * depth + b"}")
    assert read_state(tmp_path, "a/b", NOW).status == "unreadable"


def test_a_state_that_is_no_plain_file_or_too_large_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text('{"status": "ok"}')
    for reference, make in (
        ("a/pipe", os.mkfifo),
        ("a/folder", os.mkdir),
        ("a/link", lambda path: path.symlink_to(tmp_path / "elsewhere")),
    ):
        path = state_path(tmp_path, reference)
        path.parent.mkdir(parents=True)
        make(path)
        assert read_state(tmp_path, reference, NOW).status == "unreadable"
    put(tmp_path, "a/large", b'{"status": "ok"}' + b" " * records.MAX_FILE)
    assert read_state(tmp_path, "a/large", NOW).status == "unreadable"


@pytest.mark.parametrize("deep", ["[" * 100_000 + "]" * 100_000, "[]" + " " * records.MAX_FILE], ids=["deep", "long"])
def test_a_preflight_that_is_too_deep_or_long_blocks(deep: str) -> None:
    answer = read_preflight('{\n"status": "ok", "required_failures": [], "steps": ' + deep + "\n}\n", 0)
    assert (answer.status, bool(answer.error)) == ("failed", True)


def test_a_reference_that_is_none_is_unreadable_and_crashes_nothing(tmp_path: Path) -> None:
    assert read_state(tmp_path, ":", NOW).status == "unreadable"
    assert read_state(tmp_path, "../../etc/passwd", NOW).status == "unreadable"
