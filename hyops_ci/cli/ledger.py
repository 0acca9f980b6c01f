"""`hyops-ci ledger`: make, show, settle or merge the ledger of a service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli import ledger_show
from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import (
    open_ledger,
    open_standby,
    open_vouched,
    remote_option,
    require_site,
    reviewed,
    reviewed_option,
    sites_of,
    vouchers_of,
)
from hyops_ci.cli.options import Group, format_option, gather, service_option
from hyops_ci.dataclass import dataclass

if TYPE_CHECKING:
    from hyops_ci.contracts.ledger import Tip


@click.group("ledger", cls=Group)
def command() -> None:
    """Look after a service's ledger."""


command.add_command(ledger_show.command)


@command.command("init")
@remote_option
@click.option("--service", default="", help="name/env.")
@click.option("--all", "every", is_flag=True, help="Every service of the config; one that has a ledger is left as it is.")
@reviewed_option
@click.option("--home", "home_site", default="", help="The site where the service lives now, where that is not its home in the config.")
@format_option
def init_ledger(remote: str, service: str, every: bool, config: Path | None, home_site: str, output: str) -> int:
    """Make the branch, once, and print how to protect it: no deletion and no force-push for any actor."""
    from hyops_ci.cli.render import emit
    from hyops_ci.config.file import read_config
    from hyops_ci.contracts.base import stamp
    from hyops_ci.errors import Refusal
    from hyops_ci.ledger.ruleset import RULES_OF_LEDGER, protection

    made: list[tuple[str, bool, Tip]] = []
    known = read_config(given(config), str(config))[0] if config is not None else None
    ledgers = [(name, home, open_ledger(remote, name, known)) for name, home in _homes(service, every, config, home_site)]
    for name, home, ledger in ledgers:
        try:
            made.append((name, True, ledger.init(home, stamp(datetime.now(UTC)))))
        except Refusal as refusal:
            if not every or refusal.gate != "ledger.exists":
                raise
            ledger.vouchers = vouchers_of(known, name) if known is not None else None
            made.append((name, False, ledger.tip()))
    lines = [
        f"made dr-ledger/{name}: {name} serves from {tip.serves}"
        if new
        else f"kept dr-ledger/{name}: it is there, epoch {tip.epoch}, serves from {tip.serves}"
        for name, new, tip in made
    ]
    commands = protection(ledgers[0][2].place)
    document = {
        "ledgers": [{"branch": f"dr-ledger/{name}", "made": new, "tip": tip.document()} for name, new, tip in made],
        "ruleset": RULES_OF_LEDGER,
        "protect": commands,
    }
    emit(output, [*lines, "next, once for this repository (docs/ledger.md):", "", commands], document)
    return 0


def _homes(service: str, every: bool, config: Path | None, home_site: str) -> Sequence[tuple[str, str]]:
    """(service, its home) of everything that is to be made."""
    from hyops_ci.config.file import read_config
    from hyops_ci.config.settings import require_service

    if every == bool(service):
        raise click.UsageError("name --service, or --all with --config")
    if config is None:
        if every or not home_site:
            raise click.UsageError("name --config" + ("" if every else ", or --home"))
        return [(service, home_site)]
    if every and home_site:
        raise click.UsageError("each service has a home of its own: --home goes with --service")
    known, _ = read_config(given(config), str(config))
    wanted = list(known.services) if every else [service]
    for name in wanted:
        require_service(name, known.services)
        if home_site:
            require_site("--home", home_site, sites_of(known, name)[1])
    return [(name, home_site or sites_of(known, name)[0]) for name in wanted]


@command.command("merge")
@remote_option
@click.option("--standby", required=True, help="Path or URL of the second remote. Its token, if any, is in DR_STANDBY_TOKEN.")
@service_option
@reviewed_option
@click.option("--follow", is_flag=True, help="Also bring the standby up to the primary, where that one is ahead.")
@format_option
def merge_ledger(remote: str, standby: str, service: str, config: Path | None, follow: bool, output: str) -> int:
    """Bring the ledger up to its standby after a run with GitHub down. Fast-forward only: where both have grown, nothing is changed.

    What nobody vouches for, by the keys of the config, is not copied.
    """
    from hyops_ci.cli.ledger_show import line_of
    from hyops_ci.cli.render import emit
    from hyops_ci.config.settings import require_service
    from hyops_ci.ledger.standby import merge
    from hyops_ci.ledger.store import Relation

    known = reviewed(config, "its keys vouch for what is copied")
    require_service(service, known.services)
    primary, second = open_vouched(remote, service, known), open_standby(standby, service)
    merged = merge(primary, second, follow=follow)
    moved = len(merged.transitions)
    said = {
        Relation.EQUAL: "nothing to do: both hold the same",
        Relation.BEHIND: f"merged: {primary.place} went on by {moved} to what {standby} holds; runs on GitHub are no longer blocked",
        Relation.AHEAD: f"followed: {standby} went on by {moved} to what {primary.place} holds"
        if moved
        else "nothing to do: the standby is behind; --follow brings it up",
    }
    lines = [said[merged.relation], *(f"  {line_of(tip)}" for tip in merged.transitions)]
    document = {"stood": merged.relation.value, "moved": [tip.document() for tip in merged.transitions], "tip": primary.tip().document()}
    emit(output, lines, document)
    return 0


@dataclass(frozen=True)
class SettleOptions:
    """What is settled, and by whom."""

    remote: str
    service: str
    serves: str
    reason: str
    config: Path | None
    keys: tuple[Path, ...]
    adopt: bool


@command.command("settle")
@remote_option
@service_option
@click.option("--serves", required=True, help="The site that serves clients: you looked.")
@click.option("--reason", required=True, help="What you looked at, and what it showed.")
@reviewed_option
@click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="An approver's private key; once for each person of the quorum.",
)
@click.option(
    "--adopt", is_flag=True, help="Vouch for a whole ledger that no host or approver of this config signed. Look at its history first."
)
@format_option
@gather(SettleOptions)
def settle_ledger(options: SettleOptions, output: str) -> int:
    """Settle which site serves after a run that was cut off. Nothing else ends an UNKNOWN."""
    from pydantic import ValidationError

    from hyops_ci.cli.render import emit
    from hyops_ci.config.settings import require_service
    from hyops_ci.contracts.approval import Settlement
    from hyops_ci.contracts.base import stamp
    from hyops_ci.errors import Exit, Refusal
    from hyops_ci.ledger.settlement import settling_approvers, sign_settlement
    from hyops_ci.signing.dsse import load_key

    service, serves, reason = options.service, options.serves, options.reason
    known = reviewed(options.config, "the one that names the approvers")
    require_service(service, known.services)
    home_site, sites = sites_of(known, service)
    require_site("--serves", serves, sites)
    ledger, at = open_ledger(options.remote, service, known), stamp(datetime.now(UTC))
    private = [load_key(key) for key in options.keys]
    people = settling_approvers(private, known.approvals.approvers, known.approvals.quorum)
    if not options.adopt:
        ledger.vouchers = vouchers_of(known, service)
    before = ledger.tip()
    here = require_no_work(before)

    def word(parent: str | None = None) -> Settlement:
        return Settlement(
            service=service,
            ledger_id=before.ledger_id,
            epoch=before.epoch,
            serves=serves,
            reason=reason,
            at=at,
            parent=parent,
            position="primary" if serves == home_site else "failed_over",
        )

    try:
        word()
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
        lambda head: sign_settlement(word(head.commit), private),
        host_keys=known.host_keys,
        serves=serves,
        home_site=home_site,
        reason=reason,
        settled_by=", ".join(people),
        at=at,
        epoch=before.epoch,
        adopt=options.adopt,
    )
    lines = [f"settled: {service} serves from {tip.serves}, position {tip.position}, lock free", f"  signed     {tip.settled_by}"]
    lines += [f"  runner     {here}"] if here else []
    emit(output, lines, tip.document())
    return 0


def require_no_work(tip: Tip) -> str:
    """Return what is known of HyOps on the runner of the run that is settled: while it works, what people saw can change under them.

    Raises Refusal (exit 5) where it is known on this host to be at work.
    """
    from hyops_ci.cli.connect import state_dir
    from hyops_ci.errors import Exit, Refusal
    from hyops_ci.execution.kept_journals import at_work, last_word

    if tip.claim is None or not tip.mutating:
        return ""
    if at_work(state_dir(), tip.claim.run_id):
        raise Refusal(
            "lock.working",
            "HyOps of the run that would be settled is still at work",
            exit_code=Exit.CONFLICT,
            found=last_word(state_dir(), tip.claim.run_id),
            expected="a HyOps that has ended: what people see can change while it works",
            fix="wait for its end, look again, then settle",
            docs="ledger.md",
        )
    said = last_word(state_dir(), tip.claim.run_id)
    return said or f"not seen from here: HyOps of run {tip.claim.run_id} may still be at work on its runner. Look there: hyops-ci doctor"
