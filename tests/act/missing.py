"""A lane whose runner is missing, and everything that makes one: its provider, a real Debian with systemd that is the machine, the
agent's stand-in in it, GitHub's registrations, and the authority that keeps the App's key and what the provider wants.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.runners.bootstrap import release_table
from hyops_ci.stages.ensure_runner.making import LOGIN
from tests import hyops_double
from tests.act.control import BOOTSTRAP_GATE
from tests.act.lanes import KEYS, Lane, on_proxmox
from tests.act.on_machine import HOST, HYOPS, bring, enter
from tests.act.rewriting import ROOT, UNPINNED
from tests.act.running import ActRun
from tests.act.site import SERVICE, Site, git
from tests.runners.host import agent_archive
from tests.runners.host.agent_service import AgentService, agent_service
from tests.runners.host.booted import BootedHost, booted
from tests.runners.host.offline import wheelhouse
from tests.runners.host.site import ARCHIVES, WHEELS
from tests.support.github.app_key import APP_ID, install_app
from tests.support.github.reviews import Review, decide
from tests.support.github.runs import Run
from tests.support.issuer import DISCOVERY, GITHUB_CLAIMS, JWKS, WORKFLOW_SHA
from tests.support.openbao import BOUND, _policy

AGENT = "2.399.0"
"""The release of the agent's stand-in: the one that GitHub lists."""
UNIT = "actions.runner.dr-dispatch.service"
REGISTERED = "opt/actions-runner/.runner"


@dataclass
class MissingRunner:
    """The machine and what is around it. One thread keeps the two halves of the machine one: what its provider shows, and what it is."""

    site: Site
    lane: Lane
    host: BootedHost
    service: AgentService
    ended: threading.Event = field(default_factory=threading.Event)
    keys: str = ""
    up: bool = False
    """Whether the machine itself is up."""
    brought: bool | None = None
    """Whether people have brought what only they bring; None where nobody is there to."""

    def as_one(self) -> None:
        """Until the end: a machine that runs where its provider says so, keys that the provider puts in, host keys that it shows."""
        while not self.ended.wait(0.1):
            runs = self.lane.runs()
            if runs is not self.up:
                self.power(on=runs)
            if not runs:
                continue
            if (keys := self.lane.shows(self.host)) != self.keys:
                self.host.run(f"install -o {LOGIN} -g {LOGIN} -m 600 /dev/stdin {KEYS}", stdin=keys)
                self.keys = keys
            if self.brought is False and (self.host.root / REGISTERED).exists():
                self.people_bring_the_rest()
            self.take()

    def power(self, *, on: bool) -> None:
        """What a boot starts and what goes with the power: what answers from outside, and the agent where there is one."""
        agent = UNIT if (self.host.root / "etc/systemd/system" / UNIT).exists() else ""
        self.host.run(f"systemctl {'start' if on else 'stop'} ssh {agent}")
        self.up = on

    def take(self) -> None:
        """A runner that asks GitHub for work gets the check that waits."""
        for each in self.site.control.repository.runners:
            if each.name == self.lane.runner and time.monotonic() - self.service.seen.get(each.id, 0) < 2:
                self.site.control.taken_by(each)

    def agent_dies(self) -> None:
        """Its service is gone, and GitHub sees it offline."""
        self.host.run(f"systemctl stop {UNIT}")
        self.github_sees_it_offline()

    def machine_stops(self) -> None:
        """It is off; what its provider starts is what comes up at a boot."""
        self.lane.stop()
        until = time.monotonic() + 240
        while self.up and time.monotonic() < until:
            time.sleep(0.1)
        assert not self.up
        self.github_sees_it_offline()

    def github_sees_it_offline(self) -> None:
        """After a while in which it did not ask for work."""
        time.sleep(2.5)
        for each in self.site.control.repository.runners:
            each.status, each.busy = "offline", False

    def recovered_outside(self, scenario: str) -> ActRun:
        """`recover` of runner.yml, by hand: somebody else than who asked lets its job through."""
        control, path = self.site.control, self.site.repository / ".github" / "workflows" / "dr-runner.yml"
        path.write_text((ROOT / "workflows-templates" / "dr-runner.yml").read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}"))
        self.site.write_config()

        def opened(run: Run) -> None:
            job = run.add_job("runner / Make the runner", ["self-hosted", "mgmt-runner"], environment=BOOTSTRAP_GATE)
            gate = control.repository.environments[BOOTSTRAP_GATE]
            decide(run, Review(control.fake.account("jonas"), "approved", "seen", [gate]))
            job.take(control.repository.add_runner("mgmt-runner-01", ["mgmt-runner"]))

        control.opened = opened
        inputs = {"action": "recover", "lane": self.lane.name, "reason": "runner-recovery"}
        called = {"job_workflow_ref": GITHUB_CLAIMS["job_workflow_ref"].replace("dispatch.yml", "runner.yml")}
        return self.site.start(scenario, inputs, file="dr-runner.yml", **called)

    def github_forgets_it(self) -> None:
        """It removed the registration, as of a runner that was away for two weeks; the agent that asks gets no answer."""
        self.site.control.repository.runners.clear()

    def people_bring_the_rest(self) -> None:
        """The runtime of the env, and the password of its bundle."""
        bring(self.host, self.site.root / "runner" / "envs", self.site.root / "runner" / "vault-password")
        self.brought = True


@contextmanager
def missing_runner(site: Site, folder: Path, lane: Callable[[Site], AbstractContextManager[Lane]] = on_proxmox) -> Iterator[MissingRunner]:
    """Nobody serves the lane; its machine is not there, and the config says how it is made."""
    control = site.control
    with (
        lane(site) as found,
        booted(folder, site.root) as host,
        agent_service(control.fake, control.repository, host.github) as service,
    ):
        furnish(host, service, control.fake, folder)
        keep_secrets(site, found)
        configure(site, found, host)
        control.repository.add_environment(BOOTSTRAP_GATE, reviewers=[control.fake.account("jonas")], prevent_self_review=True)
        control.guard("jonas")
        control.runner, control.makes, control.answer = "", ("jonas", "approved"), ("jonas", "approved")
        check_waits(workflow(site))
        publish_keys(site, host)
        site.runner_name = found.runner
        site.programs.append(enter(host, site.root))
        made = MissingRunner(site, found, host, service)
        made.power(on=False)
        thread = threading.Thread(target=made.as_one, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.ended.set()
            thread.join(10)


def publish_keys(site: Site, host: BootedHost) -> None:
    """The issuer is the one of this GitHub's address, as on a GitHub of one's own; the template's image knows its certificate."""
    site.tokens.issuer = issuer = f"{site.git.origin}/_services/token"
    described = {DISCOVERY: {"issuer": issuer, "jwks_uri": issuer + JWKS}, JWKS: {"keys": [site.bao.key.jwk()]}}
    site.git.pages |= {f"/_services/token{path}": json.dumps(page).encode() for path, page in described.items()}
    host.run("cat >>/etc/ssl/certs/ca-certificates.crt", stdin=site.git.ca.read_text() if site.git.ca else "")


def workflow(site: Site) -> Path:
    """The copy of dispatch.yml that act runs."""
    return site.root / "dispatch" / ".github" / "workflows" / "dispatch.yml"


def missed_sooner(site: Site) -> None:
    """From now on the watch waits half a minute instead of two: a run of another test has them whole."""
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
    double = host.root / "srv/hyops_double"
    shutil.copytree(hyops_double.HERE, double)
    host.run("mkdir -p /opt/hybridops/core && cp -a /srv/hyops_double/core /opt/hybridops/core/app")
    host.run("install -D -m 755 /dev/stdin /opt/hybridops/core/venv/bin/hyops", stdin=HYOPS)
    host.run(f"useradd -m -s /bin/bash {LOGIN}; install -d -o {LOGIN} -g {LOGIN} -m 700 /home/{LOGIN}/.ssh")
    host.run(f"echo '{LOGIN} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{LOGIN}; chmod 440 /etc/sudoers.d/{LOGIN}")


def keep_secrets(site: Site, lane: Lane) -> None:
    """At the authority, for the role of the bootstrap alone."""
    key = install_app(site.control.fake, site.control.repository, "administration: write")
    kept = {"dr/github-app": ("private_key", key), **lane.secrets}
    for path, (name, value) in kept.items():
        site.bao.put(f"secret/{path}", **{name: value})
    claims: dict[str, Any] = {name: GITHUB_CLAIMS[name] for name in BOUND} | {"environment": BOOTSTRAP_GATE}
    called = str(claims["job_workflow_ref"])
    claims["job_workflow_ref"] = [called, called.replace("dispatch.yml", "runner.yml")]
    site.bao.add_role("dr-bootstrap", _policy([f"secret/{path}" for path in kept], "data"), claims=claims)


def configure(site: Site, lane: Lane, host: BootedHost) -> None:
    """The service fails over to the lane whose runner is missing; a review of the environment is its approval."""
    action = {"lane": lane.name, "blueprint": "dr/postgresql-ha-failover-gcp@v1"}
    site.config["services"][SERVICE] = {"failover": action, "data_home": lane.home}
    site.config["vault"] = {**site.config["vault"], "site": "elsewhere"}
    site.config["host"] = dict(HOST)
    site.config["approvals"] = {"channels": ["environment"]}
    site.config["evidence"] = {"signer": "host-key"}
    site.config["policy"] = {"bootstrap_reasons": ["runner-recovery"]}
    site.config["registration"] = {"app_id": APP_ID, "key": "dr/github-app#private_key"}
    installed = {"archives": ARCHIVES, "wheelhouse": WHEELS, "hyops": False}
    site.config["lanes"] = {lane.name: {"machine": lane.settings(host) | {"installation": installed}}}
    site.config |= lane.more()
    site.write_config()
    for ref in git(site.ledger_repository, "for-each-ref", "--format=%(refname)", "refs/heads/dr-ledger").split():
        git(site.ledger_repository, "update-ref", "-d", ref)
    Ledger.over_git(str(site.ledger_repository), SERVICE, state_dir=site.root / "beginning").init(lane.home, stamp(datetime.now(UTC)))
