"""No runner of one lane takes a job of another, whatever labels a config gives them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.config.settings import LaneSettings, lane_settings
from hyops_ci.contracts.lanes import GITHUB_LABELS, LANES
from hyops_ci.contracts.plan import GatePass
from hyops_ci.planning.case import load
from tests.unit.planning.gate_cases import gate_case

MAPPING = next(gate for gate in load("plan") if gate.id == "lane.mapping")
NAMES = st.sampled_from(["gcp-ops-runner", "proxmox-ops-runner", "dr", "linux", "spare"])
LABELS = st.lists(NAMES | st.sampled_from(["Self-Hosted", "GCP-Ops-Runner", "X64", "DR", "site-b"]), max_size=3)
LANE = st.fixed_dictionaries(
    {},
    optional={
        "labels": LABELS.map(lambda labels: ["self-hosted", *labels]) | LABELS.filter(bool),
        "runner_ref": NAMES,
        "drill_runner_ref": NAMES,
        "enabled": st.booleans(),
    },
)


def takes(carried: tuple[str, ...], asked: tuple[str, ...]) -> bool:
    """Whether GitHub gives a job to a runner: it carries every label that the job asks for, in any spelling."""
    return {label.casefold() for label in asked} <= {label.casefold() for label in carried} | GITHUB_LABELS


def sets(lane: LaneSettings) -> list[tuple[str, ...]]:
    return [lane.labels, lane.drill_runner[1]]


@given(lanes=st.fixed_dictionaries({"gcp": LANE, "onprem": LANE}, optional={"aws": LANE}))
def test_no_runner_of_one_lane_takes_a_job_of_another(lanes: dict[str, Any]) -> None:
    case = gate_case({"config": {"lanes": {**lanes, "gcp": {**lanes["gcp"], "enabled": True}}}}).plan_case()
    if not isinstance(MAPPING(case), GatePass):
        return
    mine = case.lane
    for name, labels in (mine.runner, mine.drill_runner):
        assert name in {label.casefold() for label in labels}
    if mine.drill_runner_ref != mine.runner_ref:
        assert not takes(mine.labels, mine.drill_runner[1])
        assert not takes(mine.drill_runner[1], mine.labels)
    for name in LANES:
        other = lane_settings(case.config, name)
        if name == mine.name or not other.enabled:
            continue
        for ours in sets(mine):
            assert not takes(ours, other.labels)
            assert not takes(other.labels, ours)
        for theirs in sets(other):
            assert not takes(mine.labels, theirs)
            assert not takes(theirs, mine.labels)
