"""What `hyops-ci init` prints for the authority, pasted into a real server: the roles let in what a run needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.operations.init.commands import Adopter
from hyops_ci.operations.init.files import adopt
from hyops_ci.secrets.port import Purpose
from tests.secrets.conftest import KEYS, REFS, VALUES, open_as
from tests.support.issuer import GITHUB_CLAIMS, ISSUER
from tests.support.openbao import ROOT_TOKEN, OpenBao, TokenFor, bao_binary
from tests.unit.operations.init.adopting import block, blueprints, request

pytestmark = pytest.mark.bao


def adopter() -> Adopter:
    """The caller whose jobs the test's tokens are of."""
    workflow, _, release = str(GITHUB_CLAIMS["job_workflow_ref"]).partition("@")
    branch = str(GITHUB_CLAIMS["ref"]).removeprefix("refs/heads/")
    ids = int(str(GITHUB_CLAIMS["repository_id"])), int(str(GITHUB_CLAIMS["repository_owner_id"]))
    return Adopter("acme/recovery", *ids, branch, workflow, release, reviewers=(("jonas", 1002),))


def paste(bao: OpenBao, tmp_path: Path, text: str) -> None:
    """`vault` is OpenBao; only the address differs."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    if not (tmp_path / "bin" / "vault").exists():
        (tmp_path / "bin" / "vault").symlink_to(bao_binary())
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    environment |= {"VAULT_ADDR": bao.origin, "VAULT_TOKEN": ROOT_TOKEN}
    script = "set -eu\n" + text.replace("https://vault.example.net", bao.origin)
    subprocess.run(["bash", "-c", script], env=environment, check=True, capture_output=True, timeout=300)


def test_the_printed_roles_do_what_a_run_needs_and_no_more(own_bao: OpenBao, tmp_path: Path) -> None:
    for role in ("dr-prod", "dr-check"):
        own_bao.admin.adapter.delete(f"/v1/auth/jwt/role/{role}")
        own_bao.admin.sys.delete_policy(role)
    (tmp_path / "checkout").mkdir()
    core = blueprints(tmp_path / "blueprints")
    done = adopt(request(core), tmp_path / "checkout", adopter())
    assert f"oidc_discovery_url={ISSUER} " in block(done, "who issues"), "it needs the internet; the server knows the test's key"
    paste(own_bao, tmp_path, block(done, "policies and roles"))

    check = open_as(own_bao, Purpose.CHECK)
    assert check.names(REFS) == dict.fromkeys(KEYS, True)
    with pytest.raises(Refusal, match=r"secrets\.denied"):
        check.read(REFS)
    check.close()
    run = open_as(own_bao)
    assert {secret.key: secret.value for secret in run.read(REFS)} == VALUES
    run.close()
    with pytest.raises(Refusal, match=r"secrets\.login"):
        open_as(own_bao, token_for=TokenFor(own_bao, {"environment": "dr-stage"})).read(REFS)

    # A second env, with an environment of checks of its own: the first one's check goes on.
    config = tmp_path / "checkout" / ".github" / "dr-dispatch.yml"
    config.write_text(config.read_text() + "envs: {stage: {check_environment: look}}\n")
    done = adopt(request(core, "pg-ha/stage"), tmp_path / "checkout", replace(adopter(), release=""))
    paste(own_bao, tmp_path, block(done, "policies and roles"))
    for environment in ("dr-check", "look"):
        check = open_as(own_bao, Purpose.CHECK, token_for=TokenFor(own_bao, {"environment": environment}))
        assert check.names(REFS) == dict.fromkeys(KEYS, True)
        check.close()
    with pytest.raises(Refusal, match=r"secrets\.login"):
        open_as(own_bao, Purpose.CHECK, token_for=TokenFor(own_bao, {"environment": "dr-prod"})).names(REFS)
