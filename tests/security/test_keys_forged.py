"""Attack: a public key that anybody can sign under, in a file that somebody copied from elsewhere (docs/design/contracts.md 5)."""

from __future__ import annotations

import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hyops_ci.config.file import read_trust
from hyops_ci.errors import Refusal
from hyops_ci.signing.dsse import open_envelope, pae
from tests.security.incident import Incident, assert_recovered, assert_refused
from tests.unit.contracts.test_public_key import LOW_ORDER, text_of


def nobodys(raw: bytes, payload: bytes) -> bytes | None:
    """A signature of a payload without a private key: s = 0, and a point of small order. None where this payload has none."""
    public = Ed25519PublicKey.from_public_bytes(raw)
    for point in LOW_ORDER:
        try:
            public.verify(point + bytes(32), pae("t", payload))
        except InvalidSignature:
            continue
        return point + bytes(32)
    return None


@pytest.mark.parametrize("raw", LOW_ORDER, ids=bytes.hex)
def test_a_config_with_a_key_that_anybody_signs_with(incident: Incident, raw: bytes) -> None:
    assert any(nobodys(raw, b"%d" % number) for number in range(64)), "the attack is one"
    incident.configure(lambda config: config["approvals"]["approvers"].update(jonas=text_of(raw)))
    assert_refused(incident, incident.plan(), "config.schema", 2, "/approvals/approvers/jonas", epoch=None)


@pytest.mark.parametrize("raw", LOW_ORDER, ids=bytes.hex)
@pytest.mark.parametrize("field", ["approvers", "evidence_keys"])
def test_a_host_trust_with_a_key_that_anybody_signs_with(incident: Incident, raw: bytes, field: str) -> None:
    approver = {"id": 1002, "login": "jonas", "key": text_of(raw)}
    trust = incident.trust | {field: [approver] if field == "approvers" else [text_of(raw)]}
    with pytest.raises(Refusal) as refused:
        read_trust(json.dumps(trust).encode(), "trust.json")
    assert (refused.value.gate, refused.value.exit_code) == ("config.schema", 2)
    assert f"/{field}/0" in refused.value.found


@pytest.mark.parametrize("raw", LOW_ORDER, ids=bytes.hex)
def test_a_signature_that_nobody_made(raw: bytes) -> None:
    """Wherever the key came from: no signature counts under it."""
    for number in range(64):
        payload = b"%d" % number
        envelope = {"payloadType": "t", "payload": text_of(payload)[8:], "signatures": [{"sig": text_of(nobodys(raw, payload) or b"")[8:]}]}
        assert open_envelope(envelope, "t", [text_of(raw)]).signers == ()


def test_a_key_that_somebody_has(incident: Incident) -> None:
    """The twin: jonas' own key, in the config and on the host."""
    incident.pinned = True
    read_trust(json.dumps(incident.trust).encode(), "trust.json")
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))
