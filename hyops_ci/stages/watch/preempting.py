"""A drill gives way to a real run that needs its runner: the watch of the real run ends it."""

from __future__ import annotations

from collections.abc import Callable

from hyops_ci.errors import DispatchError
from hyops_ci.github.api.client import Client
from hyops_ci.github.jobs import cancel
from hyops_ci.github.runs import run
from hyops_ci.stages.job import is_dispatch
from hyops_ci.text import shell


def end_drill(run_id: int, client: Client, say: Callable[[str], None]) -> str:
    """End the run of a drill. Return what became of it, in words; where it may not be ended, with the command. Never raises.

    A job's name can be anybody's, so that GitHub must show that the run called dispatch.yml: nothing else is ended.
    """
    try:
        if not any(is_dispatch(path) for path, _ in run(client, run_id).referenced):
            say(f"run {run_id} calls itself a drill, and no dispatch.yml runs in it: left alone")
            return "left alone"
        said = "ended for this run" if cancel(client, run_id) else "over"
    except DispatchError as error:
        by_hand = shell("gh run cancel {}", run_id)
        said = f"CANCEL IT BY HAND: {by_hand}   ({error.title()}; {error.expected})"
    say(f"run {run_id} is a drill, and this is a real run: {said}")
    return said
