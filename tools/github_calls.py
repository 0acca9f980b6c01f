"""`docs/github-api.md`: every endpoint of GitHub, and which commands reach it, read from the code itself.

A command may reach what the functions that it names may reach, and so on. What is called through an object is not
followed, so packages offer functions and stages call them by their names (docs/design/architecture.md 2).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from hyops_ci.github.api import endpoints, errors

PACKAGE: Final = "hyops_ci"
ENDPOINTS: Final = f"{PACKAGE}.github.api.endpoints"
APART: Final = frozenset({f"{PACKAGE}.github.api.client", f"{PACKAGE}.github.api.app_auth"})
"""Not followed: an App's login is the same for all commands."""

Symbol = tuple[str, str]
"""Module and name."""


OFFLINE: Final = frozenset({"rehearse", "run"})
"""Commands that go through the same stages without GitHub."""


def page(root: Path, commands: Mapping[str, str]) -> str:
    """Return the page. `root` is the checkout; `commands` maps a command to its module in `hyops_ci/cli`."""
    asking = reached(root / PACKAGE, {name: module for name, module in commands.items() if name not in OFFLINE})
    named = {id(each): name for name, each in vars(endpoints).items() if isinstance(each, endpoints.Endpoint)}
    rows = [*_INTRODUCTION, "| endpoint | permission | asked by | what for |", "|---|---|---|---|"]
    for each in endpoints.ENDPOINTS:
        who = (
            "all, with an App"
            if each.permission == endpoints.APP_KEY
            else ", ".join(f"`{name}`" for name in asking.get(named[id(each)], ()))
        )
        rows.append(f"| `{each.method} {each.path}` | {each.permission} | {who or 'the library'} | {each.why} |")
    rows += ["", *_TROUBLE, "| gate | exit | what it says | what to do |", "|---|---|---|---|"]
    rows += [f"| `{gate}` | {exit_code} | {reason} | {fix} |" for gate, exit_code, reason, fix in errors.error_table()]
    return "\n".join([*rows, ""]).replace("<", "&lt;")


_INTRODUCTION: Final = (
    "# GitHub's API",
    "",
    "Generated from the code by `python -m tools.docs`: every endpoint that is asked, and by which commands. A test asks each of a fake",
    "GitHub whose every request and answer is compared with GitHub's own OpenAPI description.",
    "",
    "A job's `GITHUB_TOKEN` can have what begins with `metadata`, `contents` and `actions`; `administration` and",
    "`organization_self_hosted_runners` need a GitHub App's token or a person's. Without such a token the answers that need it are",
    "reported as not known.",
    "",
)
_TROUBLE: Final = (
    "## When GitHub says no",
    "",
    "No answer, 5xx and rate limits are asked again for at most two minutes. Other refusals are not; what GitHub names as missing",
    "(`X-Accepted-GitHub-Permissions`) comes before the table above. What may have been done without an answer is never asked twice.",
    "",
)


def reached(root: Path, commands: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """For each endpoint's name the commands that reach it. `root` is the package's folder; `commands` maps a command to its module."""
    graph: dict[Symbol, set[Symbol]] = {}
    for path in sorted(root.rglob("*.py")):
        module = ".".join((PACKAGE, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        if module not in APART:
            graph |= dict(_symbols(module, ast.parse(path.read_text(encoding="utf-8"))))
    found: dict[str, list[str]] = {}
    for command, module in commands.items():
        for name in sorted(_endpoints(graph, [symbol for symbol in graph if symbol[0] == f"{PACKAGE}.cli.{module}"])):
            found.setdefault(name, []).append(command)
    return {name: tuple(each) for name, each in found.items()}


def _endpoints(graph: Mapping[Symbol, set[Symbol]], begin: list[Symbol]) -> set[str]:
    seen, open_ends = set(begin), list(begin)
    while open_ends:
        new = graph.get(open_ends.pop(), set()) - seen
        seen |= new
        open_ends += new
    return {name for module, name in seen if module == ENDPOINTS and (ENDPOINTS, "_endpoint") in graph.get((module, name), ())}


def _symbols(module: str, tree: ast.Module) -> Iterator[tuple[Symbol, set[Symbol]]]:
    """Each name that a module defines, with the names that its definition mentions."""
    imported = {local: target for node in ast.walk(tree) for local, target in _imports(node)}
    for node in tree.body:
        names = {each for part in ast.walk(node) if (each := _mentioned(part, module, imported))}
        for defined in _defined(node):
            yield (module, defined), names - {(module, defined)}


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _imports(node: ast.AST) -> Iterator[tuple[str, Symbol]]:
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
        for name in node.names:
            yield name.asname or name.name, (node.module or "", name.name)


def _mentioned(node: ast.AST, module: str, imported: Mapping[str, Symbol]) -> Symbol | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
        holder = imported[node.value.id]
        return (".".join(holder), node.attr)  # `endpoints.RUN`, where `endpoints` is a module
    if isinstance(node, ast.Name):
        return imported.get(node.id, (module, node.id))
    return None
