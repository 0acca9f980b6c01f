"""Status of a lane's self-hosted runner as GitHub reports it, in one word and one line, or why it is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hyops_ci.config.settings import LaneSettings, lane_settings
from hyops_ci.contracts.base import Model
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.contracts.lanes import LANES
from hyops_ci.errors import Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.runner_versions import Schedule, objection, schedule, warning
from hyops_ci.github.runners import LaneRunners, carries, find_runners
from hyops_ci.stages.watch.queue import Presence, RunnerView

NO_TOKEN = "no token that may list runners (administration: read; a job's own token never has it)"


class RunnerStatus(Model):
    """Status of one lane's runner. Absent values are not known, and `not_known` says why."""

    lane: str
    runner_ref: str
    labels: tuple[str, ...]
    names: tuple[str, ...] = ()
    presence: Presence
    words: str
    runners: tuple[RunnerFact, ...] | None = None
    ambiguous: tuple[str, ...] | None = None
    schedules: tuple[Schedule, ...] | None = None
    warnings: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()


def runner_status(lane: LaneSettings, client: Client | None, now: datetime, org: str = "") -> RunnerStatus:
    """Return the status of one lane's runner.

    Raises Refusal for a token that GitHub does not know, Fault (exit 12) where it does not answer.
    """
    found = find_runners(client, names=lane.names, labels=lane.labels, org=org) if client else LaneRunners(not_known=(NO_TOKEN,))
    ends, not_known = schedules(client, found) if client else ((), ())
    seen = best_of(found, lane.labels, ends, now)
    return RunnerStatus(
        lane=lane.name,
        runner_ref=lane.runner_ref,
        labels=lane.labels,
        names=lane.names,
        presence=seen.presence,
        words=seen.words,
        runners=found.runners if found.runners or found.complete else None,
        ambiguous=tuple(runner.name for runner in found.ambiguous) if found.ambiguous or found.complete else None,
        schedules=ends if ends else None,
        warnings=_warnings(found, ends, now),
        not_known=(*found.not_known, *not_known),
    )


def best_of(found: LaneRunners, labels: Sequence[str], ends: Sequence[Schedule], now: datetime) -> RunnerView:
    """Return the best of a lane's runners: one that would take a job now before one that is busy, and that before one that is off."""
    able = [runner for runner in found.runners if carries(runner, labels)]
    old = {runner.id: objection(runner.version, _end(runner, ends), now) for runner in able}
    for presence, those in (
        (Presence.ONLINE, [runner for runner in able if runner.online and not runner.busy and not old[runner.id]]),
        (Presence.BUSY, [runner for runner in able if runner.online and runner.busy]),
        (Presence.OFFLINE, [runner for runner in able if not runner.online]),
    ):
        if those:
            word = "idle" if presence is Presence.ONLINE else presence
            return RunnerView(presence, f"{' and '.join(runner.name for runner in those)} {'is' if len(those) == 1 else 'are'} {word}")
    if able:
        return RunnerView(Presence.OUTDATED, f"{able[0].name} is online, but {old[able[0].id]}")
    if found.runners:
        lacking = [label for label in labels if not carries(found.runners[0], (label,))]
        return RunnerView(Presence.ABSENT, f"{found.runners[0].name} is without the label {', '.join(lacking)}")
    if found.complete:
        return RunnerView(Presence.ABSENT, f"GitHub shows no runner {' or '.join(found.unseen_names) or 'with these labels'}")
    return RunnerView(Presence.UNKNOWN, f"not known: {'; '.join(found.not_known)}")


def schedules(client: Client, found: LaneRunners) -> tuple[tuple[Schedule, ...], tuple[str, ...]]:
    """Return GitHub's schedule for the agent of the first runner with one (one call), and what is not known of it."""
    version = next((runner.version for runner in found.runners if runner.version), "")
    if not version:
        return (), (("agent's version: GitHub does not say",) if found.runners else ())
    try:
        end = schedule(client, version)
    except Refusal as refusal:
        return (), (f"schedule of agent {version}: {refusal.reason}; {refusal.expected}",)
    return ((end,), ()) if end else ((), (f"schedule of agent {version}: GitHub has none",))


def _warnings(found: LaneRunners, ends: Sequence[Schedule], now: datetime) -> tuple[str, ...]:
    """Return what will go wrong one day."""
    said = []
    for runner in found.runners:
        bad = objection(runner.version, _end(runner, ends), now) or warning(runner.version, _end(runner, ends), now)
        said += [f"{runner.name}: {bad}"] if bad else []
    if found.ambiguous:
        said.append(f"{' and '.join(runner.name for runner in found.ambiguous)} may take its jobs too: list lanes.<lane>.names")
    return tuple(said)


def _end(runner: RunnerFact, ends: Sequence[Schedule]) -> Schedule | None:
    return next((end for end in ends if end.version == runner.version), None)


def lanes_of(config: DispatchConfig, name: str = "") -> tuple[LaneSettings, ...]:
    """Return the lanes to look at: the enabled ones, or the one with this name; a drill runner of its own follows its lane."""
    found: list[LaneSettings] = []
    for lane in (lane_settings(config, each) for each in LANES if name in ("", each)):
        if not (lane.enabled or name):
            continue
        found.append(lane)
        if lane.drill_runner_ref != lane.runner_ref:
            labels = tuple(lane.drill_runner_ref if label == lane.runner_ref else label for label in lane.labels)
            found.append(replace(lane, runner_ref=lane.drill_runner_ref, labels=labels, names=()))
    return tuple(found)
