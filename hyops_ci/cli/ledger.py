"""`hyops-ci ledger`: make, show or settle the ledger of a service."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import format_option

if TYPE_CHECKING:
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.ledger.ledger import Ledger

_remote = click.option(
    "--remote", required=True, help="Path or URL of the repository that holds the branch. The token, if any, is in DR_TOKEN."
)
_service = click.option("--service", required=True, help="name/env.")


@click.group("ledger")
def command() -> None:
    """Look after a service's ledger."""


def _open(remote: str, service: str) -> Ledger:
    from hyops_ci.ledger.ledger import Ledger

    state = Path(os.environ.get("HOME") or "/") / ".local" / "state" / "dr-dispatch"
    return Ledger.over_git(remote, service, state_dir=state, token=os.environ.get("DR_TOKEN", ""))


@command.command("init")
@_remote
@_service
@click.option("--home", "home_site", required=True, help="The site where the service lives now.")
@format_option
def init_ledger(remote: str, service: str, home_site: str, output: str) -> int:
    """Make the branch, once. Protect it afterwards: no deletion, no force-push."""
    from hyops_ci.cli.render import emit
    from hyops_ci.contracts.base import stamp

    ledger = _open(remote, service)
    tip = ledger.init(home_site, stamp(datetime.now(UTC)))
    lines = [
        f"made {ledger.branch}: {service} serves from {home_site}",
        "  next       a ruleset for dr-ledger/**: no deletion, no force-push (docs/ledger.md)",
    ]
    emit(output, lines, tip.document())
    return 0


@command.command("show")
@_remote
@_service
@click.option("--history", "whole", is_flag=True, help="Every transition, newest first.")
@format_option
def show_ledger(remote: str, service: str, whole: bool, output: str) -> int:
    """Where the service stands, and who acts on it."""
    from hyops_ci.cli.render import emit

    ledger = _open(remote, service)
    tips = ledger.history() if whole else (ledger.tip(),)
    lines = []
    for tip in tips:
        who = f"run {tip.claim.run_id} {tip.claim.decision_type}" if tip.claim else "nobody"
        said = f"  {tip.reason}" if tip.reason else ""
        where = f"{tip.position}, serves from {tip.serves}"
        lines.append(f"{tip.at}  epoch {tip.epoch}  {where}  {tip.state or 'free'}  {who}{said}")
    emit(output, lines, [tip.document() for tip in tips])
    return 0


def _sites(config: DispatchConfig, service: str) -> tuple[str, list[str]]:
    """Where a service is at home, and everywhere it may serve from."""
    from hyops_ci.planning.settings import data_home

    known = config.services.get(service)
    if known is None:
        return "", []
    home = data_home(config, service)
    lanes = [action.lane for action in (known.failover, known.failback, known.burst) if action is not None]
    return home, sorted({home, *lanes})


@command.command("settle")
@_remote
@_service
@click.option("--serves", required=True, help="The site that serves clients: you looked.")
@click.option("--reason", required=True, help="What you looked at, and what it showed.")
@click.option(
    "--config", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True, help="The config that names the approvers."
)
@click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="An approver's private key; once for each person of the quorum.",
)
@format_option
def settle_ledger(remote: str, service: str, serves: str, reason: str, config: Path, keys: tuple[Path, ...], output: str) -> int:
    """Say which side is true after a run that was cut off. Nothing else ends an UNKNOWN."""
    from pydantic import ValidationError

    from hyops_ci.approvals.settlement import settlers, sign_settlement
    from hyops_ci.cli.render import emit
    from hyops_ci.contracts.approval import Settlement
    from hyops_ci.contracts.base import stamp
    from hyops_ci.errors import Exit, Refusal
    from hyops_ci.intake.config_file import read_config
    from hyops_ci.signing.dsse import load_key

    known, _ = read_config(config.read_bytes(), str(config))
    home_site, sites = _sites(known, service)
    if serves not in sites:
        raise Refusal(
            "lock.site",
            "the config knows no such site for this service",
            exit_code=Exit.USAGE,
            found=f"--serves {serves}",
            expected=" or ".join(sites) or f"a service of {config}",
            fix="write the site as the config does",
        )
    ledger, at = _open(remote, service), stamp(datetime.now(UTC))
    private = [load_key(key) for key in keys]
    people = settlers(private, known.approvals.approvers, known.approvals.quorum)
    before = ledger.tip()
    try:
        word = Settlement(service=service, ledger_id=before.ledger_id, epoch=before.epoch, serves=serves, reason=reason, at=at)
    except ValidationError as error:
        raise Refusal(
            "lock.words",
            "a settlement is one line of plain text",
            exit_code=Exit.USAGE,
            found=error.errors(include_input=False)[0]["msg"],
            expected="a reason of at most 500 characters without control characters",
            fix="say it again",
        ) from None
    tip = ledger.settle(
        serves=serves,
        home_site=home_site,
        reason=reason,
        settled_by=", ".join(people),
        at=at,
        epoch=before.epoch,
        settlement=sign_settlement(word, private),
    )
    lines = [f"settled: {service} serves from {tip.serves}, position {tip.position}, lock free", f"  signed     {tip.settled_by}"]
    emit(output, lines, tip.document())
    return 0
