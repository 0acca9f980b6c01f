"""The report as a page: what it shows, that it loads nothing, and that text of others stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import TERMINAL
from hyops_ci.evidence.bundle import seal
from hyops_ci.evidence.contents import read_files
from hyops_ci.parsing.documents import read_document
from hyops_ci.report.html import html
from hyops_ci.report.text import markdown
from tests.support.examples import examples
from tests.unit.evidence import sample_run

EVIL = "</style></dd><script>alert(1)</script>`````\u202e\x1b[31m\n# heading <img src=x onerror=y>"


class Outline(HTMLParser):
    """Tags that are still open, and all that were seen."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def files(root: Path, **changes: object) -> dict[str, bytes]:
    sample_run.complete_run(root, **changes)
    return read_files(root)


def evil_files(root: Path) -> dict[str, bytes]:
    """A bundle whose documents hold markup wherever they hold text."""
    given = files(root)
    given["decision.json"] = json.dumps({"rationale": EVIL, "issuer": EVIL}).encode()
    given["steps.jsonl"] = json.dumps({"step": EVIL, "status": EVIL, "reason": EVIL, "at": "2026-11-23T03:10:00Z", "seconds": 9}).encode()
    given["secrets.json"] = json.dumps({"origin": EVIL, "secrets": [{"key": EVIL}]}).encode()
    given["objectives.json"] = json.dumps({"figures": {"our_overhead": {"seconds": None, "reason": EVIL}}, "rto": {"met": [EVIL]}}).encode()
    return given


def refused_files(root: Path) -> dict[str, bytes]:
    refusal = {"gate": "restore.skipped", "reason": "old data", "found": "F-1", "expected": "E-1", "fix": "X-1", "exit_code": 4}
    return files(root, outcome="BLOCKED", exit_code=4, headline="REFUSED restore.skipped (exit 4): old data", refusal=refusal)


def test_the_page_shows_the_run(tmp_path: Path) -> None:
    page = html(files(tmp_path))
    for words in (
        "Recovered, 1 deviation",
        "pg-ha/prod serves from gcp since 03:31:58Z",
        "27m27s of 30m00s",
        "Objective met",
        "INC-4242 on-prem DC lost power",
        "jonas: approve",
        "looked at the site, it is dark",
        "point of no return",
        "old side off (not confirmed by maria)",
        "waiting for a runner <b>14s</b>",
        "PG_REPL_PASSWORD",
        "hyops-ci evidence verify dr-evidence-212-1.tar",
    ):
        assert words in page
    assert "STAND-IN" not in page


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    outline = Outline(html(files(tmp_path)))
    assert not outline.open
    tags = {tag for tag, _ in outline.seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "base", "a"}
    names = {name for _, attributes in outline.seen for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in ("src", "href")]
    policy = [given.get("content") for tag, given in outline.seen if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    style = re.search(r"<style>(.*?)</style>", html({}), re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import|https?:", style[1])


def test_text_of_others_stays_text(tmp_path: Path) -> None:
    page = html(evil_files(tmp_path))
    outline = Outline(page)
    assert not outline.open
    assert not {tag for tag, _ in outline.seen} & {"script", "img"}
    assert not set(page) & set("\u202e\x1b")


def test_a_stand_in_is_on_top_of_everything(tmp_path: Path) -> None:
    page = html(files(tmp_path, stand_in=True))
    assert page.index("STAND-IN: nothing was recovered") < page.index("<main>")


def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    page = html(refused_files(tmp_path))
    assert page.index("Nothing was changed.") < page.index("F-1") < page.index("E-1") < page.index("X-1")


def test_a_run_that_was_cut_off_says_what_hyops_had_ended_and_what_nobody_saw(tmp_path: Path) -> None:
    given = files(
        tmp_path, outcome="INDETERMINATE", exit_code=10, headline="UNKNOWN: look before you touch. Cut off", proven=[], not_proven=[]
    )
    step, *_ = (each.id for each in read_document(Plan, given["plan.json"]).steps)
    ok, cut = (
        {"step": name, "status": status, "at": "2026-11-23T03:10:00Z"}
        for name, status in ((step, "ok"), ("postgresql_dns_cutover", "running"))
    )
    given["steps.jsonl"] = b"\n".join(json.dumps(each).encode() for each in (ok, cut))
    _, _, known = html(given).partition("<h2>What is known</h2>")
    done, _, unseen = known.partition("<h2>")[0].partition("Not known")
    assert f"{step} ok, says HyOps" in done
    assert "whether postgresql_dns_cutover took effect" in unseen
    assert "which side clients reach" in unseen


def test_what_was_not_measured_is_no_figure(tmp_path: Path) -> None:
    given = files(tmp_path, proven=[])
    assert "Objective: cannot be determined" in html(given)
    assert "nothing was proven" in html(given)


def test_a_missed_objective_is_said(tmp_path: Path) -> None:
    given = files(tmp_path)
    figures = json.loads(given["objectives.json"])
    given["objectives.json"] = json.dumps(figures | {"rto": {"objective": 60, "met": False}}).encode()
    assert "Objective not met" in html(given)


def test_a_settlement_has_no_objective_and_no_steps(tmp_path: Path) -> None:
    found = files(tmp_path)
    assert "<h2>Steps</h2>" in html(found)
    plan = json.loads(found["plan.json"])
    settles = {"serves": "gcp", "claim_id": "c-1", "epoch": 3, "run_id": "4242-1"}
    page = html(found | {"plan.json": json.dumps(plan | {"settles": settles}).encode()})
    assert "<h2>Who approved</h2>" in page
    assert [each for each in ("<h2>Steps</h2>", "from request to proven", "Objective") if each in page] == []


@pytest.mark.parametrize("outcome", sorted(TERMINAL))
def test_every_end_has_a_page(tmp_path: Path, outcome: str) -> None:
    given = files(tmp_path, outcome=outcome, headline=f"{outcome}: x")
    assert "<h1" in html(given)


def test_a_container_and_its_folder_read_alike(tmp_path: Path) -> None:
    of, seen = sample_run.complete_run(tmp_path / "run")
    path = seal(tmp_path / "run", sample_run.result(of, seen), to=tmp_path / "b.tar", clock=sample_run.SetClock()).path
    packed = read_files(path)
    assert "no manifest" not in html(packed)
    assert {name: packed[name] for name in packed if not name.startswith("manifest")} == read_files(tmp_path / "run")


NAMES = ("result.json", "decision.json", "plan.json", "check.json", "objectives.json", "secrets.json", "steps.jsonl", "request.json")
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


@settings(max_examples=examples(50))
@given(name=st.sampled_from((*NAMES, "manifest.dsse.json", "approvals/x.json", "parts/plan/events.jsonl")), content=st.binary() | JSON)
def test_nothing_in_a_bundle_breaks_a_report(name: str, content: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp() / "report"
    if not base.exists():
        sample_run.complete_run(base)
    given = read_files(base) | {name: content if isinstance(content, bytes) else json.dumps(content).encode()}
    assert not Outline(html(given)).open
    assert markdown(given)


@given(
    value=JSON,
    key=st.sampled_from(["figures", "rto", "secrets", "origin", "revoked", "requesters", "signatures", "step", "at", "seconds", "status"]),
)
def test_no_value_in_its_place_breaks_a_report(value: object, key: str) -> None:
    document = json.dumps({key: value, "step": "x"} | ({"rto": {"objective": value, "met": value}} if key == "rto" else {})).encode()
    given = dict.fromkeys((*NAMES, "manifest.dsse.json"), document)
    assert not Outline(html(given)).open
    assert markdown(given)


def test_a_far_objective_does_not_shrink_the_picture(tmp_path: Path) -> None:
    given = files(tmp_path)
    assert ">objective</text>" in html(given)
    figures = json.loads(given["objectives.json"])
    given["objectives.json"] = json.dumps(figures | {"rto": {"objective": 90_000, "met": True}}).encode()
    assert ">objective</text>" not in html(given)
