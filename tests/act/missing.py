"""A lane whose runner is missing, and everything that makes one: Proxmox VE's API, a real Debian with systemd that is the machine, the
agent's stand-in in it, GitHub's registrations, and the authority that keeps the App's key and the provider's token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.runners.bootstrap import release_table
from hyops_ci.stages.ensure_runner.making import LOGIN
from tests.act.control import BOOTSTRAP_GATE
from tests.act.site import SERVICE, Site, git
from tests.runners.host import agent_archive
from tests.runners.host.agent_service import AgentService, agent_service
from tests.runners.host.booted import BootedHost, booted
from tests.runners.host.offline import wheelhouse
from tests.runners.host.site import ARCHIVES, WHEELS
from tests.runners.proxmox_fake.server import TOKEN, Fake, serving
from tests.runners.proxmox_fake.state import BRIDGE, NODE, POOL, STORAGE, TEMPLATE, VMID, Cluster
from tests.support.github.app_key import APP_ID, install_app
from tests.support.issuer import GITHUB_CLAIMS
from tests.support.openbao import BOUND, _policy

RUNNER = "proxmox-ops-runner"
AGENT = "2.399.0"
"""The release of the agent's stand-in: the one that GitHub lists."""
UNIT = "actions.runner.dr-dispatch.service"
HYOPS = "#!/bin/sh\necho 0.1.4\n"
"""HyOps as the image of the machine brings it. No recovery is carried out on it here."""
PLACES = {"dr/github-app": "private_key", "dr/proxmox": "token"}
KEYS = f"/home/{LOGIN}/.ssh/authorized_keys"


class WallClock:
    """The cluster's time is this machine's."""

    @property
    def seconds(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class MissingRunner:
    """The machine and what is around it. One thread keeps the two halves of the machine one: what its provider shows, and what it is."""

    site: Site
    fake: Fake
    host: BootedHost
    service: AgentService
    ended: threading.Event = field(default_factory=threading.Event)
    keys: str = ""
    runs: bool = False
    """Whether the machine itself is up."""

    @property
    def cluster(self) -> Cluster:
        return self.fake.cluster

    def as_one(self) -> None:
        """Until the end: a machine that runs where its provider says so, keys that the provider puts in, host keys that it shows."""
        while not self.ended.wait(0.1):
            vm = self.cluster.vms.get(VMID)
            runs = vm is not None and vm.running
            if runs is not self.runs:
                self.power(on=runs)
            if vm is None or not runs:
                continue
            vm.inside.files["/etc/ssh/ssh_host_ed25519_key.pub"] = f"{self.host.host_keys()[0]} root@{RUNNER}\n"
            vm.inside.files["/proc/net/route"] = routes(self.host.github)
            if (keys := vm.inside.files.get(KEYS, "")) != self.keys:
                self.keys = keys
                self.host.run(f"install -o {LOGIN} -g {LOGIN} -m 600 /dev/stdin {KEYS}", stdin=keys)
            self.take()

    def power(self, *, on: bool) -> None:
        """What a boot starts and what goes with the power: what answers from outside, and the agent where there is one."""
        agent = UNIT if (self.host.root / "etc/systemd/system" / UNIT).exists() else ""
        self.host.run(f"systemctl {'start' if on else 'stop'} ssh {agent}")
        self.runs = on

    def take(self) -> None:
        """A runner that asks GitHub for work gets the check that waits."""
        for each in self.site.control.repository.runners:
            if each.name == RUNNER and time.monotonic() - self.service.seen.get(each.id, 0) < 2:
                self.site.control.taken_by(each)

    def agent_dies(self) -> None:
        """Its service is gone, and GitHub sees it offline."""
        self.host.run(f"systemctl stop {UNIT}")
        self.github_sees_it_offline()

    def machine_stops(self) -> None:
        """It is off; what its provider starts is what comes up at a boot."""
        self.cluster.vms[VMID].running = False
        until = time.monotonic() + 60
        while self.runs and time.monotonic() < until:
            time.sleep(0.1)
        assert not self.runs
        self.github_sees_it_offline()

    def github_sees_it_offline(self) -> None:
        """After a while in which it did not ask for work."""
        time.sleep(2.5)
        for each in self.site.control.repository.runners:
            each.status, each.busy = "offline", False


@contextmanager
def missing_runner(site: Site, folder: Path) -> Iterator[MissingRunner]:
    """Nobody serves the lane; its machine is not there, and the config says how it is made."""
    control = site.control
    with (
        serving(Cluster(WallClock())) as fake,
        booted(folder) as host,
        agent_service(control.fake, control.repository, host.github) as service,
    ):
        furnish(host, service, control.fake, folder)
        keep_secrets(site)
        configure(site, fake, host)
        control.repository.add_environment(BOOTSTRAP_GATE, reviewers=[control.fake.account("jonas")], prevent_self_review=True)
        control.runner, control.makes = "", ("jonas", "approved")
        check_waits(workflow(site))
        site.runner_name = RUNNER
        made = MissingRunner(site, fake, host, service)
        made.power(on=False)
        thread = threading.Thread(target=made.as_one, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.ended.set()
            thread.join(10)
        assert fake.wrong == []


def workflow(site: Site) -> Path:
    """The copy of dispatch.yml that act runs."""
    return site.root / "dispatch" / ".github" / "workflows" / "dispatch.yml"


def missed_sooner(site: Site) -> None:
    """From now on the watch waits half a minute instead of two: a run before this one had them whole."""
    before = "which: check\n"
    text = workflow(site).read_text()
    assert text.count(before) == 1
    workflow(site).write_text(text.replace(before, f'{before}          limit: "30"\n'))


def check_waits(workflow: Path) -> None:
    """On GitHub the check waits in its queue for the runner that is made. act has no queue, so here it needs the job that makes it."""
    text = workflow.read_text()
    before, after = (
        "    needs: plan\n{}    runs-on: ${{{{ fromJSON(needs.plan",
        "    needs: [plan, ensure-runner]\n{}    runs-on: ${{{{ fromJSON(needs.plan",
    )
    condition = "    if: ${{ !cancelled() && needs.plan.result == 'success' && needs.plan.outputs.outcome == 'PLANNED' }}\n"
    assert text.count(before.format(condition)) == 1
    workflow.write_text(text.replace(before.format(condition), after.format(condition)))


def furnish(host: BootedHost, service: AgentService, github: Any, folder: Path) -> None:
    """What the template of the machine brings: a user for the bootstrap, and the files that no network has to bring."""
    (archives := folder / "archives").mkdir()
    listener = folder / "listener.py"
    # On GitHub the agent's service is the server of --url. Here that address is one of this test, which the machine does not reach.
    text = agent_archive.LISTENER.read_text()
    told = '"/".join(options["url"].split("/")[:3])'
    assert told in text
    listener.write_text(text.replace(told, repr(service.url.rsplit("/", 2)[0])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent_archive, "LISTENER", listener)
        archive = agent_archive.build(archives, AGENT)
    github.add_runner_version(release_table().agent_version, registration_ends="2026-01-01T00:00:00Z")
    github.agent_version = AGENT
    github.agent_hashes[f"actions-runner-linux-x64-{AGENT}.tar.gz"] = archive.sha256
    host.run(f"mkdir -p {ARCHIVES} {WHEELS}")
    for source, target in ((archives, ARCHIVES), (wheelhouse(), WHEELS)):
        for path in source.iterdir():
            (host.root / target.lstrip("/") / path.name).write_bytes(path.read_bytes())
    host.run("install -D -m 755 /dev/stdin /opt/hybridops/core/venv/bin/hyops; mkdir -p /opt/hybridops/core/app", stdin=HYOPS)
    host.run(f"useradd -m -s /bin/bash {LOGIN}; install -d -o {LOGIN} -g {LOGIN} -m 700 /home/{LOGIN}/.ssh")
    host.run(f"echo '{LOGIN} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{LOGIN}; chmod 440 /etc/sudoers.d/{LOGIN}")


def keep_secrets(site: Site) -> None:
    """At the authority, for the role of the bootstrap alone."""
    key = install_app(site.control.fake, site.control.repository, "administration: write")
    for (path, name), value in zip(PLACES.items(), (key, TOKEN), strict=True):
        site.bao.put(f"secret/{path}", **{name: value})
    claims = {name: GITHUB_CLAIMS[name] for name in BOUND} | {"environment": BOOTSTRAP_GATE}
    site.bao.add_role("dr-bootstrap", _policy([f"secret/{path}" for path in PLACES], "data"), claims=claims)


def routes(gateway: str) -> str:
    """The kernel's table of a machine that leaves its network by this gateway."""
    number = "".join(f"{int(part):02X}" for part in reversed(gateway.split(".")))
    return f"Iface\tDestination\tGateway \tFlags\neth0\t00000000\t{number}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"


def configure(site: Site, fake: Fake, host: BootedHost) -> None:
    """The service is at home in the cloud and fails over to the lane whose runner is missing.

    The network that the machine and this one share is the management network of the management runner.
    """
    action = {"lane": "onprem", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}
    site.config["services"][SERVICE] = {"failover": action, "data_home": "gcp"}
    site.config["vault"] = {**site.config["vault"], "site": "elsewhere"}
    site.config["host"]["user"] = "hyops"
    site.config["policy"] = {"bootstrap_reasons": ["runner-recovery"]}
    site.config["registration"] = {"app_id": APP_ID, "key": "dr/github-app#private_key"}
    machine = {
        "provider": "proxmox",
        "api": f"https://127.0.0.1:{fake.port}",
        "fingerprint": fake.fingerprint,
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
        "installation": {"archives": ARCHIVES, "wheelhouse": WHEELS, "hyops": False},
    }
    site.config["lanes"] = {"onprem": {"machine": machine}}
    site.write_config()
    for ref in git(site.ledger_repository, "for-each-ref", "--format=%(refname)", "refs/heads/dr-ledger").split():
        git(site.ledger_repository, "update-ref", "-d", ref)
    Ledger.over_git(str(site.ledger_repository), SERVICE, state_dir=site.root / "beginning").init("gcp", stamp(datetime.now(UTC)))
