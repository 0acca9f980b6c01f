from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.secrets.bundle_text import parse, render
from hyops_ci.secrets.values import CUTS
from tests.unit.secrets import hyops_reader

KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
WILD = st.text(alphabet=st.sampled_from("ab =#\"'\\nr\n\r\t\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029\u00a0"), max_size=60)


def test_the_text_is_hyops_text_to_the_byte() -> None:
    assert render({"B": 'say "x"\\', "A": "one\ntwo\r\n"}) == (
        "# purpose: HybridOps.Core bootstrap vault env (ansible-vault encrypted)\n"
        "# maintainer: HybridOps.Tech\n"
        "\n"
        'A="one\\ntwo\\r\\n"\n'
        'B="say \\"x\\"\\\\"\n'
    )


@given(st.dictionaries(KEYS, st.text(max_size=40), max_size=5))
def test_the_writer_equals_hyops(values: dict[str, str]) -> None:
    assert render(values) == hyops_reader.written(values)


@given(st.one_of(WILD, st.text(max_size=80), st.lists(WILD, max_size=5).map("\n".join)))
def test_the_reader_equals_hyops_on_any_text(text: str) -> None:
    assert parse(text) == hyops_reader.read(text)


@given(st.dictionaries(KEYS, st.text(max_size=40), max_size=5))
def test_only_line_ends_that_hyops_does_not_escape_change_a_value(values: dict[str, str]) -> None:
    cut = any(character in value for value in values.values() for character in CUTS)
    assert cut or parse(render(values)) == values


@pytest.mark.parametrize("character", CUTS, ids=CUTS.values())
def test_each_refused_line_end_really_corrupts(character: str) -> None:
    values = {"A_KEY": f"before{character}after"}
    assert parse(render(values)) != values


def test_no_other_character_corrupts() -> None:
    for point in [*range(0x3000), 0xFEFF, 0x1F600]:
        values = {"A_KEY": f"before{chr(point)}after"}
        assert (parse(render(values)) == values) == (chr(point) not in CUTS), hex(point)
