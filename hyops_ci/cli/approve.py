"""`hyops-ci approve`: the plan as its approver reads it, and their signed answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from hyops_ci.cli import terminal
from hyops_ci.cli.options import format_option, gather
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from hyops_ci.contracts.approval import ApprovalRequest
    from hyops_ci.contracts.track_record import TrackRecord


@dataclass(frozen=True)
class ApproveOptions:
    """What is answered, with which key, and how."""

    run: str
    request: Path | None
    key: Path | None
    deny: bool
    comment: str
    risks: tuple[str, ...]
    yes: bool
    sign_only: bool
    ledger: str
    new_key: Path | None


@click.command("approve")
@click.argument("run", default="")
@click.option(
    "--request",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Instead of RUN, request.json or the handover.tar of the check artifact.",
)
@click.option("--key", type=click.Path(path_type=Path), help="Your private key.")
@click.option("--deny", is_flag=True, help="Say no. Nothing will have changed.")
@click.option("--comment", default="", help="Why; it is recorded.")
@click.option("--accept-risk", "risks", multiple=True, help="Name a risk that you accept.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@click.option("--sign-only", is_flag=True, help="With RUN: print the signed answer; push nothing and start nothing.")
@click.option("--ledger", default="", help="With RUN: path or URL of the ledger, where it is not the repository itself.")
@click.option("--new-key", type=click.Path(path_type=Path), help="Only make a key pair there, and print its public half for the config.")
@format_option
@gather(ApproveOptions)
def command(options: ApproveOptions, output: str) -> int:
    """Show what RUN (its page on GitHub) asks, sign your answer, push it to the ledger, and start the run that goes on.

    Needs GH_TOKEN, that of a person who may read runs, push to the ledger branch and start the workflow. With --request nothing
    is asked of GitHub: the signed answer is one JSON line on stdout, for the `approvals` input of a new run.
    """
    from hyops_ci.approvals.request import answer, read_request
    from hyops_ci.cli.connect import connect, ledger_at, run_at
    from hyops_ci.cli.render import emit, say
    from hyops_ci.contracts.approval import Person
    from hyops_ci.operations.approve import may_resume, pending_run, push_answer, resume
    from hyops_ci.signing.dsse import load_key
    from hyops_ci.signing.dsse import new_key as make_key
    from hyops_ci.stages.context import SystemClock

    if options.new_key is not None:
        public = make_key(options.new_key)
        emit(output, [public], {"public_key": public})
        return 0
    if options.key is None or bool(options.run) == (options.request is not None):
        raise click.UsageError("name a run or --request, and --key; or make a key with --new-key")
    place = run_at(options.run) if options.run else None
    client = connect(place.repository) if place else None
    found = pending_run(client, place.run_id) if place and client else None
    asked = found.request if found else read_request(_request_bytes(options.request or Path()))
    _show(asked, found.run.url if found else "", found.known if found else None)
    if found is None:
        say("NOT COMPARED WITH GITHUB: who asked and when, and that the run is of the reviewed workflow. The file says so, and nobody else")
    private = load_key(options.key)
    login = owner(private, asked)
    into = may_resume(client, found) if client and found and not options.sign_only else None
    verdict: Literal["deny", "approve"] = "deny" if options.deny else "approve"
    if not options.yes and not terminal.agreed(f"{verdict.upper()} as {login}?"):
        say("nothing was signed")
        return int(Exit.APPROVAL)
    now, person = datetime.now(UTC), Person(login=login)
    envelope = answer(asked, verdict, person, private, now=now, comment=options.comment, accepted_risks=options.risks)
    if not (place and client and found and into):
        say(f"signed: {verdict} by {login}. Now a new run with this decision and this answer:")
        say("  gh workflow run dr.yml -F decision=@decision.json -f approvals='<the line below>'   (decision.json is in the same artifact)")
        say("  with GitHub down, on the runner: hyops-ci run --decision decision.json --approval <file of that line>")
        terminal.out(json.dumps([envelope], sort_keys=True, separators=(",", ":")))
        return 0
    status = push_answer(found, envelope, ledger_at(found, place.server, options.ledger), now)
    say(f"signed and pushed: {verdict} by {login}. {status.summary}")
    if not (status.enough or status.denied):
        return _print_result(output, envelope, "", "")
    started = resume(client, found, into, SystemClock())
    say(f"goes on as: {started.url}")
    return _print_result(output, envelope, started.url, str(started.run_id or ""))


def _show(asked: ApprovalRequest, url: str, known: TrackRecord | None) -> None:
    """Print the request as its approver reads it."""
    from hyops_ci.cli.render import say
    from hyops_ci.report.approval_page import approval_lines

    for line in approval_lines(asked, run_url=url, known=known):
        say(line)


def owner(private: Ed25519PrivateKey, asked: ApprovalRequest) -> str:
    """Return the login that the plan knows for this key. Raises Refusal (exit 6) for any other key."""
    from hyops_ci.errors import Refusal
    from hyops_ci.signing.dsse import public_of

    public, approvers = public_of(private), asked.plan.approval.approvers
    login = next((name for name, known in approvers.items() if known == public), "")
    if login:
        return login
    raise Refusal(
        "approval.key",
        "this key is not an approver's",
        exit_code=Exit.APPROVAL,
        found=public,
        expected=f"the key of {' or '.join(approvers) or 'an approver: the plan names none'}",
        fix="use your own key; or add it to approvals.approvers in a pull request",
    )


def _print_result(output: str, envelope: dict[str, object], url: str, run_id: str) -> int:
    """Print the result of an answer that was pushed."""
    if output == "json":
        terminal.out(json.dumps({"envelope": envelope, "resumed_by": run_id, "url": url}, indent=2, sort_keys=True))
    elif url:
        terminal.out(url)
    return 0


def _request_bytes(path: Path) -> bytes:
    """Return the request itself, or the one inside a handover."""
    from hyops_ci.errors import Refusal
    from hyops_ci.stages.approval import REQUEST
    from hyops_ci.stages.handover import MAX_HANDOVER_BYTES, contents

    with path.open("rb") as file:
        data = file.read(MAX_HANDOVER_BYTES + 1)  # what is longer is neither
    if path.suffix != ".tar":
        return data
    try:
        return contents(data).get(REQUEST, b"")
    except Refusal:
        return b""  # an empty request is refused with its reason
