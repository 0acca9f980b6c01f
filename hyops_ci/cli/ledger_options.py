"""What the ledger's commands share: which remote, which service, which sites, and how a remote is protected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import config_here
from hyops_ci.text import shell

if TYPE_CHECKING:
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.ledger.ledger import Ledger
    from hyops_ci.ledger.vouching import Vouchers
    from hyops_ci.operations.status import Places
    from hyops_ci.readiness.store import ReadinessStore

remote_option = click.option(
    "--remote",
    default="",
    help="Path or URL of the repository that holds the branch; else ledger.repository of the config, or GH_REPO. "
    "The token, if any, is in DR_TOKEN; on GitHub's server also GH_TOKEN or GITHUB_TOKEN.",
)
reviewed_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=config_here,
    help="The reviewed config.  [default: .github/dr-dispatch.yml here, if it is there]",
)


def reviewed(config: Path | None, why: str) -> DispatchConfig:
    """Return the reviewed config. Raises click.UsageError, with why it is needed, where none is named; Refusal (exit 2)."""
    from hyops_ci.config.file import parsed_config

    if config is None:
        raise click.UsageError(f"name --config: {why}")
    return parsed_config(given(config), str(config))


def open_ledger(remote: str, service: str, config: DispatchConfig | None = None) -> Ledger:
    """Return the ledger as this user of this host sees it. Raises Refusal (exit 2) where nothing says where it is."""
    from hyops_ci.cli.connect import state_dir
    from hyops_ci.ledger.ledger import Ledger

    place, token = _place(remote, service, config)
    return Ledger.over_git(place, service, state_dir=state_dir(), token=token)


def open_vouched(remote: str, service: str, config: DispatchConfig) -> Ledger:
    """Return the ledger with those whose word counts for it by the config. Raises as `open_ledger`."""
    ledger = open_ledger(remote, service, config)
    ledger.vouchers = vouchers_of(config, service)
    return ledger


def open_checks(remote: str, service: str, config: DispatchConfig | None = None) -> ReadinessStore:
    """Return the checks of a service, beside its ledger. Raises as `open_ledger`."""
    from hyops_ci.cli.connect import state_dir
    from hyops_ci.readiness.store import ReadinessStore

    place, token = _place(remote, service, config)
    return ReadinessStore.over_git(place, service, state_dir=state_dir(), token=token)


def _place(remote: str, service: str, config: DispatchConfig | None) -> tuple[str, str]:
    """Return (remote, token) of a service's ledger."""
    from hyops_ci.cli.connect import ledger_token, remote_at, repository_named, server_url
    from hyops_ci.errors import Exit, Refusal

    configured = (config.ledger.repository if config else None) or repository_named()
    if not remote and not configured:
        raise Refusal(
            "ledger.remote",
            "no ledger is named",
            exit_code=Exit.USAGE,
            found="no --remote, no config with ledger.repository, no GH_REPO",
            expected="a path or URL of the repository that holds dr-ledger/*",
            fix=shell("hyops-ci ledger show --remote https://github.com/<owner>/<repository> --service {}", service),
            docs="ledger.md",
        )
    place = remote or remote_at(configured, server_url())
    return place, ledger_token(place, person=bool(remote))


def open_standby(remote: str, service: str) -> Ledger:
    """Return the second ledger, with the token in DR_STANDBY_TOKEN."""
    from hyops_ci.cli.connect import state_dir
    from hyops_ci.ledger.ledger import Ledger

    return Ledger.over_git(remote, service, state_dir=state_dir(), token=os.environ.get("DR_STANDBY_TOKEN", ""))


def sites_of(config: DispatchConfig, service: str) -> tuple[str, list[str]]:
    """Return where a service is at home, and everywhere it may serve from, as plans name them; nothing for a service that is not there."""
    from hyops_ci.config.settings import serving_sites

    sites = serving_sites(config, service)
    return (sites[0] if sites else ""), sorted(sites)


def vouchers_of(config: DispatchConfig, service: str) -> Vouchers:
    """Whose word counts for a service's ledger, by the config."""
    from datetime import UTC, datetime

    from hyops_ci.ledger.vouching import Vouchers

    approvals, home = config.approvals, sites_of(config, service)[0]
    return Vouchers(lambda: datetime.now(UTC), config.host_keys, approvals.approvers, approvals.quorum, home)


def places(config: DispatchConfig, remote: str) -> Places:
    """Return where ledgers and checks of a config are."""
    from hyops_ci.operations.status import Places

    return Places(lambda service: open_vouched(remote, service, config), lambda service: open_checks(remote, service, config))


def require_site(option: str, site: str, sites: list[str]) -> None:
    """Raise Refusal (exit 2) for a site that a service of the config may not serve from; `option`: where it was named."""
    from hyops_ci.errors import Exit, Refusal

    if site not in sites:
        raise Refusal(
            "lock.site",
            "the config knows no such site for this service",
            exit_code=Exit.USAGE,
            found=f"{option} {site}",
            expected=" or ".join(sites),
            fix="write the site as the config does",
        )
