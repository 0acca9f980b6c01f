"""Login to Vault by the job's OIDC token, or with GitHub down by a token file; and the refusals of a login."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.files import UnsafeFile
from hyops_ci.secrets.authorities.vault_api import VaultApi, VaultReply
from hyops_ci.secrets.password import read_private
from hyops_ci.text import shell

_CLAIM = re.compile(r'claim "(?P<claim>[^"]+)" (?P<what>does not match any associated bound claim values|is missing|not found in token)')


class Login(Protocol):
    """A login method."""

    @property
    def method(self) -> Literal["jwt", "token-file"]:
        """Its name in the manifest."""
        ...

    @property
    def role(self) -> str:
        """The role asked for."""
        ...

    def enter(self, api: VaultApi) -> str:
        """Return a client token for `api`'s origin. Raises Refusal (exit 8), Unreachable, or the Fault of the identity provider."""
        ...


@dataclass(frozen=True, slots=True)
class JwtLogin:
    """Login with the job's own identity, audience = the origin being called."""

    role: str
    auth_path: str
    token_for: Callable[[str], str] = field(repr=False)
    method: Literal["jwt"] = "jwt"

    def enter(self, api: VaultApi) -> str:
        """See `Login`."""
        jwt = self.token_for(api.origin)
        answer = api.ask("post", f"{self.auth_path}/login", body={"role": self.role, "jwt": jwt})
        auth = answer.body.get("auth")
        if answer.ok and isinstance(auth, dict) and isinstance(token := auth.get("client_token"), str) and token:
            return token
        raise login_refusal(answer, role=self.role, auth_path=self.auth_path, origin=api.origin, jwt=jwt)


@dataclass(frozen=True, slots=True)
class TokenFileLogin:
    """Break-glass: a token that a person put on the host, for `hyops-ci run` only. The same limits hold for it."""

    path: str
    role: str = ""
    method: Literal["token-file"] = "token-file"

    def enter(self, api: VaultApi) -> str:
        """See `Login`."""
        try:
            token = read_private(self.path).decode("ascii", "replace").strip()
        except UnsafeFile as fault:
            raise _refuse("the break-glass token cannot be read safely", fault.found, fault.expected, fault.fix) from None
        if not re.fullmatch(r"[A-Za-z0-9._-]{8,}", token):
            raise _refuse(
                "the break-glass token cannot be used", f"{self.path} holds no token", "one line with one token", "write it again"
            )
        return token


def login_refusal(answer: VaultReply, *, role: str, auth_path: str, origin: str, jwt: str) -> Refusal:
    """Return the refusal of a JWT login, with the claim at fault as it was sent and never the token."""
    sent = sent_claims(jwt)
    said = _without(answer.errors, jwt) or f"HTTP {answer.status}"
    who = f"role {role}"
    read_role = shell("vault read {}/role/{}", auth_path, role)
    if hit := _CLAIM.search(said):
        name = hit["claim"]
        value = shown(sent[name]) if name in sent else "no such claim"
        fix = f"{read_role}; add the value sent (docs/vault-role.md); new run"
        if name == "run_attempt":
            fix = "start a new run: a re-run never acts"
        return _refuse(
            "Vault does not know this workflow; no password is wrong",
            f'{who}: claim "{name}" {hit["what"]}; sent {value}',
            "a bound value that matches what was sent",
            fix,
        )
    if "audience" in said:
        return _refuse(
            "Vault does not accept tokens for this address; no password is wrong",
            f"{who}: {said}; sent aud {shown(sent.get('aud', 'none'))}",
            f"bound_audiences of the role holds {origin}",
            f"{read_role}; set bound_audiences to the address in the config (docs/vault-role.md); new run",
        )
    if "could not be found" in said:
        return _refuse(
            "Vault has no such role",
            f"{auth_path}: {said}",
            f"a role {role} at {auth_path}",
            "create it (docs/vault-role.md), or correct `vault.role`; new run",
        )
    if "expired" in said or "not yet valid" in said or "(iat)" in said:
        return _refuse(
            "Vault and GitHub disagree on the time",
            f"{who}: {said}; sent {', '.join(f'{name} {sent.get(name)}' for name in ('iat', 'nbf', 'exp'))}",
            "clocks within a minute of each other",
            "compare `date -u` on the Vault server with GitHub's time; new run",
        )
    if "issuer" in said or "signature" in said:
        return _refuse(
            "Vault does not know who issued this job's token",
            f"{who}: {said}; sent iss {shown(sent.get('iss', 'none'))}",
            "the issuer and keys of the GitHub that runs this job",
            f"{shell('vault read {}/config', auth_path)}; compare its issuer and keys (docs/vault-role.md); new run",
        )
    return _refuse(
        "Vault refused the login",
        f"{who} at {auth_path}: {said}",
        "a login method and role as in docs/vault-role.md",
        f"{read_role}; token_bound_cidrs and the audit log tell more; new run",
    )


def sent_claims(token: str) -> dict[str, object]:
    """Return the claims of a token, unverified: only to show what was sent. Empty when it cannot be read."""
    import jwt

    try:
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}


def token_fault(facts: Mapping[str, object], *, max_ttl: int, login: Login) -> Refusal | None:
    """Return the refusal of a token (by its own `lookup-self` data) that is not limited enough, or None.

    It must live at most `max_ttl` seconds, hold no general policy and be revocable.
    """
    policies = facts.get("policies")
    names = [str(policy) for policy in policies] if isinstance(policies, list) else []
    general = [name for name in names if name in ("root", "default")]
    if general or not names:
        return _refuse_token(login, f"policies {', '.join(names) or 'none'}", "only the policy of this env (token_no_default_policy)")
    if facts.get("type") != "service":
        return _refuse_token(login, f"token type {facts.get('type')}", "a service token: others cannot be revoked")
    life = _longest_life(facts)
    if life is None:
        return _refuse_token(login, "a token that can be renewed without end", f"token_explicit_max_ttl of at most {max_ttl} s")
    if life > max_ttl:
        return _refuse_token(
            login, f"a token that can live {life} s", f"token_explicit_max_ttl of at most {max_ttl} s (vault.max_token_ttl)"
        )
    return None


def refuse_lookup(login: Login, said: str) -> Refusal:
    """Return the refusal of a token that may not look itself up, so that its limits cannot be checked."""
    return _refuse_token(
        login, f"lookup-self: {said}", "`auth/token/lookup-self` (read) and `auth/token/revoke-self` (update) in the policy"
    )


def _longest_life(facts: Mapping[str, object]) -> int | None:
    """Return the seconds from its creation to its end, or None when it can be renewed for ever."""
    explicit, first = facts.get("explicit_max_ttl"), facts.get("creation_ttl")
    if isinstance(explicit, int) and explicit > 0:
        return explicit
    if isinstance(first, int) and first > 0 and facts.get("renewable") is False:
        return first
    return None


def _without(said: str, jwt: str) -> str:
    """Return a message without the token that was sent."""
    for part in (jwt, *jwt.split(".")):
        if part:
            said = said.replace(part, "***")
    return said


def _refuse(reason: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal("secrets.login", reason, exit_code=Exit.SECRETS, found=found, expected=expected, fix=fix, docs="vault-role.md")


def _refuse_token(login: Login, found: str, expected: str) -> Refusal:
    what = f"role {login.role}" if login.role else login.method
    return Refusal(
        "secrets.token",
        "the authority gives a login with more power than a run may hold; it was given back",
        exit_code=Exit.SECRETS,
        found=f"{what}: {found}",
        expected=expected,
        fix="correct the role (docs/vault-role.md), then a new run",
        docs="vault-role.md",
    )
