"""The lane whose runner is missing, by its provider: the fake that keeps the machine, what the config says of it, and what it shows.

Both fakes go by the wall clock: a machine of theirs is a real one here, which boots and answers in its own time.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from hyops_ci.stages.ensure_runner.making import LOGIN
from tests.act.site import Site
from tests.runners.gcp_fake.accounts import PROVIDER
from tests.runners.gcp_fake.server import server
from tests.runners.gcp_fake.world import PROJECTS, GcpWorld, gcp_world
from tests.runners.host.booted import BootedHost
from tests.runners.proxmox_fake.server import TOKEN, Fake, serving
from tests.runners.proxmox_fake.state import BRIDGE, NODE, POOL, STORAGE, TEMPLATE, VMID, Cluster

KEYS = f"/home/{LOGIN}/.ssh/authorized_keys"

TRUSTED = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class WallClock:
    """Time as it is."""

    @property
    def seconds(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Lane(Protocol):
    """One lane with its provider."""

    name: str
    runner: str
    """Of the machine, and its agent."""
    home: str
    """The site that the service is at: it fails over to this lane."""
    secrets: dict[str, tuple[str, str]]
    """Path at the authority -> field and value that the provider wants."""

    def settings(self, host: BootedHost) -> dict[str, Any]:
        """`lanes.<lane>.machine`, without what every provider has."""
        ...

    def more(self) -> dict[str, Any]:
        """What the config has beside."""
        ...

    def runs(self) -> bool:
        """Whether its provider says that the machine runs."""
        ...

    def stop(self) -> None:
        """Somebody switches it off."""
        ...

    def shows(self, host: BootedHost) -> str:
        """Show the real machine's host key by the provider's own channel; return the keys that the provider lets in."""
        ...

    def machines(self) -> int:
        """How many there are."""
        ...


@dataclass
class OnProxmox:
    """The management runner and the machine share a management network, as a template's cloud-init sets it."""

    fake: Fake
    name: str = "onprem"
    runner: str = "proxmox-ops-runner"
    home: str = "gcp"

    @property
    def secrets(self) -> dict[str, tuple[str, str]]:
        return {"dr/proxmox": ("token", TOKEN)}

    def settings(self, host: BootedHost) -> dict[str, Any]:
        return {
            "provider": "proxmox",
            "api": f"https://127.0.0.1:{self.fake.port}",
            "fingerprint": self.fake.fingerprint,
            "token": "dr/proxmox#token",
            "node": NODE,
            "template": TEMPLATE,
            "vmid": VMID,
            "pool": POOL,
            "storage": STORAGE,
            "bridge": BRIDGE,
            "address": f"{host.github.rpartition('.')[0]}.2/24",
            "gateway": host.github,
            "management_runner": ["self-hosted", "mgmt-runner"],
        }

    def more(self) -> dict[str, Any]:
        return {}

    def runs(self) -> bool:
        vm = self.fake.cluster.vms.get(VMID)
        return vm is not None and vm.running

    def stop(self) -> None:
        self.fake.cluster.vms[VMID].running = False

    def shows(self, host: BootedHost) -> str:
        files = self.fake.cluster.vms[VMID].inside.files
        files["/etc/ssh/ssh_host_ed25519_key.pub"] = f"{host.host_keys()[0]} root@{self.runner}\n"
        files["/proc/net/route"] = _routes(host.github)
        return files.get(KEYS, "")

    def machines(self) -> int:
        return len(self.fake.cluster.vms) - 1  # the template


@dataclass
class OnGoogleCloud:
    """No address outside: the tunnel of Identity-Aware Proxy ends at the real machine's port."""

    world: GcpWorld
    name: str = "gcp"
    runner: str = "gcp-ops-runner"
    home: str = "onprem"

    @property
    def secrets(self) -> dict[str, tuple[str, str]]:
        return {}  # the job's own identity

    def settings(self, host: BootedHost) -> dict[str, Any]:
        self.world.reach = lambda query: socket.create_connection((f"{host.github.rpartition('.')[0]}.2", int(query["port"])))
        return self.world.machine().model_dump(mode="json", exclude_unset=True)

    def more(self) -> dict[str, Any]:
        return {"gcp": PROJECTS.model_dump(mode="json", exclude_unset=True)}

    def runs(self) -> bool:
        return any(self.world.compute._status(box) == "RUNNING" for box in self.world.compute.there())

    def stop(self) -> None:
        self.world.box(self.runner).stands = "TERMINATED"

    def shows(self, host: BootedHost) -> str:
        self.world.boots(self.runner, host.host_keys(), "")
        return "".join(f"{key}\n" for key in sorted(self.world.logins(self.runner)))

    def machines(self) -> int:
        return len(self.world.machines())


@contextmanager
def on_proxmox(_: Site) -> Iterator[OnProxmox]:
    with serving(Cluster(WallClock())) as fake:
        yield OnProxmox(fake)
    assert fake.wrong == []


@contextmanager
def on_google_cloud(site: Site) -> Iterator[OnGoogleCloud]:
    """Google's token service believes the tokens that GitHub's gives to the jobs of this site."""
    own = next((os.environ[name] for name in TRUSTED if os.environ.get(name)), ssl.get_default_verify_paths().cafile)
    known = Path(own or "/etc/ssl/certs/ca-certificates.crt")
    with gcp_world(WallClock()) as world:
        trusted = site.root / "trusted.pem"
        trusted.write_text(known.read_text() + server().bundle.read_text())
        os.environ |= dict.fromkeys(TRUSTED, str(trusted))
        accounts, tokens = world.accounts, site.tokens

        def of_job(token: str) -> bool:
            accounts.audiences.append(tokens.asked[-1][1])
            return token == tokens.given[-1] and tokens.asked[-1] == ("ensure-runner", f"https://iam.googleapis.com/{PROVIDER}")

        accounts.of_job = of_job
        yield OnGoogleCloud(world)


def _routes(gateway: str) -> str:
    """The kernel's table of a machine that leaves its network by this gateway."""
    number = "".join(f"{int(part):02X}" for part in reversed(gateway.split(".")))
    return f"Iface\tDestination\tGateway \tFlags\neth0\t00000000\t{number}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
