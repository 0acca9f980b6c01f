"""`hyops-ci recovery`: several services by one plan of the config, in waves, from the check to the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import places, remote_option
from hyops_ci.cli.options import Group, config_option, format_option, gather, repository_option
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit

if TYPE_CHECKING:
    from hyops_ci.contracts.recovery import RecoveryRecord
    from hyops_ci.operations.recovery.context import Recovery

TIMEOUT = "PT6H"


@dataclass(frozen=True)
class Where:
    """The config, the ledgers, the repository and its workflow."""

    config_file: Path
    remote: str
    repository: str
    workflow: str


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options by which a recovery and its services are found."""
    made = gather(Where, "where")(command)
    made = click.option(
        "--workflow",
        default="dr.yml",
        show_default=True,
        help="File in .github/workflows that calls dr-dispatch; it takes a decision and resume.",
    )(made)
    return config_option(remote_option(repository_option(made)))


_timeout = click.option("--timeout", default=TIMEOUT, show_default=True, help="How long each run is followed; it goes on afterwards.")
_id = click.argument("recovery_id", metavar="ID")
_out = click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the record there.  [default: recovery-<ID>]")


@click.group("recovery", cls=Group)
def command() -> None:
    """Several services, recovered in waves by a plan of the config.

    Each service has a run, a claim and evidence of its own; nothing begins before all of them are approved, and no wave before the one
    in front of it is proven. All but verify need GH_TOKEN, a person's.
    """


@command.command("start")
@click.argument("plan")
@click.option("--reason", required=True, help="Why.")
@click.option("--old-primary", type=click.Choice(["not-confirmed", "confirmed-off"]), default="not-confirmed", help="Is the old side off?")
@_where
@_timeout
@format_option
def start_recovery(plan: str, reason: str, old_primary: str, where: Where, timeout: str, output: str) -> int:
    """Plan and check every service of PLAN, each by a run of its own, until all wait for signatures. Changes nothing."""
    import secrets
    from datetime import UTC, datetime

    from hyops_ci.cli.render import emit
    from hyops_ci.operations.recovery.context import approving, going_on
    from hyops_ci.operations.recovery.start import Reasons, recovery_id, start

    recovery = _recovery(recovery_id(plan, datetime.now(UTC), secrets.token_hex(2)), plan, where)
    started = start(recovery, Reasons(reason, old_primary), within=_seconds(timeout))
    lines = [
        f"WAITING FOR SIGNATURES  {recovery.id}: {len(started)} checks passed, nothing was changed",
        f"  approve    {approving(recovery.id)}",
        f"  then       {going_on(recovery.id)}",
    ]
    runs = [{"run_id": each.run_id, "url": each.url, "decision_id": each.decision_id} for each in started]
    emit(output, lines, {"recovery_id": recovery.id, "runs": runs})
    return 0


@command.command("approve")
@_id
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Your private key.")
@click.option("--deny", is_flag=True, help="Say no to all of it. Nothing will have changed.")
@click.option("--comment", default="", help="Why; it is recorded.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@_where
@format_option
def approve_recovery(recovery_id: str, key: Path, deny: bool, comment: str, yes: bool, where: Where, output: str) -> int:
    """Show all services of the recovery ID on one page, and sign one answer to each. Starts nothing."""
    from collections.abc import Mapping

    from hyops_ci.approvals.request import answer
    from hyops_ci.cli.approve import owner
    from hyops_ci.cli.render import emit, say
    from hyops_ci.cli.terminal import agreed
    from hyops_ci.contracts.approval import ApprovalRequest, Person
    from hyops_ci.operations.recovery.approve import Verdict, answer_all, page
    from hyops_ci.operations.recovery.context import going_on, plan_of, remaining
    from hyops_ci.operations.recovery.pending import pending_runs
    from hyops_ci.operations.recovery.start import nothing_left
    from hyops_ci.signing.dsse import load_key

    recovery = _recovery(recovery_id, plan_of(recovery_id), where)
    if not (left := remaining(recovery, recovery.standing(recovery.tips()))):
        raise nothing_left(recovery)
    pending = pending_runs(recovery, left)
    for line in page(recovery, pending):
        say(line)
    private, now = load_key(key), recovery.clock.now()
    login = {owner(private, each.request) for each in pending.values()}.pop()
    verdict: Verdict = "deny" if deny else "approve"
    if not yes and not agreed(f"{verdict.upper()} all {len(pending)} as {login}?"):
        say("nothing was signed")
        return int(Exit.APPROVAL)

    def sign(asked: ApprovalRequest) -> Mapping[str, Any]:
        return answer(asked, verdict, Person(login=login), private, now=now, comment=comment)

    found = answer_all(recovery, pending, sign, now)
    enough = all(each.enough for each in found.values())
    nearly = "denied: nothing of it begins" if deny else f"then: {going_on(recovery.id)}" if enough else "more answers are needed"
    lines = [f"signed: {verdict} by {login}, {len(found)} services; {nearly}"]
    emit(output, lines, {"recovery_id": recovery.id, "enough": enough, "services": {name: each.summary for name, each in found.items()}})
    return 0


@command.command("go-on")
@_id
@_where
@_timeout
@_out
@format_option
def go_on_with(recovery_id: str, where: Where, timeout: str, out: Path | None, output: str) -> int:
    """Recover wave after wave of ID; stop where one is not proven. Ctrl-C starts no further wave; the same command goes on.

    Exit 0 where all services are proven, else that of the first run that is not.
    """
    from hyops_ci.operations.recovery.context import plan_of
    from hyops_ci.operations.recovery.go_on import go_on
    from hyops_ci.operations.recovery.record import keep, record

    recovery = _recovery(recovery_id, plan_of(recovery_id), where)
    tips = go_on(recovery, within=_seconds(timeout))
    made = keep(recovery, record(recovery, tips), out or Path(f"recovery-{recovery.id}"))
    return _show(made, output)


@command.command("status")
@_id
@_where
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the record and the evidence there, too.")
@format_option
def status_of(recovery_id: str, where: Where, out: Path | None, output: str) -> int:
    """Say how far the recovery ID is, wave by wave, from the ledgers. Changes nothing."""
    from hyops_ci.operations.recovery.context import plan_of
    from hyops_ci.operations.recovery.record import keep, record

    recovery = _recovery(recovery_id, plan_of(recovery_id), where)
    made = record(recovery, recovery.tips())
    return _show(keep(recovery, made, out) if out else made, output)


@command.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@format_option
def verify_record(folder: Path, output: str) -> int:
    """Say whether a kept record holds: every run's evidence, and that the waves were one after the other. Needs no network.

    Whose a bundle is, a key says: hyops-ci evidence verify with --key or --trust.
    """
    from hyops_ci.cli.render import emit
    from hyops_ci.operations.recovery.record import problems, without_evidence

    found, unshown = list(problems(folder)), list(without_evidence(folder))
    lines = [f"INVALID: {found[0]}", *(f"  problem    {each}" for each in found[1:])] if found else ["VALID"]
    lines += [f"  not shown  {each}" for each in unshown]
    emit(output, lines, {"valid": not found, "problems": found, "not_shown": unshown})
    return int(Exit.EVIDENCE if found else Exit.DONE)


def _recovery(recovery_id: str, plan: str, where: Where) -> Recovery:
    """Return the recovery, with GitHub and the ledgers as this person sees them. Raises Refusal (exit 2)."""
    from hyops_ci.cli.connect import connect
    from hyops_ci.cli.render import say
    from hyops_ci.config.file import read_config
    from hyops_ci.operations.recovery.context import Recovery
    from hyops_ci.stages.context import SystemClock

    config, _ = read_config(given(where.config_file), str(where.config_file))
    client, opened = connect(where.repository), places(config, where.remote).ledger
    return Recovery(recovery_id, plan, config, client, SystemClock(), opened, say, workflow=where.workflow)


def _show(made: RecoveryRecord, output: str) -> int:
    """Print the record, and return the exit code of the recovery."""
    from hyops_ci.cli.render import emit
    from hyops_ci.contracts.run import EXIT_OF, State
    from hyops_ci.operations.recovery.context import going_on

    lines = [made.headline]
    for wave in made.waves:
        lines += [
            f"  wave {wave.number}  {each.service:<24} {each.standing:<9} {each.outcome or 'not begun'}  {each.run_url}".rstrip()
            for each in wave.services
        ]
    if made.outcome != "DONE":
        lines.append(f"  next   mend what stopped it, then: {going_on(made.recovery_id)}")
    emit(output, lines, made.document())
    ended = [
        EXIT_OF[State(each.outcome)]
        for wave in made.waves
        for each in wave.services
        if each.standing != "proven" and each.outcome in EXIT_OF
    ]
    return int(Exit.DONE if made.outcome == "DONE" else ended[0] if ended else Exit.APPROVAL)


def _seconds(text: str) -> int:
    from hyops_ci.contracts.base import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} {error}", param_hint="--timeout") from None
