"""What a refusal says, and that nothing in it can steer a terminal or hide text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import MAX_SHOWN, DispatchError, Exit, Fault, Refusal, shown
from hyops_ci.text import HIDDEN

FAMILIES = {
    "DONE": 0,
    "USAGE": 2,
    "DECISION": 3,
    "POLICY": 4,
    "CONFLICT": 5,
    "APPROVAL": 6,
    "RUNNER": 7,
    "SECRETS": 8,
    "HYOPS": 9,
    "INDETERMINATE": 10,
    "EVIDENCE": 11,
    "UNAVAILABLE": 12,
    "UNPROVEN": 13,
    "NOT_CLEANED": 14,
    "CANCELLED": 130,
}


def test_exit_codes_are_the_published_ones() -> None:
    assert {code.name: int(code) for code in Exit} == FAMILIES


def refusal() -> Refusal:
    return Refusal(
        "lock.unknown",
        "an earlier run was cut off",
        exit_code=Exit.CONFLICT,
        found="epoch 7",
        expected="a person's word",
        fix="look, then settle",
        docs="settle.md",
    )


def test_a_refusal_reads_as_the_product_writes_it() -> None:
    assert refusal().lines() == [
        "REFUSED lock.unknown (exit 5): an earlier run was cut off",
        "  found    epoch 7",
        "  expected a person's word",
        "  fix      look, then settle",
        "  docs     hyops-ci docs settle.md",
    ]
    assert str(refusal()) == "lock.unknown: an earlier run was cut off"


def test_what_is_not_known_takes_no_line() -> None:
    assert Refusal("a.b", "no", exit_code=Exit.POLICY).lines() == ["REFUSED a.b (exit 4): no"]


def test_a_fault_is_not_a_refusal() -> None:
    fault = Fault("ledger.push", "the remote did not answer", exit_code=Exit.UNAVAILABLE)
    assert fault.title() == "FAILED ledger.push (exit 12): the remote did not answer"
    assert not isinstance(fault, Refusal)
    assert isinstance(fault, DispatchError)


def test_json_has_the_same_words() -> None:
    document = refusal().to_json()
    assert document["exit_code"] == 5
    for name, text in document.items():
        if name != "exit_code":
            assert text
            assert any(str(text) in line for line in refusal().lines())


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_breaks_out_of_its_line(reason: str, found: str, expected: str, fix: str) -> None:
    lines = Refusal("a.b", reason, exit_code=Exit.DECISION, found=found, expected=expected, fix=fix).lines()
    assert len(lines) == 1 + sum(map(bool, (found, expected, fix)))
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("a\nb", "a\\u000ab"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        (7, "7"),
        (["x"], "['x']"),
    ],
)
def test_shown(value: object, expected: str) -> None:
    assert shown(value) == expected


@given(st.text(min_size=MAX_SHOWN + 1, max_size=2 * MAX_SHOWN))
def test_a_long_value_is_cut_and_says_so(value: str) -> None:
    text = shown(value)
    assert text.endswith("...")
    assert len(text) == MAX_SHOWN + 3
    assert shown(value, len(value)).startswith(text[:-3])


@given(st.text(max_size=MAX_SHOWN))
def test_a_value_that_fits_is_whole(value: str) -> None:
    def seen(c: str) -> bool:
        return c.isprintable() and not HIDDEN.fullmatch(c) and c not in "\u2800\ufe0e\ufe0f"

    assert shown(value) == "".join(c if seen(c) else f"\\u{ord(c):04x}" for c in value)
