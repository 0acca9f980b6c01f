"""The board as a page: what it shows, that it loads nothing, and that text of others stays text."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_ci.contracts.board import Alarm, Board
from hyops_ci.contracts.run import State
from hyops_ci.parsing.documents import read_document
from hyops_ci.report.board_page import age, board_page, headline, length, told
from tests.unit.report.sample_board import DIGEST, NOW, REPOSITORY, ago, board, readiness, run
from tests.unit.report.test_html import Outline

EVIL = "</style></dd><script>alert(1)</script><img src=x onerror=y> javascript:alert(1)"
HIDDEN = "\u202e\x1b[31m"


def everywhere(value: Any, text: str) -> Any:
    """A JSON value with `text` behind every string that may be any text."""
    free = set("repository text fix approvers serves holder vouched trouble evidence url reason runner last_run".split())
    if isinstance(value, dict):
        return {name: f"{each}{text}" if name in free and isinstance(each, str) else everywhere(each, text) for name, each in value.items()}
    return [everywhere(each, text) for each in value] if isinstance(value, list) else value


def hostile() -> Board:
    document = everywhere(board().document(), EVIL)
    document["services"][0]["runs"][0] |= {"approvers": [EVIL], "run_id": EVIL}
    document["services"][0]["recurring"][0] |= {"text": EVIL}
    return read_document(Board, json.dumps(document))


def test_the_page_shows_every_service() -> None:
    page = board_page(board())
    for words in (
        "1 alarm",
        "1 of 3 services ready",
        "run 190-1 was cut off",
        '<code class="command">hyops-ci ledger settle --service web/prod</code>',
        "checked 4h00m ago on gcp-ops-runner-01, good until 2026-11-30T03:40Z",
        "checked 6 d ago on gcp-ops-runner-01; passed then, counts no more since 2026-11-24T07:40Z",
        "Drill passed",
        "objective missed",
        "jonas, priya",
        "nothing is left of it",
        "dr-evidence-204-1.tar",
        "last try: FAILED 2026-11-01T03:00:00Z",
        "of pg-ha/drill",
        "nine of ten within 28m30s",
        "this host does not pin its callers",
        "Its ledger is not believed",
        "GitHub was not asked",
        "hyops-ci board --at 2026-11-28T07:40:00Z --out board",
    ):
        assert words in page, words


def test_each_run_is_a_point_beside_its_objective() -> None:
    page = board_page(board())
    outline = Outline(page)
    dots = [str(given["class"]) for tag, given in outline.seen if tag == "circle" and "cx" in given and "%" in str(given["cx"])]
    time, data = dots[: len(dots) // 2], dots[len(dots) // 2 :]
    assert time == ["dot met of-drill", "dot missed", "dot met of-drill"]
    assert data == ["dot met of-drill", "dot met", "dot met of-drill"]
    assert "objective 30m" in page
    assert "objective 5m" in page
    assert "Recovery time: 5 runs, 3 measured, 1 missed the objective" in page


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    for page in (board_page(board()), board_page(hostile())):
        outline = Outline(page)
        assert not outline.open
        assert not {tag for tag, _ in outline.seen} & {"script", "link", "img", "iframe", "object", "form", "base"}
        names = {name for _, attributes in outline.seen for name in attributes}
        assert not [name for name in names if name.startswith("on") or name == "src"]
        policy = [given.get("content") for tag, given in outline.seen if given.get("http-equiv") == "Content-Security-Policy"]
        assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
        assert style is not None
        assert not re.search(r"url\(|@import|https?:", style[1])


def links(page: str) -> set[str]:
    return {str(given["href"]) for tag, given in Outline(page).seen if tag == "a"}


def test_links_lead_to_services_and_to_pages_of_runs() -> None:
    assert links(board_page(board())) == {
        *("#pg-ha/prod", "#web/prod", "#mail/lab"),
        *(f"{REPOSITORY}/actions/runs/{number}" for number in (205, 204, 203, 202, 201)),
    }


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "http://ci.example.net/1",
        "https://a@b/c",
        "//evil.example/x",
        "https://a/b?c",
        "https://a/b#c",
        " https://a/b",
    ],
)
def test_what_is_no_address_of_a_page_is_no_link(url: str) -> None:
    [first, *others] = board().services
    changed = first.model_copy(update={"runs": (run(205, 2, 1270, url=url),)})
    assert links(board_page(board(services=(changed, *others)))) == {"#pg-ha/prod", "#web/prod", "#mail/lab"}


def test_what_nobody_sees_is_spelled_out() -> None:
    [first, *others] = board().services
    spelled = first.model_copy(update={"serves": HIDDEN, "trouble": HIDDEN})
    assert not set(board_page(board(services=(spelled, *others)))) & set("\u202e\x1b")


def test_the_same_board_is_the_same_page() -> None:
    assert board_page(board()) == board_page(read_document(Board, json.dumps(board().document())))


def test_the_headline_says_the_worst() -> None:
    alarms = board().alarms
    assert headline(board()) == ("1 alarm", "bad")
    assert headline(board(alarms=alarms[1:])) == ("1 warning", "warn")
    assert headline(board(alarms=alarms[2:])) == ("Nothing known stands in the way", "wait")
    assert headline(board(alarms=())) == ("Nothing known stands in the way", "wait")  # 1 of 3 is ready
    ready = board().services[0]
    assert headline(board(services=(ready,), alarms=())) == ("Ready", "good")
    of_drills = ready.model_copy(update={"readiness": None, "env_class": "drill"})
    assert headline(board(services=(ready, of_drills), alarms=())) == ("Ready", "good")  # nobody moves to it
    never_checked = ready.model_copy(update={"readiness": None})
    assert headline(board(services=(ready, never_checked), alarms=())) == ("Nothing known stands in the way", "wait")
    assert (board().exit_code, board(alarms=alarms[1:]).exit_code) == (5, 0)


@pytest.mark.parametrize("state", sorted(State))
def test_a_run_in_any_state_has_a_row(state: State) -> None:
    [first, *others] = board().services
    changed = first.model_copy(update={"runs": (run(205, 2, None, state=state, drill=False),)})
    assert "run <a" in board_page(board(services=(changed, *others)))


def test_a_check_that_was_refused_says_at_which_gate() -> None:
    [first, *others] = board().services
    refused = readiness(ready=False, outcome=State.BLOCKED, gate="states.ok", reason="2 of 5 states are not ok", deviations=("no pin",))
    fact = first.readiness.model_copy(update={"standing": "not ready", "record": refused}) if first.readiness else None
    page = board_page(board(services=(first.model_copy(update={"readiness": fact}), *others)))
    assert "not ready" in page
    assert "checked 4h00m ago on gcp-ops-runner-01: states.ok: 2 of 5 states are not ok" in page
    assert "! no pin" in page


def test_lengths_and_ages() -> None:
    now = board().made_at
    assert (length(59), length(90_000), length(8 * 86400 + 3600), length(86400)) == ("59s", "1 d 1 h", "8 d", "1 d")
    assert (age(now, ago(minutes=5)), age(now, ago(hours=-5))) == ("5m00s ago", "in 5h00m")
    assert NOW.isoformat().startswith(now[:19])


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60))
def test_any_text_stays_text(text: str) -> None:
    [first, *others] = board().services
    changed = first.model_copy(update={"serves": text, "vouched": text, "runs": (run(205, 2, 1270, run_id=text or "x", url=text),)})
    outline = Outline(board_page(board(services=(changed, *others), repository=text)))
    assert not outline.open
    assert not {tag for tag, _ in outline.seen} & {"script", "img"}
    assert DIGEST[:23] in board_page(board())


def test_a_chat_is_told_what_and_of_which_service_once_each() -> None:
    found = [Alarm(level="alarm", kind="readiness.stale", service="pg-ha/prod", text="since yesterday", exit_code=4)] * 2
    found += [
        Alarm(level="alarm", kind="schedule.disabled", text="by GitHub", exit_code=4),
        Alarm(level="warning", kind="run.waiting", text="7"),
    ]
    assert told(board(alarms=tuple(found))) == "ALARM  3 alarms: readiness.stale pg-ha/prod, schedule.disabled"
