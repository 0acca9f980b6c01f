"""The public keys of the token issuer: asked for over https each time, and kept on the host for when the issuer is out of reach.

What is kept lies where any job of this user could have written it: with the issuer's own answer at hand it counts for nothing.

OpenID Connect Discovery 1.0, section 4: `<issuer>/.well-known/openid-configuration` names `jwks_uri`. Both are asked of
the issuer's own origin and nowhere else; no redirect is followed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyops_ci import files
from hyops_ci.contracts.base import stamp
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Fault
from hyops_ci.files import UnsafeFile
from hyops_ci.http.client import HttpClient, Limits, host_ca, proxies_of
from hyops_ci.http.retry import repeat
from hyops_ci.parsing.documents import json_object

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

NAME: Final = "issuer-keys.json"
KEPT: Final = 7 * 24 * 3600
"""Seconds for which kept keys are good enough with the issuer out of reach."""
MAX_BYTES: Final = 256 * 1024
LIMITS: Final = Limits(seconds=15.0, connect=5.0, max_bytes=MAX_BYTES)
MIN_KEY_BITS: Final = 2048
_DISCOVERY: Final = "/.well-known/openid-configuration"

Jwks = dict[str, dict[str, Any]]
"""kid -> key as the issuer publishes it."""


class _Unusable(Exception):
    """The issuer's response cannot be used; the text says why."""


@dataclass
class IssuerKeys:
    """The keys of one issuer. Calling it with a `kid` returns that key, or None if the issuer has no such key."""

    issuer: str
    folder: Path
    """The host's state directory."""
    now: datetime
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Whose proxy is used, and nothing else of it."""
    sleep: Callable[[float], None] = time.sleep
    source: str = ""
    """Where the last answer came from: `issuer`, or `kept <time>`."""

    def __call__(self, kid: str) -> RSAPublicKey | None:
        """Return the key as the issuer has it, or where that does not answer as it had it lately. Raises Fault (exit 12) `host.issuer`."""
        kept, at = self._kept()
        fetched, problem = self._fetch()
        if not problem:
            self._keep(fetched)
            self.source = "issuer"
            return _public(fetched[kid]) if kid in fetched else None
        if kid in kept:
            self.source = f"kept {_time(at)}"
            return _public(kept[kid])
        raise Fault(
            "host.issuer",
            "the keys of the issuer cannot be fetched, so no caller can be verified",
            exit_code=Exit.UNAVAILABLE,
            found=f"{self.issuer}: {problem}; " + (f"no key {kid} kept since {_time(at)}" if kept else "none kept on this host"),
            expected="the issuer's keys, from itself or kept within the last 7 days",
            fix="let the host reach it (docs/host-trust.md); see githubstatus.com; then a new run, or `hyops-ci run` on the host",
            docs="host-trust.md",
        )

    def _age(self, at: int) -> float:
        """Return the seconds since then; infinity for a time in the future."""
        age = self.now.timestamp() - at
        return age if age >= 0 else float("inf")

    def _fetch(self) -> tuple[Jwks, str]:
        """Return the usable keys of the issuer, and the problem if there are none."""
        http = HttpClient(LIMITS, ca=host_ca(), proxies=proxies_of(self.environment, self.issuer))
        try:
            described = self._get(http, self.issuer + _DISCOVERY)
            return _usable(self._get(http, self._address_of_keys(described))), ""
        except _Unusable as problem:
            return {}, str(problem)
        finally:
            http.close()

    def _address_of_keys(self, described: Mapping[str, Any]) -> str:
        address, name = described.get("jwks_uri"), described.get("issuer")
        if name != self.issuer:
            raise _Unusable(f"it calls itself {str(name)[:200]}")
        origin = "/".join(self.issuer.split("/", 3)[:3])
        if not isinstance(address, str) or not address.startswith(origin + "/"):
            raise _Unusable(f"its keys would be at {str(address)[:200]}")
        return address

    def _get(self, http: HttpClient, address: str) -> dict[str, Any]:
        reply = repeat(
            lambda: http.send("GET", address, headers={"Accept": "application/json"}), lambda reply: reply.passing, sleep=self.sleep
        )
        if reply.status != 200:
            raise _Unusable(reply.outcome)
        return _object(reply.body)

    def _kept(self) -> tuple[Jwks, int]:
        """Return the kept keys and when they were fetched; none if others could have written them, of another issuer, or too old."""
        try:
            known = _object(files.read(self.folder / NAME, MAX_BYTES, owned=True))
            at, issuer, keys = known.get("at"), known.get("issuer"), _usable(known)
        except (OSError, UnsafeFile, _Unusable):
            return {}, 0
        if type(at) is not int or issuer != self.issuer or self._age(at) > KEPT:
            return {}, 0
        return keys, at

    def _keep(self, keys: Jwks) -> None:
        """Keep the keys. A host that cannot write them asks again next time."""
        document = {"issuer": self.issuer, "at": int(self.now.timestamp()), "keys": list(keys.values())}
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write(self.folder / NAME, json.dumps(document).encode())


def _object(content: bytes) -> dict[str, Any]:
    found = json_object(content)
    if found is None:
        raise _Unusable("the answer is not a JSON object")
    return found


def _usable(jwks: Mapping[str, Any]) -> Jwks:
    """Return the RSA signing keys by `kid`, without those that share one. Raises _Unusable where there are none."""
    keys = jwks.get("keys")
    found: Jwks = {}
    twice: set[str] = set()
    for key in keys if isinstance(keys, list) else ():
        if not isinstance(key, dict) or _public(key) is None:
            continue
        kid = key["kid"]
        twice |= {kid} if kid in found and found[kid] != key else set()
        found[kid] = key
    usable = {kid: key for kid, key in found.items() if kid not in twice}
    if not usable:
        raise _Unusable("no key that signs with RS256")
    return usable


def _public(key: Mapping[str, Any]) -> RSAPublicKey | None:
    """Return the public key, or None for another kind, use or algorithm, a short key, or one with private parts."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt.algorithms import RSAAlgorithm

    fits = key.get("kty") == "RSA" and key.get("use", "sig") == "sig" and key.get("alg", "RS256") == "RS256" and "d" not in key
    if not fits or not isinstance(key.get("kid"), str) or not key["kid"]:
        return None
    try:
        public = RSAAlgorithm.from_jwk(dict(key))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return public if isinstance(public, RSAPublicKey) and public.key_size >= MIN_KEY_BITS else None


def _time(at: int) -> str:
    from datetime import UTC, datetime

    return stamp(datetime.fromtimestamp(at, UTC))
