"""Real documents, a little wrong: values, keys and bytes that readers stumble over, put where a real one stands."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**53 - 1, 2**53, -(2**63), 10**30, 1.5, 1e308, -0.0, 1e16),
    *(
        "",
        " ",
        "x" * 300,
        "x" * 5000,
        "\x00",
        "\n",
        "a\nb",
        "\x1b[31m",
        "\u202e",
        "\u2028",
        "\x85",
        "\u200b",
        "\ud800",
        "\U0001f680",
        "\u017f",
        "\u0130",
    ),
    *(
        "../../x",
        ".git/config",
        "-",
        "-/-",
        "a/-",
        "a/b",
        "..",
        "0",
        "127.1",
        "https://0",
        "http://[::1]:1",
        "https://[:::]",
        ":0",
        "x:99999",
    ),
    *("PT0S", "PT9999H", "PT", "2026-11-23T03:04:31Z", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z"),
    *("2026-11-23T03:04:60Z", "2026-11-23T03:04:31+00:00", "latest", "Latest", "NaN", "true", "ed25519:", "ed25519:" + "A" * 43 + "="),
    *("github:maria", "github:", "[bot]", "github-actions[bot]", "CHANGE_ME", "{{ x }}", "%s", "a" * 201, "sha256:" + "0" * 64),
    *([], {}, [[]], [None], {"": None}, {"kind": "x"}, {"steps": []}, ["x"] * 60, [{}] * 60),
]
BYTES = [
    b"",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"{",
    b"[" * 3000,
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b"NaN",
    b"1e999",
    b"9" * 400,
]
BYTES += [
    b"\r",
    b"\t",
    b"#",
    b"&a ",
    b"*a",
    b"!!x ",
    b"- ",
    b"? ",
    b"<<: ",
    b"---\n",
    b"\\ud800",
    b"\xe2\x80\xa8",
    b"22:22",
    b"0x",
    b"'",
    b"|\n",
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """Return a copy with `new` at a place; a place that an earlier change took away changes nothing."""
    if not at:
        return new
    changed = copy.deepcopy(value)
    inside = changed
    try:
        for key in at[:-1]:
            inside = inside[key]
        inside[at[-1]] = new
    except (KeyError, IndexError, TypeError):
        return value
    return changed


@st.composite
def changed(draw: st.DrawFn, value: Any, most: int = 3) -> Any:
    """A document with up to `most` values replaced, removed, doubled, or a key added."""
    for _ in range(draw(st.integers(1, most))):
        known = list(places(value))
        at = draw(st.sampled_from(known))
        new = draw(st.sampled_from(HOSTILE) | st.text(max_size=4) | st.integers() | st.floats())
        what = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "move"]))
        if what == "move":
            value = put(value, at, copy.deepcopy(_at(value, draw(st.sampled_from(known)))))
        elif what == "replace" or not at:
            value = put(value, at, new)
        elif what == "remove":
            value = _without(value, at)
        else:
            value = put(value, (*at[:-1], draw(st.sampled_from(["", "kind", "x", "\u202e", "constructor"]))), new)
    return value


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with something cut out, put in, or said twice."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        data = data[:start] + draw(st.sampled_from(BYTES) | st.just(data[start:end] * 2)) + data[end:]
    return data


def spoiled(value: Any) -> st.SearchStrategy[bytes]:
    """The bytes of a document that is a little wrong, in one way or the other."""
    whole = json.dumps(value).encode()
    return changed(value).map(encoded) | damaged(whole)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def _at(value: Any, at: tuple[Any, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


def _without(value: Any, at: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(value)
    inside = _at(changed, at[:-1])
    del inside[at[-1]]
    return changed
