"""`docs/runner-decisions.md`: what is done about the runner of a lane, generated from the table that decides."""

from __future__ import annotations

from collections.abc import Iterable

from hyops_ci.runners.decide import CHANGES, RULES, AgentView, Permission, QueueView
from hyops_ci.runners.ports import MachineState
from tools.markdown import cell

_HEAD = """\
# What is done about a runner

Generated from `hyops_ci/runners/decide.py` by `python -m tools.docs`. The first row that fits decides; an empty cell fits anything.

| queue | agent, as GitHub says | machine, as its provider says | policy | what is done | because |
|---|---|---|---|---|---|
"""
_WORDS = """\

What changes something is set in bold; it asks for a reason that the config allows and for an approval
([runner-recovery.md](runner-recovery.md)). Each change is made at most once in a run, and gets its time before the table is asked again.

| column | what can be found |
|---|---|
"""


def decisions_page() -> str:
    """Return the page."""
    rows = []
    for rule in RULES:
        seen = (
            _any(rule.queue, QueueView),
            _any(rule.agent, AgentView),
            _any(rule.machine, MachineState),
            _any(rule.permission, Permission),
        )
        done = f"**{rule.action}**" if rule.action in CHANGES else str(rule.action)
        rows.append(f"| {' | '.join((*seen, done, cell(rule.because)))} |\n")
    columns = (("queue", QueueView), ("agent", AgentView), ("machine", MachineState), ("policy", Permission))
    found = [f"| {name} | {', '.join(kind)} |\n" for name, kind in columns]
    return _HEAD + "".join(rows) + _WORDS + "".join(found)


def _any(wanted: Iterable[str], order: Iterable[str]) -> str:
    """Return the values of a cell in the order of their kind."""
    named = frozenset(wanted)
    return ", ".join(each for each in order if each in named)
