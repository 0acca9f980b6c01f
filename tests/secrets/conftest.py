"""One OpenBao server for the whole session; tests that seal or stop one start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import SecretPlan, SecretRef
from hyops_ci.http.client import Limits
from hyops_ci.secrets.bundle import NAME
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.map import builtin_map, refs_for
from hyops_ci.secrets.password import Password, read_password
from hyops_ci.secrets.port import Access, Purpose, SecretAuthority
from tests.support.openbao import OpenBao, TokenFor, start_openbao

KEYS = (
    "NETBOX_DB_PASSWORD",
    "PATRONI_REPLICATION_PASSWORD",
    "PATRONI_SUPERUSER_PASSWORD",
    "PG_BACKUP_GCS_SA_JSON",
    "POWERDNS_API_KEY",
    "WAN_EDGE_SSH_PRIVATE_KEY",
)
REFS = refs_for(builtin_map(), "prod", ("dr", "shared"), KEYS)
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanaryb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
VALUES = {key: f"canary-{key.lower()}-'\"$\\ü" for key in KEYS} | {
    "WAN_EDGE_SSH_PRIVATE_KEY": PEM,
    "PG_BACKUP_GCS_SA_JSON": '{\n  "private_key": "canary\\nkey"\n}\n',
}


def fill(bao: OpenBao) -> OpenBao:
    """The env `prod` with every value of `VALUES` and the roles that read them."""
    paths = sorted({ref.path for ref in REFS})
    for path in paths:
        bao.put(path, **{ref.field: VALUES[ref.key] for ref in REFS if ref.path == path})
    bao.add_env("prod", paths)
    return bao


@pytest.fixture(scope="session")
def bao() -> Iterator[OpenBao]:
    with start_openbao() as server:
        yield fill(server)


@pytest.fixture
def own_bao() -> Iterator[OpenBao]:
    """A server of the test's own, to be broken."""
    with start_openbao() as server:
        yield fill(server)


def plan_for(bao: OpenBao, *before: str, refs: tuple[SecretRef, ...] = REFS, role: str = "dr-prod") -> SecretPlan:
    """A plan that tries the origins `before` first."""
    addresses = (*((origin, "dead") for origin in before), (bao.origin, "gcp"))
    return SecretPlan(kind="vault", addresses=addresses, role=role, check_role="dr-check", refs=refs)


def open_as(
    bao: OpenBao,
    purpose: Purpose = Purpose.EXECUTE,
    *,
    plan: SecretPlan | None = None,
    token_for: Callable[[str], str] | None = None,
    token_file: str = "",
    learn: Callable[[str], None] | None = None,
    seconds: float = 30.0,
) -> SecretAuthority:
    """The authority as a stage opens it, quick to give up."""
    environment = "dr-check" if purpose is Purpose.CHECK else "dr-prod"
    return open_authority(
        plan or plan_for(bao),
        Access(
            EnvClass.LAB,
            purpose,
            token_for=token_for or TokenFor(bao, {"environment": environment}),
            token_file=token_file,
            limits=Limits(seconds, seconds, 1 << 20),
            sleep=lambda seconds: None,
            learn=learn,
        ),
    )


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    root = tmp_path / "envs" / "prod"
    root.mkdir(parents=True)
    return root / "vault" / NAME


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "vault-password"
    path.write_text("canary password of the bundle\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def password(password_file: Path) -> Password:
    return read_password(str(password_file))
