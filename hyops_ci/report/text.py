"""The end of a run as lines: in the log, in annotations, and in the Markdown summary (docs/design/texts.md 4).

Text of a decision is shown on one line each and, in Markdown, only inside a code span that it cannot close.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from hyops_ci.contracts.base import whole_second
from hyops_ci.contracts.run import STAND_IN, RefusalRecord, Result, State
from hyops_ci.errors import shown
from hyops_ci.evidence.bundle import bundle_name
from hyops_ci.report.headline import NOTHING_CHANGED, ending_of, stopped_headline, title_of
from hyops_ci.report.run_view import RunView, StepView, view_of
from hyops_ci.report.times import read_times
from hyops_ci.text import listed, shell, span

MAX_MARKDOWN: Final = 200 * 1024
"""Bytes; GitHub cuts a step's summary at 1 MiB, and a page of it is read on a phone."""
MAX_LINE: Final = 1200
MAX_ROWS: Final = 50
"""Rows of one label, so that a long list leaves room for what comes after it."""
REFUSAL_WIDTH: Final = 8
"""Characters of a label below a refusal, as `DispatchError.lines` has them."""
_CUT: Final = "... more in the bundle"
Row = tuple[str, str]


def summary_lines(result: Result, objectives: Mapping[str, Any], evidence: str = "") -> list[str]:
    """Return how a run ended: headline, refusal, proofs, times, deviations and next steps. `evidence` says where the bundle is."""
    lines = [_line(title_of(result))]
    refusal = result.refusal
    if refusal is not None:
        named = refusal.gate in result.headline
        lines += _lines([("cause", "" if named else f"{refusal.gate} (exit {refusal.exit_code}): {refusal.reason}")], REFUSAL_WIDTH)
        lines += _refusal_rows(refusal)
    lines += _lines(_result_rows(result, objectives))
    if result.outcome in NOTHING_CHANGED:
        # Only of its own lock does every refused run know: what it would have settled stays kept.
        kept = refusal is not None and refusal.gate.startswith("lock.")
        lines.append(f"  Nothing was changed. {'Lock kept' if kept else 'This run took no lock'}.")
    elif result.outcome is State.RECORDED:
        wait, other = "Nothing was changed: the decision is to wait.", "No service was changed: this was no recovery."
        lines.append(f"  {wait if result.decision_id else other}")
    return lines + _lines([("Evidence", evidence)])


def refusal_lines(state: State, refusal: RefusalRecord) -> list[str]:
    """Return what stopped a stage, and what to do about it."""
    return [_line(stopped_headline(state, refusal)), *_refusal_rows(refusal)]


def markdown(files: Mapping[str, bytes]) -> str:
    """Return the report of a bundle's files for `$GITHUB_STEP_SUMMARY`: less than 200 KiB."""
    run = view_of(files)
    if run.result is None:
        title, name = "A bundle without a result", "unknown"
        lines = ["result.json is missing or cannot be read; verify the bundle first"]
    else:
        title, name = _title(run.result), run.result.run_id
        lines = [*summary_lines(run.result, run.objectives), *_lines(_run_rows(run, run.result))]
    points = _within(listed(lines), MAX_MARKDOWN - 2048)
    return "\n".join((f"### {title}", "", *points, "", f"Verify: `{shell('hyops-ci evidence verify {}', bundle_name(name))}`", ""))


def _title(result: Result) -> str:
    """Return words that are ours and ids whose alphabet is closed: the title stands outside the fence."""
    stand_in = f" ({STAND_IN})" if result.stand_in else ""
    return f"{ending_of(result.outcome).headline}{stand_in}" + (f": {result.service}" if result.service else "")


def _result_rows(result: Result, objectives: Mapping[str, Any]) -> Iterator[Row]:
    yield from _many("Proven", result.proven)
    yield from _many("Not proven", result.not_proven)
    times = read_times(objectives)
    yield "Time", times.line()
    yield "Data", times.data_line()
    yield from _many("Differs", result.deviations)
    yield from _many("Next", result.next)


def _refusal_rows(refusal: RefusalRecord) -> list[str]:
    return _lines((("found", refusal.found), ("expected", refusal.expected), ("fix", refusal.fix)), REFUSAL_WIDTH)


def _run_rows(run: RunView, result: Result) -> Iterator[Row]:
    """Yield who decided and approved, the steps (those that went wrong first), and the run itself."""
    yield "Before", run.before
    yield "Decided", _decision(run)
    yield "Approved", "; ".join(f"{each.approver.login} at {whole_second(each.observed_at)} ({each.channel})" for each in run.approvals)
    yield from (("Step", _step(step)) for step in sorted(run.steps, key=lambda each: not each.status.startswith(("failed", "cancelled"))))
    took = f"{whole_second(result.started_at)} to {whole_second(result.ended_at)}"
    yield "Run", f"{result.run_id}, {took}, plan {(result.plan_digest or 'none')[7:15]}"


def _decision(run: RunView) -> str:
    if run.plan is None and not run.decision:
        return ""
    plan = run.plan
    what = f"{plan.decision_type.value} {plan.service}, {plan.source_site} -> {plan.target_site}" if plan else "no plan"
    return f'{what}, by {run.decision.get("issuer", "unknown")}: "{run.decision.get("rationale", "")}"'


def _step(step: StepView) -> str:
    took = span(step.seconds) if step.seconds is not None else ""
    return f"{step.id} {step.status} {took}{f' ({step.reason})' if step.reason else ''}"


def _many(label: str, texts: Sequence[str]) -> Iterator[Row]:
    yield from ((label, text) for text in texts[:MAX_ROWS])
    if len(texts) > MAX_ROWS:
        yield label, _CUT


def _lines(rows: Iterable[Row], width: int = 10) -> list[str]:
    return [_line(f"  {label:<{width}} {text}") for label, text in rows if text]


def _line(text: str) -> str:
    return shown(text, MAX_LINE).rstrip()


def _within(lines: Iterable[str], budget: int) -> list[str]:
    """Return the first lines that fit into `budget` bytes of UTF-8."""
    kept: list[str] = []
    for line in lines:
        budget -= len(line.encode("utf-8", "replace")) + 1
        if budget < 0:
            return [*kept, f"- {_CUT}"]
        kept.append(line)
    return kept
