"""A recovery whose run folder is on a small disk that fills up while HyOps works. Run in a mount namespace of its own.

    python -m tests.e2e.filled_disk <folder> once|always

Prints what execute came to, what its folder holds and what the ledger says, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyops_ci.evidence.verify import verify
from hyops_ci.operations.rehearse import scenarios
from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.stages.context import SystemClock
from hyops_ci.stages.execute.stage import ExecuteEnd, execute
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.sealing import bundle_path


def fill(disk: Path, stop: threading.Event | None) -> None:
    """Take all the room there is; with `stop` again and again, until it is set."""
    with (disk / "somebody-elses").open("ab", buffering=0) as file:
        while True:
            for size in (1 << 16, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"x" * size)
            if stop is None or stop.wait(0.001):
                return


def main(folder: Path, how: str) -> None:
    """Carry out one recovery of the rehearsal."""
    disk, said, stop = folder / "run-1", list[str](), threading.Event()
    site = Site(folder, SystemClock(), said.append)
    ended: list[ExecuteEnd] = []

    def filled(_: Site) -> None:
        subprocess.run(["mount", "-o", "remount,size=6m", str(disk)], check=True)  # the check asked for more, and saw it
        fill(disk, None)
        if how == "always":
            threading.Thread(target=fill, args=(disk, stop), daemon=True).start()

    def executed(run: RunDir, world: Any, approvals: str) -> ExecuteEnd:
        ended.append(execute(run, world, approvals))
        return ended[0]

    scenarios.execute = executed  # type: ignore[attr-defined]  # the name that the module imported
    scenarios.conclude_here = lambda run, world: None  # type: ignore[attr-defined,assignment,return-value]  # no evidence, so nothing is concluded
    with endpoint() as port:
        set_up(site, port)
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64g", "none", str(disk)], check=True)
        decision = scenarios.example_decision("failover", site.clock, 1, site.service)
        scenarios.one_run(site, disk, decision, scenarios.Scenario("the disk fills up", at="postgresql_restore running", then=filled))
    stop.set()
    bundle, tip = bundle_path(RunDir(disk / "run")), site.world().ledger(site.service).tip()
    end = ended[0]
    print(
        json.dumps(
            {
                "state": end.state,
                "sealed": end.sealed,
                "refusal": end.refusal.document() if end.refusal else None,
                "problems": list(verify(bundle).problems) if bundle.exists() else None,
                "ledger": tip.state,
                "steps": [line for line in said if "postgresql_dns_status ok" in line],
            }
        )
    )


main(Path(sys.argv[1]), sys.argv[2])
