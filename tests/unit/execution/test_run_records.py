from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_ci.execution import run_records
from hyops_ci.execution.run_records import MAX_LOG, RunRecord, evidence_files, last_lines, new_runs

RECORDED = Path(__file__).parents[2] / "cases" / "execution" / "recorded"
RUN = "apply-20261123T135214Z-3284b2c9"
CANARY = "c4n4ry-Value"


def record(tmp_path: Path, sample: str = "ok-apply") -> RunRecord:
    path = tmp_path / "logs" / "module" / "core__shared__manual-gate" / RUN
    shutil.copytree(RECORDED / sample, path)
    return RunRecord("core__shared__manual-gate", RUN, path)


@pytest.mark.parametrize("sample", ["ok-apply", "failed-apply"])
def test_only_the_allow_list_leaves_the_runner(tmp_path: Path, sample: str) -> None:
    kept = evidence_files(record(tmp_path, sample), str)
    prefix = f"core__shared__manual-gate/{RUN}/"
    assert sorted(name.removeprefix(prefix) for name in kept) == [
        "ansible.log",
        "ansible_apply.result.json",
        "driver_result.json",
        "module_state.json",
        "preflight_decision.json",
        "preflight_result.json",
        "result.json",
    ]
    assert json.loads(kept[prefix + "ansible_apply.result.json"]).keys() == {"rc", "duration_ms"}
    assert json.loads(kept[prefix + "preflight_decision.json"])["parent"]["status"] == "passed"
    text = b"".join(content for name, content in kept.items() if not name.endswith(".log"))
    assert b"published_outputs" not in text
    assert b"offline end-to-end probe" not in text
    assert b"inputs" not in text


def test_a_failure_says_why(tmp_path: Path) -> None:
    kept = evidence_files(record(tmp_path, "failed-apply"), str)
    assert (
        "ansible apply failed"
        in json.loads(next(content for name, content in kept.items() if name.endswith("driver_result.json")))["error"]
    )


def test_every_text_goes_through_redaction(tmp_path: Path) -> None:
    found = record(tmp_path)
    for path in found.path.iterdir():
        if path.suffix == ".json" and path.name != "ansible_apply.result.json":
            path.write_text(json.dumps(json.loads(path.read_text()) | {"status": CANARY, "reason": CANARY, "run_id": CANARY}))
        else:
            path.write_text(f"a {CANARY} b\n")
    assert b"".join(evidence_files(found, str).values()).count(CANARY.encode()) > 5
    redacted = evidence_files(found, lambda text: text.replace(CANARY, "***"))
    assert CANARY.encode() not in b"".join(redacted.values())
    assert last_lines(found, lambda text: text.replace(CANARY, "***")) == ("a *** b",)


@pytest.mark.parametrize(
    "name", ["terraform_output.result.json", "x_output.stdout.txt", "inputs_runtime.json", "terragrunt.log", "backend_binding.json"]
)
def test_files_that_stay(tmp_path: Path, name: str) -> None:
    found = record(tmp_path)
    (found.path / name).write_text("{}")
    assert not [kept for kept in evidence_files(found, str) if kept.endswith(name)]


def test_links_and_broken_files_are_left_out(tmp_path: Path) -> None:
    found = record(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text('{"status": "secret"}')
    for name, content in (("result.json", b"[]"), ("driver_result.json", b"\xff{")):
        (found.path / name).write_bytes(content)
    (found.path / "cancelled.json").symlink_to(secret)
    names = {Path(name).name for name in evidence_files(found, str)}
    assert not names & {"result.json", "driver_result.json", "cancelled.json"}


def test_what_is_no_plain_file_is_not_read_and_not_waited_for(tmp_path: Path) -> None:
    found = record(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0\n")
    (found.path / "ansible.log").unlink()
    (found.path / "ansible.log").symlink_to(secret)
    assert last_lines(found, str) == ()
    (found.path / "ansible.log").unlink()
    os.mkfifo(found.path / "ansible.log")
    assert last_lines(found, str) == ()
    assert not [name for name in evidence_files(found, str) if name.endswith("ansible.log")]


def test_a_log_that_cannot_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, most: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(run_records.files, "read_end", broken)
    found = record(tmp_path)
    assert last_lines(found, str) == ()
    assert not [name for name in evidence_files(found, str) if name.endswith("ansible.log")]


@pytest.mark.parametrize("content", ["[" * 100_000, '{"error": ' + "[" * 600 + "]" * 600 + "}"])
def test_a_record_that_is_too_deep_is_left_out_or_kept_whole(tmp_path: Path, content: str) -> None:
    found = record(tmp_path)
    (found.path / "driver_result.json").write_text(content)
    kept = evidence_files(found, str)
    assert [json.loads(text) for name, text in kept.items() if name.endswith("driver_result.json")] == [
        json.loads(content) for _ in range(content.endswith("}"))
    ]


def test_a_long_log_is_kept_from_its_end_at_a_line(tmp_path: Path) -> None:
    found = record(tmp_path)
    (found.path / "ansible.log").write_text("".join(f"line {number}\n" for number in range(60_000)))
    kept = next(content for name, content in evidence_files(found, str).items() if name.endswith("ansible.log"))
    assert MAX_LOG - 20 < len(kept) <= MAX_LOG
    assert kept.startswith(b"line ")
    assert last_lines(found, str, 2) == ("line 59998", "line 59999")


def test_only_runs_since_the_start_oldest_first(tmp_path: Path) -> None:
    base = tmp_path / "logs" / "module"
    for name in (
        "b/apply-20261123T135214Z-3284b2c9",
        "a/apply-20261123T135215Z-3284b2c9",
        "a/preflight-20261123T135214Z-00000000",
        "a/apply-20261123T135213Z-3284b2c9",
        "a/notes",
    ):
        (base / name).mkdir(parents=True)
    (base / "a" / "apply-20261123T135216Z-3284b2c9").symlink_to(base / "b")
    (base / "a" / "apply-20261123T135217Z-3284b2c9").write_text("x")
    found = new_runs(tmp_path, datetime(2026, 11, 23, 13, 52, 14, 999, tzinfo=UTC))
    assert [(run.module, run.run_id) for run in found] == [
        ("a", "preflight-20261123T135214Z-00000000"),
        ("b", "apply-20261123T135214Z-3284b2c9"),
        ("a", "apply-20261123T135215Z-3284b2c9"),
    ]


def test_a_name_that_hyops_would_not_give_and_records_without_end_are_left_out(tmp_path: Path) -> None:
    base = tmp_path / "logs" / "module"
    for name in ("m" * 120, "a b", "a\u2028b", "a"):
        (base / name / "apply-20261123T135214Z-3284b2c9").mkdir(parents=True)
    (base / "a" / ("x" * 120 + "-20261123T135214Z-3284b2c9")).mkdir()
    for number in range(run_records.MAX_RUNS):
        (base / "b" / f"apply-20261123T135215Z-{number:08x}").mkdir(parents=True)
    found = new_runs(tmp_path, datetime(2026, 11, 23, tzinfo=UTC))
    assert {run.module for run in found} == {"b"}
    assert len(found) == run_records.MAX_RUNS
    for number in range(run_records.MAX_KEPT + 5):
        (found[0].path / f"call_{number}.result.json").write_text('{"rc": 0}')
    assert len(evidence_files(found[0], str)) == run_records.MAX_KEPT


def test_there_may_be_none(tmp_path: Path) -> None:
    assert new_runs(tmp_path, datetime(2026, 1, 1, tzinfo=UTC)) == ()
    assert last_lines(RunRecord("a", RUN, tmp_path), str) == ()
