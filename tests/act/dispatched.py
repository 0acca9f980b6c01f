"""Runs that somebody dispatches are carried out: GitHub lists them as queued, and act takes one after the other.

    with carried_out(site) as started:
        ...                        # whoever asks GitHub for a run gets one that really runs
    started.acted                  # what each came to

One after the other, as with one runner for all of them: what the fake knows of a run is moved on by the lines of the one act.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from queue import SimpleQueue
from typing import Any, Final

from tests.act.running import LIMIT, ActRun
from tests.act.site import Site
from tests.support.github.runs import Run

TAKEN: Final = ("execute", "Main")
"""Job and stage of act's lines by which a run is at work on its runner."""


@dataclass
class CarriedOut:
    """The runs of a site that were dispatched."""

    site: Site
    scenario: str = "dispatched"
    """What the rows of the table begin with."""
    acted: dict[int, ActRun] = field(default_factory=dict)
    """Run -> what it came to, in the order in which they were carried out."""
    listed: Callable[[Run], object] = lambda run: None
    """What happens while GitHub has made a run and has not answered yet."""
    at_work: Callable[[Run], object] = lambda run: None
    """What happens when a run's runner begins to recover."""
    _ended: threading.Condition = field(default_factory=threading.Condition)
    _queue: SimpleQueue[Run | None] = field(default_factory=SimpleQueue)
    _failed: list[BaseException] = field(default_factory=list)

    def came(self, run: Run) -> None:
        """GitHub made a run: it is named by the caller's run-name, and waits. An event has its own name as its run's."""
        if run.event == "workflow_dispatch":
            resumes = run.inputs.get("resume")
            run.title = f"{f'resume {resumes}' if resumes else 'decision'} by {run.actor.login}, {run.inputs.get('reason', '')}"
        self._queue.put(run)
        self.listed(run)

    def service_of(self, run: Run) -> str:
        """Return the service that a run is about, by its decision or that of the run that it resumes; none for what names none."""
        resumed = run.inputs.get("resume")
        first = self.site.control.repository.runs[int(resumed)] if resumed else run
        said = first.inputs.get("decision", {})
        return str((json.loads(said) if isinstance(said, str) else said).get("service", ""))

    def executed(self) -> list[str]:
        """Return the service of each run that a runner recovered, in that order."""
        runs = self.site.control.repository.runs
        return [self.service_of(runs[number]) for number, ended in self.acted.items() if ended.jobs.get("execute") == "success"]

    def work(self) -> None:
        """Carry out run after run, until there is none to come."""
        while (run := self._queue.get()) is not None:
            try:
                self._carry_out(run)
            except BaseException as error:  # noqa: BLE001 - raised at the end, where the test is
                self._failed.append(error)
            finally:
                if run.status != "completed":
                    run.finish("failure")
                with self._ended:
                    self._ended.notify_all()

    def _carry_out(self, run: Run) -> None:
        said = f"{'recover' if run.inputs.get('resume') else 'check'} {self.service_of(run)}".rstrip()
        seen, at_work = self.site.control.saw, False

        def saw(entry: Mapping[str, Any]) -> None:
            nonlocal at_work
            seen(entry)
            if not at_work and (entry.get("jobID"), entry.get("stage")) == TAKEN:
                at_work = True
                self.at_work(run)

        self.site.control.saw = saw  # type: ignore[method-assign]  # for this run
        self.site.control.begin(run)
        try:
            self.acted[run.id] = self.site.carry_out(run, f"{self.scenario}: {said}", file=PurePosixPath(run.path).name)
        finally:
            self.site.control.saw = seen  # type: ignore[method-assign]  # as it was

    def wait_for(self, count: int) -> None:
        """Wait until so many runs have ended. Raises what went wrong in one of them."""
        with self._ended:
            assert self._ended.wait_for(lambda: self._failed or len(self.acted) >= count, LIMIT)
        self.raise_failed()

    def end(self) -> None:
        """Carry out what waits, and nothing more. Raises what went wrong."""
        self._queue.put(None)

    def raise_failed(self) -> None:
        """Raise the first thing that went wrong while a run was carried out."""
        if self._failed:
            raise self._failed[0]


@contextmanager
def carried_out(site: Site, scenario: str) -> Iterator[CarriedOut]:
    """Runs that are dispatched within are carried out; on leaving all of them have ended."""
    found = CarriedOut(site, scenario)
    workflows = list(site.control.repository.workflows)
    for each in workflows:
        each.on_start = found.came
    worker = threading.Thread(target=found.work, daemon=True)
    worker.start()
    try:
        yield found
    finally:
        for each in workflows:
            each.on_start = None
        found.end()
        worker.join()
    found.raise_failed()
