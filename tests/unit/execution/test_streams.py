from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.execution.streams import MAX_LINE, PREFIX, LineSplitter, printable

CHUNKS = st.lists(st.text(alphabet="ab\r\n", max_size=6).map(str.encode), max_size=8)


def split(chunks: list[bytes]) -> list[bytes]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.close()


@given(CHUNKS)
def test_chunk_edges_do_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    expected = re.split(rb"\r\n|\n|\r", whole)
    assert split(chunks) == (expected[:-1] if expected[-1] == b"" else expected)


def test_a_line_without_an_end_is_cut() -> None:
    lines = split([b"x" * (MAX_LINE * 2 + 5)])
    assert [len(line) for line in lines] == [MAX_LINE, MAX_LINE, 5]


@pytest.mark.parametrize(
    "line", [b"::error::x", b"  ::set-output name=a::b", b"##[set-env name=PATH]x", b"say ##[add-path]/tmp", b"\x1b]0;t\x07"]
)
def test_no_workflow_command_survives(line: bytes) -> None:
    shown = printable(line)
    assert shown.startswith(PREFIX)
    assert "##[" not in shown
    assert shown.isprintable()


@given(st.binary())
def test_any_bytes_become_one_printable_line(line: bytes) -> None:
    shown = printable(line)
    assert shown.replace("\t", "").isprintable()
    assert "##[" not in shown


def test_ordinary_text_is_shown_as_it_is() -> None:
    assert printable("step=a status=ok é\t#[x]".encode()) == "hyops | step=a status=ok é\t#[x]"
