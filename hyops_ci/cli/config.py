"""`hyops-ci config explain`: every value, and where it comes from."""

from __future__ import annotations

from pathlib import Path

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import Group, format_option


@click.group("config", cls=Group)
def command() -> None:
    """Explain the config."""


@command.command("explain")
@click.argument("file", type=click.Path(path_type=Path), default=Path(".github/dr-dispatch.yml"))
@format_option
def explain_file(file: Path, output: str) -> int:
    """Print each value of FILE with where it came from: the file, a default, an overlay, or a name."""
    from hyops_ci.blueprints.reading import read_blueprint
    from hyops_ci.cli.render import emit
    from hyops_ci.config.explain import explain
    from hyops_ci.config.file import read_config
    from hyops_ci.config.settings import overlay_path
    from hyops_ci.contracts.digest import digest_bytes
    from hyops_ci.contracts.facts import EffectiveBlueprint
    from hyops_ci.parsing.strict_yaml import read_yaml

    config, raw = read_config(given(file), str(file))
    overlays: dict[str, EffectiveBlueprint] = {}
    for service, known in config.services.items():
        for action in (known.failover, known.failback, known.burst):
            path = file.resolve().parent.parent / overlay_path(service, action) if action else None
            if action and path and path.is_file():
                overlays[overlay_path(service, action)] = read_blueprint(
                    read_yaml(path.read_bytes(), str(path)), digest_bytes(path.read_bytes())
                )
    rows = explain(config, raw, overlays)
    width = max(len(row.pointer) for row in rows)
    lines = [f"{row.pointer:<{width}}  {row.origin:<8} {row.text()}" for row in rows]
    emit(output, lines, [row.document() for row in rows])
    return 0
