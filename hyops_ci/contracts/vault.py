"""The part `vault` of the config: where secrets come from (docs/design/anti-drift.md 2.8)."""

from typing import Literal

from hyops_ci.contracts.authorities import AuthorityName
from hyops_ci.contracts.base import Clean, Duration, Model, Name, Namespace, Origin, RepoPath, Short


class VaultAddress(Model):
    """One address of the authority and the site it stands in."""

    url: Origin
    """Scheme, host and port."""
    site: Name
    """The site it stands in; an authority in the site that may be gone is refused."""


class BreakGlassLogin(Model):
    """How `hyops-ci run` logs in with GitHub down; never used on GitHub runners."""

    method: Literal["token-file"]
    """A token that a person made for this run lies in a file."""
    path: Clean
    """That file on the runner, mode 0600."""


class Vault(Model):
    """The external secret authority (docs/design/anti-drift.md 2.8)."""

    address: Origin | None = None
    """Scheme, host and port of HashiCorp Vault or OpenBao; TLS outside the lab."""
    site: Name | None = None
    """The site it stands in; the site that may be gone is refused."""
    addresses: tuple[VaultAddress, ...] = ()
    """Further addresses, each with its site, in the order in which they are tried."""
    kind: AuthorityName = "vault"
    """Which authority: `vault`, or `file` in envs of class `lab`."""
    path: Clean | None = None
    """Of a `file` authority; only in envs of class `lab`."""
    mount: Short = "secret"
    """Where its KV v2 engine is mounted."""
    auth_path: Short = "auth/jwt"
    """Where its JWT login is mounted."""
    namespace: Namespace | None = None
    """Of HCP Vault, Vault Enterprise or OpenBao: login, mount and roles are those of the namespace."""
    proxy: Origin | None = None
    """The proxy through which the authority is reached; one that the environment names is never used."""
    role: Short | None = None
    """The role of `execute`; `dr-<env>` where it is left out."""
    check_role: Short = "dr-check"
    """The role of `check`, which can see names and no values."""
    bootstrap_role: Short = "dr-bootstrap"
    """The role that reads what making a runner takes, and no secret of an env."""
    max_token_ttl: Duration = "PT15M"
    """How long a token of the role may live at most."""
    secret_map: RepoPath | None = None
    """The committed map of secret names to places in the authority."""
    profiles: tuple[Name, ...] = ("dr", "shared")
    """Scopes of that map whose secrets a decision may ask for."""
    break_glass: BreakGlassLogin | None = None
    """How to log in with GitHub down."""
