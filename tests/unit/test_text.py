"""Lengths of time, and text of others in a code span that it cannot leave."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hyops_ci.text import fitted, in_code, listed, short_span, span, visible

backticks = st.lists(
    st.text() | st.sampled_from(["```", "`", "````text", "~~~", "\n", "\r", "<details>", "\u202e", "\x1b[2J"]), max_size=8
).map("".join)


def read(markdown: str) -> list[tuple[str, str]]:
    """(kind, text) of all that a reader of CommonMark sees, with GitHub's tables; blocks of text and points by their names alone."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        found += [(each.type, each.content) for each in token.children or () if each.content] if token.type == "inline" else []
        if token.type not in ("inline", "paragraph_open", "paragraph_close", "list_item_open", "list_item_close"):
            found.append((token.type, token.content))
    return found


@example(["```", "```"])
@example(["", "  Next       ```\n<h1>APPROVED</h1>"])
@given(st.lists(backticks, min_size=2, max_size=5))
def test_text_stays_in_the_points_of_a_list(texts: list[str]) -> None:
    """Nothing of it is a heading, a link, a table, markup of GitHub or another point; a label is letters."""
    seen = read("\n".join(["before", "", *listed(texts), "", "after"]))
    assert {kind for kind, _ in seen} <= {"text", "code_inline", "bullet_list_open", "bullet_list_close"}
    outside = [text for kind, text in seen if kind == "text" and text.strip()]
    assert (outside[0], outside[-1]) == ("before", "after")
    assert all(re.fullmatch(r"[A-Za-z]+( [a-z]+)?\??", text) for text in outside)


@given(backticks.map(lambda text: "".join(filter(str.isprintable, text)).strip()).filter(bool))
def test_a_line_in_code_is_shown_as_it_is(text: str) -> None:
    assert read(in_code(text)) == [("code_inline", visible(text))]


def test_a_page_is_a_headline_and_labelled_points() -> None:
    lines = [
        "STOPPED: step 3 `x` failed",
        "  expected one runner",
        "  Not proven old side",
        "Not now?   Do nothing",
        "  Nothing was changed. Lock free.",
    ]
    assert listed(lines) == [
        "**``STOPPED: step 3 `x` failed``**",
        "",
        "- **expected** `one runner`",
        "- **Not proven** `old side`",
        "- **Not now?** `Do nothing`",
        "- `Nothing was changed. Lock free.`",
    ]


def test_what_is_no_text_is_spelled_out() -> None:
    assert in_code("a\x1b[31mb\u202ec\0\ud800\n") == "`a\\u001b[31mb\\u202ec\\u0000\\ud800`"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (46, "46s"), (60, "1m00s"), (1647, "27m27s"), (3600, "1h00m"), (3899.9, "1h04m")])
def test_a_length_of_time(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.9, "0s"), (42, "42s"), (121, "2m1s"), (900, "15m"), (3600, "1h"), (3661, "1h1m"), (67740, "18h49m")]
)
def test_a_length_of_time_in_short(seconds: float, text: str) -> None:
    assert short_span(timedelta(seconds=seconds)) == text


def test_a_labelled_line_breaks_between_words_and_goes_on_below_its_text() -> None:
    said = "Old side   NOT CONFIRMED off. If it lives, you get two primaries. This tool does not fence"
    assert fitted(said, 60).split("\n") == [
        "Old side   NOT CONFIRMED off. If it lives, you get two",
        "           primaries. This tool does not fence",
    ]
    assert fitted(said, 100) == said


def test_a_headline_breaks_between_words_too() -> None:
    said = "STOPPED before clients moved: step 3/6 postgresql_restore failed. Clients still point to onprem. Lock free"
    assert fitted(said, 60).split("\n") == [
        "STOPPED before clients moved: step 3/6 postgresql_restore",
        "             failed. Clients still point to onprem. Lock",
        "             free",
    ]
    for whole in ("PGHOST=a-very-long-name-of-a-host " + "x " * 40, "a line of prose " * 9, "GH_TOKEN=x gh " + "run " * 30):
        assert fitted(whole, 60) == whole


@pytest.mark.parametrize(
    "line",
    [
        "  Next       then settle: gh workflow run dr.yml -f action=settle -f service=pg-ha/prod -f serves=<site>",
        "  Evidence   /a/very/long/path/of/a/bundle/that/has/no/room/in/any/terminal/of/sixty/columns/evidence.tar",
        "a line without a label that is longer than any terminal of sixty columns would show in one row",
    ],
)
def test_a_command_a_path_and_a_line_without_a_label_stay_whole(line: str) -> None:
    assert fitted(line, 60).split() == line.split()
    assert len([each for each in fitted(line, 60).split("\n") if each.strip()]) <= 2
    if "gh workflow" in line:
        assert fitted(line, 60) == line


@given(backticks, st.integers(1, 120))
def test_what_goes_on_looks_like_no_label(text: str, width: int) -> None:
    line = f"Asked      {visible(text)}"
    first, *more = fitted(line, width).split("\n")
    assert first.startswith("Asked")
    assert all(each.startswith(" " * 11) for each in more)
    assert "".join(fitted(line, width).split()) == "".join(line.split())
