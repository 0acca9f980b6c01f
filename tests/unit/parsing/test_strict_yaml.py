"""YAML that two readers would read alike."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.parsing.yaml_loader import MAX_BYTES
from hyops_ci.text import HIDDEN


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"a: 1\nb: [x, 'y']\n", {"a": 1, "b": ["x", "y"]}),
        (b"", None),
        (b"# only a comment\n", None),
        (b"until: 2026-12-01T00:00:00Z\nday: 2026-12-01\n", {"until": "2026-12-01T00:00:00Z", "day": "2026-12-01"}),
        (b"enabled: yes\nother: off\n", {"enabled": True, "other": False}),  # YAML 1.1, as HyOps reads it
        (b'version: "0.1"\nmode: "0644"\n', {"version": "0.1", "mode": "0644"}),
        ("text: 停電\n".encode(), {"text": "停電"}),
    ],
)
def test_plain_yaml(data: bytes, value: Any) -> None:
    assert read_yaml(data, "x.yml") == value


BASE_60 = (b"22:22", b"-1:0", b"+190:20:30", b"190:20:30.15", b"0:0.", b"52:54:00:12:34:56", b"1_0:59")
"""What YAML 1.1 takes for numbers, as `ssh: 22:22` or an address of a network card: HyOps would, and its reader would not see it."""


@pytest.mark.parametrize("text", ["08:30", "0:30", "22:60", "80:8080", "52:54:00:ab:34:56", "1:", "a:1", "1::2", "2001:db8::1", "12:3 0"])
def test_text_with_colons_that_is_no_number(text: str) -> None:
    if text.endswith(":"):
        assert read_yaml(f"a: '{text}'".encode(), "x.yml") == {"a": text}
        return
    assert read_yaml(f"a: {text}".encode(), "x.yml") == yaml.safe_load(f"a: {text}") == {"a": text}


@pytest.mark.parametrize("number", BASE_60)
def test_these_are_numbers_to_others(number: bytes) -> None:
    assert isinstance(yaml.safe_load(number), int | float)
    assert read_yaml(b"'" + number + b"'", "x.yml") == number.decode()


def test_a_text_of_base_60_takes_no_time() -> None:
    """Converting it would take minutes: quadratic time."""
    begun = time.monotonic()
    with pytest.raises(Refusal) as caught:
        read_yaml(b"a: 1" + b":1" * (120 * 1024), "x.yml")
    assert "base 60" in caught.value.found
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"a: 1\na: 2\n", "line 2, column 1: the key 'a' stands twice"),
        (b"x:\n  a: 1\n  'a': 2\n", "line 3, column 3: the key 'a' stands twice"),
        (b"a: &x [1]\nb: *x\n", "line 2, column 4: an alias"),
        (b"a: &x {k: 1}\nb:\n  <<: *x\n", "an alias"),
        (b"'<<': plain text\n", "the key '<<'"),
        (b"b:\n  <<: {k: 1}\n", "tag:yaml.org,2002:merge"),
        (b"a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "an alias"),
        (b"a: !!python/object/apply:os.system [id]\n", "line 1, column 4: the tag "),
        (b"a: !vault |\n  x\n", "line 1, column 4: the tag "),
        (b"on: push\n", "the key True stands twice or is not text"),
        (b"1: a\n", "the key 1"),
        (b"? [a]\n: b\n", "is not text"),
        (b"? {a: 1}\n: b\n", "is not text"),
        (b'a: "\\ud83d\\ude80"\n', "half a character"),
        (b"a: 1\n---\nb: 2\n", "line 2"),
        (b"a: [1\n", "line 2"),
        (b"a:\tb: c\n", "line 1"),
        (b"a: \xff\n", "byte 3 is not UTF-8"),
        (b"a: \x1b[2J\n", "line 1, column 4: U+001B"),
        *(
            (b"a: !!" + tag + b" x\n", "the tag tag:yaml.org,2002:")
            for tag in (b"bool", b"int", b"timestamp", b"binary", b"str", b"set", b"map")
        ),
        (b"a: ! x\n", "the tag !"),
        (b"[" * 5000, "nested more than 64 levels deep"),
        (b"- " * 5000, "nested more than 64 levels deep"),
        (b"x:\n  y: .inf\n", "/x/y: a number that is not finite"),
        (b"x: -.inf\n", "/x: a number"),
        (b"x: [.nan]\n", "/x/0: a number"),
        (b"x: 9007199254740992\n", "/x: a number"),
        (b"x: 0x" + b"f" * 5000, "/x: a number"),
        (b"a: " + b"9" * 5000, ""),
        (b"a: 'x" + b"y" * MAX_BYTES, "bytes"),
        *((b"a: " + number + b"\n", "line 1, column 4: a number in base 60: write it in quotes") for number in BASE_60),
    ],
)
def test_what_could_be_read_two_ways(data: bytes, found: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_yaml(data, ".github/dr-dispatch.yml")
    refusal = caught.value
    assert (refusal.gate, refusal.exit_code) == ("intake.yaml", Exit.USAGE)
    assert refusal.reason == ".github/dr-dispatch.yml cannot be read"
    assert found in refusal.found
    assert refusal.found


@given(st.binary(max_size=80) | st.text(st.sampled_from("ab:- \n{}[]&*!?|>'\"#%@`,<0"), max_size=60).map(str.encode))
def test_no_bytes_give_a_traceback(data: bytes) -> None:
    with contextlib.suppress(Refusal):
        read_yaml(data, "x.yml")


KEYS = st.text("abcxyz_-.", min_size=1, max_size=8).filter(lambda key: not key.startswith("-"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**53, 2**53 - 1)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), max_size=10).filter(
        lambda text: not HIDDEN.search(text)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_json_is_yaml(value: Any) -> None:
    """A config written as JSON reads as what JSON says."""
    assert read_yaml(json.dumps(value, ensure_ascii=False).encode(), "x.yml") == value


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_a_safe_dumper_writes_is_read_back(value: Any) -> None:
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    assert read_yaml(yaml.dump(value, Dumper=Plain, allow_unicode=True).encode(), "x.yml") == value


@pytest.mark.parametrize(
    "mark", ["\u2028", "\u2029", "\x85", "\r", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u00ad", "\U000e0041", "\x9b"]
)
@pytest.mark.parametrize("text", ["# see docs/adopt.md{}envs: {{prod: {{class: lab}}}}\na: 1\n", "a: 'x{}y'\n", 'a: "x{}y"\n', "a: x{}y\n"])
def test_nothing_is_hidden_in_a_comment_or_a_value(text: str, mark: str) -> None:
    """Some of these end a comment for PyYAML, none is seen by who reviews the file."""
    with pytest.raises(Refusal) as caught:
        read_yaml(text.format(mark).encode(), "x.yml")
    assert caught.value.gate == "intake.yaml"
    assert f"U+{ord(mark):04X}" in caught.value.found


@pytest.mark.parametrize(
    "value", [r'"\0"', r'"\e[31mred"', r'"\u202e"', r'"a\rb"', r'"\u200b"', r'"\L"', r'"\N"', r'"\UFFFFFFFF"', r'"\U00110000"']
)
@pytest.mark.parametrize("place", ["a: {}", "a: {{{}: 1}}", "a: [b, {}]"])
def test_nothing_is_hidden_behind_an_escape(place: str, value: str) -> None:
    with pytest.raises(Refusal):
        read_yaml(place.format(value).encode(), "x.yml")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: 1\r\nb: |\r\n  x\r\n  y\r\n", {"a": 1, "b": "x\ny\n"}),
        ("a: 1 # t\tabbed\n", {"a": 1}),
        ("a: l'été à 5 °C ✓ 停電 🚀 \u00a0x\n", {"a": "l'été à 5 °C ✓ 停電 🚀 \u00a0x"}),
        ("a: 'x\u3000y'  # ⚠\ufe0f\n", {"a": "x\u3000y"}),
    ],
)
def test_what_is_seen_is_read(data: str, value: Any) -> None:
    assert read_yaml(data.encode(), "x.yml") == value


SLOW = [
    b"a: [" + b"1," * 100_000 + b"1]",
    b"".join(b"k%d: 1\n" % number for number in range(25_000)),
    b"[" + b"[]," * 80_000,
    b'a: "' + b"\n" * 250_000 + b'"',
    b"{" * 250_000,
    b"a: 1:" + b"59:" * 80_000,
    b"a: 0x" + b"f" * 250_000,
    b"a: " + b"9" * 250_000,
    b"? " * 120_000,
]


@pytest.mark.parametrize("data", SLOW, ids=[str(number) for number in range(len(SLOW))])
def test_no_text_is_slow(data: bytes) -> None:
    """Ten thousand values are looked at, however large the file is."""
    begun = time.process_time()
    with contextlib.suppress(Refusal):
        read_yaml(data, "x.yml")
    assert time.process_time() - begun < 2


def test_values_are_counted() -> None:
    read_yaml(b"a: [" + b"1," * 9000 + b"1]", "x.yml")
    with pytest.raises(Refusal, match="cannot be read") as caught:
        read_yaml(b"a: [" + b"1," * 10_000 + b"1]", "x.yml")
    assert "more than 10000 values" in caught.value.found
