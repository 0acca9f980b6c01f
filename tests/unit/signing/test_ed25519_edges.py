"""What counts as a signature at the edges of ed25519 (docs/design/contracts.md 5), by the vectors published for implementers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.signing import dsse
from hyops_ci.signing.dsse import PREFIX, open_envelope, pae, public_of

VECTORS = json.loads((Path(__file__).parents[2] / "cases" / "signing" / "ed25519-edges.json").read_text())["vectors"]
REFUSED = {"low_order_A", "non_canonical_A", "non_canonical_R", "low_order_residue"}
"""Keys under which anybody can sign, other spellings of a point, and what holds only when multiplied by the cofactor."""
ORDER = 2**252 + 27742317777372353535851937790883648493


def counts(key: bytes, signature: bytes, message: bytes) -> bool:
    return dsse._verifies(PREFIX + base64.b64encode(key).decode(), signature, message)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['number']}-{'-'.join(vector['flags'])}")
def test_the_policy_is_the_one_on_the_page(vector: dict[str, Any]) -> None:
    key, signature = bytes.fromhex(vector["key"]), bytes.fromhex(vector["sig"])
    assert counts(key, signature, vector["msg"].encode()) is not bool(REFUSED & set(vector["flags"]))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_s_has_one_spelling(times: int) -> None:
    """s + the order of the base point is the same number to a verifier that does not look (RFC 8032, 8.4)."""
    key = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    signature = key.sign(pae("t", b"payload"))
    again = signature[:32] + (int.from_bytes(signature[32:], "little") + times * ORDER).to_bytes(32, "little")
    envelope: dict[str, Any] = {"payloadType": "t", "payload": base64.b64encode(b"payload").decode()}
    for sig, signers in ((signature, (public_of(key),)), (again, ())):
        said = envelope | {"signatures": [{"sig": base64.b64encode(sig).decode()}]}
        assert open_envelope(said, "t", [public_of(key)]).signers == signers
