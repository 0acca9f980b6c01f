"""`hyops-ci docs`: the pages of `docs/` that are generated from the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hyops_ci.cli.options import format_option


@click.command("docs")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 2 when a page is stale.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("docs"), show_default=True)
@format_option
def command(only_check: bool, folder: Path, output: str) -> int:
    """Write the generated pages, or check that they are fresh."""
    from hyops_ci.cli.app import COMMANDS
    from hyops_ci.cli.reaching import page
    from hyops_ci.cli.render import listed
    from hyops_ci.planning.case import table
    from hyops_ci.planning.explaining import document

    root = folder.resolve().parent
    if not (root / "actions").is_dir():
        raise click.UsageError(f"{folder} is not the docs folder of a checkout of this project")
    modules = {name: module for name, (module, _) in COMMANDS.items()}
    pages = {"gates.md": table(), "config.md": document(), "actions.md": actions_page(root), "github-api.md": page(root, modules)}
    stale = [name for name, text in pages.items() if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text]
    for name in () if only_check else stale:
        (folder / name).write_text(pages[name], encoding="utf-8")
    listed("stale" if only_check else "written", stale, output)
    return 2 if only_check and stale else 0


def actions_page(root: Path) -> str:
    """`docs/actions.md`: inputs and outputs of the reusable workflow and of every action."""
    import yaml

    call = yaml.safe_load((root / ".github" / "workflows" / "dispatch.yml").read_text(encoding="utf-8"))[True]["workflow_call"]
    rows = ["# Actions and workflows", "", "Generated from the files themselves by `hyops-ci docs`.", ""]
    rows += ["## .github/workflows/dispatch.yml", "", "The whole run, as a job of the caller.", "", *_fields(call)]
    for path in [root / "action.yml", *sorted((root / "actions").glob("*/action.yml"))]:
        action = yaml.safe_load(path.read_text(encoding="utf-8"))
        name = "action.yml (hybridops/dr-dispatch as a step)" if path.parent == root else f"actions/{path.parent.name}"
        rows += [f"## {name}", "", str(action["description"]), "", *_fields(action)]
    return "\n".join(rows)


def _fields(document: dict[str, Any]) -> list[str]:
    """Tables: inputs with their defaults, secrets, outputs."""
    rows = []
    secrets = document.get("secrets") or {}
    inputs, outputs = document.get("inputs") or {}, document.get("outputs") or {}
    if inputs:
        rows += ["| input | meaning | default |", "|---|---|---|"]
        for name, each in inputs.items():
            default = "required" if each.get("required") else f"`{each.get('default', '')}`" if each.get("default") else ""
            rows.append(f"| `{name}` | {each['description']} | {default} |")
        rows.append("")
    if secrets:
        rows += ["| secret | meaning |", "|---|---|", *(f"| `{name}` | {each['description']} |" for name, each in secrets.items()), ""]
    if outputs:
        rows += ["| output | meaning |", "|---|---|", *(f"| `{name}` | {each['description']} |" for name, each in outputs.items()), ""]
    return rows
