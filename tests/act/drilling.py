"""A site with an env of class production and one of class drill, and what a drill meets there.

Outside class lab neither the authority nor the service may be the runner itself. So both have names here, which the site's host knows; and
the service that a drill restores is there exactly as long as HyOps' own states say that it is.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import trustme
import yaml

from hyops_ci.contracts.base import stamp
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.init.vault_roles import EVENTS
from hyops_ci.portable import ca_store
from tests.act.control import CALLER
from tests.act.hosting import trust_of
from tests.act.rewriting import ROOT, UNPINNED
from tests.act.running import ActRun
from tests.act.site import EXAMPLE, SECRETS, Site
from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA
from tests.support.openbao import BOUND, OpenBao, _policy, free_port, start_openbao
from tests.support.receiver import Receiver, start_receiver

PROD, DRILL = "pg-ha/prod", "pg-ha/drill"
AUTHORITY, WATCHER, PROD_HOST, DRILL_HOST = "vault.recovery.test", "watcher.recovery.test", "pg.prod.test", "pg.drill.test"
FILE: Final = "dr-drill.yml"
TEMPLATE: Final = ROOT / "workflows-templates" / FILE
OVERLAY: Final = "postgresql-ha-failover-gcp.yml"
PING: Final = "c4n4ry-0d51-address-of-the-watcher-of-drills"
_KNOWS: Final = """
store=$1 trusted=$2; shift 2
case $store in /etc/*) printf %s "$trusted" >>"$store" ;; *) echo "$store is not in /etc" >&2; exit 1 ;; esac
echo "127.0.0.1 {names}" >>/etc/hosts
exec "$@"
"""
"""The hosts of the site are told once more what they are: /etc is a copy of the run's own."""


@contextmanager
def drill_authority() -> Iterator[OpenBao]:
    """OpenBao under a name, with the secrets of both envs and their roles, as docs/vault-role.md has them."""
    with start_openbao(name=AUTHORITY) as server:
        events: Any = list(EVENTS)
        paths = {env: [path.replace("/lab/", f"/{env}/") for path in SECRETS] for env in ("prod", "drill")}
        for env, known in paths.items():
            for path, fields in zip(known, SECRETS.values(), strict=True):
                server.put(path, **fields)
            server.add_env(env, known, event_name=events)
        bound = {name: GITHUB_CLAIMS[name] for name in BOUND} | {"environment": "dr-check", "event_name": events}
        server.add_role("dr-check", _policy([path for known in paths.values() for path in known], "subkeys"), claims=bound)
        yield server


@dataclass
class Restored:
    """The service of env drill: it takes connections while HyOps' states of the restore and of its machines are `ok`."""

    states: tuple[Path, ...]
    port: int = field(default_factory=free_port)
    there: list[bool] = field(default_factory=list)
    """Each time that it came and went."""

    @contextmanager
    def served(self) -> Iterator[None]:
        """From here on it comes and goes."""
        done = threading.Event()
        thread = threading.Thread(target=self._serve, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(5)

    def _serve(self, done: threading.Event) -> None:
        server, held = None, list[socket.socket]()
        while not done.wait(0.05):
            if self._is_ok() and server is None:
                server = socket.create_server(("127.0.0.1", self.port))
                server.settimeout(0.05)
                self.there.append(True)
            elif not self._is_ok() and server is not None:
                server.close()
                server = None
                self.there.append(False)
            if server is not None:
                try:
                    held.append(server.accept()[0])
                    held[-1].sendall(b"220 there\r\n")
                except OSError:
                    continue
        for each in (*held, *filter(None, [server])):
            each.close()

    def _is_ok(self) -> bool:
        try:
            return all(json.loads(path.read_text())["status"] == "ok" for path in self.states)
        except (OSError, ValueError):
            return False


@dataclass
class DrillSite:
    """The site, and what is looked at in it."""

    site: Site
    restored: Restored
    watcher: Receiver
    """Whoever listens for silence."""

    @property
    def env(self) -> Path:
        """The runtime root of env `drill` on the runner."""
        return self.site.root / "runner" / "envs" / "drill"

    def ledger(self, service: str = DRILL) -> Ledger:
        """The ledger of a service, as an onlooker sees it."""
        return self.site.ledger(service)

    def states(self) -> dict[str, str]:
        """What the drill makes, with its state; what is not there is left out."""
        found = {}
        for path in (self.env / "state" / "modules").glob("*/instances/drill_*.json"):
            found[path.stem.removeprefix("drill_")] = str(json.loads(path.read_text())["status"])
        return found

    def drill(self, scenario: str, **more: Any) -> ActRun:
        """A run of the shipped template, as its schedule starts it."""
        text = TEMPLATE.read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}")
        path = self.site.repository / ".github" / "workflows" / FILE
        path.write_text(text)
        if not any(each.path.endswith(FILE) for each in self.site.control.repository.workflows):
            self.site.control.repository.add_workflow(f".github/workflows/{FILE}", text)
        self.site.write_config()
        more = {"secrets": self.secrets, "control": self.site.control.beside(caller_job="drill / Drill"), **more}
        return self.site.start(scenario, {}, file=FILE, event="schedule", **more)

    @property
    def secrets(self) -> dict[str, str]:
        """Of the caller's repository."""
        return {"DR_HEARTBEAT_URL": f"{self.watcher.url.removesuffix('/dr')}/{PING}"}


@contextmanager
def drilling(site: Site) -> Iterator[DrillSite]:
    """Make of `site` one of a service in production that owes a drill every month, and that is restored in env drill."""
    runner = site.root / "runner"
    for env in ("prod", "drill"):
        shutil.copytree(runner / "envs" / "lab", runner / "envs" / env)
    shutil.rmtree(runner / "envs" / "lab")
    modules = runner / "envs" / "drill" / "state" / "modules"
    instances = (
        "platform__postgresql-ha/instances/drill_postgresql_restore_gcp_dr",
        "platform__gcp__platform-vm/instances/drill_gcp_pg_vms",
    )
    restored = Restored(tuple(modules / f"{each}.json" for each in instances))
    _configure(site, restored.port)
    gates = site.control.repository
    gates.add_environment("dr-prod", reviewers=[site.control.fake.account("jonas")], prevent_self_review=True, branches="protected")
    gates.add_environment("dr-drill", branches="protected")
    host = {"gates": {"prod": "dr-prod", "drill": "dr-drill"}, "drill_envs": ["drill"]}
    roles = ["dr-prod", "dr-drill", "dr-check"]
    callers = [f"{CALLER}/.github/workflows/{name}" for name in ("dr.yml", FILE, "dr-readiness.yml")]
    host |= {"authorities": [{"origin": site.bao.origin, "roles": roles}], "caller_workflows": callers}
    site.trust = trust_of(site, **host)
    store, authority = str(Path(ca_store()).resolve()), trustme.CA()
    trusted = Path(str(site.bao.ca_bundle)).read_text() + authority.cert_pem.bytes().decode()
    script = _KNOWS.format(names=f"{AUTHORITY} {WATCHER} {PROD_HOST} {DRILL_HOST}")
    site.before = ["sh", "-euc", script, "knows-them", store, trusted]
    with start_receiver(name=WATCHER, certificate=authority.issue_cert(WATCHER)) as watcher, restored.served():
        site.config["notify"] = {"heartbeat": watcher.url.removesuffix("/dr")}
        found = DrillSite(site, restored, watcher)
        for service in (PROD, DRILL):
            found.ledger(service).init("onprem", stamp(datetime.now(UTC) - timedelta(days=1)))
        yield found


def _configure(site: Site, port: int) -> None:
    """The config of both envs, and the drill's overlay: production's, apart from it."""
    action, config = "dr/postgresql-ha-{}@v1", site.config
    [(_, [probe])] = config["verification"].items()
    failover = {"lane": "gcp", "blueprint": action.format("failover-gcp")}
    config["services"] = {
        PROD: {"failover": failover, "failback": {"lane": "onprem", "blueprint": action.format("failback-onprem")}},
        DRILL: {"failover": dict(failover)},
    }
    config["envs"] = {"drill": {"class": "drill"}}
    config["approvals"]["channels"] = ["environment"]
    config["verification"] = {
        PROD: [{**probe, "target": probe["target"].replace("127.0.0.1", PROD_HOST)}],
        DRILL: [{**probe, "target": f"{DRILL_HOST}:{port}"}],
    }
    config["objectives"] = {PROD: {"rto": "PT30M"}, DRILL: {"rto": "PT30M"}}
    config["drills"] = {PROD: {"isolated": {"every": "P30D"}}}
    dr = site.repository / ".github" / "dr"
    for env in ("prod", "drill"):
        shutil.copytree(EXAMPLE / "overlays", dr / env)
    shutil.rmtree(dr / "lab")
    document = yaml.safe_load((dr / "drill" / OVERLAY).read_text())
    steps = json.dumps(document["steps"]).replace('"/pgbackrest"', '"/drill"')
    for step in document["steps"]:
        steps = steps.replace(step["state_instance"], f"drill_{step['state_instance']}")
    (dr / "drill" / OVERLAY).write_text(yaml.safe_dump({**document, "steps": json.loads(steps)}, sort_keys=False))
    site.write_config()
