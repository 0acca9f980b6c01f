"""What docs/runners-gcp.md says is enough, and is no more than what the code asks for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from hyops_ci.contracts.runner_machine import GcpEndpoints
from hyops_ci.runners.gcp.permissions import machine_role, nat_role
from tests.runners.gcp_fake.accounts import ACCOUNT, PROVIDER
from tests.runners.gcp_fake.world import PROJECTS, SETTINGS

PAGE = (Path(__file__).parents[2] / "docs/runners-gcp.md").read_text("utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^    (gcloud .+)$", PAGE, re.M)]


def options(*words: str) -> list[dict[str, str]]:
    found = [each[len(words) :] for each in COMMANDS if each[: len(words)] == list(words)]
    return [dict(word.removeprefix("--").split("=", 1) for word in each if word.startswith("--") and "=" in word) for each in found]


def test_the_roles_hold_what_the_calls_need_and_nothing_else() -> None:
    """tests/runners/test_gcp_order.py shows that these are the calls."""
    machine, nat = options("gcloud", "iam", "roles", "create")
    assert machine["permissions"].split(",") == machine_role()
    assert nat["permissions"].split(",") == nat_role(makes=False)
    (more,) = re.findall(r"`drNat` also needs `([^`]+)`", PAGE)
    assert sorted({*nat_role(makes=False), *more.split(",")}) == nat_role(makes=True)
    assert not {each for each in machine_role() if "setIamPolicy" in each or each.endswith(".*")}


def test_its_names_are_those_of_one_config() -> None:
    text = " ".join(word for each in COMMANDS for word in each)
    assert ACCOUNT in text
    assert SETTINGS["service_account"] in text
    assert PROVIDER.partition("/providers/")[0] in text
    assert PROJECTS.host in text
    (rule,) = options("gcloud", "compute", "firewall-rules", "create")
    assert (rule["source-ranges"], rule["allow"], rule["target-tags"]) == ("35.235.240.0/20", "tcp:22", *SETTINGS["tags"])


def test_every_interface_that_is_asked_is_enabled() -> None:
    enabled = {
        word for each in COMMANDS if each[:3] == ["gcloud", "services", "enable"] for word in each if word.endswith(".googleapis.com")
    }
    asked = {host.removeprefix("https://") for host in GcpEndpoints().document().values() if host.endswith(".googleapis.com")}
    assert asked < enabled
    assert enabled - asked == {"iap.googleapis.com"}


def test_the_condition_lets_in_one_protected_branch_behind_its_gate() -> None:
    (provider,) = options("gcloud", "iam", "workload-identity-pools", "providers", "create-oidc")
    condition = provider["attribute-condition"]
    for claim in ("repository_id", "ref", "ref_protected", "environment"):
        assert f"assertion.{claim} == '" in condition
    assert condition.count("&&") == 3
