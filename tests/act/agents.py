"""What GitHub's agent on a runner's host does, and act does not: one job at a time, and the cancel of the one that is at work.

Steps of `shell: bash` are started by a program that comes first on the PATH. It waits for the agent that the job is given to. Of a run
that was cancelled it calls the job at work so, which act ends as failed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.act.control import Control
from tests.act.site import Site
from tests.support.github.runs import Run

_BASH: Final = """\
#!/bin/bash
# Steps come as: bash --noprofile --norc -e -o pipefail <file>; what they start themselves comes otherwise.
set -eu
case ${{1:-}},${{GITHUB_JOB:-}} in
  --noprofile,check | --noprofile,execute) exec flock -o {folder}/"$RUNNER_NAME" /bin/bash "$@" ;;
  --noprofile,conclude) if [ -e {folder}/cancelled-"$GITHUB_RUN_ID" ]; then export DR_RESULTS="${{DR_RESULTS/failure/cancelled}}"; fi ;;
esac
exec /bin/bash "$@"
"""
LIMIT: Final = 60.0
"""Seconds after which a run that was cancelled has no step to end."""
PATIENCE: Final = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5), (signal.SIGKILL, 0.0))
"""What the agent sends to a step that is cancelled, and for how many seconds it waits then."""


class Agents:
    """The agents of a site."""

    def __init__(self, site: Site) -> None:
        self.folder = site.root / "agents"
        self.folder.mkdir()
        bash = self.folder / "bash"
        bash.write_text(_BASH.format(folder=self.folder))
        bash.chmod(0o755)
        site.programs.append(self.folder)

    def cancels(self, control: Control) -> Callable[[Run], None]:
        """What happens to the run of `control` when somebody cancels it on GitHub."""

        def cancel(run: Run) -> None:
            control.cancelled = True
            (self.folder / f"cancelled-{run.id}").touch()
            threading.Thread(target=self._end, args=(str(run.id),), daemon=True).start()

        return cancel

    def _end(self, run: str) -> None:
        # Between two steps there is none. GitHub's agent starts no further one then: here the next one is ended as it begins.
        until = time.monotonic() + LIMIT
        while not (step := next(self._steps(run), 0)):
            if time.monotonic() > until:
                return
            time.sleep(0.05)
        for number, seconds in PATIENCE:
            with suppress(ProcessLookupError):
                os.kill(step, number)
            until = time.monotonic() + seconds
            while Path("/proc", str(step)).exists() and time.monotonic() < until:
                time.sleep(0.1)

    def _steps(self, run: str) -> Iterator[int]:
        """The process of the step at work: what the agent started."""
        for process in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                started_by = Path("/proc", str(parent), "cmdline").read_bytes().split(b"\0")
                if started_by[0].endswith(b"flock") and f"GITHUB_RUN_ID={run}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    yield int(process.name)
