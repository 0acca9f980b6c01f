"""`python -m tools.docs [--check]`: write the generated pages of `docs/`, or check that they are fresh (exit 2 when one is stale)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from hyops_ci.cli.app import COMMANDS
from tools.config_page import config_page
from tools.controls_page import controls_page
from tools.decisions_page import decisions_page
from tools.github_calls import page
from tools.refusal_pages import exit_codes_page, gates_page, refusals_page

ROOT = Path(__file__).resolve().parents[1]

CALLED = {
    "dispatch.yml": "The whole run, as a job of the caller.",
    "drill.yml": "Between incidents: the drill that is due, as a job of the caller.",
    "readiness.yml": "Between incidents: the check that is due, the board and its alarms, as a job of the caller.",
    "runner.yml": "The standing runners outside a recovery, as a job of the caller.",
}
"""The reusable workflows, and what each is."""


def main(arguments: list[str], folder: Path = ROOT / "docs") -> int:
    """Return 0, or 2 with `--check` when a page is stale."""
    only_check = arguments == ["--check"]
    modules = {name: module for name, (module, _) in COMMANDS.items()}
    pages = {
        "actions.md": actions_page(ROOT),
        "config.md": config_page(),
        "controls.md": controls_page(),
        "exit-codes.md": exit_codes_page(),
        "gates.md": gates_page(ROOT / "docs"),
        "github-api.md": page(ROOT, modules),
        "refusals.md": refusals_page(ROOT / "docs"),
        "runner-decisions.md": decisions_page(),
    }
    stale = [name for name, text in pages.items() if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text]
    for name in () if only_check else stale:
        (folder / name).write_text(pages[name], encoding="utf-8")
    print(*(f"{'stale' if only_check else 'written'} {name}" for name in stale), sep="\n")
    return 2 if only_check and stale else 0


def actions_page(root: Path) -> str:
    """`docs/actions.md`: inputs and outputs of the reusable workflow and of every action."""
    rows = ["# Actions and workflows", "", "Generated from the files themselves by `python -m tools.docs`.", ""]
    for name, what in CALLED.items():
        call = yaml.safe_load((root / ".github" / "workflows" / name).read_text(encoding="utf-8"))[True]["workflow_call"]
        rows += [f"## .github/workflows/{name}", "", what, "", *_fields(call)]
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
