"""Attack: a drill is made to destroy what is not its own (docs/design/contracts.md 3). Its twin drills an env that its host names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyops_ci.contracts.cleanup import CLEANUP, Cleanup
from hyops_ci.contracts.run import State
from hyops_ci.evidence.verify import verify
from hyops_ci.stages.sealing import bundle_path
from tests.security.incident import SERVICE, Incident, assert_refused


def drill(incident: Incident, **said: Any) -> bytes:
    """A decision to drill the service's own env."""
    now = incident.site.clock.now().replace(microsecond=0)
    document = {
        "api_version": "hybridops/v1",
        "kind": "Decision",
        "decision_id": "drill-2026-11",
        "decision_type": "failover",
        "service": SERVICE,
        "rationale": "the monthly drill",
        "issued_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "issuer": "github:maria",
        "requires_approval": False,
        "exercise": {"kind": "drill", "level": "isolated", "drill_id": "drill-2026-11"},
    }
    return json.dumps(document | said).encode()


def states(incident: Incident) -> set[str]:
    folder = incident.site.runner / "envs" / "lab" / "state" / "modules"
    return {json.loads(path.read_text())["status"] for path in folder.rglob("*.json")}


def test_a_config_that_calls_an_env_a_drills_destroys_nothing_that_its_host_does_not_name(incident: Incident) -> None:
    """`class: drill` for production's env is one line of the config: the host has the last word on what is destroyed there."""
    incident.pinned = True
    assert incident.plan(drill(incident)).state is State.PLANNED, "nobody who plans knows the host"
    assert_refused(incident, incident.check(), "trust.looser", 4, "an env that a drill destroys: lab")
    assert states(incident) == {"ok"}


def test_a_destroy_that_is_added_to_a_plan_is_not_carried_out(incident: Incident) -> None:
    """What the check saw is what is carried out: a destroy that is added to the plan between the jobs is another plan."""
    incident.pinned, incident.trust["drill_envs"] = True, ["lab"]
    incident.reach_gate()
    planned = incident.folder.read_json("plan.json")
    destroy = {"name": "destroy", "argv": ["{hyops}", "blueprint", "destroy", "--env", "lab", "--file", "{overlay}", "--execute", "--yes"]}
    planned["commands"].append({**destroy, "timeout": "PT1H"})
    incident.folder.write_json("plan.json", planned)
    ended = incident.execute()
    assert ended.refusal is not None
    assert ended.state is State.BLOCKED
    assert not (incident.folder.root / "private" / "destroy").exists()
    assert states(incident) == {"ok"}


@pytest.mark.parametrize("place", ["", "state"], ids=["folder", "states"])
def test_an_env_of_drills_that_leads_to_productions(place: str, incident: Incident) -> None:
    """A link on the host: what a drill finds in its env it destroys first, and that would be production's."""
    incident.pinned, incident.trust["drill_envs"] = True, ["lab"]
    ours, production = (incident.site.runner / "envs" / name / place for name in ("lab", "prod"))
    production.parent.mkdir(exist_ok=True)
    ours.rename(production)
    ours.symlink_to(production)
    assert incident.plan(drill(incident)).state is State.PLANNED
    assert_refused(incident, incident.check(), "hyops.env-dir", 7, "lead to the same folder")
    assert states(incident) == {"ok"}


def test_a_drill_destroys_what_it_made_where_its_host_says_so(incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.execution.verification.CLOSING", 1.0)
    incident.pinned, incident.trust["drill_envs"] = True, ["lab"]
    assert incident.plan(drill(incident)).state is State.PLANNED
    assert incident.check().state is State.CHECKED
    ended = incident.execute()
    # The endpoint of this site goes on answering: what HyOps destroyed is gone, and the probe says that something is left.
    kept = incident.folder.read_model(CLEANUP, Cleanup)
    assert (ended.state, kept.removed is not None and not kept.removed.left) == (State.NOT_CLEANED, True), ended
    assert verify(bundle_path(incident.folder)).ok
