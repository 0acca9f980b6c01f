"""The site that a caller's workflow runs on: repository, GitHub's Git and tokens, OpenBao, one runner host with its HyOps.

    site.start("failover", {"action": "failover", "service": "pg-ha/lab", "reason": "INC-4242"}) -> ActRun

Everything is real but GitHub (act), the tokens (signed by a key that OpenBao trusts) and HyOps (the contract double).
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from hyops_ci.contracts.base import stamp
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.signing.dsse import new_key
from tests.act import shim
from tests.act.control import CALLER, Control, serve_control
from tests.act.hosting import on_pinned_host, on_prepared_host
from tests.act.identity import JobTokens, serve_job_tokens
from tests.act.rewriting import REPOSITORY, ROOT, UNPINNED, copy_dispatch, pinned
from tests.act.running import LABELS, ActRun, run_act
from tests.hyops_double import Double, install
from tests.support.git_http import GitServer, serve_git
from tests.support.github.runs import Run
from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA
from tests.support.openbao import OpenBao

SERVICE = "pg-ha/lab"
REQUESTER, APPROVER = "maria", "jonas"
DISPATCH = ROOT / ".github" / "workflows" / "dispatch.yml"
LOOKED_AFTER = DISPATCH.with_name("runner.yml")
TEMPLATE = ROOT / "workflows-templates" / "dr-manual.yml"
EXAMPLE = ROOT / "hyops_ci" / "operations" / "rehearse" / "example"
ENVIRONMENTS = {
    "check": "dr-check",
    "execute": "dr-lab",
    "ensure-runner": "dr-bootstrap",
    "recover": "dr-bootstrap",
    "board": "github-pages",
}
"""The GitHub environment of each job that has one, as the plan of an env `lab`, or the config, names them."""
SECRETS = {
    "secret/hybridops/lab/postgresql-ha": {
        "PATRONI_SUPERUSER_PASSWORD": "c4n4ry/Superuser+Word==1",
        "PATRONI_REPLICATION_PASSWORD": "c4n4ry-replication-%22-2",
    },
    "secret/hybridops/lab/postgresql-ha-backup": {"PG_BACKUP_GCS_SA_JSON": '{"type":"service_account","private_key_id":"c4n4ry-key-3"}'},
    "secret/hybridops/lab/dns": {"POWERDNS_API_KEY": "c4n4ry-powerdns-4-kkkkkkkk"},
    "secret/hybridops/lab/wan-edge": {"WAN_EDGE_SSH_PRIVATE_KEY": "c4n4ry-ssh-5-bm90IGEga2V5IGF0IGFsbA"},
    "secret/hybridops/lab/platform": {"NETBOX_DB_PASSWORD": "c4n4ry-netbox-6-zzzzzzzz"},
}
"""What lies at the authority; every value is a canary."""
GITHUB_TOKEN = "ghs_c4n4ryTokenOfTheJob00000000000000007"
VAULT_PASSWORD = "c4n4ry-password-of-the-bundle-8"
OBSERVER = """
  after:
    needs: dr
    if: always()
    runs-on: ubuntu-latest
    steps:
      - id: seen
        env: {SEEN: "${{ toJSON(needs.dr.outputs) }}"}
        run: printf 'seen<<EOF\\n%s\\nEOF\\n' "$SEEN" >>"$GITHUB_OUTPUT"
"""
"""A job of the caller after the shipped one: what the reusable workflow answers."""


@dataclass
class Site:
    """One caller, one runner host, one service."""

    root: Path
    double: Double
    bao: OpenBao
    tokens: JobTokens
    git: GitServer
    local: dict[str, Path]
    approver_key: Path
    config: dict[str, Any]
    control: Control
    """GitHub's API, as the jobs meet it."""
    runs: list[tuple[str, ActRun]] = field(default_factory=list)
    next_run: int = 24001
    runner_name: str = "dr-runner-01"
    """What the agent says that it is called."""
    trust: dict[str, Any] | None = None
    """The trust file of the runner host; none, and the host does not pin its callers."""
    programs: list[Path] = field(default_factory=list)
    """Folders that the PATH of its jobs begins with."""
    before: list[str] = field(default_factory=list)
    """A command that goes on to its arguments: what is different on its host before anything runs there."""

    @property
    def repository(self) -> Path:
        """The caller's checkout."""
        return self.root / "caller"

    @property
    def ledger_repository(self) -> Path:
        """The bare repository that GitHub serves."""
        return self.root / "github" / CALLER

    @property
    def home(self) -> Path:
        """Home of the runner's user: what the host remembers from run to run."""
        return self.root / "runner" / "home"

    @property
    def env_root(self) -> Path:
        """The runtime root of env `lab` on the runner."""
        return self.root / "runner" / "envs" / "lab"

    def ledger(self, service: str = SERVICE) -> Ledger:
        """A service's ledger as an onlooker sees it."""
        return Ledger.over_git(str(self.ledger_repository), service, state_dir=self.root / "onlooker")

    def write_config(self) -> None:
        """Commit the config as it stands."""
        path = self.repository / ".github" / "dr-dispatch.yml"
        path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        git(self.repository, "add", ".")
        git(self.repository, "commit", "-q", "--allow-empty", "-m", "Config")

    def start(
        self, scenario: str, inputs: Mapping[str, str], *, actor: str = REQUESTER, event: str = "workflow_dispatch", **more: Any
    ) -> ActRun:
        """Run the caller's workflow as `gh workflow run` does, or as its schedule; `more` is as `carry_out` has it."""
        self.next_run += 1
        control = more.get("control") or self.control
        return self.carry_out(control.open_run(self.next_run, actor, scenario, inputs, event), scenario, **more)

    def carry_out(
        self,
        opened: Run,
        scenario: str,
        *,
        without: Sequence[str] = (),
        file: str = "dr.yml",
        secrets: Mapping[str, str] = MappingProxyType({}),
        control: Control | None = None,
        runner: str = "",
        trust: Mapping[str, Any] | None = None,
        before: Sequence[str] = (),
        **claims: str,
    ) -> ActRun:
        """Run what GitHub lists as begun, by the event that it came by; `claims` are what GitHub says differently of its jobs.

        A job that needs a label of `without` is taken by nobody. `secrets` are the repository's own, beside GitHub's token. `control` is
        that of a run beside another; its runner may be another one, whose host has a `trust` and a `before` of its own.
        """
        number, actor, control = str(opened.id), opened.actor.login, control or self.control
        self.tokens.claims[number] = {
            "run_id": number,
            "actor": actor,
            "actor_id": str(opened.actor.id),
            "event_name": opened.event,
            "sha": git(self.repository, "rev-parse", "HEAD").strip(),
            "workflow_ref": f"{CALLER}/.github/workflows/{file}@refs/heads/main",
            **claims,
        }
        event = {
            **_said(opened),
            "ref": "refs/heads/main",
            "repository": {"full_name": CALLER, "id": int(GITHUB_CLAIMS["repository_id"]), "default_branch": "main"},
            "sender": {"login": actor, "id": opened.actor.id},
        }
        environment = {
            "GITHUB_RUN_ID": number,
            "GITHUB_REPOSITORY": CALLER,
            "GITHUB_REPOSITORY_ID": GITHUB_CLAIMS["repository_id"],
            "GITHUB_ACTOR_ID": str(opened.actor.id),
            "GITHUB_TRIGGERING_ACTOR": actor,
            "GITHUB_REF_PROTECTED": "true",
            "GITHUB_WORKFLOW_REF": f"{CALLER}/.github/workflows/{file}@refs/heads/main",
            "GITHUB_SERVER_URL": self.git.origin,
            "GITHUB_API_URL": control.fake.url,
            "GIT_SSL_CAINFO": str(self.git.ca),
            "RUNNER_NAME": runner or self.runner_name,
            "RUNNER_ENVIRONMENT": "self-hosted",
            **self.tokens.environment,
        }
        host, trust = self.root / f"host-{number}", trust or self.trust
        arguments = ["--actor", actor, "-s", f"GITHUB_TOKEN={GITHUB_TOKEN}"]
        arguments += [argument for name, value in secrets.items() for argument in ("-s", f"{name}={value}")]

        def saw(entry: Mapping[str, Any]) -> None:
            """One line of act; a job's token names the environment that the plan put it into."""
            control.saw(entry)
            self.tokens.environments[number] = control.gates()

        run = run_act(
            self.repository,
            self.root / f"run-{number}",
            local=self.local,
            event_name=opened.event,
            event=event,
            environment=environment,
            home=self.home,
            workflow=f".github/workflows/{file}",
            arguments=arguments,
            programs=self.programs,
            on_entry=saw,
            labels=[label for label in LABELS if label not in without],
            inside=[*(on_pinned_host(trust, host) if trust is not None else on_prepared_host(host)), *before, *self.before],
        )
        control.keep_artifacts(run.artifacts)  # first: whoever follows the run looks for them as soon as it has ended
        opened.finish("cancelled" if control.cancelled else "success" if run.rc == 0 else "failure")
        self.runs.append((scenario, run))
        return run


def _said(run: Run) -> dict[str, Any]:
    """What the event says that started a run."""
    if run.event == "workflow_dispatch":
        return {"inputs": {"action": "failover", **run.inputs}}
    return {"schedule": "47 2 * * *"} if run.event == "schedule" else {"action": run.title, "client_payload": run.inputs}


@contextmanager
def make_site(root: Path, bao: OpenBao) -> Iterator[Site]:
    """A site below `root` on a running OpenBao; its services end on leaving."""
    dispatch = copy_dispatch(root / "dispatch", WORKFLOW_SHA)
    double = _runner(root)
    bare = root / "github" / CALLER
    bare.mkdir(parents=True)
    git(bare, "init", "-q", "--bare", ".")
    with (
        serve_git(root / "github", GITHUB_TOKEN) as server,
        serve_job_tokens(bao, (DISPATCH, LOOKED_AFTER), ENVIRONMENTS) as tokens,
        serve_control(GITHUB_TOKEN, caller_workflow()) as control,
        _listener() as service_port,
    ):
        key = root / "approver" / "key.pem"
        host = root / "runner" / "host.key"
        config = _config(root, double, bao, new_key(key), service_port)
        config |= {"host_keys": {"gcp-ops-runner": new_key(host)}, "evidence": {"signer": "host-key", "key": str(host)}}
        site = Site(root, double, bao, tokens, server, _local(dispatch), key, config, control)
        _caller(site)
        site.ledger().init("onprem", stamp(datetime.now(UTC)))
        yield site


def _config(root: Path, double: Double, bao: OpenBao, public: str, service_port: int) -> dict[str, Any]:
    action = "dr/postgresql-ha-{}@v1"
    return {
        "services": {
            SERVICE: {
                "failover": {"lane": "gcp", "blueprint": action.format("failover-gcp")},
                "failback": {"lane": "onprem", "blueprint": action.format("failback-onprem")},
            }
        },
        "envs": {"lab": {"class": "lab"}},
        "host": {
            "core_root": str(double.core_root),
            "hyops": str(double.hyops),
            "envs_base": str(root / "runner" / "envs"),
            "vault_password_file": str(root / "runner" / "vault-password"),
        },
        "vault": {"address": bao.origin, "site": "gcp"},
        "approvals": {"channels": ["signed"], "approvers": {APPROVER: public}},
        "verification": {SERVICE: [{"kind": "tcp", "target": f"127.0.0.1:{service_port}", "hold": "PT1S", "timeout": "PT5S"}]},
        "objectives": {SERVICE: {"rto": "PT30M"}},
    }


def _runner(root: Path) -> Double:
    double = install(root / "runner")
    (root / "runner" / "home").mkdir()
    env_root = root / "runner" / "envs" / "lab"
    (env_root / "config").mkdir(parents=True)
    password = root / "runner" / "vault-password"
    password.write_text(VAULT_PASSWORD + "\n")
    password.chmod(0o600)
    (env_root / "credentials").mkdir(parents=True, exist_ok=True)
    (env_root / "credentials" / "gcp.credentials.tfvars").write_text('project_id = "a-project"\n')
    for ref in json.loads((EXAMPLE / "states.json").read_text()):
        module, _, instance = ref.partition("#")
        folder = env_root / "state" / "modules" / module.replace("/", "__")
        path = folder / "instances" / f"{instance}.json" if instance else folder / "latest.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {"module_ref": module, "status": "ok", "run_id": "apply-20260914T101500Z-0badcafe", "outputs": {}}
        path.write_text(json.dumps(state | {"updated_at": "2026-09-14T10:15:00Z"} | ({"state_instance": instance} if instance else {})))
    return double


def caller_workflow() -> str:
    """The manual template, pinned, with a job that sees what is answered."""
    return TEMPLATE.read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}") + OBSERVER


def _caller(site: Site) -> None:
    workflow = site.repository / ".github" / "workflows" / "dr.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(caller_workflow())
    overlays = site.repository / ".github" / "dr" / "lab"
    overlays.mkdir(parents=True)
    for path in (EXAMPLE / "overlays").glob("*.yml"):
        (overlays / path.name).write_bytes(path.read_bytes())
    git(site.repository, "init", "-q", "-b", "main", ".")
    site.write_config()


def _local(dispatch: Path) -> dict[str, Path]:
    folders = {"actions/upload-artifact": shim.build() / "upload", "actions/download-artifact": shim.build() / "download"}
    pins = pinned(DISPATCH.read_text())
    named = {f"{name}@{sha}": folders[name] for name, sha in pins.items() if name in folders}
    return named | {f"{REPOSITORY}@{WORKFLOW_SHA}": dispatch}


def git(folder: Path, *words: str) -> str:
    """Call git in a folder; answers what it said."""
    command = ["git", "-c", "user.name=maria", "-c", "user.email=maria@example.invalid", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


@contextmanager
def _listener() -> Iterator[int]:
    """Something that takes connections and greets, where the recovered service would be: what verification looks at.

    Of one that waits for a word a probe waits a tenth of a second for it to close: no cost of a dispatch.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done, held = threading.Event(), list[socket.socket]()

        def serve() -> None:
            while not done.is_set():
                try:
                    held.append(server.accept()[0])
                    held[-1].sendall(b"220 there\r\n")
                except TimeoutError:
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            done.set()
            thread.join(5)
            for connection in held:
                connection.close()
