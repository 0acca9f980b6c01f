"""Public keys: one spelling each, and none under which anybody can sign."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hyops_ci.contracts.public_key import PublicKey, key_bytes
from hyops_ci.signing.dsse import open_envelope, pae, public_of

ROOT = Path(__file__).parents[3]
P: Final = 2**255 - 19
ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL: Final = (0, 1, P - 1, ORDER_8, P - ORDER_8)
"""The y of the eight points whose order divides 8 (RFC 7748, 6; libsodium's list is of the same)."""


def text_of(raw: bytes) -> str:
    return "ed25519:" + base64.b64encode(raw).decode()


def encoded(y: int, sign: int) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


WEAK = [encoded(y, sign) for y in (*SMALL, *range(P, 2**255)) for sign in (0, 1)]
LOW_ORDER = WEAK[:14]
"""The eight points in their fourteen spellings: those under which the library below verifies signatures that nobody made."""


def forges(raw: bytes) -> bool:
    """Whether a signature that nobody made, with s = 0 and a point of small order, is one of this key for some message.

    The equation is then R = -kA: with A of small order it holds for at least one message in eight.
    """
    public = Ed25519PublicKey.from_public_bytes(raw)
    for number in range(64):
        for point in LOW_ORDER:
            try:
                public.verify(point + bytes(32), b"%d" % number)
            except InvalidSignature:
                continue
            return True
    return False


@pytest.mark.parametrize("raw", WEAK, ids=bytes.hex)
def test_a_weak_key_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="anybody can sign"):
        key_bytes(text_of(raw))
    with pytest.raises(ValidationError):
        TypeAdapter(PublicKey).validate_python(text_of(raw))


def test_there_are_eight_points_of_small_order_and_they_can_be_forged() -> None:
    """What is refused is not refused for nothing: the library below verifies such signatures."""
    assert len(set(WEAK)) == 48
    assert [raw for raw in WEAK if forges(raw)] == LOW_ORDER


@given(raw=st.binary(min_size=32, max_size=32))
@example(encoded(2, 0))
@example(encoded(P - 2, 1))
@example(b"\xec" + b"\xff" * 30 + b"\x7e")
@example(b"\xff" * 31 + b"\x7e")
@example(b"\xff" * 30 + b"\xfe\x7f")
def test_every_other_key_is_taken(raw: bytes) -> None:
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y < P and y not in SMALL:
        assert key_bytes(text_of(raw)) == raw
    else:
        with pytest.raises(ValueError, match="anybody can sign"):
            key_bytes(text_of(raw))


@given(seed=st.binary(min_size=32, max_size=32))
def test_a_key_that_somebody_has_is_taken(seed: bytes) -> None:
    key_bytes(public_of(Ed25519PrivateKey.from_private_bytes(seed)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519:",
        text_of(b"\x05" * 31),
        text_of(b"\x05" * 33),
        text_of(b"\x05" * 32) + "\n",
        " " + text_of(b"\x05" * 32),
        text_of(b"\x05" * 32).removesuffix("="),
        text_of(b"\x05" * 32).replace("ed25519", "Ed25519"),
        text_of(b"\x05" * 32)[:-2] + "V=",
        text_of(b"\xfb" * 32).replace("+", "-"),
    ],
)
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="another form than ed25519:"):
        key_bytes(text)


@pytest.mark.parametrize("raw", LOW_ORDER, ids=bytes.hex)
def test_nothing_is_signed_under_a_weak_key(raw: bytes) -> None:
    """Also where a key was not read from a document."""
    envelope = {"payloadType": "t", "payload": "", "signatures": [{"sig": base64.b64encode(WEAK[2] + bytes(32)).decode()}]}
    assert pae("t", b"")
    assert open_envelope(envelope, "t", [text_of(raw)]).signers == ()


def test_nobody_else_can_sign_with_a_key_of_a_page_or_a_case() -> None:
    """Somebody will copy it. A page has words there; in cases are keys that some test has."""
    spelled = re.compile(rb"ed25519:([A-Za-z0-9+/_-]{43}=)")
    pages = [path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("workflows-templates/*")) if path.is_file()]
    assert [path for path in pages if spelled.search(path.read_bytes())] == []
    cases = [path for path in (ROOT / "tests" / "cases").rglob("*") if path.is_file() and path.parent.name != "refuse"]
    keys = {key for path in cases for key in spelled.findall(path.read_bytes())}
    assert keys
    assert not [key for key in keys if forges(base64.b64decode(key))]
