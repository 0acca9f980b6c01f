"""`hyops-ci runner reap`: what is left over of the lanes' runners, shown; removed where it is named."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import remote_option
from hyops_ci.cli.options import config_option, format_option, repository_option
from hyops_ci.contracts.lanes import LANES
from hyops_ci.text import visible

if TYPE_CHECKING:
    from hyops_ci.config.settings import LaneSettings
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.github.api.client import Client
    from hyops_ci.operations.lane_access import LaneAccess
    from hyops_ci.operations.leftovers import Found, LeftoverSearch, Registrations
    from hyops_ci.runners.ports import Machine, Owner, Provider


@click.command("reap")
@config_option
@repository_option
@remote_option
@click.option("--lane", type=click.Choice(["", *LANES]), default="", help="This lane only; else all that have a machine.")
@click.option("--remove", "names", multiple=True, help="Remove this leftover, by its name; may be given again.")
@format_option
def reap(config_file: Path, repository: str, remote: str, lane: str, names: tuple[str, ...], output: str) -> int:
    """Show machines without a registration, and registrations without a machine; remove those that are named.

    Only what two looks, ten minutes apart, saw unused is removed, and never another owner's. Exit 12 where something could not be seen,
    5 where what was named is in use, or was seen once. GH_TOKEN needs actions: read and administration (write, to remove a registration).
    """
    from hyops_ci.cli.render import emit, say
    from hyops_ci.config.file import read_config
    from hyops_ci.errors import Exit

    config, _ = read_config(given(config_file), str(config_file))
    searches = [search_of(config, each, repository, remote) for each in lanes_with_machines(config, lane)]
    for name in names:
        holder = next(
            (each for each in searches if any(one.name == name for one in each.find().leftovers)), searches[0] if searches else None
        )
        if holder is not None:
            one = holder.remove(name)
            say(f"removed {one.kind} {one.name} (id {one.id})")
    found = [(each, each.find()) for each in searches]
    emit(output, [line for search, seen in found for line in lines(search, seen)], [document(search, seen) for search, seen in found])
    return int(Exit.UNAVAILABLE if any(seen.not_known for _, seen in found) else Exit.DONE)


def lanes_with_machines(config: DispatchConfig, lane: str) -> list[LaneSettings]:
    """Return the lanes whose machine the config can make. Raises Refusal where there is none."""
    from hyops_ci.config.machines import machine_of
    from hyops_ci.config.settings import lane_settings
    from hyops_ci.runners.troubles import lacking

    found = [lane_settings(config, name) for name in LANES if lane in ("", name) and machine_of(config, name) is not None]
    if not found:
        raise lacking(f"no lanes.{lane or '<lane>'}.machine")
    return found


def search_of(config: DispatchConfig, lane: LaneSettings, repository: str, remote: str) -> LeftoverSearch:
    """Return the search of one lane, with what this environment has."""
    from hyops_ci.cli.connect import connect, state_dir
    from hyops_ci.cli.ledger_options import open_ledger
    from hyops_ci.github.repository import repository as facts_of
    from hyops_ci.github.runs import unfinished_runs
    from hyops_ci.operations.leftovers import LeftoverSearch, Sides
    from hyops_ci.runners.ports import Owner
    from hyops_ci.stages.context import SystemClock

    client = connect(repository)
    owner = Owner(facts_of(client).id, lane.name, lane.runner_ref)
    access = access_to(config, lane.name)
    sides = Sides(
        cache(lambda: provider_of(access, owner)),
        registrations_of(access, client),
        lambda: unfinished_runs(client),
        lambda service: open_ledger(remote, service, config).tip(),
    )
    return LeftoverSearch(config, lane, owner, sides, SystemClock(), state_dir())


def access_to(config: DispatchConfig, lane: str) -> LaneAccess:
    """Return the way to a lane's machine with what this environment has: a job's identity, or what a person has."""
    import os

    from hyops_ci.cli.render import say
    from hyops_ci.github.api.client import API
    from hyops_ci.identity.oidc_request import job_identity
    from hyops_ci.operations.lane_access import LaneAccess, Means, no_identity
    from hyops_ci.stages.context import SystemClock

    on_github = os.environ.get("GITHUB_ACTIONS") == "true"
    identity = (lambda: job_identity(os.environ)) if on_github else no_identity
    where = os.environ.get("RUNNER_ENVIRONMENT", "") if on_github else None
    api, runner = os.environ.get("GITHUB_API_URL") or API, os.environ.get("RUNNER_NAME", "")
    means = Means(SystemClock(), identity, api, say, runner=runner, runner_environment=where)
    return LaneAccess(config, lane, means)


def provider_of(access: LaneAccess, owner: Owner) -> Provider:
    """Return the provider of the lane, entered. Raises Refusal or Fault."""
    return access.adapters(owner).provider


def registrations_of(access: LaneAccess, client: Client) -> Registrations | None:
    """Return the registrations: as a person's token sees them in a shell, as the App elsewhere; None without either."""
    from hyops_ci.cli.connect import connect_for_runners
    from hyops_ci.errors import DispatchError
    from hyops_ci.github.registration import Registry

    group = access.config.registration.group if access.config.registration else None
    if (own := connect_for_runners(client.repository)) is not None:
        return Registry(own, group or "")
    try:
        return access.registry(client.repository)
    except DispatchError:
        return None


def lines(search: LeftoverSearch, found: Found) -> list[str]:
    """Return the lines of a lane."""
    where = f"lane {search.lane.name:<8}"
    rows = [f"{'keep' if one.kept else 'LEFT':<5} {where} {one.kind} {one.name}: {one.words}" for one in found.leftovers]
    rows = [line for row, one in zip(rows, found.leftovers, strict=True) for line in (row, f"      {one.kept or _remove(one.name)}")]
    rows += [f"{'?':<5} {where} {text}" for text in found.not_known]
    return [visible(row) for row in rows] or [f"{'ok':<5} {where} nothing is left over"]


def _remove(name: str) -> str:
    from hyops_ci.text import shell

    return shell("hyops-ci runner reap --remove {}", name)


def document(search: LeftoverSearch, found: Found) -> dict[str, Any]:
    """Return a lane as JSON."""
    return {
        "lane": search.lane.name,
        "leftovers": [
            {"kind": one.kind, "name": one.name, "id": one.id, "words": one.words, "first_seen": one.first_seen, "kept": one.kept or None}
            for one in found.leftovers
        ],
        "not_known": list(found.not_known),
    }


def machine_line(lane: LaneSettings, found: Machine | str) -> str:
    """Return the line of `runner status` on a lane's machine; a text says why it was not seen."""
    who = f"{'machine ' + lane.name:<14}"
    if isinstance(found, str):
        return visible(f"{'?':<5} {who} not seen: {found}")
    mark = {"running": "ok", "starting": "ok", "stopped": "FAIL", "absent": "FAIL", "ambiguous": "FAIL"}.get(found.state, "?")
    return visible(f"{mark:<5} {who} {found.resource} is {found.state}{f': {found.words}' if found.words and mark != 'ok' else ''}")


def seen_machine(config: DispatchConfig, lane: LaneSettings, client: Client | None) -> Machine | str:
    """Return the lane's machine as its provider shows it, or why it was not seen."""
    from hyops_ci.config.machines import machine_name
    from hyops_ci.errors import DispatchError
    from hyops_ci.github.repository import repository as facts_of
    from hyops_ci.runners.ports import Owner

    if client is None:
        return "no token of GitHub's, which says whose it is"
    try:
        owner = Owner(facts_of(client).id, lane.name, lane.runner_ref)
        return provider_of(access_to(config, lane.name), owner).describe(machine_name(lane))
    except DispatchError as error:
        return f"{error.reason}; {error.found}"
