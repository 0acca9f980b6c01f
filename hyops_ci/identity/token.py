"""Verification of a job's token: signature, issuer, audience, times. Its other claims are compared in `claims`.

RFC 8725 (JWT best practices): the algorithm is ours to choose, not the token's; one issuer, one audience.
No error, and no context of one, holds the token or a part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from hyops_ci.errors import DispatchError, Exit, Refusal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    KeyOf = Callable[[str], RSAPublicKey | None]

ALGORITHM: Final = "RS256"
LEEWAY: Final = 30
"""Seconds that the clocks of host and issuer may differ."""
MAX_LIFETIME: Final = 3600
"""Seconds. GitHub's tokens live minutes; a longer one is not GitHub's, and would have to be remembered for as long."""
MAX_CHARACTERS: Final = 16 * 1024
REQUIRED: Final = ("iss", "aud", "exp", "nbf", "iat", "jti")
_NEW_RUN: Final = "start a new run"


def verify_token(token: str, key_of: KeyOf, *, issuer: str, audience: str, now: float) -> dict[str, Any]:
    """Return the claims of a token that `issuer` signed for `audience` and that is valid at `now` (seconds since the epoch).

    `key_of` gives the issuer's key of a `kid`, or None. Raises Refusal (exit 7) `host.token`, and what `key_of` raises.
    """
    kid = _key_id(token)
    key = key_of(kid)
    if key is None:
        raise token_refusal(
            "signed with a key that the issuer does not have",
            found=f"kid {kid}",
            expected=f"a key of {issuer}",
            fix="look at issuer in the host's trust file; a token from anywhere else is forged",
        )
    claims, refusal = _decoded(token, key, kid, issuer, audience)
    if refusal is not None:
        raise refusal
    _check_times(claims, now)
    return claims


def token_refusal(reason: str, *, found: str, expected: str, fix: str = _NEW_RUN) -> Refusal:
    """Return the refusal of a token."""
    return Refusal("host.token", reason, exit_code=Exit.RUNNER, found=found, expected=expected, fix=fix, docs="host-trust.md")


def token_unavailable(error: DispatchError) -> DispatchError:
    """Return the error of requesting a token under this gate; a service that did not respond stays a Fault (exit 12)."""
    code = error.exit_code if error.exit_code is Exit.UNAVAILABLE else Exit.RUNNER
    reason = error.reason if code is Exit.UNAVAILABLE else "this job cannot prove to this host who calls"
    return type(error)(
        "host.token", reason, exit_code=code, found=error.found, expected=error.expected, fix=error.fix, docs="host-trust.md"
    )


def _key_id(token: str) -> str:
    """Return the `kid` of a token with a valid header. Raises Refusal."""
    header, problem = _header(token)
    if problem:
        raise token_refusal("no token", found=problem, expected=f"a token signed with {ALGORITHM}")
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm != ALGORITHM:
        raise token_refusal("signed with another algorithm", found=f"alg {str(algorithm)[:40]}", expected=f"alg {ALGORITHM}")
    if "crit" in header or "b64" in header:
        raise token_refusal("a header that is not supported", found="crit or b64 in the header", expected="alg, kid and typ")
    if not isinstance(kid, str) or not 1 <= len(kid) <= 200:
        raise token_refusal("the token does not say which key signed it", found="no kid", expected="the kid of a key of the issuer")
    return kid


def _header(token: str) -> tuple[dict[str, Any], str]:
    import jwt

    if len(token) > MAX_CHARACTERS:
        return {}, f"{len(token)} characters"
    try:
        return jwt.get_unverified_header(token), ""
    except (jwt.InvalidTokenError, ValueError):
        return {}, f"{len(token)} characters that are not a JWT"


def _decoded(token: str, key: RSAPublicKey, kid: str, issuer: str, audience: str) -> tuple[dict[str, Any], Refusal | None]:
    """Return the claims, or the refusal. PyJWT compares issuer and audience; the times are ours, as it has a clock of its own."""
    import jwt

    ours = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_jti": False}
    options: Any = {"require": list(REQUIRED), "strict_aud": True, **ours}
    forged = "a forged or damaged token: find out which job sent it"
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[ALGORITHM], issuer=issuer, audience=audience, options=options)
    except jwt.InvalidSignatureError:
        return {}, token_refusal("the signature does not fit", found=f"kid {kid}", expected=f"a token as {issuer} signed it", fix=forged)
    except jwt.MissingRequiredClaimError as error:
        return {}, token_refusal("the token lacks what it must say", found=f"no {error.claim}", expected=", ".join(REQUIRED))
    except jwt.InvalidIssuerError:
        own = "an enterprise that has an issuer of its own: as root on the host, write it as issuer into /etc/dr-dispatch/trust.json"
        return {}, token_refusal("issued by another issuer", found=_said(token, "iss"), expected=f"iss {issuer}", fix=own)
    except jwt.InvalidAudienceError:
        return {}, token_refusal("the token is for another audience", found=_said(token, "aud"), expected=f"aud {audience}")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}, token_refusal("the token cannot be read", found=f"kid {kid}", expected=f"a token as {issuer} signed it", fix=forged)
    jti = claims["jti"]
    if not isinstance(jti, str) or not 1 <= len(jti) <= 500:
        return {}, token_refusal("the token has no id", found=f"jti of type {type(jti).__name__}", expected="an id, so that it counts once")
    return claims, None


def _said(token: str, claim: str) -> str:
    """Return one claim of a token with a valid signature, for a refusal."""
    import jwt

    value = jwt.decode(token, options={"verify_signature": False}).get(claim)
    return f"{claim} {value[:200] if isinstance(value, str) else f'of type {type(value).__name__}'}"


def _check_times(claims: Mapping[str, object], now: float) -> None:
    times: dict[str, int] = {}
    for name in ("exp", "nbf", "iat"):
        value = claims[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise token_refusal(
                "a time is not a whole number", found=f"{name} of type {type(value).__name__}", expected="whole seconds since 1970"
            )
        times[name] = value
    clock = "the clock of the host: timedatectl; then a new run"
    if now >= times["exp"] + LEEWAY:
        raise token_refusal("the token has expired", found=f"exp {now - times['exp']:.0f} s ago", expected="a fresh token", fix=clock)
    for name in ("nbf", "iat"):
        if now < times[name] - LEEWAY:
            raise token_refusal(
                "the token is not valid yet", found=f"{name} in {times[name] - now:.0f} s", expected="a time in the past", fix=clock
            )
    if not 0 < times["exp"] - times["iat"] <= MAX_LIFETIME:
        raise token_refusal("the token would live too long", found=f"{times['exp'] - times['iat']} s", expected=f"at most {MAX_LIFETIME} s")
