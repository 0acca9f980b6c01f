"""What making a runner takes is read under a role of its own, in one login that is given back; a real server says so."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

import pytest

from hyops_ci.config.bootstrap import bootstrap_places, bootstrap_secrets
from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.contracts.plan import SecretPlan
from hyops_ci.errors import Refusal
from hyops_ci.http.client import Limits
from hyops_ci.operations.init.blocks import blocks_of
from hyops_ci.secrets.places import PlaceValues, read_places
from hyops_ci.secrets.port import Access, Purpose
from tests.secrets.conftest import REFS, open_as, plan_for
from tests.secrets.test_adopted_role import adopter
from tests.secrets.test_adopted_role import paste as paste_block
from tests.secrets.test_documented_role import paste
from tests.support.github.app_key import private_key
from tests.support.openbao import BOUND, OpenBao, TokenFor

pytestmark = pytest.mark.bao
TOKEN = "dr@pve!bootstrap=0d9d7f3c-canary-4d6a-9b0c-5d1b0c2a7e11"
CONFIG = """
services:
  pg-ha/prod:
    failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}
    failback: {lane: onprem, blueprint: dr/postgresql-ha-failback-onprem@v1}
vault: {address: "https://vault.example.net", site: gcp}
registration: {app_id: 31, key: "dr/github-app#private_key"}
lanes:
  onprem:
    machine:
      provider: proxmox
      api: https://pve.example.net:8006
      token: dr/proxmox#token
      node: pve1
      template: 9000
      vmid: 9001
      address: 10.1.0.20/24
      gateway: 10.1.0.1
      management_runner: [self-hosted, management]
"""


def pem() -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return private_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def config() -> DispatchConfig:
    return parsed_config(CONFIG.encode())


@pytest.fixture
def kept(own_bao: OpenBao) -> OpenBao:
    """The authority with the App's key and Proxmox' token."""
    own_bao.put("secret/dr/github-app", private_key=pem())
    own_bao.put("secret/dr/proxmox", token=TOKEN)
    return own_bao


def plan(bao: OpenBao) -> SecretPlan:
    found = bootstrap_secrets(config())
    assert found is not None
    return found.model_copy(update={"addresses": ((bao.origin, "gcp"),)})


def read(bao: OpenBao, *places: str, token_file: str = "", learned: list[str] | None = None, **claims: str) -> PlaceValues:
    job = TokenFor(bao, {"environment": "dr-bootstrap", "runner_environment": "github-hosted", **claims})
    access = Access(
        EnvClass.LAB,
        Purpose.EXECUTE,
        token_for=job,
        token_file=token_file,
        limits=Limits(30.0, 30.0, 1 << 20),
        sleep=lambda _: None,
        learn=None if learned is None else learned.append,
    )
    return read_places(plan(bao), places or bootstrap_places(config()), access)


@pytest.mark.parametrize("text", ["documented", "printed"])
def test_the_role_reads_what_making_a_runner_takes_and_nothing_else(kept: OpenBao, tmp_path: Path, text: str) -> None:
    if text == "documented":
        paste(kept, tmp_path)
        machine = {"runner_environment": "github-hosted"}
    else:
        [block] = [body for title, body in blocks_of(config(), "pg-ha/prod", adopter(), tmp_path) if "makes a runner" in title]
        paste_block(kept, tmp_path, block)
        machine = {"runner_environment": "self-hosted"}
    found = read(kept, **machine)
    assert found.values == {"dr/github-app#private_key": pem(), "dr/proxmox#token": TOKEN}
    assert (found.account.role, found.account.login, found.account.revoked) == ("dr-bootstrap", "jwt", True)
    assert [(each.place, each.version) for each in found.account.places] == [("dr/github-app#private_key", "1"), ("dr/proxmox#token", "1")]
    with pytest.raises(Refusal, match=r"secrets\.denied"):
        read(kept, "hybridops/prod/dns#POWERDNS_API_KEY", **machine)
    for workflow in ("dispatch.yml", "runner.yml"):
        read(kept, job_workflow_ref=f"hybridops/dr-dispatch/.github/workflows/{workflow}@3f2a{'0' * 36}", **machine)
    for claim in BOUND:
        with pytest.raises(Refusal, match=r"secrets\.login") as refused:
            read(kept, **{**machine, claim: "another"})
        assert f'claim "{claim}"' in refused.value.found


def test_no_other_role_reads_them_and_this_ones_job_reads_no_env(kept: OpenBao, tmp_path: Path) -> None:
    paste(kept, tmp_path)
    run = open_as(kept)
    for place in bootstrap_places(config()):
        path = f"secret/{place.partition('#')[0]}"
        with pytest.raises(Refusal, match=r"secrets\.denied"):
            run.read([REFS[0].model_copy(update={"path": path})])
    run.close()
    with pytest.raises(Refusal, match=r"secrets\.login"):
        open_as(kept, plan=plan_for(kept), token_for=TokenFor(kept, {"environment": "dr-bootstrap"})).read(REFS)


def test_the_login_is_given_back_whatever_happens(kept: OpenBao, tmp_path: Path) -> None:
    paste(kept, tmp_path)
    app = "dr/github-app#private_key"
    for places, gate in (((app,), ""), (("dr/github-app#no_such_field",), "secrets.missing"), ((app, "dr/nowhere#x"), "secrets.denied")):
        learned: list[str] = []
        with pytest.raises(Refusal, match=gate.replace(".", "[.]")) if gate else nullcontext():
            read(kept, *places, learned=learned)
        tokens = [each for each in learned if "PRIVATE KEY" not in each]
        assert tokens, "a login was made"
        assert not any(kept.works(token) for token in tokens)


def test_a_persons_token_in_a_shell(kept: OpenBao, tmp_path: Path) -> None:
    paste(kept, tmp_path)
    made = kept.admin.auth.token.create(
        policies=["dr-bootstrap"], no_default_policy=True, ttl="15m", explicit_max_ttl="15m", type="service"
    )
    token = made["auth"]["client_token"]
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    found = read(kept, token_file=str(file))
    assert found.values["dr/proxmox#token"] == TOKEN
    assert (found.account.login, found.account.revoked, kept.works(token)) == ("token-file", True, False)


def test_no_value_is_shown(kept: OpenBao, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    paste(kept, tmp_path)
    learned: list[str] = []
    found = read(kept, learned=learned)
    texts = (repr(found), str(found), found.account.model_dump_json(), caplog.text)
    for value in found.values.values():
        assert value in learned
        for piece in value.splitlines()[1:2] or [value]:
            assert not any(piece in text for text in texts)
