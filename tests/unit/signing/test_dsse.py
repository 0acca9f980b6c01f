from __future__ import annotations

import base64
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import Refusal
from hyops_ci.signing import dsse
from hyops_ci.signing.dsse import load_host_key, load_key, new_key, open_envelope, pae, public_of, read_envelopes, sign
from tests.unit.evidence.sample_run import JONAS, PRIYA

KIND = "application/vnd.test+json"
BOTH = (public_of(JONAS), public_of(PRIYA))


def test_the_encoding_is_that_of_the_specification() -> None:
    # secure-systems-lab/dsse, protocol.md, test vector
    assert pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_another_implementation_reads_it() -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    public = SSlibKey("id", "ed25519", "ed25519", {"public": base64.b64decode(public_of(JONAS)[8:]).hex()})
    envelope = sign(b"payload", KIND, [JONAS])
    envelope["signatures"][0]["keyid"] = "id"
    assert Envelope.from_dict(envelope).verify([public], 1)


@given(payload=st.binary(max_size=300))
def test_who_signed_is_known(payload: bytes) -> None:
    assert open_envelope(sign(payload, KIND, [JONAS]), KIND, BOTH).signers == BOTH[:1]
    opened = open_envelope(sign(payload, KIND, [JONAS, PRIYA]), KIND, BOTH)
    assert (opened.payload, opened.signers) == (payload, BOTH)
    assert open_envelope(sign(payload, KIND, []), KIND, BOTH).signers == ()


@given(at=st.integers(0, 87), by=st.integers(1, 127))
def test_a_changed_signature_is_none(at: int, by: int) -> None:
    envelope = sign(b"payload", KIND, [JONAS])
    signature = envelope["signatures"][0]["sig"]
    envelope["signatures"][0]["sig"] = signature[:at] + chr(ord(signature[at]) ^ by) + signature[at + 1 :]
    with suppress(ValueError):  # what is no base64 any more is no envelope either
        assert open_envelope(envelope, KIND, BOTH).signers == ()


@pytest.mark.parametrize(
    "entry",
    [
        {"sig": "%%%"},
        {"sig": ""},
        {"sig": None},
        {"sig": ["AAAA"]},
        {"sig": base64.b64encode(bytes(63)).decode()},
        {"keyid": public_of(JONAS)},
        {},
        "AAAA",
        None,
    ],
)
def test_an_entry_that_is_no_signature_takes_none_away(entry: object) -> None:
    envelope = sign(b"payload", KIND, [PRIYA])
    for signatures in ([entry, *envelope["signatures"]], [*envelope["signatures"], entry]):
        assert open_envelope(envelope | {"signatures": signatures}, KIND, BOTH).signers == BOTH[1:]
    assert open_envelope(envelope | {"signatures": [entry]}, KIND, BOTH).signers == ()


@pytest.mark.parametrize("keyid", ["", "anything", None, 7, public_of(PRIYA)])
def test_a_key_id_is_a_hint_and_further_members_are_nothing(keyid: object) -> None:
    envelope = sign(b"payload", KIND, [JONAS])
    envelope["signatures"][0] |= {"keyid": keyid, "cert": "-----BEGIN CERTIFICATE-----"}
    assert open_envelope(envelope | {"also": "this"}, KIND, BOTH).signers == BOTH[:1]
    del envelope["signatures"][0]["keyid"]
    assert open_envelope(envelope, KIND, BOTH).signers == BOTH[:1]


@given(payload=st.binary(min_size=1, max_size=300))
def test_url_safe_base64_is_the_same_envelope(payload: bytes) -> None:
    envelope = sign(payload, KIND, [JONAS])
    there = str.maketrans("+/", "-_")
    safe = envelope | {
        "payload": envelope["payload"].translate(there),
        "signatures": [{"sig": envelope["signatures"][0]["sig"].translate(there)}],
    }
    assert open_envelope(safe, KIND, BOTH) == open_envelope(envelope, KIND, BOTH)


@pytest.mark.parametrize("payload", ["-_+/", "+_==", "_/8=", "-A==\n", "-A", "-B==", "_x==", "-A=", "-\u0660==", "\uff0dA=="])
def test_each_alphabet_has_one_spelling(payload: str) -> None:
    """Both in one text, line ends, no padding, bits left over: another text of the same bytes, or of none."""
    with pytest.raises(ValueError, match="base64"):
        open_envelope(sign(b"", KIND, [JONAS]) | {"payload": payload}, KIND, BOTH)


@pytest.mark.parametrize("kind", ["", "application/vnd.other+json", None])
def test_another_kind_is_refused(kind: str | None) -> None:
    with pytest.raises(ValueError, match="no envelope of"):
        open_envelope(sign(b"x", KIND, [JONAS]) | {"payloadType": kind}, KIND, BOTH)


@pytest.mark.parametrize(("mode", "usable"), [(0o600, True), (0o440, True), (0o640, True), (0o660, False), (0o444, False), (0o450, False)])
def test_a_hosts_key_is_its_users_alone_or_roots_for_one_group(
    mode: int, usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "host.key"
    public = new_key(path)
    path.chmod(mode)
    monkeypatch.setattr(dsse, "ROOT", os.getuid())
    if usable:
        assert public_of(load_host_key(path)) == public
    else:
        with pytest.raises(Refusal, match=r"signing\.key"):
            load_host_key(path)
    monkeypatch.setattr(dsse, "ROOT", os.getuid() + 1)
    if mode != 0o600:
        with pytest.raises(Refusal, match=r"signing\.key"):
            load_host_key(path)


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "jonas.pem"
    public = new_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_of(load_key(path)) == public
    with pytest.raises(Refusal, match=r"signing\.key"):
        new_key(path)
    path.chmod(0o640)
    with pytest.raises(Refusal) as refused:
        load_key(path)
    assert "mode 0640" in refused.value.found
    for content in (b"", b"canary-key", b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n"):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(Refusal) as refused:
            load_key(path)
        assert "canary" not in "\n".join(refused.value.lines())
    with pytest.raises(Refusal):
        load_key(tmp_path / "absent")


@given(text=st.text(max_size=50) | st.just("[" * 100_000) | st.just(" " * 300_000))
def test_envelopes_are_read_or_refused(text: str) -> None:
    with suppress(Refusal):
        assert isinstance(read_envelopes(text), list)
