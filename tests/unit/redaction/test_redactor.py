"""Every way of cutting a stream, against a byte-by-byte reference."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyops_ci.redaction import MIN_FORM, Redactor
from hyops_ci.redaction.forms import Form, forms
from hyops_ci.redaction.matcher import MAX_GAP
from hyops_ci.redaction.spellings import spellings

PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + f"{n:04d}/+" for n in range(4))
    + "\nAbc=\n-----END PRIVATE KEY-----\n"
)


SKIPPED = re.compile(rb"\x1b\[[0-9;:]{0,24}[A-Za-z]|[ \t\r\n\\\"']")


def span(form: Form, data: bytes, start: int) -> int:
    """Where a form ends that begins here; 0 where it does not begin. Byte by byte, by the words of the module."""
    if form.exact:
        return start + len(form.text) if data.startswith(form.text, start) else 0
    places: list[int] = []
    at = start
    while len(places) < len(form.text):
        skipped = SKIPPED.match(data, at) if places else None
        if skipped:
            at = skipped.end()
        elif at < len(data) and data[at] == form.text[len(places)] and (not places or at - places[-1] - 1 <= MAX_GAP):
            places.append(at)
            at += 1
        else:
            return 0
    line_end = next((at for at in range(start, places[-1]) if data[at] in b"\r\n"), len(data))
    if sum(place < line_end for place in places) < min(form.first_line, len(places)):
        return 0
    whole = any(places[at + len(anchor) - 1] - places[at] == len(anchor) - 1 for at, anchor in form.anchors)
    stop = places[-1] + 1
    trail = next((trail for trail in form.trails if data.startswith(trail, stop)), b"")
    return stop + len(trail) if whole else 0


def reference(secrets: dict[str, str], data: bytes) -> tuple[bytes, int]:
    """Byte by byte: which bytes belong to a match, and where does a union of matches begin."""
    owner: dict[Form, str] = {}
    for name, value in secrets.items():
        for form in forms(value):
            owner.setdefault(form, name)
    out, at, marks = bytearray(), 0, 0
    while at < len(data):
        here = [(stop, name) for form, name in owner.items() if (stop := span(form, data, at))]
        if not here:
            out.append(data[at])
            at += 1
            continue
        end = max(stop for stop, _ in here)
        out += f"[redacted:{next(name for stop, name in here if stop == end)}]".encode()
        marks += 1
        look = at
        while look < end:
            end = max([end, *(span(form, data, look) for form in owner)])
            look += 1
        at = end
    return bytes(out), marks


# Few letters make secrets overlap, nest, repeat, and almost begin; quotes and line ends are what is skipped.
values = st.text(alphabet="ab\n/'\"", min_size=MIN_FORM, max_size=20)
secrets = st.dictionaries(st.sampled_from(["ONE", "TWO", "THREE"]), values, min_size=1)
between = st.sampled_from([b"\n", b"\\", b'"', b"\x1b[1;31m", b"\x1b[", b" " * MAX_GAP, b" " * (MAX_GAP + 1), b"\r\n    "])


@st.composite
def streams(draw: st.DrawFn) -> tuple[dict[str, str], bytes, list[int]]:
    chosen = draw(secrets)
    known = sorted({each for value in chosen.values() for each in (*spellings(value), *(form.text for form in forms(value)))})
    pieces = st.one_of(
        st.sampled_from(known),
        st.sampled_from([form[: len(form) // 2] for form in known]),
        st.tuples(st.sampled_from(known), st.integers(0, 30), between).map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]),
        st.sampled_from([b"\n", b"a", b"b", b" "]),
    )
    data = b"".join(draw(st.lists(pieces, max_size=12)))
    return chosen, data, sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))


@example(case=({"ONE": "aaaaaaaa"}, b"a\x1b[aFlXRmhZV0ZoW", []))
@example(case=({"ONE": "aaaaaaa/"}, b"616161616161612F616161616161612FFhYWFhYWEv\x1b[616161616161612F", [45]))
@example(case=({"ONE": "616161AB12CDEF"}, b"x\x1b[616161AB12CDEF y", [9]))
@example(case=({"ONE": "616161AB12CDEF"}, b"x\x1b[616161AB12CDEF y", [10]))
@example(case=({"ONE": "616161AB12CDEF"}, b"x\x1b[616161A\n B12CDEF y", [11]))
@example(case=({"ONE": "aaa'aaa/"}, b"FhYSdhYWEv\x1b[aaa'aaa%252F", []))
@example(case=({"ONE": "aa\"/aaa'"}, b"aa/aaau0027\x1b[F\x1b[1;31mhIi9hYWEn", [17]))
@example(case=({"ONE": "aaaaaaa/"}, b"FhYWFhYWEv\x1b[F" + b" " * MAX_GAP + b"hYWFhYWEv", [71]))
@given(case=streams())
def test_equal_to_the_reference_whatever_the_chunks(case: tuple[dict[str, str], bytes, list[int]]) -> None:
    chosen, data, cuts = case
    expected, marks = reference(chosen, data)
    whole = Redactor(chosen)
    assert whole.bytes(data) == expected
    assert whole.counts.total() == marks
    piecewise = Redactor(chosen)
    through = piecewise.filter()
    edges = [0, *cuts, len(data)]
    assert b"".join(through.feed(data[a:b]) for a, b in pairwise(edges)) + through.close() == expected
    assert piecewise.counts == whole.counts


@example(value="000\x1b\\00\x80", before=b"")
@example(value="000\\000\\0;", before=b"")
@given(value=st.text(min_size=MIN_FORM, max_size=60), before=st.binary(max_size=5))
def test_every_encoding_of_any_text_is_found(value: str, before: bytes) -> None:
    try:
        raw = value.encode()
    except UnicodeEncodeError:  # a lone surrogate is no value a program can print
        return
    redactor = Redactor({"KEY": value})
    carriers = [
        raw,
        json.dumps(value).encode(),
        json.dumps(value, ensure_ascii=False).encode(),
        quote(value, safe="").encode(),
        quote(value).encode(),
        quote_plus(value).encode(),
        repr(value).encode(),
        repr({"KEY": f'"{value}"'}).encode(),
        base64.b64encode(before + raw + b"!"),
        base64.urlsafe_b64encode(before + raw),
    ]
    for carrier in carriers:
        assert redactor.find(b"x=" + carrier + b"\n") == ["KEY"]
        assert not redactor.find(redactor.bytes(carrier))


@pytest.mark.parametrize("value", ["correct-horse's-battery", '{"key": "first\\\\second"}', '{"lines":\n  "x y z a b c d e f"}'])
@pytest.mark.parametrize("beside", ["", '"', "'", "\n"])
def test_a_value_in_an_error_as_python_shows_it(value: str, beside: str) -> None:
    shown = Redactor({"KEY": value}).text(f"ValueError: {[beside + value + beside]!r}")
    assert "[redacted:KEY]" in shown
    assert not [word for word in re.findall(r"\w{4,}", value) if word in shown]


def test_very_long_and_binary_forms() -> None:
    long, binary = "k" * 20_000 + "end", "nul\0.*[(\\x\r\u00e9"
    redactor = Redactor({"LONG": long, "BINARY": binary})
    assert redactor.bytes(f"<{long}|{binary}>".encode()) == b"<[redacted:LONG]|[redacted:BINARY]>"


def test_lines_show_at_once_and_only_a_possible_secret_waits() -> None:
    through = Redactor({"PW": "correct-horse-battery", "PEM": PEM}).filter()
    assert through.feed(b"step 1 of 6\n") == b"step 1 of 6\n"
    assert through.feed(b"progress ...") == b"progress ..."
    assert through.feed(b" pw=correct-ho") == b" pw="
    assert through.feed(b"rse-battery!") == b"[redacted:PW]!"
    assert through.feed(b"correct-h") == b""
    assert through.close() == b"correct-h"


def test_a_key_across_chunks_is_one_mark() -> None:
    data = f"before\n{PEM}after\n".encode()
    for size in (1, 7, 40):
        through = Redactor({"PEM": PEM}).filter()
        shown = b"".join(through.feed(data[at : at + size]) for at in range(0, len(data), size)) + through.close()
        assert shown == b"before\n[redacted:PEM]after\n"


def test_lines_of_a_key_are_secrets_of_their_own() -> None:
    line = PEM.splitlines()[2]
    assert Redactor({"PEM": PEM}).text(f"    {line}") == "    [redacted:PEM]"


def test_an_endless_union_is_one_mark_and_held_in_bounds() -> None:
    through = Redactor({"ZERO": "00000000"}).filter()
    shown = b"".join(through.feed(b"0" * 4096) for _ in range(64))
    assert len(through._held) < 64
    assert shown + through.close() == b"[redacted:ZERO]"


def test_short_values_never_blank_the_log_and_are_named() -> None:
    redactor = Redactor({"SHORT": "oo", "LONG": "long-enough-value"})
    assert redactor.text("root logs in") == "root logs in"
    assert redactor.too_short == ["SHORT"]


def test_json_keeps_its_shape_and_every_entry() -> None:
    redactor = Redactor({"A": "first-secret", "B": 'with "quotes"'})
    found = redactor.json({"first-secret": [1, None, 'x with "quotes"'], "[redacted:A]": True, "n": {"k": "first-secret"}})
    assert found == {"[redacted:A]": [1, None, "x [redacted:B]"], "[redacted:A]#2": True, "n": {"k": "[redacted:A]"}}
    assert redactor.counts == {"A": 2, "B": 1}


def test_files_and_streams(tmp_path: Path) -> None:
    source, target = tmp_path / "in.log", tmp_path / "out.log"
    source.write_bytes(b"x" * (256 * 1024 - 5) + b"first-secret\n")
    redactor = Redactor({"A": "first-secret"})
    redactor.file(source, target)
    assert target.read_bytes() == b"x" * (256 * 1024 - 5) + b"[redacted:A]\n"
    assert target.stat().st_mode & 0o777 == 0o600
    sink = io.BytesIO()
    redactor.stream(io.BytesIO(b"first-sec"), sink)
    assert sink.getvalue() == b"first-sec"


def test_repr_shows_no_value() -> None:
    redactor = Redactor({"A": "first-secret"})
    assert "first-secret" not in f"{redactor!r} {redactor} {redactor.filter()!r}"


def test_a_very_long_value_costs_no_more_than_its_length() -> None:
    through = Redactor({"BIG": "ab/" * 40_000}).filter()
    started = time.monotonic()
    for _ in range(20):
        through.feed(b"no line end here " * 64)
    assert time.monotonic() - started < 10
