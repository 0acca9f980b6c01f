"""`hyops-ci board`: one static page and one JSON document of where every service stands."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import places, remote_option
from hyops_ci.cli.options import checkout_option, config_option, format_option, gather, moment_option, repository_option
from hyops_ci.dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyops_ci.contracts.board import Alarm, Board
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.github.api.client import Client
    from hyops_ci.operations.board.board import MadeBoard

PAGE: Final = "index.html"
DOCUMENT: Final = "board.json"


@dataclass(frozen=True)
class BoardOptions:
    """What the board is made of, and where it goes."""

    out: Path
    config_file: Path
    remote: str
    repository: str
    evidence: tuple[Path, ...]
    offline: bool
    checkout: Path
    end_waiting: bool
    at: datetime | None


@click.command("board")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for index.html and board.json.")
@config_option
@remote_option
@repository_option
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A bundle, or a folder with bundles: approvers and deviations are read from those that a ledger names.",
)
@click.option("--offline", is_flag=True, help="Ask ledgers alone, and not GitHub's API although there is a token.")
@checkout_option
@click.option("--end-waiting", is_flag=True, help="In a job: cancel the runs that wait longer than an approval counts.")
@moment_option
@format_option
@gather(BoardOptions)
def command(options: BoardOptions, output: str) -> int:
    """Write one self-contained page and board.json: position, lock, readiness, drills and runs against their objective, alarms.

    Exit 0 where there is no alarm, else the largest code of one; both files are written all the same. Reads only. The same ledgers,
    bundles, config and --at give the same bytes.
    """
    from hyops_ci import files
    from hyops_ci.cli.render import emit, say, set_outputs, summarize, workflow
    from hyops_ci.errors import Fault
    from hyops_ci.report.board_page import alarm_line, board_page, headline
    from hyops_ci.text import shell

    try:
        found = _board(options)
    except Fault as fault:
        if fault.gate == "github.unreachable":
            fault.fix = shell(
                "hyops-ci board --offline --out {} asks ledgers alone; --remote names a copy where GitHub has them", options.out
            )
        raise
    made = found.board
    options.out.mkdir(parents=True, exist_ok=True)
    files.write(options.out / DOCUMENT, (json.dumps(made.document(), indent=2, sort_keys=True) + "\n").encode())
    files.write(options.out / PAGE, board_page(made).encode())
    title, alarms = headline(made)[0], [alarm_line(alarm) for alarm in made.alarms]
    lines = [title, *(f"  {line}" for line in alarms)]
    lines += [f"  not used  {name}: no ledger names this bundle" for name in found.strange]
    lines += [f"  written   {options.out / PAGE}, {options.out / DOCUMENT}"]
    if os.environ.get("GITHUB_ACTIONS") != "true":
        emit(output, lines, made.document())
        return made.exit_code
    set_outputs({"board": str(options.out), "alarms": str(len(made.alarms)), "exit_code": str(made.exit_code)}, output)
    if made.exit_code:
        workflow().annotate("error", title, "\n".join(alarms))
    summarize(lines)
    for line in lines:
        say(line)
    if made.exit_code:
        _tell(options, made)
    return made.exit_code


def _tell(options: BoardOptions, made: Board) -> None:
    """Tell who the config names that there are alarms, in a line that holds none of their texts. Never a reason to fail."""
    from hyops_ci.cli.notifier import notifier_for
    from hyops_ci.cli.render import say
    from hyops_ci.config.file import read_config
    from hyops_ci.contracts.base import moment
    from hyops_ci.contracts.notify import Moment
    from hyops_ci.report.board_page import told
    from hyops_ci.stages.job import read_job

    config, _ = read_config(options.config_file.read_bytes(), str(options.config_file))
    notifier = notifier_for(config, read_job(os.environ))
    notifier.tell(Moment.ALARM, told(made), moment(made.made_at), exit_code=made.exit_code)
    notifier.close(say)


def _board(options: BoardOptions) -> MadeBoard:
    from datetime import UTC

    from hyops_ci.cli.connect import repository_named
    from hyops_ci.config.file import read_config
    from hyops_ci.contracts.digest import digest_bytes
    from hyops_ci.operations.board.board import BoardFacts, make_board
    from hyops_ci.operations.environments import environments
    from hyops_ci.operations.status import status

    content = given(options.config_file)
    config, _ = read_config(content, str(options.config_file))
    now, github = options.at or datetime.now(UTC), _github(options)
    gates = environments(config, github) if github is not None else None
    facts = BoardFacts(
        config=config,
        config_sha256=digest_bytes(content),
        services=status(config, places(config, options.remote), now, gates),
        now=now,
        repository=repository_named(options.repository),
        evidence=options.evidence,
        github=github is not None,
        alarms=tuple(_alarms(options, config, github, now)),
    )
    return make_board(facts)


def _github(options: BoardOptions) -> Client | None:
    """Return GitHub's API; None where it is not asked."""
    from hyops_ci.cli.connect import TOKENS, connect, repository_named

    asks = not options.offline and bool(repository_named(options.repository)) and any(os.environ.get(name) for name in TOKENS)
    return connect(options.repository) if asks else None


def _alarms(options: BoardOptions, config: DispatchConfig, github: Client | None, now: datetime) -> Iterator[Alarm]:
    """Yield what is seen elsewhere than in ledgers: by the workflows of the checkout, and by GitHub."""
    from hyops_ci.operations.alarms.runners import runner_alarms
    from hyops_ci.operations.alarms.schedules import schedule_alarms
    from hyops_ci.operations.alarms.waiting import waiting_alarms
    from hyops_ci.operations.callers import workflows_of

    texts = workflows_of(options.checkout)
    yield from schedule_alarms(config, texts, github, now)
    if github is None:
        return
    from hyops_ci.cli.connect import connect_for_runners
    from hyops_ci.cli.runner import owner

    client = connect_for_runners(options.repository)
    yield from runner_alarms(config, client, now, os.environ.get("DR_RUNNER_ORG") or (owner(client) if client else ""))
    if options.end_waiting:
        from hyops_ci.cli.github_job import github_context

        yield from waiting_alarms(config, texts, github_context(config, on_runner=False))
