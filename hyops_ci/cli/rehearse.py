"""`hyops-ci rehearse`: everything once, here, in seconds."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import format_option, gather, moment_option
from hyops_ci.cli.render import emit, progress, say, show_conclusion
from hyops_ci.dataclass import dataclass


@dataclass(frozen=True)
class RehearseOptions:
    """What is rehearsed, with what, and where."""

    scenario: str
    decision: Path | None
    config: Path | None
    folder: Path | None
    stand_in: bool
    verbose: bool
    at: datetime | None


@click.command("rehearse")
@click.option("--scenario", default="recovered", show_default=True, help="What happens; `list` prints the names.")
@click.option("--decision", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A decision instead of the example's.")
@click.option("--config", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A dr-dispatch.yml instead of the example's.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Where to work; a new temporary folder when absent.")
@click.option("--stand-in", is_flag=True, help="Use the stand-in even where the real HyOps is found.")
@click.option("--verbose", is_flag=True, help="Also print what HyOps prints.")
@moment_option
@format_option
@gather(RehearseOptions)
def command(options: RehearseOptions, output: str) -> int:
    """Take an example decision through everything: plan, check, approval, recovery, evidence, report.

    HyOps is a stand-in, and every page of a run that asked it says so; where the real CLI is found (HYOPS_CORE_ROOT and hyops on the
    PATH, or /opt/hybridops/core) it runs a blueprint of manual gates instead. Nothing outside the folder is touched.
    """
    from hyops_ci.operations.rehearse.sandbox import Site, can_hold_a_runner, find_hyops
    from hyops_ci.operations.rehearse.scenarios import SCENARIOS, rehearse
    from hyops_ci.stages.context import ShiftedClock, SystemClock, no_output

    scenario, folder = options.scenario, options.folder
    if scenario == "list":
        told = {name: chosen.description for name, chosen in SCENARIOS.items()}
        emit(output, [f"{name:<18} {text}" for name, text in told.items()], told)
        return 0
    if scenario not in SCENARIOS:
        raise click.UsageError(f"no scenario {scenario!r}; there are {', '.join(SCENARIOS)}")
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    where = os.path.realpath(folder or tempfile.gettempdir())  # no traceback for links in a circle
    if not can_hold_a_runner(where):
        raise click.UsageError(f"{where} cannot hold a runner, whose paths are of letters, digits and . _ @ + ~ -: name another --folder")
    place = Path(where if folder else tempfile.mkdtemp(prefix="dr-rehearsal-", dir=where))
    content = given(options.decision) if options.decision else b""
    chosen = SCENARIOS[scenario]
    real = None if options.stand_in or chosen.scripted or options.config else find_hyops(os.environ)
    which = (
        f"HyOps is the real one, {real.hyops}, with gates that touch nothing" if real else "HyOps is a STAND-IN: nothing will be recovered"
    )
    say(f"scenario {scenario}: {chosen.description}. {which}")
    clock = ShiftedClock(options.at) if options.at else SystemClock()
    site = Site(place, clock, progress, say if options.verbose else no_output, real)
    ended = rehearse(site, scenario, decision=content, config=options.config)
    code = show_conclusion(ended, output)
    say("this was a rehearsal: nothing outside its folder was touched, and no service was recovered")
    return code
