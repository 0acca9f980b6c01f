"""Refusals for a job that no runner took: the expected runner, what is known of it, and a command that helps (docs/design/texts.md 5)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from hyops_ci.contracts.control import JobFact
from hyops_ci.contracts.lanes import LANES, ON_PREM
from hyops_ci.errors import Exit, Refusal
from hyops_ci.stages.watch.queue import Presence, Sighting, Step, Verdict, Wanted

NOT_KNOWN: Final = "not known whether busy or missing: a job's own token may not list runners"
_RESTART: Final = "sudo systemctl restart actions.runner.*"
_WHY: Final = {
    Presence.OFFLINE: "the service is stopped, or the host has no way to GitHub",
    Presence.OUTDATED: "install the agent anew (docs/runners.md)",
    Presence.ABSENT: "removed after 14 days offline, registered under another label, or in a group that is not for this repository",
    Presence.ONLINE: "yet it takes no job: its group is not for this repository or workflow, or its agent is too old",
}
_WHY_SINCE: Final = "the service stopped or the host lost its way to GitHub since"
_WHY_NEVER: Final = (
    "service stopped, host off, removed after 14 days offline, agent too old, label in another spelling, group not for this repository"
)


def explain(step: Step, wanted: Wanted, jobs: Sequence[JobFact], sighting: Sighting, runner_ref: str, lane: str = "") -> Refusal | None:
    """The refusal that a verdict comes to, None for one that stops nothing. `jobs` are those of the last look."""
    if step.verdict is Verdict.MISSING:
        return _silent(wanted, jobs, sighting, runner_ref, lane)
    if step.verdict is Verdict.BUSY:
        return Refusal(
            "runner.busy",
            f"the runner was busy with something else for {wanted.busy_limit} s",
            exit_code=Exit.RUNNER,
            found=sighting.words,
            expected="one online runner that is free, or becomes so in time",
            fix="wait for that job, or cancel it; then a new run. A drill that must never stand in the way: lanes.<lane>.drill_runner_ref",
            docs="runners.md",
        )
    if step.verdict is Verdict.STRANGER:
        return Refusal(
            "runner.stranger",
            "a runner that the plan does not know took the job",
            exit_code=Exit.RUNNER,
            found=step.cause,
            expected=f"{' or '.join(wanted.names) or runner_ref}, labels [{', '.join(wanted.labels)}]{_group(wanted)}",
            fix="take the label from that runner, or list it in lanes.<lane>.names by a pull request; then a new run",
            docs="runners.md",
        )
    return None


def cause(jobs: Sequence[JobFact], labels: Sequence[str], sighting: Sighting) -> str:
    """Why nobody came, as far as anybody can tell."""
    known = _WHY.get(sighting.presence)
    if known:
        return f"{sighting.words}; {known}"
    return _WHY_SINCE if last_answer(jobs, labels) else f"{NOT_KNOWN}; {_WHY_NEVER}"


def last_answer(jobs: Sequence[JobFact], labels: Sequence[str]) -> JobFact | None:
    """The job of this run that a runner with these labels did last: when it was last alive, and its name."""
    wanted = {label.casefold() for label in labels}
    done = [job for job in jobs if job.runner_id and job.completed_at and wanted == {label.casefold() for label in job.labels}]
    return max(done, key=lambda job: job.completed_at, default=None)


def restart(name: str, runner_ref: str, lane: str = "") -> str:
    """The command that starts the agent of a runner again. The lane follows from a runner's first name where nobody says it."""
    row = LANES.get(lane) or next((row for row in LANES.values() if row.runner_ref == runner_ref), ON_PREM)
    return row.remote_command.format(name=shlex.quote(name), command=_RESTART)


def _silent(wanted: Wanted, jobs: Sequence[JobFact], sighting: Sighting, runner_ref: str, lane: str) -> Refusal:
    last = last_answer(jobs, wanted.labels)
    seen = f"answered the check at {last.completed_at[11:]}, silent since" if last else "answered nothing in this run"
    name = (last.runner_name if last else "") or next(iter(wanted.names), runner_ref)
    return Refusal(
        "runner.silent",
        f"no runner took the job in {wanted.limit} s",
        exit_code=Exit.RUNNER,
        found=f"labels [{', '.join(wanted.labels)}]; {seen}; job state queued, not pending; likely: {cause(jobs, wanted.labels, sighting)}",
        expected=f"one online runner with {_counted(wanted.labels)}",
        fix=f"{restart(name, runner_ref, lane)}; then a new run",
        docs="runners.md",
    )


def _counted(labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return f"the label {labels[0]}"
    return "both labels" if len(labels) == 2 else f"all {len(labels)} labels"


def _group(wanted: Wanted) -> str:
    return f", group {wanted.group}" if wanted.group else ""
