"""Public keys as documents write them: `ed25519:` and the 32 bytes in base64, in the one spelling that there is.

Under a point of small order anybody can sign, with no private key. Those, and points that are not spelled as RFC 8032 spells them,
are refused wherever a key is read (docs/design/contracts.md 5).
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Final

from pydantic import AfterValidator

from hyops_ci.contracts.base import FORBIDDEN, Text

PREFIX: Final = "ed25519:"
EXPECTED: Final = "ed25519: and the base64 of a public key under which only its owner can sign"
_FORM: Final = r"^ed25519:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"  # 32 bytes, and no bits left over at the end
_WEAK: Final = (
    "^ed25519:("
    "A[AQ]A{39}[AI]A"  # y = 0 and 1: orders 4 and 1
    "|7P/{39}[3/]8"  # y = -1: order 2
    "|JuiVj8KyJ7BFw/SJ8u[+]Y8NXfrAXTxjM5sTgCiG1T/[AI]U"  # the two y of order 8
    "|xxdqcD1N2E[+]6PAt2DRBnDyogU/osOczGTsf9d5KsA[3/]o"
    "|(7[fv/]|[89+/][Pfv/])/{39}[3/]8"  # y not below 2^255 - 19: a second spelling of 0 to 18
    ")=$"
)
"""The 48 encodings that are refused, each y with either sign of x."""


def key_bytes(text: str) -> bytes:
    """Return the 32 bytes of a public key. Raises ValueError for any other text, and for a key under which anybody can sign."""
    if not re.fullmatch(_FORM, text):
        raise ValueError("has another form than ed25519: and 32 bytes in base64")
    if re.fullmatch(_WEAK, text):
        raise ValueError("is a public key under which anybody can sign")
    return base64.b64decode(text.removeprefix(PREFIX), validate=True)


def _strong(text: str) -> str:
    key_bytes(text)
    return text


PublicKey = Annotated[str, Text(_FORM, **{"not": {"pattern": f"{FORBIDDEN}|{_WEAK}", "title": EXPECTED}}), AfterValidator(_strong)]
