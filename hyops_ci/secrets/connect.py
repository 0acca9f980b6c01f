"""From the plan's `SecretPlan` to an authority that can be asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import SecretPlan
from hyops_ci.errors import Exit, Refusal
from hyops_ci.http.client import Limits
from hyops_ci.secrets.address import check_address
from hyops_ci.secrets.port import Purpose, SecretAuthority


def open_authority(
    plan: SecretPlan,
    env_class: EnvClass,
    purpose: Purpose,
    *,
    token_for: Callable[[str], str] | None = None,
    token_file: str = "",
    namespace: str = "",
    ca_bundle: str | None = None,
    limits: Limits | None = None,
    sleep: Callable[[float], None] = time.sleep,
    learn: Callable[[str], None] | None = None,
) -> SecretAuthority:
    """The authority of `plan`, not yet logged in: the first question does that, `close` revokes.

    `token_for(audience)` is the job's identity (`identity.oidc_request.job_identity`); `token_file` takes its place in `hyops-ci run` only.
    `learn` is told every token as soon as it is known, for the redactor. Raises Refusal: exit 4 for an address in clear
    or a file outside class `lab`, exit 8 with no way to log in.
    """
    from hyops_ci.secrets.authorities.file import FileAuthority
    from hyops_ci.secrets.authorities.login import JwtLogin, Login, TokenFileLogin
    from hyops_ci.secrets.authorities.vault import Connection, VaultAuthority
    from hyops_ci.secrets.authorities.vault_api import LIMITS

    if plan.kind == "file":
        return FileAuthority(Path(plan.path), env_class)
    for origin, _ in plan.addresses:
        check_address(origin, lab=env_class is EnvClass.LAB)
    role = plan.check_role if purpose is Purpose.CHECK else plan.role
    if not plan.addresses:
        raise _refuse("no address", "at least one `vault` address")
    login: Login
    if token_file:
        login = TokenFileLogin(token_file)
    elif token_for is None:
        raise _refuse("no identity of a job and no token file", "one way to log in")
    elif not role:
        raise _refuse(f"no role for {purpose.value}", "`vault.role` and `vault.check_role`")
    else:
        login = JwtLogin(role, plan.auth_path, token_for)
    connection = Connection(tuple(origin for origin, _ in plan.addresses), namespace, ca_bundle, limits or LIMITS, sleep)
    # A person's token must survive the check to serve the run that follows it; the run ends it.
    revoke = not token_file or purpose is Purpose.EXECUTE
    return VaultAuthority(connection, login, max_token_ttl=seconds(plan.max_token_ttl), revoke=revoke, learn=learn)


def _refuse(found: str, expected: str) -> Refusal:
    return Refusal(
        "secrets.login",
        "the plan names no way into the authority",
        exit_code=Exit.SECRETS,
        found=found,
        expected=expected,
        fix="complete `vault` in the config (docs/secrets.md)",
        docs="secrets.md",
    )
