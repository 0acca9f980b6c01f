"""The documentation that travels with the program: pages, and what to do about one refusal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from hyops_ci.errors import Exit, Refusal
from hyops_ci.text import shell

INDEX: Final = "README.md"
_CELLS: Final = re.compile(r"(?<!\\)\|")


def folder() -> Path:
    """Return where the pages lie: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "docs"
    return inside if inside.is_dir() else package.parent / "docs"


def names() -> list[str]:
    """Return the pages by name, sorted, `design/...` among them."""
    return sorted(path.relative_to(folder()).as_posix() for path in folder().rglob("*.md"))


def page(name: str) -> str:
    """Return a page (`ledger`, `ledger.md`, `docs/ledger.md#alarms`), or what is said about one refusal (`runner.silent`).

    Raises Refusal (exit 2) `docs.page` for anything else.
    """
    wanted, known = name.partition("#")[0].removeprefix("docs/") or INDEX, names()
    for each in (wanted, f"{wanted}.md"):
        if each in known:
            return (folder() / each).read_text(encoding="utf-8")
    if row := _row(wanted):
        return row
    raise Refusal(
        "docs.page",
        "there is no such page, and no such refusal",
        exit_code=Exit.USAGE,
        found=name,
        expected=", ".join(each.removesuffix(".md") for each in known if "/" not in each),
        fix="ask without a name: hyops-ci docs",
    )


def _row(gate: str) -> str:
    """Return the row of a refusal in refusals.md as lines; empty for an id that is none."""
    for line in (folder() / "refusals.md").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"| `{gate}` |"):
            _, _, exits, says, fix, more, _ = (each.strip() for each in _CELLS.split(line))
            pages = [shell("hyops-ci docs {}", each) for each in dict.fromkeys(re.findall(r"\]\(([a-z-]+\.md)", more))]
            rows = (("exit", exits), ("says", says), ("to do", fix), ("more", ", ".join(pages)))
            return "\n".join([gate, *(f"  {name:<8} {_plain(text)}" for name, text in rows if text), ""])
    return ""


def _plain(cell: str) -> str:
    return cell.replace("&lt;", "<").replace("\\|", "|")
