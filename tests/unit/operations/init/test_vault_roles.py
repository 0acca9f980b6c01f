"""What `init` prints for the authority is what the page says, and what the tests of that page run on a real server."""

from __future__ import annotations

import re
from pathlib import Path

from hyops_ci.operations.init.runner_host import beside
from hyops_ci.operations.init.vault_roles import CallerWorkflow, issuer, policy, role

PAGE = Path(__file__).parents[4] / "docs" / "vault-role.md"
PATHS = [f"hybridops/prod/{name}" for name in ("postgresql-ha", "postgresql-ha-backup", "dns", "wan-edge", "platform")]
CALLER = CallerWorkflow("4242", "77", "refs/heads/main", "hybridops/dr-dispatch/.github/workflows/dispatch.yml", ("3f2a" + "0" * 36,))


def test_the_blocks_are_those_of_the_page() -> None:
    setup, *blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    where = {"auth_path": "auth/jwt", "audiences": ["https://vault.example.net"]}
    assert setup == issuer("https://token.actions.githubusercontent.com", "auth/jwt")
    assert blocks == [
        policy("dr-prod", "secret", PATHS, values=True),
        policy("dr-check", "secret", PATHS, values=False),
        role("dr-prod", CALLER, environments=["dr-prod"], **where),
        role("dr-check", CALLER, environments=["dr-check"], **where),
        policy("dr-bootstrap", "secret", ["dr/github-app", "dr/proxmox"], values=True),
        role(
            "dr-bootstrap",
            CALLER,
            environments=["dr-bootstrap"],
            also=[beside(CALLER.workflow, "runner.yml")],
            machines=["github-hosted", "self-hosted"],
            **where,
        ),
    ]


def test_no_rule_has_a_glob() -> None:
    text = policy("dr-lab", "kv", ["hybridops/lab/dns"], values=True)
    assert "*" not in text
    assert "+" not in text
    assert 'path "kv/data/hybridops/lab/dns"' in text


def test_a_role_that_envs_share_answers_behind_the_environment_of_each() -> None:
    text = role("dr-check", CALLER, auth_path="auth/gh", audiences=["https://vault.example.net"], environments=["dr-check", "look"])
    assert '"environment": ["dr-check", "look"]' in text
    commands = issuer("https://ghe.example.net/_services/token", "auth/gh").splitlines()
    assert commands[1] == "vault auth enable -path=gh jwt &&", "what another set up there is not written over"
    assert commands[2].startswith("vault write auth/gh/config ")
