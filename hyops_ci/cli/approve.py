"""`hyops-ci approve`: the plan as its approver reads it, and their signed answer."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import click

from hyops_ci.cli.options import format_option


@click.command("approve")
@click.option(
    "--request",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="request.json, or the handover.tar of the check artifact.",
)
@click.option("--key", type=click.Path(path_type=Path), help="Your private key.")
@click.option("--deny", is_flag=True, help="Say no. Nothing will have changed.")
@click.option("--comment", default="", help="Why; it is recorded.")
@click.option("--accept-risk", "risks", multiple=True, help="Name a risk that you accept.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@click.option("--new-key", type=click.Path(path_type=Path), help="Only make a key pair there, and print its public half for the config.")
@format_option
def command(
    request: Path | None, key: Path | None, deny: bool, comment: str, risks: tuple[str, ...], yes: bool, new_key: Path | None, output: str
) -> int:
    """Show what is to be approved, and sign the answer with your key.

    Prints the signed answer as one JSON line on stdout, for the `approvals` input of a new run.
    """
    from hyops_ci.approvals.page import page
    from hyops_ci.approvals.request import answer, read_request
    from hyops_ci.cli.render import emit, say
    from hyops_ci.contracts.approval import Person
    from hyops_ci.contracts.base import moment
    from hyops_ci.signing.dsse import load_key, public_of
    from hyops_ci.signing.dsse import new_key as make_key

    if new_key is not None:
        public = make_key(new_key)
        emit(output, [public], {"public_key": public})
        return 0
    if request is None or key is None:
        raise click.UsageError("name --request and --key, or make a key with --new-key")
    asked = read_request(_request_bytes(request))
    people = [person.login for person in asked.requesters]
    for line in page(asked.plan, asked.check, requesters=people, rationale=asked.rationale, requested_at=moment(asked.requested_at)):
        say(line)
    private = load_key(key)
    public = public_of(private)
    login = next((name for name, known in asked.plan.approval.approvers.items() if known == public), "")
    if not login:
        from hyops_ci.errors import Exit, Refusal

        raise Refusal(
            "approval.key",
            "this key is no approver's",
            exit_code=Exit.APPROVAL,
            found=public,
            expected=f"the key of {' or '.join(asked.plan.approval.approvers) or 'somebody: the plan names nobody'}",
            fix="use your own key; or add it to approvals.approvers in a pull request",
        )
    verb = "DENY" if deny else "APPROVE"
    if not yes and (not sys.stdin.isatty() or not click.confirm(f"{verb} as {login}?", err=True)):
        say("nothing was signed" if sys.stdin.isatty() else "nothing was signed: no terminal to ask on; --yes signs without asking")
        return 6
    envelope = answer(
        asked, "deny" if deny else "approve", Person(login=login), private, now=datetime.now(UTC), comment=comment, accepted_risks=risks
    )
    say(f"signed: {verb.lower()} by {login}. Now a new run with this decision and this answer:")
    say("  gh workflow run dr.yml -F decision=@decision.json -f approvals='<the line below>'   (decision.json is in the same artifact)")
    click.echo(json.dumps([envelope], sort_keys=True, separators=(",", ":")))
    return 0


def _request_bytes(path: Path) -> bytes:
    """The request itself, or the one inside a handover."""
    from hyops_ci.stages.asking import REQUEST

    data = path.read_bytes()
    if path.suffix != ".tar":
        return data
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            member = tar.extractfile(REQUEST)
            return member.read() if member else b""
    except (tarfile.TarError, KeyError):
        return b""  # read as a request it is refused, with the words for that
