"""`hyops-ci runner`: the standing runners of the lanes, and their hosts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import Group, config_option, format_option, gather, repository_option
from hyops_ci.cli.runner_bootstrap import bootstrap
from hyops_ci.cli.runner_look import lanes, look
from hyops_ci.cli.runner_reap import machine_line, reap, seen_machine
from hyops_ci.contracts.lanes import LANES
from hyops_ci.dataclass import asdict, dataclass
from hyops_ci.errors import Exit

if TYPE_CHECKING:
    from hyops_ci.github.api.client import Client
    from hyops_ci.operations.prepare.prepare import PreparedHost
    from hyops_ci.runners.ports import Machine
    from hyops_ci.stages.watch.runner_status import RunnerStatus

MARKS: Final = {"online": "ok", "busy": "ok", "offline": "FAIL", "absent": "FAIL", "outdated": "FAIL", "unknown": "?"}


@click.group("runner", cls=Group)
def command() -> None:
    """The standing runners of the lanes, and their hosts."""


@command.command("status")
@config_option
@repository_option
@click.option("--lane", envvar="DR_LANE", type=click.Choice(["", *LANES]), default="", help="This lane only; else all that are enabled.")
@click.option("--organization", envvar="DR_RUNNER_ORG", default="", help="Whose runners may serve it, too; else the repository's owner.")
@format_option
def status(config_file: Path, repository: str, lane: str, organization: str, output: str) -> int:
    """Say for each lane whether its runner is there, online, and not too old. Exit 7 where none would take a job, 12 where it is not known.

    It takes a token that may list runners (administration: read): DR_RUNNER_TOKEN, an App's DR_APP_ID and DR_APP_KEY_FILE, or in a shell
    your own, GH_TOKEN. Without one it says what is not known. Where the config says how a lane's machine is made, and the provider can be
    reached from here, its view of the machine is a line of its own.
    """
    from hyops_ci.cli.connect import connect_for_runners
    from hyops_ci.cli.render import emit
    from hyops_ci.config.file import read_config
    from hyops_ci.config.machines import machine_of
    from hyops_ci.config.settings import lane_settings
    from hyops_ci.stages.context import SystemClock
    from hyops_ci.stages.watch.queue import Presence
    from hyops_ci.stages.watch.runner_status import lanes_of, runner_status

    config, _ = read_config(given(config_file), str(config_file))
    client = connect_for_runners(repository)
    org = organization or (owner(client) if client else "")
    found = [runner_status(each, client, SystemClock().now(), org) for each in lanes_of(config, lane)]
    machines = {each.name: seen_machine(config, each, client) for each in lanes_of(config, lane) if machine_of(config, each.name)}
    shown = [line for one in found for line in lines(one)] + [
        machine_line(lane_settings(config, name), machines[name]) for name in machines
    ]
    emit(output, shown, [one.model_dump(mode="json") | {"machine": machine_document(machines.get(one.lane))} for one in found])
    seen = {one.presence for one in found}
    silent = seen & {Presence.OFFLINE, Presence.ABSENT, Presence.OUTDATED}
    return int(Exit.RUNNER if silent else Exit.UNAVAILABLE if Presence.UNKNOWN in seen else Exit.DONE)


def machine_document(found: Machine | str | None) -> dict[str, str | None] | None:
    """Return the provider's view as JSON: None where the config names no machine."""
    if found is None:
        return None
    if isinstance(found, str):
        return {"state": None, "not_known": found}
    return {"state": found.state.value, "resource": found.resource, "words": found.words}


@dataclass(frozen=True)
class PrepareOptions:
    """What is put on the host, and for whom."""

    user: str
    trust: Path | None
    wheelhouse: Path | None
    agent: Path | None
    dry_run: bool


@command.command("prepare")
@click.option("--user", default="gha-runner", show_default=True, help="The user that the agent runs as: it may read the host's key.")
@click.option(
    "--trust", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="The trust file that init prints; - reads stdin."
)
@click.option("--wheelhouse", type=click.Path(path_type=Path, file_okay=False), help="Folder of the wheels, without an index.")
@click.option("--agent", type=click.Path(path_type=Path, file_okay=False), help="Folder of the agent: its .env is made to name the hook.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@format_option
@gather(PrepareOptions)
def prepare(options: PrepareOptions, output: str) -> int:
    """As root on a runner's host: make its key, trust file, job-started hook and environment; print what a reviewer adds to the config.

    Started in a checkout of the release that callers pin, by `bash actions/setup/setup.sh runner prepare`, which needs no hyops-ci yet.
    Done again, it changes only what differs.
    """
    import pwd

    from hyops_ci.cli.render import emit
    from hyops_ci.operations.prepare.prepare import HostOrder, prepare_host

    try:
        account = pwd.getpwnam(options.user)
    except KeyError:
        raise click.UsageError(f"--user {options.user!r}: there is no such user on this host") from None
    trust = b"" if options.trust is None else sys.stdin.buffer.read() if str(options.trust) == "-" else given(options.trust)
    wheels = os.environ.get("DR_WHEELS") or str(options.wheelhouse or "")
    order = HostOrder(options.user, account.pw_uid, account.pw_gid, trust, wheels, options.agent, only_say=options.dry_run)
    done = prepare_host(order)
    emit(output, prepared_lines(done, options), asdict(done))
    return 0


def prepared_lines(done: PreparedHost, options: PrepareOptions) -> list[str]:
    """Return the lines on what was done, what a reviewer adds to the config, and what is left."""
    would = {"made": "would make", "changed": "would change", "kept": "keep"} if options.dry_run else {}
    lines = [f"{would.get(how, how):<8} {path}" for how, path in done.steps]
    name = done.runner_refs[0]
    key = done.public_key or "the key that is made"
    lines += ["", "add to .github/dr-dispatch.yml, below host_keys: where there is such a line", "host_keys:", f'  {name}: "{key}"']
    if options.agent is None:
        lines += ["", "add to .env in the folder of the agent, a file of root (or name the folder: --agent)", done.environment_line]
    return [*lines, "", "then     restart the agent: it reads .env when it starts"]


def owner(client: Client) -> str:
    """Return the organization that owns the repository, or an empty text: a person's repository has its own runners only."""
    from hyops_ci.errors import Refusal
    from hyops_ci.github.repository import repository

    try:
        found = repository(client)
    except Refusal:
        return ""
    return found.name.partition("/")[0] if found.owner_kind == "Organization" else ""


def lines(one: RunnerStatus) -> list[str]:
    """Return the lines of a lane (docs/design/texts.md 6)."""
    who = f"{'runner ' + one.lane:<14}"
    agents = sorted({runner.version for runner in one.runners or () if runner.version})
    agent = f", agent {' and '.join(agents)}" if agents else ""
    rows = [f"{MARKS[one.presence]:<5} {who} {one.words}{agent}; {one.runner_ref}, labels {', '.join(one.labels)}"]
    rows += [f"{'warn':<5} {who} {warning}" for warning in one.warnings]
    rows += [f"{'?':<5} {who} not known: {text}" for text in one.not_known if text not in one.words]
    return rows


command.add_command(lanes)
command.add_command(look)
command.add_command(reap)
command.add_command(bootstrap)
