"""docs/vault-role.md, run on a real server: what an administrator pastes is what a run needs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.secrets.port import Purpose
from tests.secrets.conftest import KEYS, REFS, VALUES, open_as, plan_for
from tests.support.issuer import ISSUER
from tests.support.openbao import BOUND, ROOT_TOKEN, OpenBao, TokenFor, bao_binary

pytestmark = pytest.mark.bao
PAGE = Path(__file__).parents[2] / "docs" / "vault-role.md"


def paste(bao: OpenBao, tmp_path: Path) -> None:
    """Run every shell block of the page. `vault` is OpenBao; only address and key source differ."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    setup, *rest = blocks
    assert f"oidc_discovery_url={ISSUER}" in setup  # needs the internet; the server already knows the test's key
    assert len(rest) == 6
    (tmp_path / "vault").symlink_to(bao_binary())
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "VAULT_ADDR": bao.origin, "VAULT_TOKEN": ROOT_TOKEN}
    for block in rest:
        script = "set -eu\n" + block.replace("https://vault.example.net", bao.origin)
        subprocess.run(["bash", "-c", script], env=environment, check=True, capture_output=True, timeout=300)


def test_the_documented_roles_do_what_a_run_needs_and_no_more(own_bao: OpenBao, tmp_path: Path) -> None:
    for role in ("dr-prod", "dr-check"):
        own_bao.admin.adapter.delete(f"/v1/auth/jwt/role/{role}")
        own_bao.admin.sys.delete_policy(role)
    paste(own_bao, tmp_path)

    check = open_as(own_bao, Purpose.CHECK)
    assert check.names(REFS) == dict.fromkeys(KEYS, True)
    with pytest.raises(Refusal, match=r"secrets\.denied"):
        check.read(REFS)
    check.close()
    assert check.revoked is True

    run = open_as(own_bao)
    assert {secret.key: secret.value for secret in run.read(REFS)} == VALUES
    own_bao.put("secret/hybridops/stage/dns", POWERDNS_API_KEY="canary of another env")
    with pytest.raises(Refusal, match=r"secrets\.denied"):
        run.read([REFS[0].model_copy(update={"path": "secret/hybridops/stage/dns"})])
    run.close()
    assert run.revoked is True

    for claim in BOUND:
        with pytest.raises(Refusal, match=r"secrets\.login") as refused:
            open_as(own_bao, token_for=TokenFor(own_bao, {"environment": "dr-prod", claim: "another"})).read(REFS)
        assert f'claim "{claim}"' in refused.value.found


def test_a_drill_by_schedule_is_let_in(own_bao: OpenBao, tmp_path: Path) -> None:
    paste(own_bao, tmp_path)
    authority = open_as(own_bao, plan=plan_for(own_bao), token_for=TokenFor(own_bao, {"environment": "dr-prod", "event_name": "schedule"}))
    assert len(authority.read(REFS)) == len(REFS)
    authority.close()
