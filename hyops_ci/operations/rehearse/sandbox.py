"""The local outside of a rehearsal: a repository, a runner, a ledger, an authority and a key, all below one folder.

Whatever config is rehearsed, its host, authority, approvers, ledger and probes are replaced by local ones (`local_config`), and the
env that is rehearsed is of class lab: a rehearsal touches nothing real.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

import hyops_ci
from hyops_ci.config.file import MAX_CONFIG, read_config
from hyops_ci.config.settings import data_home, env_of, lane_settings
from hyops_ci.contracts.base import HostPath, stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.files import write_new
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.rehearse.local_config import Outside, RealHyOps, gather, localized, map_of, write_config
from hyops_ci.secrets.map import SecretMap
from hyops_ci.signing.dsse import load_key, new_key, public_of
from hyops_ci.stages.context import RunContext, no_output
from hyops_ci.stages.job import local_job
from hyops_ci.text import shell

EXAMPLE: Final = Path(__file__).resolve().parent / "example"
REQUESTER: Final = "maria"
APPROVER: Final = "jonas"
RUNNER: Final = "rehearsal"
"""What the config calls the rehearsal's host."""
_KEPT: Final = ("PATH", "ANSIBLE_COLLECTIONS_PATH")
"""What of the caller's environment a rehearsal's runner has."""


def find_hyops(environ: Mapping[str, str]) -> RealHyOps | None:
    """Return the real CLI, where it is: named by HYOPS_CORE_ROOT with `hyops` on the PATH, or installed at its usual place."""
    named, installed = environ.get("HYOPS_CORE_ROOT", ""), Path("/opt/hybridops/core")
    places = [(Path(found), Path(named)) for found in (shutil.which("hyops", path=environ.get("PATH")),) if found and named]
    places.append((installed / "venv" / "bin" / "hyops", installed / "app"))
    return next((RealHyOps(hyops, core) for hyops, core in places if hyops.is_file() and (core / "modules").is_dir()), None)


def can_hold_a_runner(folder: str) -> bool:
    """Return whether a config may name files below a folder as those of a runner (`HostPath`)."""
    try:
        TypeAdapter(HostPath).validate_python(f"{folder.rstrip('/')}/runner")
    except ValidationError:
        return False
    return True


@dataclass
class Site:
    """One rehearsal's outside."""

    root: Path
    clock: Clock
    say: Callable[[str], None] = no_output
    hyops_line: Callable[[str], None] = no_output
    real: RealHyOps | None = None
    """The real CLI instead of the stand-in."""
    envs: list[str] = field(default_factory=list)
    service: str = ""
    """The service that is rehearsed."""
    take_away: Callable[[], object] = lambda: None
    """Takes the recovered service away, as its destroy does."""
    passed: dict[str, str] = field(default_factory=dict)
    """Throw-away values of the names in the config's `host.env_pass`."""

    @property
    def repository(self) -> Path:
        """The caller's repository."""
        return self.root / "repository"

    @property
    def runner(self) -> Path:
        """The home of the runner."""
        return self.root / "runner"

    @property
    def key(self) -> Path:
        """The throw-away approver's private key."""
        return self.root / "keys" / f"{APPROVER}.pem"

    @property
    def host_key(self) -> Path:
        """The throw-away private key of the runner's host."""
        return self.root / "keys" / "host.key"

    @property
    def host_public(self) -> str:
        """Its public half."""
        return public_of(load_key(self.host_key))

    def script(self, steps: Mapping[str, Any]) -> None:
        """Tell the stand-in what happens to steps."""
        (self.runner / "core" / "stand-in.json").write_text(json.dumps({"seconds": 0.05, "steps": steps}), encoding="utf-8")

    def seed_state(self, ref: str, age_days: int) -> None:
        """A module state that an earlier apply left on the runner, in every env."""
        when = self.clock.now() - timedelta(days=age_days)
        module, _, instance = ref.partition("#")
        state = {"module_ref": module, "status": "ok", "updated_at": f"{when:%Y-%m-%dT%H:%M:%SZ}", "outputs": {}}
        state |= {"run_id": f"apply-{when:%Y%m%dT%H%M%SZ}-0badcafe"} | ({"state_instance": instance} if instance else {})
        for env in self.envs:
            folder = self.runner / "envs" / env / "state" / "modules" / module.replace("/", "__")
            path = folder / "instances" / f"{instance}.json" if instance else folder / "latest.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(state), encoding="utf-8")

    def forget_state(self, module: str) -> None:
        """The state was never brought to this runner."""
        for env in self.envs:
            shutil.rmtree(self.runner / "envs" / env / "state" / "modules" / module.replace("/", "__"), ignore_errors=True)

    def lose_envs(self) -> None:
        """The runner is another one: it does not hold the env."""
        shutil.rmtree(self.runner / "envs")

    def lose_authority(self) -> None:
        """The authority is gone."""
        (self.root / "authority.json").unlink()

    def world(self) -> RunContext:
        """Return the outside of one run."""
        return RunContext(
            job=replace(local_job(self.clock.now(), REQUESTER, {}), actor_id=1001),
            clock=self.clock,
            home=self.runner,
            state_dir=self.root / "host",
            ledger_remote=str(self.root / "ledger.git"),
            environ=self.passed
            | {"HOME": str(self.runner), "LANG": "C.UTF-8"}
            | {name: os.environ[name] for name in _KEPT if name in os.environ},
            say=self.say,
            hyops_line=self.hyops_line,
        )


def set_up(site: Site, port: int, config: Path | None = None, service: str = "") -> None:
    """Make everything below `site.root`: the example's, or `config` with the files that lie beside it.

    `service` is rehearsed; absent, the first one of the config. Raises Refusal (exit 2) for a config that cannot be read.
    """
    example = EXAMPLE / "gate" if site.real else EXAMPLE
    source = config or example / "dr-dispatch.yml"
    with source.open("rb") as file:
        content = file.read(MAX_CONFIG + 1)
    known, raw = read_config(content, source.name)
    first = next((each for each, entry in known.services.items() if entry.failover), next(iter(known.services)))
    site.service = service if service in known.services else first
    site.envs = sorted({env_of(each) for each in known.services})
    site.passed = {name: f"lab-{secrets.token_urlsafe(24)}" for name in known.host.env_pass}
    outside = Outside(
        class_of={} if service and service not in known.services else {env_of(site.service): "lab"},
        hyops=site.real or RealHyOps(site.runner / "hyops", site.runner / "core"),
        home=site.runner,
        authority=site.root / "authority.json",
        approvers={APPROVER: new_key(site.key)},
        port=port,
        host_key=site.host_key,
        host_keys={RUNNER: new_key(site.host_key)},
    )
    write_config(site.repository, localized(raw, known, outside))
    for line in gather(known, source, example / "overlays", site.repository):
        site.say(line)
    shutil.copytree(EXAMPLE / "core", site.runner / "core")
    for env in site.envs:
        (site.runner / "envs" / env).mkdir(parents=True)
    write_new(site.runner / "vault-password", secrets.token_hex(16).encode())
    write_new(outside.authority, json.dumps(lab_secrets(map_of(known, site.repository))).encode())
    write_launcher(site.runner / "hyops")
    for ref, facts in json.loads((EXAMPLE / "states.json").read_text(encoding="utf-8")).items():
        site.seed_state(ref, facts["age_days"])
    create_repository(site.root / "ledger.git")
    for each in known.services:
        ledger = Ledger.over_git(str(site.root / "ledger.git"), each, state_dir=site.root / "host")
        ledger.init(lane_settings(known, data_home(known, each)).failure_domain, stamp(site.clock.now()))


def lab_secrets(known: SecretMap) -> dict[str, str]:
    """Throw-away values for every name that the secret map knows."""
    return {row.key: f"lab-{secrets.token_urlsafe(24)}" for row in known.rows}


def write_launcher(path: Path) -> None:
    """The stand-in as a program: isolated, with nothing of the environment on its path."""
    paths = [str(Path(hyops_ci.__file__).resolve().parents[1]), str(Path(yaml.__file__).resolve().parents[1])]
    boot = f"import sys; sys.path[:0] = {paths!r}; from hyops_ci.operations.rehearse.stand_in import main; sys.exit(main(sys.argv[1:]))"
    path.write_text(shell("#!/bin/sh\nexec {} -I -c {} ", sys.executable, boot) + '"$@"\n', encoding="utf-8")
    path.chmod(0o755)


@dataclass(frozen=True)
class Endpoint:
    """A port in place of the service, and what takes it away: a drill destroys what it made."""

    port: int
    close: Callable[[], None]


@contextmanager
def endpoint(*, answers: bool = True) -> Iterator[int]:
    """The port of `served`, for as long as the block lasts."""
    with served(answers=answers) as service:
        yield service.port


@contextmanager
def served(*, answers: bool = True) -> Iterator[Endpoint]:
    """A TCP port of this machine in place of the recovered service: it takes connections and holds them, or refuses them."""
    if not answers:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            yield Endpoint(nobody.getsockname()[1], lambda: None)
        return
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        over: list[bool] = []

        def close() -> None:
            if not over:
                over.append(True)
                server.shutdown(socket.SHUT_RDWR)
                server.close()

        try:
            yield Endpoint(server.getsockname()[1], close)
        finally:
            close()
            thread.join(timeout=5)
            for connection in held:
                connection.close()
