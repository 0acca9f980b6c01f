"""`hyops-ci dispatch`: start the DR workflow of this or another repository, and with `--wait` follow it to its verified end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyops_ci.cli.options import bootstrap_option, decision_options, form_options, format_option, gather
from hyops_ci.dataclass import dataclass
from hyops_ci.intake.form import Form

if TYPE_CHECKING:
    from hyops_ci.github.api.client import Client
    from hyops_ci.operations.dispatch.follow import RunOutcome
    from hyops_ci.operations.dispatch.start import DispatchedRun

TIMEOUT = "PT5H30M"
"""Below the six hours of a hosted job, so that the step itself says that the run goes on."""


@dataclass(frozen=True)
class DispatchOptions:
    """What is started, where, and how long it is followed."""

    repository: str
    workflow: str
    ref: str
    decision_text: str
    decision_ref: str
    event_type: str
    bootstrap_reason: str
    wait: bool
    timeout: str
    cancel_on_timeout: bool


@click.command("dispatch")
@click.option("--repository", envvar="DR_REPOSITORY", default="", help="owner/name; the job's own, or GH_REPO, when absent.")
@click.option(
    "--workflow", envvar="DR_WORKFLOW", default="dr.yml", show_default=True, help="File in .github/workflows that calls dr-dispatch."
)
@click.option("--ref", envvar="DR_REF", default="", help="Branch or tag to start; the default branch when absent.")
@decision_options
@form_options(from_environment=True)
@bootstrap_option
@click.option("--event-type", envvar="DR_EVENT_TYPE", default="", help="Start by repository_dispatch with this type.")
@click.option("--wait", envvar="DR_WAIT", is_flag=True, help="Follow the run; its exit code becomes this one's.")
@click.option("--timeout", envvar="DR_TIMEOUT", default=TIMEOUT, show_default=True, help="How long to follow it.")
@click.option("--cancel-on-timeout", envvar="DR_CANCEL_ON_TIMEOUT", is_flag=True, help="End the run when the time is up.")
@format_option
@gather(DispatchOptions)
def command(options: DispatchOptions, form: Form, output: str) -> int:
    """Validate a decision and start the DR workflow with it.

    Needs DR_TOKEN, GH_TOKEN or GITHUB_TOKEN with actions: write (contents: write with --event-type).
    """
    from hyops_ci.cli.connect import connect
    from hyops_ci.cli.plan import decision_bytes
    from hyops_ci.cli.render import say
    from hyops_ci.errors import DispatchError, Exit
    from hyops_ci.operations.dispatch.start import StartRequest, dispatch
    from hyops_ci.stages.context import SystemClock

    document: dict[str, Any] = {}
    try:
        _must_be_asked_for(os.environ.get("DR_COMMAND") or "dispatch")
        within, clock = _seconds(options.timeout), SystemClock()
        request = StartRequest(
            workflow=options.workflow,
            ref=options.ref,
            decision=decision_bytes(options.decision_text, "", Path()),
            decision_ref=options.decision_ref,
            form=form,
            event_type=options.event_type,
            bootstrap_reason=options.bootstrap_reason.strip(),
        )
        client = connect(options.repository)
        started = dispatch(request, client, clock, say)
        document = _document(client, request.workflow, started)
        _set(document, 0)
        say(f"started {_name(started)}   {started.url}")
        if not options.wait:
            _show(output, _started_lines(document), document)
            return 0
        ended = _follow(client, started, within, options.cancel_on_timeout)
    except DispatchError as error:
        _set({}, error.exit_code)
        raise
    except KeyboardInterrupt:
        _set({}, Exit.CANCELLED)
        page = document.get("run_url")
        say(f"the run goes on, nothing was cancelled   {page}" if page else "whether it was started is not known: look at the Actions page")
        return Exit.CANCELLED
    document |= _ended(ended)
    _set(document, ended.result.exit_code)
    _show(output, _ended_lines(ended, started), document)
    return ended.result.exit_code


def _follow(client: Client, started: DispatchedRun, within: int, cancel_on_timeout: bool) -> RunOutcome:
    """Return the verified end of the run."""
    from hyops_ci.cli.render import progress
    from hyops_ci.errors import Exit, Fault
    from hyops_ci.operations.dispatch.follow import fetch, follow
    from hyops_ci.stages.context import SystemClock

    if started.run_id is None:
        raise Fault(
            "dispatch.which",
            "the run was started, but cannot be identified",
            exit_code=Exit.UNAVAILABLE,
            found="several new runs, or none yet, and none with the decision's id in its name",
            expected="one",
            fix=f"follow it on {started.url}; a run-name with the decision's id makes it known (docs/dispatch.md)",
            docs="dispatch.md",
        )
    fact = follow(client, started.run_id, within=within, clock=SystemClock(), say=progress, cancel_on_timeout=cancel_on_timeout)
    return fetch(client, fact, decision_id=started.decision_id)


def _must_be_asked_for(asked: str) -> None:
    """The root action sends every word here that is neither plan nor verify: GitHub does not judge inputs of actions."""
    from hyops_ci.errors import Exit, Refusal

    if asked != "dispatch":
        raise Refusal(
            "action.command",
            "the action knows no such command",
            exit_code=Exit.USAGE,
            found=f"command: {asked}",
            expected="dispatch, plan or verify",
            fix="correct `with: command:`; other stages are actions of their own (docs/actions.md)",
            docs="actions.md",
        )


def _seconds(text: str) -> int:
    from hyops_ci.contracts.base import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} {error}", param_hint="--timeout") from None


def _set(document: dict[str, Any], exit_code: int) -> None:
    """Outputs of the step, for as much as is known."""
    from hyops_ci.cli.render import workflow

    names = ("run_id", "run_url", "decision_id", "outcome", "evidence_digest")
    known = {name: str(document[name]) for name in names if document.get(name)}
    workflow().outputs({**known, "exit_code": str(int(exit_code))})


def _show(output: str, lines: list[str], document: dict[str, Any]) -> None:
    """The result, and on GitHub the same lines on the run's page."""
    from hyops_ci.cli.render import emit, summarize

    emit(output, lines, document)
    summarize(lines)


def _name(started: DispatchedRun) -> str:
    return f"run {started.run_id}" if started.run_id else "a run"


def _document(client: Client, file: str, started: DispatchedRun) -> dict[str, Any]:
    return {
        "run_id": started.run_id,
        "run_url": started.url,
        "repository": client.repository,
        "workflow": file,
        "ref": started.ref,
        "decision_id": started.decision_id,
        "decision_sha256": started.source_sha256 or None,
        "outcome": None,
        "exit_code": 0,
        "evidence_digest": None,
    }


def _ended(ended: RunOutcome) -> dict[str, Any]:
    return {
        "outcome": ended.result.outcome.value,
        "exit_code": ended.result.exit_code,
        "headline": ended.result.headline,
        "decision_id": ended.result.decision_id,
        "evidence_artifact": ended.artifact,
        "evidence_digest": ended.digest,
    }


def _started_lines(document: dict[str, Any]) -> list[str]:
    which = f"run {document['run_id']}" if document["run_id"] else "a run that cannot be told from others"
    rows = [
        ("Decision", " ".join(str(document[name]) for name in ("decision_id", "decision_sha256") if document[name])),
        ("Where", f"{document['workflow']} of {document['repository']} at {document['ref']}"),
        ("Follow", document["run_url"]),
    ]
    return [f"STARTED {which}", *(f"  {name:<10} {text}" for name, text in rows if text)]


def _ended_lines(ended: RunOutcome, started: DispatchedRun) -> list[str]:
    from hyops_ci.report.text import summary_lines

    evidence = f"artifact {ended.artifact} of run {started.run_id}, {ended.digest}, verified"
    return summary_lines(ended.result, ended.objectives, evidence)
