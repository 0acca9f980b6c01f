"""`hyops-ci validate`: whether a decision or record is well-formed. Imports what that takes and no more."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from hyops_ci.cli import terminal
from hyops_ci.cli.given import beginning, given
from hyops_ci.cli.options import format_option, moment_option


@click.command("validate")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--config", type=click.Path(path_type=Path), help="Also read it through this config's routes and limits.")
@moment_option
@format_option
def command(file: Path, config: Path | None, at: datetime | None, output: str) -> int:
    """Say whether FILE (- for standard input) is a well-formed decision, artifact or HybridOps record."""
    from hyops_ci.intake.kinds import TAKEN, check_mode
    from hyops_ci.intake.validate import validate
    from hyops_ci.parsing.strict_json import parse

    data = read_input(file)
    kind = validate(data, "the record" if str(file) == "-" else file.name)
    means: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    if config is not None:
        means, warnings = _through(data, config, at)
    elif kind in TAKEN:
        check_mode(kind, parse(data))
    if output == "json":
        import json

        terminal.out(
            json.dumps({"valid": True, "kind": kind, **means, **({"warnings": list(warnings)} if warnings else {})}, sort_keys=True)
        )
    else:
        terminal.out(f"ok: {kind}" + "".join(f", {name} {value}" for name, value in means.items()))
        for warning in warnings:
            terminal.out(f"warning: {warning}")
    return 0


def read_input(file: Path) -> bytes:
    """Return the bytes of a file or of standard input, at most one more than intake accepts."""
    from hyops_ci.parsing.strict_json import MAX_BYTES

    return sys.stdin.buffer.read(MAX_BYTES + 1) if str(file) == "-" else beginning(file, MAX_BYTES + 1)


def _through(data: bytes, config: Path, at: datetime | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what a record means under a config, and warnings. Raises Refusal (exit 4) for a service that the config does not know."""
    from datetime import UTC

    from hyops_ci.config.file import read_config
    from hyops_ci.config.settings import ACTIONS, action_for
    from hyops_ci.intake.decision import read_decision

    known, _ = read_config(given(config), config.name)
    intake = read_decision(data, config=known, now=at or datetime.now(UTC))
    decision = intake.decision
    if decision.decision_type in ACTIONS:
        action_for(known, decision.service, decision.decision_type)
    means = {"service": decision.service, "decision_type": decision.decision_type.value, "decision_digest": decision.digest()}
    return means, intake.warnings
