"""A host, its trust, an issuer's keys and a job: what the cases of `tests/cases/caller/{accept,refuse}/*.yml` change.

stage:    check (as without it) or execute
claims:   claims of the token that are others; null leaves one out
times:    exp, nbf, iat in seconds from now; null leaves one out
header:   header fields that are others; null leaves one out
signed:   how, where not with the issuer's key: see `sign`
token:    the whole token, where it is none
trust:    fields of the trust file that are others
said:     what the job's environment says differently of itself
used:     true when the token was used before
expect:   gate, and parts of reason, found, expected, fix; of an accepted caller its facts
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.identity.claims import Caller, Expected, accept_caller, audience_of
from hyops_ci.identity.replay import spend_token
from hyops_ci.identity.token import verify_token
from tests.support.issuer import GITHUB_CLAIMS, ISSUER, WORKFLOW_SHA, SigningKey, signing_key

CASES = Path(__file__).parents[2] / "cases" / "caller"
NOW = 1_795_440_994
SHA = "c0ffee" + "0" * 34
TRUST: Mapping[str, Any] = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 4242,
    "repository_owner_id": 77,
    "ref": "refs/heads/main",
    "workflow_shas": [WORKFLOW_SHA],
    "workflow_ref": "hybridops/dr-dispatch/.github/workflows/dispatch.yml",
    "caller_workflows": ["acme/recovery/.github/workflows/dr.yml", "acme/recovery/.github/workflows/dr-decision.yml"],
    "runner_refs": ["gcp-ops-runner"],
    "approvers": [{"id": 7, "login": "jonas"}],
    "gates": {"prod": "dr-prod", "lab": "dr-lab"},
}
SAID: Mapping[str, str] = {
    "run_id": "9001",
    "run_attempt": "1",
    "repository_id": "4242",
    "ref": "refs/heads/main",
    "sha": SHA,
    "event_name": "workflow_dispatch",
    "actor_id": "1001",
}
TIMES: Mapping[str, int] = {"iat": -5, "nbf": -605, "exp": 295}
JTI = "7c1e44a9-0000-4000-8000-000000000001"


@dataclass
class TokenCase:
    """One caller at one host."""

    stage: str = "check"
    claims: Mapping[str, Any] = field(default_factory=dict)
    times: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    signed: str = "issuer"
    token: str | None = None
    trust: Mapping[str, Any] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    used: bool = False
    expect: Mapping[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> HostTrust:
        return HostTrust.model_validate_json(json.dumps({**TRUST, **self.trust}))

    def payload(self) -> dict[str, Any]:
        """Every claim of the token."""
        environment = "dr-check" if self.stage == "check" else "dr-prod"
        times = {name: None if after is None else NOW + after for name, after in {**TIMES, **self.times}.items()}
        usual = {**GITHUB_CLAIMS, "jti": JTI, "sha": SHA, "environment": environment, "aud": audience_of(self.host)}
        return {name: value for name, value in {**usual, **times, **self.claims}.items() if value is not None}

    def made(self) -> str:
        return self.token if self.token is not None else sign(self.payload(), self.signed, self.header)

    def come(self, folder: Path, keys: Mapping[str, SigningKey] | None = None) -> Caller:
        """Stand before the host, as `stages/job_identity.py` has it. Raises Refusal."""
        known = keys if keys is not None else {"key-1": signing_key()}
        trust = self.host
        token = self.made()

        def key_of(kid: str) -> Any:
            return known[kid].private.public_key() if kid in known else None

        claims = verify_token(token, key_of, issuer=trust.issuer, audience=audience_of(trust), now=NOW)
        gates = (trust.check_gate,) if self.stage == "check" else tuple(trust.gates.values())
        said = {name: value for name, value in {**SAID, **self.said}.items() if value}
        caller = accept_caller(claims, trust, Expected(gates, self.stage == "execute", said), keys="issuer")
        for _ in range(1 + self.used):
            spend_token(folder, caller.token_id, expires=claims["exp"], now=NOW)
        return caller


def sign(payload: Mapping[str, Any], how: str, header: Mapping[str, Any]) -> str:
    """A token of `payload`: by the issuer, by somebody else, or in the ways that have opened doors before."""
    key, other = signing_key(), signing_key("key-2")
    match how:
        case "issuer":
            return assemble(payload, {"alg": "RS256", "kid": key.kid, "typ": "JWT", **header}, key)
        case "somebody-else":
            return assemble(payload, {"alg": "RS256", "kid": key.kid, "typ": "JWT", **header}, other)
        case "somebody-else-under-their-own-name":
            return assemble(payload, {"alg": "RS256", "kid": other.kid, "typ": "JWT", **header}, other)
        case "somebody-else-with-the-key-in-the-header":
            return assemble(payload, {"alg": "RS256", "kid": key.kid, "jwk": other.jwk(), "typ": "JWT", **header}, other)
        case "nobody":
            return f"{encoded({'alg': 'none', 'kid': key.kid, **header})}.{encoded(payload)}."
        case "public-key-as-secret":
            head = f"{encoded({'alg': 'HS256', 'kid': key.kid, 'typ': 'JWT', **header})}.{encoded(payload)}"
            return f"{head}.{base64url(hmac.new(key.pem(), head.encode(), hashlib.sha256).digest())}"
        case "other-payload":
            head, _, signature = sign({**payload, "environment": "dr-lab"}, "issuer", header).split(".")
            return f"{head}.{encoded(payload)}.{signature}"
        case "cut":
            return sign(payload, "issuer", header)[:-20]
        case "no-signature":
            return sign(payload, "issuer", header).rpartition(".")[0] + "."
    raise ValueError(how)


def assemble(payload: Mapping[str, Any], header: Mapping[str, Any], key: SigningKey) -> str:
    """A token that RS256 signs, whatever its header says."""
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import SHA256

    head = f"{encoded({name: value for name, value in header.items() if value is not None})}.{encoded(payload)}"
    return f"{head}.{base64url(key.private.sign(head.encode(), padding.PKCS1v15(), SHA256()))}"


def encoded(value: Any) -> str:
    return base64url(json.dumps(value).encode())


def base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def names(side: str) -> list[str]:
    found = sorted(path.stem for path in (CASES / side).glob("*.yml"))
    if not found:
        raise FileNotFoundError(CASES / side)
    return found


def load(side: str, name: str) -> TokenCase:
    return TokenCase(**yaml.safe_load((CASES / side / f"{name}.yml").read_text(encoding="utf-8")))


__all__ = ["ISSUER", "NOW", "SAID", "SHA", "TRUST", "TokenCase", "load", "names", "sign"]
