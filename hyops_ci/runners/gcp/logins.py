"""Who may log in: one key of one run, in the machine's own metadata or in the account's OS Login profile, and for an hour at most.

Keys of the project never count on this machine.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hyops_ci.dataclass import dataclass
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.gcp.cloud import PATIENCE, REQUEST_SECONDS, Cloud, NotThere, Taken
from hyops_ci.runners.gcp.operations import Operations
from hyops_ci.runners.gcp.site import Site
from hyops_ci.runners.ports import MARK, Machine, MachineOrder

if TYPE_CHECKING:
    from google.cloud import compute_v1

LIFETIME: Final = timedelta(hours=1)
"""How long a key logs in; the guest agent takes it away then, whatever became of the run."""
KEYS: Final = "ssh-keys"
TRUE, FALSE = "TRUE", "FALSE"


def metadata_of(site: Site, order: MachineOrder) -> compute_v1.Metadata:
    """Return the metadata of a new machine."""
    items = {
        "block-project-ssh-keys": TRUE,
        "enable-guest-attributes": TRUE,
        "enable-oslogin": TRUE if site.machine.login == "os-login" else FALSE,
        "serial-port-enable": FALSE,
        "serial-port-logging-enable": TRUE,
    }
    if site.machine.login == "metadata":
        items[KEYS] = _entry(site, order.login_user, order.login_key)
    return _metadata(items)


@dataclass(frozen=True)
class MetadataLogin:
    """A key in the metadata of this machine."""

    cloud: Cloud

    def admit(self, zone: str, machine: Machine, user: str, key: str) -> str:
        """Let this key in and no other; return the user."""
        self._set(zone, machine, _entry(self.cloud.site, user, key))
        return user

    def revoke(self, zone: str, machine: Machine) -> None:
        """Let no key in."""
        self._set(zone, machine, "")

    def _set(self, zone: str, machine: Machine, entry: str) -> None:
        """The fingerprint keeps what somebody else wrote meanwhile: then the metadata is read again."""
        from hyops_ci.runners.gcp.clients import compute_v1

        cloud, site = self.cloud, self.cloud.site
        here = {"project": site.project, "zone": zone, "instance": machine.name}
        until = Deadline(site.clock, PATIENCE)
        while True:
            found = cloud.ask(machine.resource, cloud.instances.get, compute_v1.GetInstanceRequest(**here))
            items = {each.key: each.value for each in found.metadata.items}
            if items.get(KEYS, "") == entry:
                return
            new = _metadata({**items, KEYS: entry} if entry else {name: value for name, value in items.items() if name != KEYS})
            new.fingerprint = found.metadata.fingerprint
            request = compute_v1.SetMetadataInstanceRequest(**here, metadata_resource=new)
            try:
                operation = cloud.ask(machine.resource, cloud.instances.set_metadata_unary, request)
            except Taken as changed:
                if not until.pause(1.0):
                    raise troubles.no_answer(machine.resource, str(changed)) from None
                continue
            if not Operations(cloud).in_zone(machine.resource, zone, operation, Deadline(site.clock, site.boot_seconds)):
                raise troubles.no_answer(machine.resource, f"operation {operation.name} on its metadata has not ended")
            return


@dataclass(frozen=True)
class OsLogin:
    """A key in the OS Login profile of the bootstrap's account; each of ours names its machine, so that another lane's stays."""

    cloud: Cloud

    def admit(self, zone: str, machine: Machine, user: str, key: str) -> str:
        """Let this key in and no other of this machine; return the account's name on the machine."""
        wanted = f"{' '.join(key.split()[:2])} {self._comment(machine)}"
        profile = self._ask(machine, "GET", "/loginProfile")
        self._drop(machine, profile, keep=wanted)
        expires = self.cloud.site.clock.now() + LIFETIME
        body = {"key": wanted, "expirationTimeUsec": str(int(expires.timestamp() * 1_000_000))}
        answer = self._ask(machine, "POST", ":importSshPublicKey", body)
        accounts = answer.get("loginProfile", {}).get("posixAccounts", [])
        names = [each.get("username") for each in accounts if each.get("primary")] or [each.get("username") for each in accounts]
        if not names or not isinstance(names[0], str) or not names[0]:
            raise troubles.nonsense(machine.resource, "an OS Login profile without an account")
        return names[0]

    def revoke(self, zone: str, machine: Machine) -> None:
        """Let no key of this machine in."""
        self._drop(machine, self._ask(machine, "GET", "/loginProfile"), keep="")

    def _drop(self, machine: Machine, profile: dict[str, Any], keep: str) -> None:
        for fingerprint, each in profile.get("sshPublicKeys", {}).items():
            text = str(each.get("key", "")).strip()
            if text.endswith(f" {self._comment(machine)}") and text != keep:
                self._ask(machine, "DELETE", f"/sshPublicKeys/{fingerprint}", gone_is_fine=True)

    def _comment(self, machine: Machine) -> str:
        return f"{MARK}:{machine.name}"

    def _ask(self, machine: Machine, method: str, path: str, body: object = None, *, gone_is_fine: bool = False) -> dict[str, Any]:
        site = self.cloud.site
        url = f"{site.machine.endpoints.os_login}/v1/users/{site.machine.bootstrap_account}{path}"

        def request() -> dict[str, Any]:
            from hyops_ci.runners.gcp.clients import exceptions

            answer = self.cloud.session.request(method, url, json=body, timeout=REQUEST_SECONDS)
            if answer.status_code >= 400:
                raise exceptions.from_http_response(answer)
            found = answer.json()
            if not isinstance(found, dict):
                raise ValueError("no object")
            return found

        try:
            return self.cloud.tried(machine.resource, request)
        except NotThere as missing:
            if gone_is_fine:
                return {}
            raise troubles.nonsense(machine.resource, f"no OS Login profile of {site.machine.bootstrap_account}: {missing}") from None


def _metadata(items: dict[str, str]) -> compute_v1.Metadata:
    from hyops_ci.runners.gcp.clients import compute_v1

    return compute_v1.Metadata(items=[compute_v1.Items(key=key, value=value) for key, value in sorted(items.items())])


def _entry(site: Site, user: str, key: str) -> str:
    """Return the form that Google's guest agent reads: it drops the key at `expireOn` by itself."""
    until = (site.clock.now() + LIFETIME).strftime("%Y-%m-%dT%H:%M:%S+0000")
    return f"{user}:{' '.join(key.split()[:2])} google-ssh {json.dumps({'userName': user, 'expireOn': until}, separators=(',', ':'))}"
