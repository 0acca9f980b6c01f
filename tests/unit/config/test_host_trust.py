from __future__ import annotations

import json
from typing import Any

import pytest

from hyops_ci.config.host_trust import narrow, plan_fits, stricter
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.errors import Exit, Refusal
from hyops_ci.planning.planner import commands_for
from tests.unit.planning.gate_cases import base, gate_case, over

KEY, OTHER = "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=", "ed25519:ypOsFwUYcHHWe4PH/w7+gQjo7EUwV113JoeTM9vavnw="
TRUST: dict[str, Any] = {
    "repository_id": 4711,
    "repository_owner_id": 77,
    "ref": "refs/heads/main",
    "workflow_shas": ["3f2a" * 10],
    "runner_refs": ["gcp-ops-runner"],
    "approvers": [{"id": 7, "login": "jonas", "key": KEY}],
    "authorities": [{"origin": "https://vault.example.net", "roles": ["dr-prod", "dr-check"]}],
    "gates": {"prod": "dr-prod"},
}


def trust(**change: Any) -> HostTrust:
    return HostTrust.model_validate_json(json.dumps(TRUST | change))


def config(change: dict[str, Any] | None = None) -> DispatchConfig:
    return DispatchConfig.model_validate_json(json.dumps(over(base("config"), change or {})))


def test_what_the_file_leaves_open_becomes_the_stricter() -> None:
    narrowed = narrow(config(), trust(quorum=2, max_decision_lifetime="PT20M", max_approval_lifetime="PT30M"))
    assert narrowed.approvals.quorum == 2
    assert (narrowed.policy.decision_lifetime, narrowed.approvals.lifetime) == ("PT20M", "PT30M")


def test_a_user_of_hyops_that_both_name() -> None:
    host = {"user": "hyops", "envs_base": "/srv/hyops/envs", "env_pass": ["PROXY"]}
    assert narrow(config({"host": host}), trust(host=host)).host.user == "hyops"


def test_a_stricter_file_stays_as_it_is() -> None:
    said = config({"policy": {"decision_lifetime": "PT10M"}, "approvals": {"lifetime": "PT5M"}})
    assert narrow(said, trust()) == said


@pytest.mark.parametrize(
    ("change", "host", "found"),
    [
        ({"policy": {"decision_lifetime": "PT2H"}}, {}, "policy.decision_lifetime: PT2H"),
        ({"approvals": {"lifetime": "PT61M"}}, {}, "approvals.lifetime: PT61M"),
        ({"approvals": {"quorum": 1}}, {"quorum": 2}, "approvals.quorum: 1"),
        ({"approvals": {"approvers": {"mallory": KEY}}}, {}, "approvals.approvers.mallory"),
        ({"approvals": {"approvers": {"jonas": OTHER}}}, {}, "approvals.approvers.jonas"),
        ({"vault": {"address": "https://evil.example.net"}}, {}, "vault.address: https://evil.example.net"),
        ({"vault": {"role": "root"}}, {}, "vault.role: root"),
        ({"vault": {"namespace": "mallory"}}, {}, "vault.namespace: mallory"),
        ({"envs": {"prod": {"github_environment": "open"}}}, {}, "envs.prod.github_environment: open"),
        ({"host": {"user": "hyops"}}, {}, "host.user: hyops"),
        ({}, {"host": {"user": "hyops"}}, "host.user: not set"),
        ({"host": {"user": "hyops", "hyops": "/srv/hyops"}}, {"host": {"user": "hyops"}}, "host.hyops: /srv/hyops"),
    ],
)
def test_a_looser_file_is_refused(change: dict[str, Any], host: dict[str, Any], found: str) -> None:
    with pytest.raises(Refusal) as caught:
        narrow(config(change), trust(**host))
    assert (caught.value.gate, caught.value.exit_code) == ("trust.looser", Exit.POLICY)
    assert found in caught.value.found


def test_the_refusal_holds_no_key() -> None:
    with pytest.raises(Refusal) as caught:
        narrow(config({"approvals": {"approvers": {"jonas": OTHER}}}), trust())
    assert OTHER not in "\n".join(caught.value.lines())


def test_a_plan_for_another_host() -> None:
    made = gate_case({}).plan()
    plan_fits(made, config(), trust())
    with pytest.raises(Refusal) as caught:
        plan_fits(made, config(), trust(runner_refs=["proxmox-ops-runner"]))
    assert (caught.value.gate, caught.value.exit_code) == ("trust.runner", Exit.RUNNER)


def looser(**change: Any) -> dict[str, Any]:
    """A plan whose demand, or whose authority, is another than its config says."""
    made = gate_case({}).plan()
    return {"approval": made.approval.model_copy(update=change)}


@pytest.mark.parametrize(
    ("change", "host", "found"),
    [
        ({}, {"gates": {"prod": "dr-prod-2"}}, "approval gate: dr-prod"),
        (looser(lifetime="PT61M"), {}, "approval lifetime: PT61M"),
        (looser(channels=("signed",), approvers={"jonas": OTHER}), {}, "approvals.approvers.jonas"),
        (looser(channels=("signed",), approvers={"mallory": KEY}), {}, "approvals.approvers.mallory"),
        ({}, {"authorities": [{"origin": "https://other.example.net", "roles": ["dr-prod"]}]}, "vault.address: https://vault.example.net"),
        (
            {},
            {"authorities": [{"origin": "https://vault.example.net", "roles": ["dr-lab"]}]},
            "vault.role: dr-prod at https://vault.example.net",
        ),
    ],
)
def test_a_plan_that_demands_too_little(change: dict[str, Any], host: dict[str, Any], found: str) -> None:
    """Nothing in the config says so: a plan that was not made of it would."""
    with pytest.raises(Refusal) as caught:
        plan_fits(gate_case({}).plan().model_copy(update=change), config(), trust(**host))
    assert caught.value.gate == "trust.looser"
    assert found in caught.value.found


def test_a_plan_of_fewer_approvals_than_its_config() -> None:
    with pytest.raises(Refusal, match=r"trust\.looser"):
        plan_fits(gate_case({}).plan(), config({"approvals": {"quorum": 2}}), trust())


@pytest.mark.parametrize(
    ("host", "quorum", "lifetime"),
    [
        ({}, 1, "PT60M"),
        ({"max_approval_lifetime": "PT10M"}, 1, "PT10M"),
        ({"max_approval_lifetime": "PT2H"}, 1, "PT60M"),
        ({"quorum": 3}, 3, "PT60M"),
    ],
)
def test_what_the_config_leaves_open_is_the_hosts(host: dict[str, Any], quorum: int, lifetime: str) -> None:
    """The plan was made where no host was known: that is no reason to refuse it, and none to take its word."""
    made = gate_case({}).plan()
    plan_fits(made, config(), trust(**host))
    demand = stricter(made.approval, narrow(config(), trust(**host)))
    assert (demand.quorum, demand.lifetime) == (quorum, lifetime)


def test_a_plan_that_demands_more_than_the_host_keeps_its_demand() -> None:
    demand = gate_case({}).plan().approval.model_copy(update={"quorum": 4, "lifetime": "PT5M"})
    assert stricter(demand, narrow(config(), trust(quorum=2))) == demand


def test_a_host_destroys_nothing_in_an_env_that_it_does_not_name() -> None:
    """The class of an env is a word of the config: `class: drill` there would let a drill destroy production."""
    made = gate_case({}).plan()
    drill = made.model_copy(update={"commands": commands_for(made.env, destroys=True)})
    with pytest.raises(Refusal, match=r"trust\.looser") as refused:
        plan_fits(drill, config(), trust())
    assert refused.value.found == f"an env that a drill destroys: {made.env}"
    plan_fits(drill, config(), trust(drill_envs=[made.env]))
    plan_fits(made, config(), trust())
