"""`hyops-ci ledger show`: where a service stands, who acts on it, and whose signatures it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import open_ledger, remote_option, reviewed_option, vouchers_of
from hyops_ci.cli.options import format_option, service_option
from hyops_ci.contracts.base import whole_second

if TYPE_CHECKING:
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.contracts.ledger import Tip
    from hyops_ci.ledger.ledger import Ledger


@click.command("show")
@remote_option
@service_option
@click.option("--history", "whole", is_flag=True, help="Every transition, newest first.")
@reviewed_option
@format_option
def command(remote: str, service: str, whole: bool, config: Path | None, output: str) -> int:
    """Show where the service runs, which run acts on it, and which signed answers are pending."""
    from hyops_ci.cli.render import emit
    from hyops_ci.config.file import read_config
    from hyops_ci.config.settings import require_service
    from hyops_ci.errors import Refusal
    from hyops_ci.operations.ledger_signatures import pending_approvals, settlement_of
    from hyops_ci.report.track_record import figures_line

    known = read_config(given(config), str(config))[0] if config else None
    approvals = known.approvals if known else None
    ledger = open_ledger(remote, service, known)
    try:
        tips = ledger.history() if whole else (ledger.tip(),)
    except Refusal as refusal:
        if known is not None and refusal.gate == "ledger.missing":
            require_service(service, known.services)
        raise
    newest = tips[0]
    word, answers = settlement_of(newest, approvals), pending_approvals(newest, approvals, datetime.now(UTC))
    lines = [line_of(newest)]
    if newest.bundle_sha256 and newest.claim:
        lines.append(f"  bundle     {newest.bundle_sha256}, sealed by run {newest.claim.run_id}{_whose_bundle(ledger, known, service)}")
    if newest.figures is not None:
        lines.append(f"  took       {figures_line(newest.figures)}")
    if word:
        lines.append(f"  settled    {word.line}")
    lines += [f"  answer     {answer.line}" for answer in answers]
    by = vouched_line(ledger, known, service) if known else ""
    if by:
        lines.append(f"  vouched    {by}")
    document = {
        "branch": ledger.branch,
        "tips": [tip.document() for tip in tips],
        "bundle_sha256": newest.bundle_sha256,
        "vouched": by,
        "settlement": {**vars(word)} if word else None,
        "answers": [answer.document() for answer in answers],
    }
    emit(output, [*lines, *(line_of(tip) for tip in tips[1:])], document)
    return 0


def _whose_bundle(ledger: Ledger, config: DispatchConfig | None, service: str) -> str:
    """Return whether a host signed for the newest bundle: anybody who may push, and has no key, can name one."""
    from hyops_ci.ledger.vouched_history import previous_bundle

    if config is None or not config.host_keys or ledger.known is None:
        return ""
    signed = previous_bundle(ledger.known, vouchers_of(config, service)) == ledger.known.tip.bundle_sha256
    return ", signed by its host" if signed else ": signed by NO host, whoever may push can have named it"


def vouched_line(ledger: Ledger, config: DispatchConfig, service: str) -> str:
    """Return who vouches for the newest commit, by the config's keys; a ledger that nobody vouches for is shown all the same."""
    from hyops_ci.errors import Refusal

    ledger.vouchers = vouchers_of(config, service)
    try:
        return ledger.vouched().line
    except Refusal as refusal:
        if refusal.gate not in ("ledger.unvouched", "ledger.settlement"):
            raise
        return f"NOT: {refusal.reason}; {refusal.found}. {refusal.fix}"


def line_of(tip: Tip) -> str:
    """One transition."""
    who = f"run {tip.claim.run_id} {tip.claim.decision_type}" if tip.claim else "nobody"
    said = f"  {tip.reason}" if tip.reason else ""
    return f"{whole_second(tip.at)}  epoch {tip.epoch}  {tip.position}, serves from {tip.serves}  {tip.state or 'free'}  {who}{said}"
