"""`hyops-ci run`: break-glass, the whole run from a shell on the runner, with GitHub down."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from hyops_ci.cli.options import checkout_option, form_options, format_option
from hyops_ci.intake.form import Form


@click.command("run")
@click.option("--decision", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A decision or record; else the form below.")
@form_options(from_environment=False)
@checkout_option
@click.option(
    "--approval",
    "approvals",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A signed answer, from hyops-ci approve.",
)
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Where the run's folder is made.")
@format_option
def command(
    decision: Path | None,
    form: Form,
    checkout: Path,
    approvals: tuple[Path, ...],
    folder: Path | None,
    output: str,
) -> int:
    """Plan, check, execute and conclude here, under the host's trust file and two approvals.

    Without enough approvals it ends before anything is changed, and leaves request.json and decision.json for the approvers;
    call it again with the same decision.json and their answers.
    """
    from hyops_ci.cli.github_job import checkout_config, host_trust
    from hyops_ci.cli.render import say, show_conclusion
    from hyops_ci.cli.shell import shell_context
    from hyops_ci.operations.break_glass import break_glass, require_trust
    from hyops_ci.stages.plan.stage import Ask

    trust = require_trust(host_trust())
    world = shell_context(checkout_config(checkout), trust=trust, min_quorum=2)
    content = decision.read_bytes() if decision else b""
    ask = Ask(checkout, content, form, approvals=_joined(approvals))
    place = folder or Path(tempfile.mkdtemp(prefix="dr-run-"))
    ended = break_glass(ask, place, world)
    say(f"the run's folder: {place}")
    return show_conclusion(ended, output)


def _joined(paths: tuple[Path, ...]) -> str:
    """All answers as one JSON array."""
    import json

    from hyops_ci.signing.dsse import read_envelopes

    found = [envelope for path in paths for envelope in read_envelopes(path.read_text(encoding="utf-8"))]
    return json.dumps(found) if found else ""
