"""What `hyops-ci plan` hands to the jobs after it."""

from __future__ import annotations

from pathlib import Path

from hyops_ci.cli.plan import outputs_of
from hyops_ci.contracts.plan import Bootstrap, Plan
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.origin import ORIGIN, Origin
from tests.unit.evidence import sample_run

MAKING = ("bootstrap_reason", "bootstrap_gate", "bootstrap_runs_on", "bootstrap_provider")


def outputs(folder: Path, plan: Plan) -> dict[str, str]:
    """Of a run that planned this."""
    run = RunDir(folder)
    run.write_model("plan.json", plan)
    run.write_model(ORIGIN, Origin(requesters=(), received_at="2026-11-23T03:04:31Z"))
    return outputs_of(run)


def test_a_run_without_a_plan_hands_on_nothing(tmp_path: Path) -> None:
    assert outputs_of(RunDir(tmp_path)) == {}


def test_lists_are_json_and_a_normal_run_makes_no_runner(tmp_path: Path) -> None:
    found = outputs(tmp_path, sample_run.plan(runner_names=("dr-1", "dr-2")))
    assert (found["runner_names"], found["runs_on"]) == ('["dr-1", "dr-2"]', '["self-hosted", "gcp-ops-runner"]')
    assert not set(MAKING) & set(found)
    assert all(found[name] for name in ("decision_id", "service", "plan_digest", "gate", "check_gate", "lane", "check_title", "title"))


def test_a_run_that_may_make_its_runner_says_who_makes_it_and_where(tmp_path: Path) -> None:
    may = Bootstrap(
        reason="runner-recovery",
        gate="dr-bootstrap",
        provider="proxmox",
        machine="ops-runner-01",
        settings=f"sha256:{'0' * 64}",
        runs_on=("self-hosted", "mgmt-runner"),
    )
    found = outputs(tmp_path, sample_run.plan(bootstrap=may.document()))
    assert [found[name] for name in MAKING] == ["runner-recovery", "dr-bootstrap", '["self-hosted", "mgmt-runner"]', "proxmox"]
