"""The double on a DR blueprint of the shipped shape: what the act runs and the stages are tested with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hyops_ci.contracts.plan import PlannedStep, StepClass
from hyops_ci.contracts.run import State
from hyops_ci.execution import records
from tests.execution.rig import Rig

EXAMPLES = Path(__file__).parents[2] / "hyops_ci" / "operations" / "rehearse" / "example" / "overlays"
CLASSES = {"postgresql_dns_cutover": StepClass.COMMIT, "postgresql_dns_status": StepClass.READ}
SECRETS = ("NETBOX_DB_PASSWORD", "PATRONI_REPLICATION_PASSWORD", "PATRONI_SUPERUSER_PASSWORD", "PG_BACKUP_GCS_SA_JSON", "POWERDNS_API_KEY")


def overlay(name: str, *, guard: bool) -> dict[str, object]:
    content = yaml.safe_load((EXAMPLES / name).read_text())
    for step in content["steps"]:
        if step["id"] == "postgresql_restore":
            step["inputs"]["restore_confirm"] = guard
    return dict(content)


def upstream(rig: Rig, content: dict[str, object]) -> None:
    """States that no step of the blueprint publishes, as `ok`."""
    steps = content["steps"]
    assert isinstance(steps, list)
    published = {f"{step['module_ref']}#{step.get('state_instance', '')}".rstrip("#") for step in steps}
    for step in steps:
        for key, value in step["inputs"].items():
            if key.endswith("_state_ref") and value and value not in published:
                path = records.state_path(rig.root, value)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(
                    json.dumps({"module_ref": value, "status": "ok", "run_id": "apply-20260914T101500Z-0badcafe", "outputs": {}})
                )


def credentials(rig: Rig) -> None:
    """What `hyops init gcp` leaves on a runner."""
    path = rig.root / "credentials" / "gcp.credentials.tfvars"
    path.parent.mkdir(exist_ok=True)
    path.write_text('project_id = "a-project"\n')


def plan(content: dict[str, object]) -> list[PlannedStep]:
    steps = content["steps"]
    assert isinstance(steps, list)
    return [
        PlannedStep(
            id=step["id"],
            module_ref=step["module_ref"],
            state_instance=step.get("state_instance", ""),
            step_class=CLASSES.get(step["id"], StepClass.MUTATE),
            restores=step["id"] == "postgresql_restore",
        )
        for step in steps
    ]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yml")))
def test_a_dr_blueprint_runs_with_its_guard_open_and_not_with_it_closed(rig: Rig, name: str) -> None:
    content = overlay(name, guard=True)
    upstream(rig, content)
    credentials(rig)
    secrets = {key: f"value-of-{key}" for step in content["steps"] for key in step["inputs"].get("required_env", ())}  # type: ignore[attr-defined]  # a document of any form
    assert set(SECRETS) & secrets.keys()
    env = rig.environment(secrets)
    path = rig.root / "config" / "blueprints" / name
    path.write_text(yaml.safe_dump(overlay(name, guard=False)))
    args = ("blueprint", "deploy", "--env", "dev", "--execute", "--yes", "--file", str(path))
    closed = rig.hyops(*args, env=env)
    assert closed.returncode == 2
    assert "restore_confirm must be true" in closed.stdout + closed.stderr
    run = rig.start(yaml.safe_dump(content).encode(), secrets=secrets)
    named = str(content["blueprint_ref"])
    done = rig.judge(run, *plan(content), blueprint=named)
    assert (done.state, done.past_no_return) == (State.COMPLETED, True), done
    again = rig.judge(rig.start(yaml.safe_dump(content).encode(), secrets=secrets), *plan(content), blueprint=named)
    assert again.state is State.FAILED
    assert "postgresql_restore was skipped" in again.reasons[0]
