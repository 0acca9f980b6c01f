from __future__ import annotations

import pytest

from hyops_ci.blueprints.backup_identity import backup_identities
from hyops_ci.blueprints.forecast import forecast
from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.facts import EffectiveBlueprint, PreflightFact, PreflightStep

SHA = "sha256:" + "0" * 64
OLD = StateFact(
    ref="platform/onprem/postgresql-ha#r", status="ok", run_id="apply-20260914T101500Z-0badcafe", updated_at="2026-09-14T10:15:42Z"
)


def blueprint(**step: object) -> EffectiveBlueprint:
    inputs = {"apply_mode": "restore", "restore_confirm": False}
    base = {"id": "r", "module_ref": "platform/postgresql-ha", "state_instance": "r", "skip_if_state_ok": True, "inputs": inputs}
    return read_blueprint({"kind": "BlueprintSpec", "blueprint_ref": "dr/x@v1", "mode": "hybrid", "steps": [base | step]}, SHA)


def preflight(status: str) -> PreflightFact:
    return PreflightFact.model_validate({"rc": 0, "status": "ok", "steps": (PreflightStep.model_validate({"id": "r", "status": status}),)})


@pytest.mark.parametrize(
    ("states", "said", "opened", "outcome"),
    [
        ((), "ready", True, "run"),
        ((OLD,), "skipped", True, "skip"),
        ((OLD,), "ready", True, "run"),  # HyOps looked at the overlay as it will be, and found drift
        ((OLD,), "ready", False, "skip"),  # the drift is the closed guard: it will not be there
        ((OLD,), "deferred", True, "skip"),  # nobody looked; the state says skip
        ((), "deferred", True, "run"),
        ((OLD,), "blocked", True, "blocked"),
        ((OLD.model_copy(update={"status": "error"}),), "ready", False, "run"),
    ],
)
def test_forecast(states: tuple[StateFact, ...], said: str, opened: bool, outcome: str) -> None:
    (step,) = forecast(blueprint(), states, preflight(said), opened=opened)
    assert step.outcome == outcome
    if outcome == "skip":
        assert "apply-20260914T101500Z-0badcafe" in step.why


def test_a_step_that_is_never_skipped_runs_on_old_state() -> None:
    (step,) = forecast(blueprint(skip_if_state_ok=False), (OLD,), preflight("deferred"))
    assert step.outcome == "run"


def test_silence_is_unknown() -> None:
    (step,) = forecast(blueprint(), (), PreflightFact(rc=0, status="ok"))
    assert step.outcome == "unknown"
    assert step.why


def test_what_a_cluster_writes_to() -> None:
    inputs = {
        "repo_state_ref": "org/gcp/object-repo#p",
        "repo_path": "/p",
        "patroni_cluster_name": "pg",
        "endpoint_dns_name": "pg.example.net",
    }
    (found,) = backup_identities(blueprint(inputs=inputs))
    assert (found.repository, found.path, found.stanza, found.dns_name) == ("org/gcp/object-repo#p", "/p", "pg", "pg.example.net")
    assert found.state_instance == "platform/postgresql-ha#r"
