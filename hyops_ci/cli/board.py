"""`hyops-ci board`: one static page and one JSON document of where every service stands."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hyops_ci.cli.ledger_options import open_checks, open_ledger, remote_option, vouchers_of
from hyops_ci.cli.options import config_option, format_option, gather, moment_option, repository_option

if TYPE_CHECKING:
    from hyops_ci.contracts.board import Board
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.ledger.ledger import Ledger
    from hyops_ci.operations.environments import EnvironmentReport

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
@moment_option
@format_option
@gather(BoardOptions)
def command(options: BoardOptions, output: str) -> int:
    """Write one self-contained page and board.json: position, lock, readiness, drills and runs against their objective, alarms.

    Exit 0 where there is no alarm, else the largest code of one; both files are written all the same. Reads only. The same ledgers,
    bundles, config and --at give the same bytes.
    """
    from hyops_ci import files
    from hyops_ci.cli.render import emit
    from hyops_ci.report.board_page import alarm_line, board_page, headline

    made, strange = _board(options)
    options.out.mkdir(parents=True, exist_ok=True)
    files.write(options.out / DOCUMENT, (json.dumps(made.document(), indent=2, sort_keys=True) + "\n").encode())
    files.write(options.out / PAGE, board_page(made).encode())
    lines = [headline(made)[0], *(f"  {alarm_line(alarm)}" for alarm in made.alarms)]
    lines += [f"  not used  {name}: no ledger names this bundle" for name in strange]
    emit(output, [*lines, f"  written   {options.out / PAGE}, {options.out / DOCUMENT}"], made.document())
    return made.exit_code


def _board(options: BoardOptions) -> tuple[Board, tuple[str, ...]]:
    from datetime import UTC

    from hyops_ci.cli.connect import repository_named
    from hyops_ci.config.file import read_config
    from hyops_ci.contracts.digest import digest_bytes
    from hyops_ci.operations.board.board import BoardFacts, make_board
    from hyops_ci.operations.status import Places, status

    content = options.config_file.read_bytes()
    config, _ = read_config(content, str(options.config_file))
    now = options.at or datetime.now(UTC)
    gates = _gates(config, options)

    def opened(service: str) -> Ledger:
        ledger = open_ledger(options.remote, service, config)
        ledger.vouchers = vouchers_of(config, service)
        return ledger

    facts = BoardFacts(
        config=config,
        config_sha256=digest_bytes(content),
        services=status(config, Places(opened, lambda service: open_checks(options.remote, service, config)), now, gates),
        now=now,
        repository=repository_named(options.repository),
        evidence=options.evidence,
        github=gates is not None,
    )
    made = make_board(facts)
    return made.board, made.strange


def _gates(config: DispatchConfig, options: BoardOptions) -> list[EnvironmentReport] | None:
    """Return what GitHub says of the approval gates; None where it is not asked."""
    from hyops_ci.cli.connect import TOKENS, connect, repository_named
    from hyops_ci.operations.environments import environments

    asks = not options.offline and bool(repository_named(options.repository)) and any(os.environ.get(name) for name in TOKENS)
    return list(environments(config, connect(options.repository))) if asks else None
