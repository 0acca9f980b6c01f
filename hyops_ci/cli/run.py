"""`hyops-ci run`: break-glass, the whole run from a shell on the runner, with GitHub down."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import checkout_option, form_options, format_option
from hyops_ci.intake.form import Form

if TYPE_CHECKING:
    from hyops_ci.contracts.host_trust import HostTrust


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
    call it again with the same decision.json and their answers. A connection to this host that is lost does not end it.
    """
    from hyops_ci.cli.github_job import checkout_config, host_trust
    from hyops_ci.cli.render import say, show_conclusion
    from hyops_ci.cli.shell import shell_context
    from hyops_ci.contracts.run import State
    from hyops_ci.operations.break_glass import break_glass, require_trust
    from hyops_ci.stages.plan.stage import Ask

    trust = require_trust(host_trust())
    # A connection to the host that is lost hangs up on this process, and HyOps goes on: its end belongs in ledger and evidence.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    world = shell_context(checkout_config(checkout), trust=trust, min_quorum=2)
    content = given(decision) if decision else b""
    ask = Ask(checkout, content, form, approvals=_joined(approvals))
    place = folder or Path(tempfile.mkdtemp(prefix="dr-run-"))
    ended = break_glass(ask, place, world)
    say(f"the run's folder: {place}")
    for line in commands_to_go_on(place / "run", trust) if ended.result.outcome is State.UNSIGNED else ():
        say(line)
    return show_conclusion(ended, output)


def commands_to_go_on(folder: Path, trust: HostTrust) -> list[str]:
    """Return the commands with which approvers answer what was asked, and the run goes on. Files may be carried to the approvers."""
    from hyops_ci.contracts.approval import ApprovalRequest, Person
    from hyops_ci.stages.handover import RunDir
    from hyops_ci.text import shell

    request, decision = folder / "request.json", folder / "decision.json"
    asking = RunDir(folder).read_model(request.name, ApprovalRequest).requesters
    people = [each.login for each in trust.approvers if each.key and not Person(login=each.login, id=each.id).among(asking)]
    answers = [(login, shell("{}", f"{login}.json")) for login in people[:2]]
    lines = ["each approver, with their own key:"]
    lines += [shell("  hyops-ci approve --request {} --key <key of {}> > ", request, login) + file for login, file in answers]
    given = "".join(f" --approval {file}" for _, file in answers)
    return [*lines, "then:", shell("  hyops-ci run --decision {}", decision) + given]


def _joined(paths: tuple[Path, ...]) -> str:
    """Return all answers as one JSON array."""
    import json

    from hyops_ci.signing.dsse import read_envelopes

    found = [envelope for path in paths for envelope in read_envelopes(given(path).decode("utf-8", "replace"))]
    return json.dumps(found) if found else ""
