"""The end of a run as lines: in the log and in the summary of the job."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from hyops_ci.contracts.ensured import Ensured
from hyops_ci.contracts.run import TERMINAL, RefusalRecord, Result, State
from hyops_ci.report.html import html
from hyops_ci.report.text import MAX_MARKDOWN, markdown, refusal_lines, summary_lines
from hyops_ci.text import listed
from tests.unit.report.test_html import evil_files, files, refused_files


def test_text_of_others_stays_in_code(tmp_path: Path) -> None:
    text = markdown(evil_files(tmp_path))
    seen = [each for token in MarkdownIt("commonmark").enable("table").parse(text) for each in token.children or ()]
    assert any("# heading" in each.content for each in seen if each.type == "code_inline")
    assert {each.type for each in seen} <= {"text", "code_inline", "strong_open", "strong_close"}
    assert "alert" not in "".join(each.content for each in seen if each.type == "text")
    assert not set(text) & set("\u202e\x1b")


def test_a_stand_in_is_in_the_first_line(tmp_path: Path) -> None:
    given = files(tmp_path, stand_in=True)
    assert "STAND-IN: nothing was recovered" in markdown(given).splitlines()[0]
    assert "STAND-IN: nothing was recovered" in summary_lines(Result.model_validate_json(given["result.json"]), {})[0]


def test_log_and_summary_show_the_same_lines(tmp_path: Path) -> None:
    given = files(tmp_path)
    result, objectives = Result.model_validate_json(given["result.json"]), json.loads(given["objectives.json"])
    lines = summary_lines(result, objectives, "evidence.tar")
    assert lines == [
        "RECOVERED, 1 deviation  pg-ha/prod serves from gcp since 03:31:58Z",
        "  Proven     pg.prod.example.net = 10.20.4.11 on 2 resolvers",
        "  Proven     TCP 5432 open, held 60 s",
        "  Not proven old side off (not confirmed by maria)",
        "  Not proven data loss (no probe asks for the newest data (verification: login.freshness))",
        "  Time       27m27s from request: approval 4m00s, runner 14s, HyOps 21m20s, ours 1m53s. Objective 30m00s: met",
        "  Differs    this host does not pin its callers",
        "  Next       keep onprem fenced",
        "  Evidence   evidence.tar",
    ]
    assert markdown(given).splitlines()[2:11] == listed(lines[:-1])


def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    given = refused_files(tmp_path)
    lines = markdown(given).splitlines()
    assert lines[0] == "### REFUSED: pg-ha/prod"
    assert lines[2] == "**`REFUSED restore.skipped (exit 4): old data`**"
    assert [line.split()[1] for line in lines[4:7]] == ["**found**", "**expected**", "**fix**"]
    assert "- `Nothing was changed. This run took no lock.`" in lines
    refusal = Result.model_validate_json(given["result.json"]).refusal
    assert refusal is not None
    assert listed(refusal_lines(State.BLOCKED, refusal)) == lines[2:7]


def test_the_cause_is_named_where_the_headline_does_not(tmp_path: Path) -> None:
    refusal = {"gate": "hyops.failed", "reason": "ansible failed", "exit_code": 9}
    given = files(tmp_path, outcome="FAILED", exit_code=9, headline="STOPPED before clients moved: step 3/6 x failed", refusal=refusal)
    assert markdown(given).splitlines()[2:5] == [
        "**`STOPPED before clients moved: step 3/6 x failed`**",
        "",
        "- **cause** `hyops.failed (exit 9): ansible failed`",
    ]


def test_what_stopped_a_stage_is_named_once() -> None:
    refusal = RefusalRecord(gate="approval.denied", reason="DENIED by jonas", exit_code=6)
    assert refusal_lines(State.DENIED, refusal) == ["DENIED: approval.denied: DENIED by jonas"]


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    given = files(tmp_path, proven=[])
    assert "HyOps 21m20s. Objective 30m00s: cannot be determined (nothing was proven)" in markdown(given)


def test_what_the_runner_cost_is_said_on_both_pages(tmp_path: Path) -> None:
    given = files(tmp_path)
    assert "making the runner" not in markdown(given)
    assert "Making or repairing the runner" not in html(given), "of almost every run there is nothing to say"
    kept = json.loads(given["objectives.json"])
    kept["figures"]["runner_made"] = {"seconds": 333}
    given["objectives.json"] = json.dumps(kept).encode()
    assert "27m27s from request: making the runner 5m33s, approval 4m00s, runner 14s" in markdown(given)
    assert "<dt>Making or repairing the runner</dt><dd>5m33s</dd>" in html(given)


def test_a_missed_objective_is_said(tmp_path: Path) -> None:
    given = files(tmp_path)
    figures = json.loads(given["objectives.json"])
    given["objectives.json"] = json.dumps(figures | {"rto": {"objective": 60, "met": False}}).encode()
    assert "Objective 1m00s: NOT met" in markdown(given)


def test_a_summary_has_an_end(tmp_path: Path) -> None:
    given = files(tmp_path, deviations=["x" * 1000] * 1000, not_proven=["`" * 300])
    text = markdown(given)
    assert len(text.encode()) < MAX_MARKDOWN
    assert "... more in the bundle" in text
    assert f"- **Not proven** {'`' * 301} {'`' * 300} {'`' * 301}\n" in text
    assert "keep onprem fenced" in text, "a long list leaves room for what comes after it"


def test_a_summary_of_too_many_lines_is_cut(tmp_path: Path) -> None:
    step = {"status": "ok", "at": "2026-11-23T03:10:00Z", "seconds": 9, "reason": "y" * 1000}
    given = files(tmp_path)
    given["steps.jsonl"] = "".join(json.dumps(step | {"step": f"s{n}"}) + "\n" for n in range(500)).encode()
    text = markdown(given)
    assert len(text.encode()) < MAX_MARKDOWN
    assert text.splitlines()[-3] == "- ... more in the bundle"


@pytest.mark.parametrize("outcome", sorted(TERMINAL))
def test_every_end_has_a_summary(tmp_path: Path, outcome: str) -> None:
    assert markdown(files(tmp_path, outcome=outcome, headline=f"{outcome}: x")).startswith("### ")


def test_a_summary_shows_whole_seconds_and_no_columns(tmp_path: Path) -> None:
    """Of a phone's 390 pixels a fraction of a second takes a line, and the columns of a terminal leave holes."""
    given = files(tmp_path, started_at="2026-11-28T03:04:31.123456Z", ended_at="2026-11-28T03:31:58.654321Z")
    text = markdown(given)
    assert "2026-11-28T03:04:31Z to 2026-11-28T03:31:58Z" in text
    assert not re.search(r":\d\d\.\d", text)
    assert (
        listed(["APPROVE?  FAILOVER pg-ha/lab            valid until 03:41:18Z"])[0]
        == "**`APPROVE?  FAILOVER pg-ha/lab  valid until 03:41:18Z`**"
    )


@pytest.mark.parametrize(
    ("known", "headline"),
    [
        ({"changed": True, "machine": "europe-west2-a/dr-runner"}, "RUNNER europe-west2-a/dr-runner: made or repaired"),
        ({"changed": False}, "RUNNER without a machine: nothing was changed"),
        ({"changed": True, "refusal": {"gate": "runner.ssh", "reason": "x", "exit_code": 7}}, "changed, and no runner in the end"),
    ],
)
def test_what_became_of_a_runner_has_a_headline(known: dict[str, Any], headline: str) -> None:
    first, empty, *points = listed(Ensured.model_validate({"reason": "runner-recovery", **known}).lines())
    assert headline in first
    assert (empty, [point.split("`")[0] for point in points]) == ("", ["- **Did** ", "- **Because** ", "- **Cost** "])
