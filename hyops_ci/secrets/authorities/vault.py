"""HashiCorp Vault and OpenBao: KV v2, read as one role for one run, the token revoked at its end (docs/design/anti-drift.md 2.8)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import SecretPlan, SecretRef
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.http.client import Limits
from hyops_ci.secrets.address import check_address
from hyops_ci.secrets.authorities.login import JwtLogin, Login, TokenFileLogin, refuse_lookup, token_fault
from hyops_ci.secrets.authorities.refusals import no_login, no_subkeys, no_versions, refuse_missing, unavailable
from hyops_ci.secrets.authorities.vault_api import LIMITS, Unreachable, VaultApi, VaultReply
from hyops_ci.secrets.port import Access, Purpose
from hyops_ci.secrets.values import Secret, refuse_values, text_fault

T = TypeVar("T")
_PATH = re.compile(r"[A-Za-z0-9_.@-]+(/[A-Za-z0-9_.@-]+)+")


@dataclass(frozen=True, slots=True)
class Connection:
    """How the authority is reached."""

    origins: tuple[str, ...]
    """In the order tried; the next one only when one gives no answer."""
    namespace: str = ""
    proxy: str = ""
    ca_bundle: str | None = None
    limits: Limits = LIMITS
    """Of each request."""
    sleep: Callable[[float], None] = time.sleep


def open_authority(plan: SecretPlan, access: Access) -> VaultAuthority:
    """Return the authority at the plan's addresses, not yet logged in.

    Raises Refusal: exit 4 for an address in clear outside the lab, exit 8 (`secrets.login`) with no way to log in.
    """
    for origin, _ in plan.addresses:
        check_address(origin, lab=access.env_class is EnvClass.LAB)
    role = plan.check_role if access.purpose is Purpose.CHECK else plan.role
    if not plan.addresses:
        raise no_login("no address", "at least one `vault` address")
    login: Login
    if access.token_file:
        login = TokenFileLogin(access.token_file)
    elif access.token_for is None:
        raise no_login("no identity of a job and no token file", "one way to log in")
    elif not role:
        raise no_login(f"no role for {access.purpose.value}", "`vault.role` and `vault.check_role`")
    else:
        login = JwtLogin(role, plan.auth_path, access.token_for)
    origins = tuple(origin for origin, _ in plan.addresses)
    connection = Connection(origins, plan.namespace, plan.proxy, access.ca_bundle, access.limits or LIMITS, access.sleep)
    # A person's token must survive the check to serve the run that follows it; the run ends it.
    revoke = not access.token_file or access.purpose is Purpose.EXECUTE
    return VaultAuthority(connection, login, max_token_ttl=seconds(plan.max_token_ttl), revoke=revoke, learn=access.learn)


class VaultAuthority:
    """The adapter of Vault and OpenBao. It logs in on first use."""

    def __init__(
        self, connection: Connection, login: Login, *, max_token_ttl: int, revoke: bool = True, learn: Callable[[str], None] | None = None
    ) -> None:
        self._connection, self._login, self._max_ttl = connection, login, max_token_ttl
        self._revoke, self._learn = revoke, learn
        self._left = list(connection.origins)
        self._api: VaultApi | None = None
        self._entered: list[VaultApi] = []
        self._revoked: bool | None = None
        self._origin = connection.origins[0]

    @property
    def origin(self) -> str:
        """The address in use; before the first use the one that is tried first."""
        return self._origin

    @property
    def login(self) -> Literal["jwt", "token-file"]:
        """The login method."""
        return self._login.method

    @property
    def role(self) -> str:
        """The role asked for."""
        return self._login.role

    @property
    def revoked(self) -> bool | None:
        """After `close`: whether every token is revoked, None when none was to be revoked."""
        return self._revoked

    def names(self, refs: Sequence[SecretRef]) -> Mapping[str, bool]:
        """Return for each key whether its field exists in the current version; asks KV's `subkeys`, which returns no values."""
        return self._ask(lambda api: self._names(api, refs))

    def read(self, refs: Sequence[SecretRef]) -> Sequence[Secret]:
        """Return every value. Raises Refusal naming each that is missing; one read per path, so that one path is one version."""
        return self._ask(lambda api: self._read(api, refs))

    def close(self) -> None:
        """Revoke every token. Never raises; `revoked` has the result."""
        entered, self._entered, self._api = self._entered, [], None
        for api in entered:
            if self._revoke:
                try:
                    done = api.ask("post", "auth/token/revoke-self", attempts=2).ok
                except Unreachable:
                    done = False
                self._revoked = done and self._revoked is not False
            api.close()

    def _ask(self, question: Callable[[VaultApi], T]) -> T:
        problems: list[str] = []
        while self._api or self._left:
            try:
                if self._api is None:
                    self._api = self._enter(self._left.pop(0))
                return question(self._api)
            except Unreachable as problem:
                problems.append(f"{self._origin} {problem}")
                self._api = None
        raise unavailable(problems, self._connection.proxy)

    def _enter(self, origin: str) -> VaultApi:
        self._origin = origin
        on = self._connection
        api = VaultApi(origin, namespace=on.namespace, proxy=on.proxy, ca_bundle=on.ca_bundle, limits=on.limits, sleep=on.sleep)
        token = self._login.enter(api)
        if self._learn:
            self._learn(token)
        api.use_token(token)
        self._entered.append(api)
        facts = api.ask("get", "auth/token/lookup-self")
        refusal = (
            token_fault(facts.data, max_ttl=self._max_ttl, login=self._login) if facts.ok else refuse_lookup(self._login, _words(facts))
        )
        if refusal:
            self.close()
            raise refusal
        return api

    def _names(self, api: VaultApi, refs: Sequence[SecretRef]) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for path, wanted in _by_path(refs).items():
            answer = api.ask("get", _api(path, "subkeys") + "?depth=1")
            if answer.status == 404 and answer.errors:
                raise no_subkeys(_api(path, "subkeys"), _words(answer))
            if not answer.ok and answer.status != 404:
                raise self._denied(path, answer, "subkeys")
            if not answer.ok:
                self._require_kv2(api, path)
            subkeys = answer.data.get("subkeys")
            fields = subkeys if isinstance(subkeys, dict) else {}
            found.update({ref.key: ref.field in fields for ref in wanted})
        return found

    def _read(self, api: VaultApi, refs: Sequence[SecretRef]) -> list[Secret]:
        secrets: list[Secret] = []
        missing: list[str] = []
        faults: list[str] = []
        for path, wanted in _by_path(refs).items():
            answer = api.ask("get", _api(path, "data"))
            if not answer.ok and answer.status != 404:
                raise self._denied(path, answer, "data")
            if not answer.ok:
                self._require_kv2(api, path)
            fields, version, absent = _current(path, answer)
            for ref in wanted:
                if absent or ref.field not in fields:
                    missing.append(f"{ref.key}: {absent or f'no field {ref.field} in {path} (version {version})'}")
                elif fault := text_fault(fields[ref.field]):
                    faults.append(f"{ref.key}: {fault}")
                else:
                    secrets.append(Secret(ref.key, fields[ref.field], version))
        if missing:
            raise refuse_missing(missing, self._origin)
        if faults:
            raise refuse_values(faults)
        return secrets

    def _require_kv2(self, api: VaultApi, path: str) -> None:
        """Ask what the mount is, where a path on it is not there: on a KV v1 every secret is. Raises Refusal (exit 8)."""
        mount = path.partition("/")[0]
        options = api.ask("get", f"sys/internal/ui/mounts/{mount}").data.get("options")
        if isinstance(options, dict) and options.get("version") == "1":
            raise no_versions(mount, self._origin)

    def _denied(self, path: str, answer: VaultReply, what: str) -> Refusal:
        return Refusal(
            "secrets.denied",
            "the authority does not let this role see a secret of the plan; whether it exists is not said",
            exit_code=Exit.SECRETS,
            found=f"{self._login.role or self._login.method} at {_api(path, what)}: {_words(answer)}",
            expected=f'path "{_api(path, what)}" {{ capabilities = ["read"] }} in the policy of the role',
            fix="correct the policy or the secret map (docs/vault-role.md), then a new run",
            docs="vault-role.md",
        )


def _current(path: str, answer: VaultReply) -> tuple[Mapping[str, Any], str, str]:
    """Return fields and version of the current version, and the problem if there is none."""
    metadata = answer.data.get("metadata")
    facts = metadata if isinstance(metadata, dict) else {}
    version = shown(str(facts.get("version", "")))
    fields = answer.data.get("data")
    if isinstance(fields, dict) and answer.ok:
        return fields, version, ""
    if facts.get("destroyed"):
        return {}, version, f"version {version} of {path} is destroyed"
    if facts.get("deletion_time"):
        return {}, version, f"version {version} of {path} is deleted (since {facts['deletion_time']})"
    return {}, version, f"no secret at {path}"


def _by_path(refs: Sequence[SecretRef]) -> dict[str, list[SecretRef]]:
    paths: dict[str, list[SecretRef]] = {}
    for ref in refs:
        paths.setdefault(ref.path, []).append(ref)
    return paths


def _api(path: str, kind: str) -> str:
    """Return `<mount>/<kind>/<path>`. Raises Refusal for a path that an HTTP client could normalize to another one."""
    if not _PATH.fullmatch(path) or any(set(segment) == {"."} for segment in path.split("/")):
        raise Refusal(
            "secrets.path",
            "not the path of a secret",
            exit_code=Exit.SECRETS,
            found=path,
            expected="<mount>/<path> of plain segments",
            fix="make the plan again from a checked secret map",
            docs="secrets.md",
        )
    mount, _, rest = path.partition("/")
    return f"{mount}/{kind}/{rest}"


def _words(answer: VaultReply) -> str:
    return answer.errors or f"HTTP {answer.status}"
