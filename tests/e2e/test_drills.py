"""Drills beside production in one config: what they share is refused on the runner, and what they end with is said as a drill's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.cleanup import CLEANUP, Cleanup
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.evidence.verify import verify
from hyops_ci.operations.rehearse.sandbox import EXAMPLE, Site
from hyops_ci.operations.rehearse.scenarios import SCENARIOS, example_decision, rehearse
from hyops_ci.stages.conclude.stage import Conclusion
from hyops_ci.stages.context import SystemClock
from hyops_ci.stages.handover import RunDir

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
CONFIG = {
    "services": {
        "pg-ha/prod": {
            "failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"},
            "failback": {"lane": "onprem", "blueprint": "dr/postgresql-ha-failback-onprem@v1"},
        },
        "pg-ha/drill": {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}},
    },
    "envs": {"drill": {"class": "drill"}},
    "vault": {"address": "https://vault.example.net", "site": "gcp"},
}
NAME = "postgresql-ha-failover-gcp.yml"
Edit = Callable[[dict[str, Any]], object]


def apart(document: dict[str, Any]) -> None:
    """Give the drill a backup path and state instances of its own."""
    text = json.dumps(document["steps"]).replace('"/pgbackrest"', '"/drill"')
    for instance in [step["state_instance"] for step in document["steps"]]:
        text = text.replace(instance, f"drill_{instance}")
    document["steps"] = json.loads(text)


def drill(folder: Path, edit: Edit = lambda _: None, *, level: str = "isolated", scenario: str = "recovered") -> Conclusion:
    """Rehearse a drill of pg-ha/drill whose overlay is production's, with the edit."""
    overlay = (EXAMPLE / "overlays" / NAME).read_text("utf-8")
    for env in ("prod", "drill"):
        path = folder / "caller" / ".github" / "dr" / env / NAME
        path.parent.mkdir(parents=True)
        document = yaml.safe_load(overlay)
        if env == "drill":
            edit(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    config = folder / "caller" / ".github" / "dr-dispatch.yml"
    config.write_text(yaml.safe_dump(CONFIG, sort_keys=False), encoding="utf-8")
    decision = json.loads(example_decision("failover", SystemClock(), 1, "pg-ha/drill"))
    decision["exercise"] = {"kind": "drill", "level": level, "drill_id": "drill-2026-11"}
    site = Site(folder / "here", SystemClock())
    return rehearse(site, scenario, decision=json.dumps(decision).encode(), config=config)


def run_of(folder: Path) -> RunDir:
    return RunDir(folder / "here" / "run-1" / "run")


def test_a_drill_on_productions_stanza_is_refused(tmp_path: Path) -> None:
    """The overlays are byte-identical: the restored cluster would archive its WAL into production's backup."""
    ended = drill(tmp_path)
    refusal = ended.result.refusal
    assert ended.result.outcome is State.BLOCKED
    assert refusal is not None
    assert (refusal.gate, refusal.exit_code) == ("drill.shares", 4)
    assert "repository org/gcp/object-repo#pgbackrest_primary, path /pgbackrest, stanza postgres-ha" in refusal.found
    assert not run_of(tmp_path).has("claim.json")


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda document: (apart(document), document["steps"][3]["inputs"].update(repo_path="/pgbackrest")), "stanza postgres-ha"),
        (lambda document: (apart(document), document["steps"][0].update(state_instance="gcp_pg_egress")), "state org/gcp/wan-cloud-nat"),
        (
            # The module's default is production's path.
            lambda document: (apart(document), [document["steps"][at]["inputs"].pop("repo_path") for at in (2, 3)]),
            "path /pgbackrest",
        ),
    ],
    ids=["backup-config", "state", "default-of-the-spec"],
)
def test_one_thing_that_is_shared_is_enough(edit: Edit, found: str, tmp_path: Path) -> None:
    refusal = drill(tmp_path, edit).result.refusal
    assert refusal is not None
    assert refusal.gate == "drill.shares"
    assert found in refusal.found


def test_a_drill_apart_from_production_passes_and_is_called_a_drill(tmp_path: Path) -> None:
    ended = drill(tmp_path, apart)
    assert ended.result.outcome is State.COMPLETED_WITH_EXCEPTIONS, ended.result.refusal
    assert ended.result.headline.startswith("DRILL PASSED, ")
    assert ": restored latest, 6 steps destroyed, 0 left; " in ended.result.headline
    assert ended.result.headline.endswith("production repository and lock of pg-ha/prod untouched, its DNS not looked at")
    assert ended.result.next == ()
    assert not any("old side" in gap for gap in ended.result.not_proven)
    plan = run_of(tmp_path).read_model("plan.json", Plan)
    siblings = [source for source in plan.sources if source.role == "sibling"]
    assert [source.path for source in siblings] == [
        ".github/dr/prod/postgresql-ha-failback-onprem.yml",
        ".github/dr/prod/postgresql-ha-failover-gcp.yml",
    ]
    gates = {gate["id"]: gate["note"] for gate in run_of(tmp_path).read_json("gates-check.json")["passed"]}
    assert gates["drill.shares"].endswith("production identities compared")
    assert not gates["drill.shares"].startswith("0 ")
    assert verify(ended.bundle).ok


def test_a_drill_that_stops_says_nothing_of_clients(tmp_path: Path) -> None:
    assert "failed-step" in SCENARIOS
    ended = drill(tmp_path, apart, scenario="failed-step")
    assert ended.result.outcome is State.FAILED
    assert ended.result.headline.startswith("STOPPED in a drill of pg-ha/drill: step 3/6 postgresql_restore failed after ")
    assert "lients" not in ended.result.headline


def test_a_drill_of_the_check_alone_is_never_carried_out(tmp_path: Path) -> None:
    ended = drill(tmp_path, apart, level="check")
    assert ended.result.outcome is State.BLOCKED
    assert ended.result.refusal is not None
    assert ended.result.refusal.gate == "drill.level"
    assert run_of(tmp_path).has("check.json")
    assert not run_of(tmp_path).has("claim.json")


def test_a_drill_that_was_cancelled_claims_nothing_of_production_that_it_did_not_look_at_again(tmp_path: Path) -> None:
    ended = drill(tmp_path, apart, scenario="cancelled")
    kept = run_of(tmp_path).read_model(CLEANUP, Cleanup)
    assert ended.result.outcome is State.NOT_CLEANED, ended.result.headline
    seen = [each for each in kept.production if each.before]
    assert seen, "the lock and the repository were seen before"
    assert {(each.untouched, each.reason) for each in seen} == {(None, "not looked at again")}
    assert not any("production's" in each for each in ended.result.deviations)
    assert verify(ended.bundle).ok
