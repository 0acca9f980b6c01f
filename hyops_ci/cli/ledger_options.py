"""What the ledger's commands share: which remote, which service, which sites, and how a remote is protected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.ledger.ledger import Ledger
    from hyops_ci.ledger.vouching import Vouchers

remote_option = click.option(
    "--remote", required=True, help="Path or URL of the repository that holds the branch. The token, if any, is in DR_TOKEN."
)
service_option = click.option("--service", required=True, help="name/env.")
config_type = click.Path(path_type=Path, exists=True, dir_okay=False)


def open_ledger(remote: str, service: str, variable: str = "DR_TOKEN") -> Ledger:
    """The ledger as this user of this host sees it. The token is in that variable of the environment."""
    from hyops_ci.cli.connect import state_dir
    from hyops_ci.ledger.ledger import Ledger

    return Ledger.over_git(remote, service, state_dir=state_dir(), token=os.environ.get(variable, ""))


def sites_of(config: DispatchConfig, service: str) -> tuple[str, list[str]]:
    """Where a service is at home, and everywhere it may serve from, as plans name them; nothing for a service that is not there."""
    from hyops_ci.config.settings import data_home, lane_settings

    known = config.services.get(service)
    if known is None:
        return "", []
    lanes = [data_home(config, service), *(each.lane for each in (known.failover, known.failback, known.burst) if each is not None)]
    sites = [lane_settings(config, lane).failure_domain for lane in lanes]
    return sites[0], sorted(set(sites))


def vouchers_of(config: DispatchConfig, service: str) -> Vouchers:
    """Whose word counts for a service's ledger, by the config."""
    from datetime import UTC, datetime

    from hyops_ci.ledger.vouching import Vouchers

    approvals, home = config.approvals, sites_of(config, service)[0]
    return Vouchers(lambda: datetime.now(UTC), config.host_keys, approvals.approvers, approvals.quorum, home)


def refuse_site(option: str, config: Path, sites: list[str]) -> None:
    """Raise Refusal (exit 2): the config knows no such site."""
    from hyops_ci.errors import Exit, Refusal

    raise Refusal(
        "lock.site",
        "the config knows no such site for this service",
        exit_code=Exit.USAGE,
        found=option,
        expected=" or ".join(sites) or f"a service of {config}",
        fix="write the site as the config does",
    )
