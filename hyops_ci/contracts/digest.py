"""Identity of documents: sha256 over RFC 8785 bytes (docs/design/contracts.md 0)."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import rfc8785

SHA256: Final = r"^sha256:[0-9a-f]{64}$"


def canonical(document: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises `rfc8785.CanonicalizationError` for what JSON cannot say."""
    return rfc8785.dumps(document)


def digest(document: Any) -> str:
    """`sha256:<hex>` of a JSON value's canonical bytes."""
    return digest_bytes(canonical(document))


def digest_bytes(data: bytes) -> str:
    """`sha256:<hex>` of exactly these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
