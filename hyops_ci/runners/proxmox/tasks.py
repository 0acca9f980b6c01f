"""Tasks: what Proxmox VE does in its own time. Polled on the clock that is passed, and told by their logs."""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.proxmox import answers
from hyops_ci.runners.proxmox.answers import Task
from hyops_ci.runners.proxmox.api import Api

POLL: Final = 2.0
"""Seconds before a task is asked for again; one more each time, up to five times as many."""
LINES: Final = 5000
_FINE: Final = re.compile(r"OK|WARNINGS: [0-9]+")
_MAKES: Final = re.compile(r"creating a clone of VM \d+ with ID (\d+)")


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended."""

    words: str
    """`OK`, what went wrong, or that it runs still."""
    log: str = ""
    over: bool = True

    @property
    def ok(self) -> bool:
        """Whether it did what it was to do."""
        return self.over and _FINE.fullmatch(self.words) is not None


def wait(api: Api, task: Task, patience: Deadline) -> TaskEnd:
    """Return how a task ended, with its log where it did not end well; `over` is false where patience ended first. Raises ApiError."""
    pause = POLL
    while True:
        words = api.scrub(answers.task_end(api.get("nodes", task.node, "tasks", task.upid, "status")))
        if words or not patience.pause(pause):
            break
        pause = min(pause + 1, 5 * POLL)
    end = TaskEnd(words or f"at work still: {task.upid}", over=bool(words))
    return end if end.ok else TaskEnd(end.words, log(api, task), end.over)


def log(api: Api, task: Task) -> str:
    """Return the log of a task. Raises ApiError."""
    return api.scrub(answers.log(api.get("nodes", task.node, "tasks", task.upid, "log", start=0, limit=LINES)))


def clone_under_way(api: Api, node: str, template: int, vmid: int) -> Task | None:
    """Return the task of this token that makes the machine of this id from the template now. Raises ApiError.

    A task is named for its template; which machine it makes is the first line of its log.
    """
    found = api.get("nodes", node, "tasks", source="active", typefilter="qmclone", vmid=template)
    for task in answers.tasks(found, running=True):
        made = _MAKES.search(log(api, task))
        if made is None or int(made[1]) == vmid:
            return task
    return None


def logs(api: Api, node: str, vmid: int, most: int = 3) -> str:
    """Return the logs of the last tasks of this token on a machine, the latest last. Raises ApiError."""
    rows = api.get("nodes", node, "tasks", source="all", vmid=vmid, limit=most)
    return "\n".join(filter(None, [log(api, each) for each in reversed(answers.tasks(rows))]))
