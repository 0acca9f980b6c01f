"""Attack: text of others on the board, which people open and pass on, and in what a chat is told of its alarms."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from hyops_ci.contracts.board import Alarm, Board
from hyops_ci.errors import shown
from hyops_ci.report.board_page import board_page, told
from tests.security.test_hostile_text import TEXTS
from tests.unit.report.sample_board import REPOSITORY, board, run

ACTS = {"script", "iframe", "object", "embed", "form", "base", "link", "img", "meta"}
"""Tags that load, run or send something; of `meta` the page has its own."""


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def with_text(text: str) -> Board:
    """A board on which a ledger, a host and GitHub said `text` wherever they may; control characters are spelled out before."""
    text, made = shown(text), board()
    alarm = Alarm(level="alarm", kind="ledger.unvouched", service="pg-ha/prod", text=text, fix=text, exit_code=5)
    ready, *others = made.services
    run_of_theirs = run(206, 1, 1200, url=text, evidence=text)
    theirs = ready.model_copy(update={"runs": (run_of_theirs, *ready.runs), "approvers": text, "holder": text, "trouble": text})
    return made.model_copy(update={"alarms": (alarm,), "services": (theirs, *others), "repository": text})


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_of_others_on_the_board(text: str) -> None:
    clean, page = Tags(board_page(board())), Tags(board_page(with_text(text)))
    assert [tag for tag, _ in page.found if tag in ACTS] == [tag for tag, _ in clean.found if tag in ACTS]
    assert not [name for _, attributes in page.found for name in attributes if name.startswith("on")]
    links = [str(attributes["href"]) for tag, attributes in page.found if tag == "a" and attributes.get("href")]
    assert [link for link in links if not link.startswith(("#", f"{REPOSITORY}/"))] == []


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_of_others_is_told_to_no_chat(text: str) -> None:
    assert told(with_text(text)) == "ALARM  1 alarm: ledger.unvouched pg-ha/prod"


def test_an_address_of_githubs_is_a_link_on_the_board() -> None:
    """The twin."""
    links = [
        attributes.get("href") for tag, attributes in Tags(board_page(with_text(f"{REPOSITORY}/actions/runs/206"))).found if tag == "a"
    ]
    assert f"{REPOSITORY}/actions/runs/206" in links
