"""One list of names that steer a child process, held at each of the three doors into HyOps' environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.child_names import INHERITED, OF_THE_RUNNER, STEERING, STEERING_PREFIXES, steers, steers_as_secret
from hyops_ci.contracts.plan import GatePass
from hyops_ci.errors import Refusal
from hyops_ci.execution.command import Runtime, child_environment
from hyops_ci.planning.planner import case_of
from hyops_ci.secrets.map import read_map
from tests.unit.planning.gate_cases import gate_case
from tests.unit.planning.test_gates import GATES

RUNTIME = Runtime(Path("/opt/hyops"), Path("/opt/core"), Path("/opt/envs"), "prod")
PREFIXED = st.builds(str.__add__, st.sampled_from(STEERING_PREFIXES), st.just("ENV") | st.from_regex(r"[A-Z0-9_]{1,20}", fullmatch=True))
NAMES = st.sampled_from([*sorted(STEERING), *INHERITED]) | PREFIXED.filter(steers)
SPELLED = st.builds(lambda name, lower: name.lower() if lower else name, NAMES, st.booleans())


def plan_door(name: str) -> str:
    """The id of the refusal of a config that hands on `name`, or empty."""
    made = gate_case({"config": {"host": {"env_pass": [name]}}})
    said = GATES["config.env_pass"](case_of(made.decision, made.config, made.blueprint, made.facts, secret_refs=made.secret_refs))
    return "" if isinstance(said, GatePass) else said.gate


def map_door(name: str) -> str:
    """The id of the refusal of a secret map with a row of this name, or empty."""
    try:
        read_map(f"dr,{name},secret/x\n".encode())
    except Refusal as refusal:
        return refusal.gate
    return ""


def start_door(name: str, *, secret: bool) -> str:
    """The id of the refusal at HyOps' start, or empty where the name went in."""
    try:
        made = child_environment(RUNTIME, base={name: "v"}, secrets={name: "v"} if secret else {}, env_pass=() if secret else (name,))
    except Refusal as refusal:
        return refusal.gate
    assert made[name] == "v"
    return ""


@given(SPELLED)
def test_a_name_that_steers_passes_no_door(name: str) -> None:
    assert plan_door(name) == "config.env_pass"
    assert map_door(name) == "secrets.map.reserved"
    assert start_door(name, secret=False) == "hyops.environment"
    assert start_door(name, secret=True) == "hyops.environment"


@pytest.mark.parametrize("name", sorted(OF_THE_RUNNER))
def test_a_value_of_the_runner_is_handed_on_and_never_a_secret(name: str) -> None:
    assert (plan_door(name), start_door(name, secret=False)) == ("", "")
    assert (map_door(name), start_door(name, secret=True)) == ("secrets.map.reserved", "hyops.environment")


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True))
def test_the_doors_agree_about_any_name(name: str) -> None:
    assert bool(plan_door(name)) == bool(start_door(name, secret=False)) == steers(name)
    assert bool(map_door(name)) == bool(start_door(name, secret=True)) == steers_as_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "POWERDNS_API_KEY",
        "PG_BACKUP_S3_ACCESS_KEY_ID",
        "HCLOUD_TOKEN",
        "TF_VAR_password",
        "TF_TOKEN_app_terraform_io",
        "HYOPS_VYOS_GCS_SA_JSON",
        "GOOGLE_CREDENTIALS",
    ],
)
def test_an_ordinary_secret_passes_every_door(name: str) -> None:
    assert (map_door(name), start_door(name, secret=True), start_door(name, secret=False)) == ("", "", "")


@pytest.mark.parametrize(
    "name",
    (
        "BASH_ENV BASH_FUNC_x ENV GIT_SSH_COMMAND ANSIBLE_CONFIG ANSIBLE_VAULT_PASSWORD_FILE PERL5LIB PERL5OPT PYTHONPATH LD_PRELOAD "
        "NODE_OPTIONS TF_CLI_ARGS TF_CLI_ARGS_apply TF_CLI_CONFIG_FILE RUBYOPT JAVA_TOOL_OPTIONS HYOPS_INPUTS_JSON HYOPS_ENV "
        "HYOPS_VAULT_PASSWORD HYOPS_NO_PLUGINS RUNNER_TOKEN VAULT_TOKEN BAO_TOKEN ld_preload Path"
    ).split(),
)
def test_names_that_are_known_to_steer(name: str) -> None:
    assert steers(name)
    assert steers_as_secret(name)
