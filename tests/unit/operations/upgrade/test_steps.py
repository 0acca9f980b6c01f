"""What hosts, authority and groups need: both commits first, then the new one alone, and the caller last."""

from __future__ import annotations

import json
import re

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.operations.init.commands import Adopter
from hyops_ci.operations.upgrade.steps import Step, at_the_end, before_the_caller, folder_of, host_commands, lanes_of, the_caller
from tests.secrets.test_places import CONFIG as MAKES_RUNNERS
from tests.unit.operations.upgrade.calling import CONFIG

OLD, NEW = "3f2a" + "0" * 36, "4b1c" + "1" * 36
KNOWN = Adopter("acme/recovery", 4711, 77, release=NEW, former=(OLD,))
REFS = [f"hybridops/dr-dispatch/.github/workflows/dispatch.yml@{each}" for each in (NEW, OLD)]


def config(text: str = CONFIG) -> DispatchConfig:
    return parsed_config(text.encode())


def step(steps: list[Step], words: str) -> str:
    [found] = [text for title, text in steps if words in title]
    return found


def roles(text: str) -> dict[str, dict[str, object]]:
    """Name -> bound claims of each role that a block writes."""
    found = re.findall(r"^vault write auth/jwt/role/(\S+) - <<'ROLE'\n(.*?)\nROLE$", text, re.MULTILINE | re.DOTALL)
    return {name: json.loads(body)["bound_claims"] for name, body in found}


def groups(text: str) -> list[list[str]]:
    bodies = [json.loads(each) for each in re.findall(r"<<'JSON'\n(.*?)\nJSON$", text, re.MULTILINE | re.DOTALL)]
    assert all(each["restricted_to_workflows"] is True for each in bodies)
    return [each["selected_workflows"] for each in bodies]


def test_hosts_authority_and_groups_learn_both_and_the_host_first() -> None:
    steps = before_the_caller(config(), KNOWN)
    assert [title.partition(":")[0] for title, _ in steps] == [
        "As root on the host of each runner",
        "Vault",
        "Runner groups, where a runner is in one of its own",
    ]
    assert steps[0][0].endswith("gcp-ops-runner (lane gcp), proxmox-ops-runner (lane onprem)")
    written = roles(step(steps, "Vault"))
    assert list(written) == ["dr-prod", "dr-check"]
    for claims in written.values():
        assert claims["job_workflow_ref"] == REFS
        assert claims["job_workflow_sha"] == [NEW, OLD]
        assert (claims["repository_id"], claims["repository_owner_id"]) == ("4711", "77")
    assert "vault read auth/jwt/role/dr-prod\nvault read auth/jwt/role/dr-check\n" in step(steps, "Vault")
    runner = [each.replace("dispatch.yml", "runner.yml") for each in REFS]
    both = [REFS[0], runner[0], REFS[1], runner[1]]
    assert groups(step(steps, "groups")) == [both, both]
    assert '.name == "gcp-ops-runner"' in step(steps, "groups")


def test_at_the_end_the_new_one_is_alone_and_the_old_one_nowhere() -> None:
    steps = at_the_end(config(), KNOWN)
    assert not any(OLD in text for _, text in steps)
    assert roles(step(steps, "Vault"))["dr-prod"]["job_workflow_sha"] == [NEW]
    assert all(len(each) == 2 for each in groups(step(steps, "groups")))
    setup = "/usr/local/src/dr-dispatch/actions/setup/setup.sh"
    assert step(steps, "As root") == f"sudo bash {setup} upgrade --finish --commit {NEW} --trust /etc/dr-dispatch/trust.json\n"


def test_a_host_is_prepared_before_it_accepts() -> None:
    lines = host_commands(config(), KNOWN).splitlines()
    assert [re.sub(r"^sudo (git -C|bash) \S+ ", "", line) for line in lines] == [
        f"fetch --quiet origin {NEW}",
        f"checkout --quiet --detach {NEW}",
        "runner prepare",
        f"upgrade --commit {NEW} --trust /etc/dr-dispatch/trust.json",
    ]
    own = config(CONFIG + "host: {user: hyops, envs_base: /srv/envs, vault_password_file: /etc/hyops/password}\n")
    assert "runner prepare --user gha-runner\n" in host_commands(own, KNOWN)
    assert folder_of(Adopter(workflow="acme/mirror/.github/workflows/dispatch.yml")) == "/usr/local/src/mirror"


def test_the_caller_comes_last_by_a_pull_request_and_is_checked() -> None:
    steps = the_caller(config(), [".github/workflows/dr.yml", ".github/workflows/a b.yml"], "v1.1.0", "dr.yml")
    assert [title.partition(":")[0].partition(",")[0] for title, _ in steps] == ["The callers", "Merged", "The checks are green"]
    assert "git add -- .github/workflows/dr.yml '.github/workflows/a b.yml'\n" in steps[0][1]
    started = "gh workflow run dr.yml -f action=check -f service=pg-ha/prod -f reason='upgrade of dr-dispatch to v1.1.0'\n"
    assert steps[1][1] == started
    assert steps[2][1] == "hyops-ci upgrade --finish\n"
    assert len(the_caller(config(), ["a"], "v1.1.0", "")) == 2, "no form, no check by it"


@pytest.mark.parametrize("steps", [before_the_caller(None, KNOWN), at_the_end(None, KNOWN)])
def test_without_a_config_hosts_alone_are_known(steps: list[Step]) -> None:
    assert [title for title, _ in steps] == ["As root on the host of each runner: of whichever repositories recover with it"]
    assert lanes_of(None) == []


def test_an_authority_that_knows_no_commit_is_left_alone() -> None:
    steps = before_the_caller(config(CONFIG.replace('vault: {address: "https://vault.example.net", site: gcp}', "")), KNOWN)
    assert not any("Vault" in title for title, _ in steps)


def test_the_role_that_makes_a_runner_learns_it_too() -> None:
    written = roles(step(before_the_caller(parsed_config(MAKES_RUNNERS.encode()), KNOWN), "Vault"))
    refs = written["dr-bootstrap"]["job_workflow_ref"]
    assert refs == [*REFS, *(each.replace("dispatch.yml", "runner.yml") for each in REFS)]
    assert "dr-bootstrap" not in roles(step(before_the_caller(config(), KNOWN), "Vault"))
