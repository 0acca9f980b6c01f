"""`docs/refusals.md`, `docs/exit-codes.md` and `docs/gates.md`: refusals, exit codes and outcomes, and the rule of each gate."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from hyops_ci.contracts.run import ENDINGS, Ending
from hyops_ci.errors import Exit
from hyops_ci.github.api.errors import error_table as github_refusals
from hyops_ci.planning.case import GateOutcome, load
from tools.markdown import cell, section_link
from tools.refusal_sites import Scope, Site, by_gate, sites, texts

PACKAGE: Final = Path(__file__).resolve().parents[1] / "hyops_ci"
SETUP: Final = PACKAGE.parent / "actions" / "setup" / "setup.sh"
COLOURS: Final = {"good": "green", "wait": "grey", "warn": "amber", "bad": "red"}
KINDS: Final[tuple[tuple[Literal["plan", "check"], str], ...]] = (
    ("plan", "Before anything is asked of a runner"),
    ("check", "On the runner, before a person is asked"),
)
_EXIT_CODES: Final = """# Exit codes and outcomes

Generated from the code by `python -m tools.docs`. A published contract: it changes with a major version only.

## Families

Every command of `hyops-ci` ends with one of these. Which refusal has which code: [refusals.md](refusals.md).

| exit | family |
|---|---|
{families}

## Outcomes

A run ends in one terminal state. Its exit code is that of the refusal that ended it, where there is one. CANCELLED, INDETERMINATE and
states with code 0 always have the code of this table.

| outcome | exit | headline | colour in the report |
|---|---|---|---|
{outcomes}

`hyops-ci conclude` (the job `Report`) ends with 0 for evidence that is whole, whatever the outcome, and with 11 where the evidence does not
verify or GitHub contradicts it. The outcome's own code is its output `exit_code`.
"""
_REFUSALS: Final = """# Refusals

Generated from the code by `python -m tools.docs`. Each refusal also says what was found and what was expected; `...` stands for what is
filled in. Exit codes: [exit-codes.md](exit-codes.md). Gates of plan and check, with the rule that each one holds: [gates.md](gates.md).
"""
_GENERATED: Final = frozenset({"refusals.md", "gates.md", "exit-codes.md", "controls.md"})


def gates_page(docs: Path) -> str:
    """Return `docs/gates.md`: question, exit code and rule of each gate of plan and check."""
    rows = ["# Gates", "", "Generated from the code by `python -m tools.docs`. A gate is one pure function.", ""]
    for kind, title in KINDS:
        rows += [f"## {title}", "", "| gate | question | exit | rule |", "|---|---|---|---|"]
        for gate in load(kind):
            rules = ", ".join(section_link(docs, each) for each in citations(gate.reference))
            rows.append(f"| `{gate.id}` | {gate.question} | {int(gate.exit_code)} | {rules} |")
        rows.append("")
    return "\n".join(rows)


def citations(reference: str) -> list[str]:
    """Return `["contracts 1", "contracts 2"]` for a gate's `contracts 1, contracts 2`."""
    return [each.strip() for each in reference.split(",")]


def exit_codes_page() -> str:
    """Return `docs/exit-codes.md`: families, and outcome -> exit code -> headline -> colour."""
    families = "\n".join(f"| {int(code)} | {code.family} |" for code in Exit)
    outcomes = "\n".join(_outcome(state.value, ending) for state, ending in ENDINGS.items())
    return _EXIT_CODES.format(families=families, outcomes=outcomes)


def _outcome(name: str, ending: Ending) -> str:
    return f"| {name} | {int(ending.exit_code)} | `{ending.headline}` | {COLOURS[ending.mood]} |"


def refusals_page(docs: Path) -> str:
    """Return `docs/refusals.md`: every refusal and fault with exit codes, what it says, what to do, and where it is explained."""
    pages = {page.name: page.read_text(encoding="utf-8") for page in sorted(docs.glob("*.md")) if page.name not in _GENERATED}
    rows, family = [_REFUSALS.rstrip()], ""
    for gate, code, says, fix in _all():
        if gate.partition(".")[0] != family:
            family = gate.partition(".")[0]
            rows += ["", f"## {family}", "", "| refusal | exit | says | to do | more |", "|---|---|---|---|---|"]
        more = ", ".join(f"[{name}]({name})" for name, text in pages.items() if f"`{gate}`" in text)
        rows.append(f"| `{gate}` | {code} | {cell(says)} | {cell(fix)} | {more} |")
    return "\n".join([*rows, ""])


def ids() -> frozenset[str]:
    """Return every gate id of the page."""
    return frozenset(gate for gate, *_ in _all())


@cache
def _all() -> tuple[tuple[str, str, str, str], ...]:
    """Return (gate, exit codes, texts, fixes) of every gate id, sorted by it."""
    return tuple(_each())


def _each() -> Iterator[tuple[str, str, str, str]]:
    known = by_gate([*sites(PACKAGE)[0], *_of_gates(), *_of_github(), *_of_setup()])
    for gate, found in known.items():
        codes = sorted({Exit[name] for site in found for name in site.exits})
        says, fixes = _joined(each.reasons for each in found), _joined(each.fixes for each in found)
        yield gate, ", ".join(str(int(code)) for code in codes) or "the outcome's", says or "why HyOps ended", fixes


def _of_gates() -> Iterator[Site]:
    """Yield the gates of plan and check, with the failures that their own functions return."""
    failure = next(kind for kind in get_args(GateOutcome) if kind is not str).__name__
    for kind, _ in KINDS:
        for gate in load(kind):
            says, fixes = _made(gate.ask, failure)
            yield Site(gate.id, (gate.exit_code.name,), tuple(says) or (f"see: {gate.question}",), tuple(fixes), "")


def _made(ask: Callable[..., object], failure: str) -> tuple[list[str], list[str]]:
    """Return (texts, fixes) of the failures that a gate's function makes, itself or through functions of its module."""
    module = ast.parse(inspect.getsource(sys.modules[ask.__module__]))
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    around: Scope = {
        node.target.id: (node.value, {})
        for node in module.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
    }
    says: list[str] = []
    fixes: list[str] = []
    waiting, seen = [ask.__name__], set()
    while waiting:
        name = waiting.pop(0)
        if name not in functions or name in seen:
            continue
        seen.add(name)
        inside: Scope = {**around, **{target: (value, around) for target, value in _assigned(functions[name])}}
        calls = [node for node in ast.walk(functions[name]) if isinstance(node, ast.Call)]
        waiting += [ast.unparse(node.func) for node in calls]
        for call in calls:
            if ast.unparse(call.func) == failure:
                says += texts(call.args[0], inside)
                fixes += texts(call.args[3], inside) or _returned(call.args[3], functions, inside)
    return says, fixes


def _assigned(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _returned(node: ast.expr, functions: Mapping[str, ast.FunctionDef], around: Scope) -> list[str]:
    """Return the texts of a call like `_fix(case, "set it")`: what that function of the module returns, with what it is given."""
    function = functions.get(ast.unparse(node.func)) if isinstance(node, ast.Call) else None
    if function is None or not isinstance(node, ast.Call):
        return []
    names = [each.arg for each in function.args.args]
    given: Scope = {name: (value, {}) for name, value in zip(reversed(names), reversed(function.args.defaults), strict=False)}
    given = {**given, **{name: (value, around) for name, value in zip(names, node.args, strict=False)}}
    ends = [each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value is not None]
    return [text for end in ends for text in texts(end, given)]


def _of_github() -> Iterator[Site]:
    for gate, code, reason, fix in github_refusals():
        yield Site(gate, (Exit(code).name,), (reason,), (fix,), "")


def _of_setup() -> Iterator[Site]:
    """Yield the refusals of `actions/setup`, which runs before there is a Python to refuse anything."""
    for gate, text in re.findall(r'refuse ([a-z]+\.[a-z]+) "([^"]*)"', SETUP.read_text(encoding="utf-8")):
        reason, _, fix = re.sub(r"\$\w+", "...", text).partition("; ")
        yield Site(gate, (Exit.RUNNER.name,), (reason,), (fix,), "")


def _joined(texts: Iterable[tuple[str, ...]]) -> str:
    """Return the different texts of all sites, the unreadable and the cut ones left out."""
    different = dict.fromkeys(text.replace("{}", "...") for group in texts for text in group)
    return "; ".join(text for text in different if re.search(r"[A-Za-z]{3}", text))
