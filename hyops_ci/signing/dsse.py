"""DSSE envelopes over exact bytes, ed25519 (secure-systems-lab/dsse, protocol v1). The cryptography is `cryptography`'s.

Each kind of document has a payload type of its own, so that a signature of one kind is not valid for another.
"""

from __future__ import annotations

import base64
import binascii
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyops_ci.contracts.public_key import PREFIX, key_bytes
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.files import write_new
from hyops_ci.parsing.documents import read_json
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.text import shell

if TYPE_CHECKING:  # loaded where a key is used: most runs neither sign nor get a signature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT: Final = 0
MAX_ENVELOPE: Final = 256 * 1024


@dataclass(frozen=True)
class OpenedEnvelope:
    """An envelope's payload, and the public keys that signed it, as `ed25519:<base64>`."""

    payload: bytes
    signers: tuple[str, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the DSSE pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def new_key(path: Path) -> str:
    """Create a private key at `path` (PEM, mode 0600, never over an existing file). Returns its public key; raises Refusal (exit 2)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(path, pem)
    except OSError as error:
        raise _refuse(
            f"{path}: {error.strerror}", "a new file in a writable folder", "choose another path; a key is never replaced"
        ) from None
    return public_of(key)


def load_host_key(path: Path) -> Ed25519PrivateKey:
    """As `load_key`, of a host: its key may also be root's and readable by one group, so that whoever it signs for cannot change it."""
    return load_key(path, of_root=True)


def load_key(path: Path, *, of_root: bool = False) -> Ed25519PrivateKey:
    """Return the private key in `path`. Raises Refusal (exit 2) unless it is an ed25519 key that only its owner can read."""
    try:
        facts = path.stat()
        data = path.read_bytes()
    except OSError as error:
        raise _refuse(f"{path}: {error.strerror}", "a private key", "make one: hyops-ci approve --new-key PATH") from None
    mode = stat.S_IMODE(facts.st_mode)
    if mode & (0o037 if of_root and facts.st_uid == ROOT else 0o077):
        raise _refuse(f"{path}: mode {mode:04o}", "mode 0600", shell("chmod 600 {}; if others could read it, make a new one", path))
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise _refuse(f"{path} holds no unencrypted ed25519 key", "a PEM private key", "make one: hyops-ci approve --new-key PATH")
    return key


def public_of(key: Ed25519PrivateKey) -> str:
    """Return the public key as config and host trust write it: `ed25519:<base64>`."""
    return PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(payload: bytes, payload_type: str, keys: Iterable[Ed25519PrivateKey]) -> dict[str, Any]:
    """Return an envelope with one signature per key."""
    message = pae(payload_type, payload)
    signatures = [{"keyid": public_of(key), "sig": base64.b64encode(key.sign(message)).decode()} for key in keys]
    return {"payloadType": payload_type, "payload": base64.b64encode(payload).decode(), "signatures": signatures}


def open_envelope(envelope: Any, payload_type: str, keys: Iterable[str]) -> OpenedEnvelope:
    """Return the payload, and which of the trusted `keys` signed it; without a valid signature `signers` is empty.

    As the specification has it, key ids are hints (every key is tried) and unknown members are ignored. So is an entry that holds no
    signature: it takes none away from the others. Raises ValueError for anything but an envelope of this payload type.
    """
    if not isinstance(envelope, dict) or envelope.get("payloadType") != payload_type:
        raise ValueError(f"no envelope of {payload_type}")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) > 16:
        raise ValueError("no list of signatures")
    payload = _decode(envelope.get("payload"))
    message = pae(payload_type, payload)
    given = [each for entry in signatures if (each := _signature(entry))]
    signers = [key for key in dict.fromkeys(keys) if any(_verifies(key, each, message) for each in given)]
    return OpenedEnvelope(payload, tuple(signers))


def read_envelopes(text: str) -> list[Any]:
    """Return the envelopes in a JSON array, or a single one. Raises Refusal (exit 6) for anything else."""
    try:
        value = read_json(text, most=MAX_ENVELOPE)
    except JsonError:
        value = None
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise Refusal(
            "approval.envelope",
            "the approvals cannot be read",
            exit_code=Exit.APPROVAL,
            found=f"{len(text)} characters that are no JSON array",
            expected="what hyops-ci approve printed",
            fix="pass the envelopes as they are",
        )
    return value


def _verifies(key: str, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = Ed25519PublicKey.from_public_bytes(key_bytes(key))
        public.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signature(entry: Any) -> bytes:
    """Return the bytes of one signature, none for an entry that holds none."""
    try:
        return _decode(entry.get("sig") if isinstance(entry, dict) else None)
    except ValueError:
        return b""


def _decode(text: Any) -> bytes:
    """Return the bytes of a text in standard or URL-safe base64 (not in both), in the one spelling that each of them has."""
    if not isinstance(text, str):
        raise ValueError("no base64 text")
    standard = text if "+" in text or "/" in text else text.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("no base64 text") from None
    if base64.b64encode(data).decode() != standard:  # unused bits at the end: the same bytes in another spelling
        raise ValueError("base64 text with bits left over")
    return data


def _refuse(found: str, expected: str, fix: str) -> Refusal:
    return Refusal("signing.key", "the key cannot be used", exit_code=Exit.USAGE, found=found, expected=expected, fix=fix)
