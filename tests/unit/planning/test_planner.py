from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision, is_seen
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.plan import MAX_PLAN_BYTES, Guard, StepClass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.planning import planner
from hyops_ci.planning.case import CheckCase, run_gates
from hyops_ci.planning.planner import Recorded
from tests.support.examples import examples
from tests.unit.planning.gate_cases import CASES, GateCase, check_facts, checked, gate_case, load, over

PLANS = sorted((CASES / "plans" / "accept").glob("*.yml"))
NO_PLANS = sorted((CASES / "plans" / "refuse").glob("*.yml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_plan(path: Any) -> None:
    case = load(path)
    made = json.loads(canonical(gate_case(case).plan().document()))
    for name, value in case["plan"].items():
        assert made.get(name) == value, f"{name}: {made.get(name)!r}"


@pytest.mark.parametrize("path", NO_PLANS, ids=lambda path: path.stem)
def test_no_plan(path: Any) -> None:
    case = load(path)
    with pytest.raises(Refusal) as caught:
        gate_case(case).plan()
    text = "\n".join(caught.value.lines())
    for words in case["expect"]:
        assert words in text, text


def test_what_a_plan_holds() -> None:
    made = gate_case({}).plan()
    assert (made.source_site, made.target_site, made.lane, made.runner_ref) == ("onprem", "gcp", "gcp", "gcp-ops-runner")
    assert made.runs_on == ("self-hosted", "gcp-ops-runner")
    assert made.guards == (Guard(step="restore", input="restore_confirm", value=True),)
    classes = {step.id: step.step_class.value for step in made.steps}
    assert classes == {"egress": "mutate", "vms": "mutate", "restore": "mutate", "dns": "commit", "dns-status": "read"}
    assert made.point_of_no_return == "dns"
    assert [step.id for step in made.steps if step.restores] == ["restore"]
    assert made.commands[0].argv == ("{hyops}", "blueprint", "preflight", "--env", "prod", "--file", "{overlay}", "--json")
    assert made.commands[1].argv == ("{hyops}", "blueprint", "deploy", "--env", "prod", "--file", "{overlay}", "--execute", "--yes")
    assert (made.secrets.role, made.approval.gate, made.approval.check_gate) == ("dr-prod", "dr-prod", "dr-check")
    assert [probe.target for probe in made.verification] == ["pg.prod.example.net:5432", "pg.prod.example.net"]


def test_a_pinned_restore_point_is_a_guard() -> None:
    made = gate_case({"decision": {"restore_point": "20261123-020003F"}}).plan()
    assert Guard(step="restore", input="restore_set", value="20261123-020003F") in made.guards


def test_a_manual_gate_is_opened_statement_by_statement() -> None:
    inputs = {"confirm": False, "assertions": {"fenced": False, "approved": False}}
    made = gate_case(
        {"decision": {"old_primary": "confirmed-off"}, "overlay": {"egress": {"module_ref": "core/shared/manual-gate", "inputs": inputs}}}
    ).plan()
    assert [guard.input for guard in made.guards if guard.step == "egress"] == ["confirm", "assertions.fenced", "assertions.approved"]


def test_a_class_is_only_raised() -> None:
    service = {"services": {"pg-ha/prod": {"failover": {"step_classes": {"restore": "commit", "dns": "mutate"}}}}}
    made = gate_case({"config": service}).plan()
    assert made.step("restore").step_class is StepClass.COMMIT
    assert made.step("dns").step_class is StepClass.COMMIT
    assert made.point_of_no_return == "restore"


@pytest.mark.parametrize("change", [{"decision_type": "hold"}, {"dr_mode": "deny"}])
def test_what_is_only_recorded(change: dict[str, Any]) -> None:
    set_up = gate_case({})
    decision = Decision.model_validate_json(json.dumps(set_up.decision.document() | change))
    said = planner.recorded(decision)
    assert isinstance(said, Recorded)
    assert said.decision_id == decision.decision_id


def test_observed_facts_are_no_part_of_the_plan() -> None:
    today = gate_case({})
    facts = {
        "now": "2026-11-23T03:59:00+00:00",
        "gate": {"reviewers": [{"login": "zoe", "id": 9}], "branches": [], "protected_branches": True},
        "tip": None,
    }
    assert canonical(today.plan().document()) == canonical(gate_case({"facts": facts}).plan().document())


def test_a_failback_undoes_a_claim_outside_the_digest() -> None:
    sha = "sha256:" + "0" * 64
    claim = {
        "claim_id": "pg-ha-prod-7",
        "decision_id": "manual-4711-200",
        "decision_type": "failover",
        "source_sha256": sha,
        "decision_digest": sha,
        "plan_digest": sha,
        "check_digest": sha,
        "epoch": 7,
        "incident": "pg-ha/prod failover 0",
        "run_id": "200-1",
        "claimed_at": "2026-11-22T03:04:31Z",
    }
    tip = {"ledger_id": sha, "service": "pg-ha/prod", "position": "failed_over", "moves": 1, "epoch": 7, "claim": claim}
    after = gate_case({"base": "failback", "facts": {"tip": tip | {"at": "2026-11-22T03:40:00Z"}}}).plan()
    assert after.undoes is not None
    assert (after.undoes.claim_id, after.undoes.epoch) == ("pg-ha-prod-7", 7)
    assert after.digest() == gate_case({"base": "failback"}).plan().digest()


APP = {"app_id": 31, "key": "dr/github-app#private_key"}


def test_whether_a_runner_may_be_made_stands_in_the_plan_and_outside_the_digest() -> None:
    case = over(load(CASES / "gates" / "bootstrap.machine" / "accept" / "a-name-of-its-own.yml"), {"config": {"registration": APP}})
    gate = load(CASES / "gates" / "bootstrap.gate" / "accept" / "protected.yml")
    case = over(case, {"config": {"host": {"user": "hyops"}}})
    made = gate_case(over(case, gate)).plan()
    assert made.bootstrap is not None
    assert made.bootstrap.document() == {
        "reason": "runner-recovery",
        "gate": "dr-bootstrap",
        "provider": "gcp",
        "machine": "gcp-ops-runner-01",
        "settings": made.bootstrap.settings,
        "runs_on": ["ubuntu-latest"],
    }
    without = gate_case({"config": case["config"]}).plan()
    assert without.bootstrap is None, "allowed, and nobody asked for it"
    assert made.digest() == without.digest(), "who resumes the run signs the same plan"
    other = gate_case(over(over(case, gate), {"config": {"lanes": {"gcp": {"machine": {"disk_gb": 51}}}}})).plan()
    assert other.bootstrap is not None
    assert other.bootstrap.settings != made.bootstrap.settings


def test_on_prem_the_job_runs_on_the_management_runner() -> None:
    machine = {
        "provider": "proxmox",
        "api": "https://pve.example.net:8006",
        "token": "hybridops/runners/proxmox#token",
        "node": "pve1",
        "template": 9000,
        "vmid": 210,
        "address": "10.10.0.21/24",
        "gateway": "10.10.0.1",
        "management_runner": ["self-hosted", "mgmt-runner"],
    }
    gate = load(CASES / "gates" / "bootstrap.gate" / "accept" / "protected.yml")
    config = {
        "host": {"user": "hyops"},
        "policy": {"bootstrap_reasons": ["runner-recovery"]},
        "lanes": {"onprem": {"machine": machine}},
        "registration": APP,
    }
    made = gate_case(over({"base": "failback", "config": config}, {"facts": gate["facts"]})).plan()
    assert made.bootstrap is not None
    assert (made.bootstrap.provider, made.bootstrap.runs_on) == ("proxmox", ("self-hosted", "mgmt-runner"))


def test_a_plan_that_is_too_large_is_refused() -> None:
    steps = [{"id": f"s{index}", "module_ref": "x/" + "y" * 100, "inputs": {"a_state_ref": "org/" + "z" * 120}} for index in range(250)]
    with pytest.raises(Refusal) as caught:
        gate_case({"overlay": {"top": {"steps": steps}}, "decision": {"dr_mode": None}}).plan()
    assert (caught.value.gate, caught.value.exit_code) == ("plan.size", Exit.POLICY)


def test_every_base_fits_the_limit_with_room() -> None:
    for base in ("failover", "failback", "drill"):
        assert len(canonical(gate_case({"base": base}).plan().document())) < MAX_PLAN_BYTES / 4


def test_a_drill_goes_to_the_drill_runner() -> None:
    made = gate_case({"base": "drill", "config": {"lanes": {"gcp": {"drill_runner_ref": "gcp-drill-runner"}}}}).plan()
    assert (made.runner_ref, made.runs_on) == ("gcp-drill-runner", ("self-hosted", "gcp-drill-runner"))


REASONS = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=80).filter(is_seen)
DECISIONS = st.fixed_dictionaries(
    {"rationale": REASONS},
    optional={
        "restore_point": st.from_regex(r"(latest|[A-Za-z0-9][A-Za-z0-9_.:-]{0,20})", fullmatch=True),
        "old_primary": st.sampled_from(["confirmed-off", "not-confirmed"]),
        "target_cloud": st.sampled_from(["gcp", "onprem", "none"]),
        "requires_approval": st.booleans(),
        "expires_at": st.sampled_from(["2026-11-23T03:30:00Z", "2026-11-23T03:00:00Z", "2027-01-01T00:00:00Z"]),
        "execution_plane": st.sampled_from(["runner-local", "workstation-direct"]),
    },
)
INPUTS = st.dictionaries(
    st.sampled_from(
        "apply_mode restore_confirm execution_plane dns_apply assign_public_ip confirm assertions endpoint_dns_name rules x".split()
    ),
    st.one_of(
        st.booleans(),
        st.none(),
        st.integers(-5, 5),
        st.text(max_size=12),
        st.sampled_from(["restore", "promote", "status", "runner-local", "bastion-explicit", "CHANGE_ME", "0.0.0.0/0"]),
        st.dictionaries(st.sampled_from(["a", "source_ranges"]), st.lists(st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", {}])), max_size=2),
    ),
    max_size=4,
)


def outcome(case: dict[str, Any]) -> bytes:
    """The plan's bytes, or the refusal's; anything else is a bug and is let out."""
    try:
        return canonical(gate_case(case).plan().document())
    except Refusal as refusal:
        return canonical(refusal.to_json())


@settings(max_examples=examples(60))
@given(decision=DECISIONS, inputs=INPUTS)
def test_the_same_inputs_give_the_same_bytes(decision: dict[str, Any], inputs: dict[str, Any]) -> None:
    case = {"decision": decision, "overlay": {"restore": {"inputs": inputs}}}
    first = outcome(case)
    assert first == outcome(json.loads(json.dumps(case)))


@settings(max_examples=examples(60))
@given(
    inputs=INPUTS,
    step=st.sampled_from(["egress", "vms", "restore", "dns"]),
    statuses=st.lists(st.sampled_from("ready skipped blocked deferred".split()), min_size=5, max_size=5),
)
def test_gates_refuse_and_never_break(inputs: dict[str, Any], step: str, statuses: list[str]) -> None:
    ids = ["egress", "vms", "restore", "dns", "dns-status"]
    case = {"check": {"preflight_steps": {name: {"status": status} for name, status in zip(ids, statuses, strict=True)}}}
    made = gate_case({}).plan()
    try:
        changed = gate_case(case | {"overlay": {step: {"inputs": inputs}}})
    except Refusal:
        return
    facts = check_facts(changed, made)
    answers = run_gates("check", CheckCase(made, facts))
    if answers.refused:
        with pytest.raises(Refusal):
            checked(made, facts)
    else:
        assert checked(made, facts).plan_digest == made.digest()


def test_the_check_digest_covers_what_the_approver_relies_on() -> None:
    def digest_of(check: dict[str, Any]) -> str:
        set_up: GateCase = gate_case({"check": check})
        made = set_up.plan()
        return checked(made, check_facts(set_up, made)).digest()

    assert digest_of({}) == digest_of(
        {
            "disks": [{"place": "/srv/envs", "free_bytes": 9 * 1024**3, "holds_env": True}],
            "clock_offset_seconds": None,
            "runner": {"boot_id": "another"},
        }
    )
    assert digest_of({}) != digest_of({"preflight_steps": {"egress": {"status": "skipped"}}})
    assert digest_of({}) != digest_of({"runner": {"name": "another"}})
    assert digest_of({}) != digest_of({"runner_verified": False, "runner": {"trusted": False}})
    assert digest_of({}) != digest_of({"disks": []})


def test_what_could_not_be_known_is_said() -> None:
    set_up = gate_case({"check": {"disks": [], "runner_verified": False, "runner": {"trusted": False}}})
    made = set_up.plan()
    report = checked(made, check_facts(set_up, made))
    assert report.restore_point.value is None
    assert report.restore_point.reason
    assert report.unknown["disk"] == "free space not measured"
    assert "newest WAL" in report.unknown["backup"]
    assert "which backup is the latest could not be read before the run" in report.deviations
    assert "this host does not pin its callers" in report.deviations


@pytest.mark.parametrize(("pins", "hooked", "said"), [(True, False, True), (True, True, False), (False, False, False)])
def test_a_host_that_pins_its_callers_and_lets_strangers_begin_says_so(pins: bool, hooked: bool, said: bool) -> None:
    set_up = gate_case({"check": {"runner_verified": pins, "runner": {"trusted": pins}, "job_hook": hooked}})
    made = set_up.plan()
    report = checked(made, check_facts(set_up, made))
    assert ("a stranger's job is not ended before its first step here: no job-started hook of root" in report.deviations) is said


def test_an_unknown_service_is_refused_with_the_known_ones() -> None:
    set_up = gate_case({})
    config = DispatchConfig.model_validate_json(
        json.dumps({"services": {"web/prod": {"failover": {"lane": "gcp", "blueprint": "dr/web@v1"}}}})
    )
    with pytest.raises(Refusal) as caught:
        planner.case_of(set_up.decision, config, set_up.blueprint, set_up.facts)
    assert (caught.value.gate, caught.value.expected) == ("config.service", "web/prod (failover)")


def test_what_no_plan_can_carry_is_said_even_where_no_gate_was_asked() -> None:
    """Doctor draws the plan of a case that gates refuse, to look on."""
    made = gate_case({"overlay": {"vms": {"inputs": {"execution_plane": "by-hand"}}}})
    with pytest.raises(Refusal) as caught:
        planner.assemble(made.plan_case(), made.config_digest, made.sources, ())
    assert caught.value.gate == "plan.form"
    assert "by-hand" in caught.value.found
