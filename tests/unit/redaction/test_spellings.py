"""The table of docs/secrets.md: each spelling that it calls found is found, of any value, cut anywhere; each of the others is not."""

from __future__ import annotations

import json
import re
import string
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hyops_ci.redaction import MIN_FORM, Redactor
from hyops_ci.redaction.spellings import MIN_ANCHOR, folded
from tests.support.spellings import ACCOUNT, FOUND, MISSED, MISSED_VALUE, PEM, SHORT_WORDS, nested

PAGE = (Path(__file__).parents[3] / "docs" / "secrets.md").read_text("utf-8")
SAMPLES = [
    PEM,
    json.dumps(ACCOUNT),
    json.dumps(ACCOUNT, indent=2),
    "p@ss\"w'o\\rd$9&<x>-0123456789",
    'it\'s a "quoted" pass phrase',
    "c4n4ry/S3cret+Value==",
    "user: admin\npassword: k9$Xq/2+Zz\n",
    "naïve-€-pässword-😀",
]
values = st.one_of(
    st.sampled_from(SAMPLES),
    st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " \n\té€😀", min_size=8, max_size=90),
)


def fits(value: str) -> bool:
    """Whether `secrets` takes such a value, and it is none of `short words`."""
    letters = re.search(f"[A-Za-z0-9]{{{MIN_ANCHOR}}}", value)
    return letters is not None and len(folded(value.encode())) >= 2 * MIN_FORM and value.rstrip("\n").strip() == value.rstrip("\n")


def table(heading: str) -> list[str]:
    """First cells of the rows below a heading row of the page."""
    rows = PAGE.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()
    return [row.split("|")[1].strip().strip("`") for row in rows[2:]]


def test_the_page_and_these_tests_name_the_same_spellings() -> None:
    assert table("| spelling | as made by |") == list(FOUND)
    assert table("| spelling | why not |") == list(MISSED)


@pytest.mark.parametrize("name", FOUND)
@given(data=st.data())
def test_a_spelling_that_is_found(name: str, data: st.DataObject) -> None:
    value = data.draw(values)
    assume(fits(value))
    if name in ("colours", "wrapped", "all by number"):
        assume("\n" not in value and value.isascii() and len(re.findall(f"[A-Za-z0-9]{{{MIN_ANCHOR}}}", value)) > 1)
    spell = data.draw(st.sampled_from(FOUND[name]))
    spelled = spell(value)
    printed = spelled.encode() if isinstance(spelled, str) else spelled
    redactor = Redactor({"KEY": value})
    assert redactor.find(printed) == ["KEY"], (value, printed)
    clean = redactor.bytes(b"<<" + printed + b">>\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(printed) + 5), max_size=5)))
    edges, through = [0, *cuts, len(printed) + 5], redactor.filter()
    whole = b"<<" + printed + b">>\n"
    assert b"".join(through.feed(whole[a:b]) for a, b in pairwise(edges)) + through.close() == clean
    assert not redactor.find(clean)
    assert not shown_of(value, clean), (value, clean)


def shown_of(value: str, clean: bytes) -> list[str]:
    """Pieces of 8 characters of the value that can still be read."""
    text = clean.replace(b"[redacted:KEY]", b"\0").decode("utf-8", "replace")
    return [value[at : at + MIN_FORM] for at in range(len(value) - MIN_FORM + 1) if value[at : at + MIN_FORM] in text]


@pytest.mark.parametrize("name", [name for name in MISSED if name != "short words"])
def test_a_spelling_that_is_not_found(name: str) -> None:
    """The page tells no less than the truth: what is found one day leaves this table."""
    for spell in MISSED[name]:
        spelled: Any = spell(MISSED_VALUE)
        assert Redactor({"KEY": MISSED_VALUE}).find(spelled.encode() if isinstance(spelled, str) else spelled) == [], spell


@pytest.mark.parametrize("name", ["raw", "json", "python repr", "shell quotes", "sql", "html", "address", "hex", "base64"])
def test_a_value_of_short_words(name: str) -> None:
    for spell in FOUND[name][:2]:
        spelled = spell(SHORT_WORDS)
        assert Redactor({"KEY": SHORT_WORDS}).find(spelled.encode() if isinstance(spelled, str) else spelled) == ["KEY"], (name, spelled)
    assert Redactor({"KEY": SHORT_WORDS}).find(str(nested(4)(SHORT_WORDS)).encode()) == []
