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
from hyops_ci.signing.dsse import new_key
from tests.act.control import CALLER
from tests.act.hosting import trust_of
from tests.act.rewriting import ROOT, UNPINNED
from tests.act.running import ActRun
from tests.act.site import EXAMPLE, SECRETS, Site
from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA
from tests.support.openbao import BOUND, OpenBao, _policy, start_openbao
from tests.support.ports import free_port
from tests.support.receiver import Receiver, start_receiver

PROD, DRILL = "pg-ha/prod", "pg-ha/drill"
AUTHORITY, WATCHER, PROD_HOST, DRILL_HOST = "vault.recovery.test", "watcher.recovery.test", "pg.prod.test", "pg.drill.test"
FILE, READINESS = "dr-drill.yml", "dr-readiness.yml"
OVERLAY: Final = "postgresql-ha-failover-gcp.yml"
MODULES: Final = "state/modules"
RESTORE: Final = "platform__postgresql-ha/instances/drill_postgresql_restore_gcp_dr.json"
CARRIED_BY: Final = (RESTORE, "platform__gcp__platform-vm/instances/drill_gcp_pg_vms.json")
"""The states of the service that a drill restores, and of its machines."""
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

    roots: list[Path]
    """Of the env, on each host."""
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
        return any(all(status_of(root / MODULES / each) == "ok" for each in CARRIED_BY) for root in self.roots)


def status_of(path: Path) -> str:
    """What HyOps' state says; empty where there is none, or half of one."""
    try:
        return str(json.loads(path.read_text())["status"])
    except (OSError, ValueError):
        return ""


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
        return {path.stem.removeprefix("drill_"): status_of(path) for path in (self.env / MODULES).glob("*/instances/drill_*.json")}

    def drill(self, scenario: str, **more: Any) -> ActRun:
        """A run of the shipped template, as its schedule starts it."""
        self.copy_template(FILE)
        more = {"control": self.site.control.beside(caller_job="drill / Drill"), **more}
        return self.site.start(scenario, {}, file=FILE, event="schedule", secrets=self.secrets, **more)

    def readiness(self, scenario: str) -> ActRun:
        """A run of the other schedule, that of readiness and the board."""
        self.copy_template(READINESS)
        return self.site.start(scenario, {}, file=READINESS, event="schedule", secrets=self.secrets)

    def copy_template(self, file: str) -> None:
        """As docs/drills.md says."""
        text = (ROOT / "workflows-templates" / file).read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}")
        (self.site.repository / ".github" / "workflows" / file).write_text(text)
        if not any(each.path.endswith(file) for each in self.site.control.repository.workflows):
            self.site.control.repository.add_workflow(f".github/workflows/{file}", text)
        self.site.write_config()

    @property
    def secrets(self) -> dict[str, str]:
        """Of the caller's repository."""
        return {"DR_HEARTBEAT_URL": f"{self.watcher.url.removesuffix('/dr')}/{PING}"}


@dataclass(frozen=True)
class SecondHost:
    """A runner of drills alone, on a host of its own: the same paths, with other files behind them."""

    root: Path
    options: dict[str, Any]
    """For a run whose recovery is carried out there."""

    @property
    def env(self) -> Path:
        """The runtime root of env `drill` there."""
        return self.root / "envs" / "drill"


def second_host(drills: DrillSite) -> SecondHost:
    """From now on lane gcp has a second runner, for drills (docs/runners.md)."""
    site, name = drills.site, "gcp-drill-runner"
    first, root = site.root / "runner", site.root / "second-host"
    shutil.copytree(first, root)
    (root / "host.key").unlink()
    site.config["host_keys"][name] = new_key(root / "host.key")
    site.config["lanes"] = {"gcp": {"drill_runner_ref": name}}
    drills.restored.roots.append(root / "envs" / "drill")
    assert site.trust is not None
    site.trust["evidence_keys"] = keys = list(site.config["host_keys"].values())
    trust = {**site.trust, "runner_refs": [name], "evidence_keys": keys}
    before = ["sh", "-euc", 'mount --bind "$1" "$2"; shift 2; exec "$@"', "second-host", str(root), str(first)]
    return SecondHost(root, {"runner": "dr-drill-runner-01", "trust": trust, "before": before})


@contextmanager
def drilling(site: Site, since: timedelta = timedelta(days=1)) -> Iterator[DrillSite]:
    """Make of `site` one of a service in production that owes a drill every month, and that is restored in env drill; `since` then."""
    runner = site.root / "runner"
    for env in ("prod", "drill"):
        shutil.copytree(runner / "envs" / "lab", runner / "envs" / env)
    shutil.rmtree(runner / "envs" / "lab")
    restored = Restored([runner / "envs" / "drill"])
    _configure(site, restored.port)
    gates = site.control.repository
    gates.add_environment("dr-prod", reviewers=[site.control.fake.account("jonas")], prevent_self_review=True, branches="protected")
    gates.add_environment("dr-drill", branches="protected")
    host = {"gates": {"prod": "dr-prod", "drill": "dr-drill"}, "drill_envs": ["drill"]}
    roles = ["dr-prod", "dr-drill", "dr-check"]
    callers = [f"{CALLER}/.github/workflows/{name}" for name in ("dr.yml", FILE, READINESS)]
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
            found.ledger(service).init("onprem", stamp(datetime.now(UTC) - since))
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
