"""Fills a small disk while HyOps works, and says what the journal knows afterwards. Run in a mount namespace of its own.

python -m tests.execution.filling <folder> <program>
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hyops_ci.execution.run_handle import SupervisedRun
from hyops_ci.execution.supervisor import SupervisorOrder


def main(folder: Path, program: str) -> None:
    """Mount one MiB on `folder`, let the program print into a journal there, and print its end as JSON."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
    order = SupervisorOrder((sys.executable, "-c", program), {}, folder / "run", timeout=300.0, linger=0.1)
    run = SupervisedRun.start(order)
    ended = run.wait(300)
    view = run.view()
    print(
        json.dumps(
            {
                "ended": None if ended is None else {"rc": ended.rc, "by_itself": ended.by_itself},
                "lines": [str(line) for line in view.lines],
                "full": view.full,
                "signals": view.signals,
                "cut": '"kind": "cut"' in (folder / "run" / "journal.jsonl").read_text(),
                "kept": (folder / "run" / "stdout.log").stat().st_size,
                "errors": (folder / "run" / "supervisor.err").read_text(),
            }
        )
    )


main(Path(sys.argv[1]), sys.argv[2])
