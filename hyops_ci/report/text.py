"""Reports from a bundle alone: Markdown for a run's summary, HTML for a person, both from the same rows (docs/design/texts.md 4).

Text of a decision is shown only inside a fence that it cannot close, or escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hyops_ci.contracts.run import Result
from hyops_ci.errors import shown
from hyops_ci.report.html import render
from hyops_ci.report.story import STAND_IN, Story, figures_of, read_story, rto_of, word_of
from hyops_ci.text import fenced, span

MAX_MARKDOWN: Final = 200 * 1024
"""Bytes; GitHub cuts a step's summary at 1 MiB, and a page of it is read on a phone."""
MAX_LINE: Final = 600
_CUT: Final = "... more in the bundle"
_FIGURES: Final = {
    "request_to_proven": "from request",
    "approval_wait": "approval",
    "runner_wait": "runner",
    "hyops_only": "HyOps",
    "our_overhead": "ours",
}


def html(files: Mapping[str, bytes]) -> str:
    """The report as one self-contained page: no scripts, nothing loaded, everything escaped."""
    return render(read_story(files))


def markdown(files: Mapping[str, bytes]) -> str:
    """The report for `$GITHUB_STEP_SUMMARY`: less than 200 KiB, what went wrong first."""
    story = read_story(files)
    lines = _within(_lines(story), MAX_MARKDOWN - 2048)
    run = story.result.run_id if story.result else "unknown"
    verify = f"hyops-ci evidence verify dr-evidence-{run}.tar"
    return "\n".join((f"### {_title(story.result)}", "", fenced("\n".join(lines)), "", f"Verify: `{verify}`", ""))


def _title(result: Result | None) -> str:
    """Of words that are ours and ids whose alphabet is closed."""
    if result is None:
        return "A bundle without a result"
    word = word_of(result.outcome)
    stand_in = " (STAND-IN: nothing was recovered)" if result.stand_in else ""
    return f"{word}{stand_in}" + (f": {result.service}" if result.service else "")


def _lines(story: Story) -> Iterator[str]:
    """Everything worth a line, worst first."""
    result = story.result
    if result is None:
        yield "result.json is missing or cannot be read; verify the bundle first"
        return
    yield f"{result.headline}{f'  ({STAND_IN})' if result.stand_in else ''}"
    if result.refusal is not None:
        refusal = result.refusal
        yield from _rows((("refused", f"{refusal.gate} (exit {refusal.exit_code}): {refusal.reason}"),))
        yield from _rows((("found", refusal.found), ("expected", refusal.expected), ("fix", refusal.fix)))
    yield from _rows(("Not proven", text) for text in result.not_proven)
    yield from _rows(("Deviation", text) for text in result.deviations)
    yield from _rows(("Next", text) for text in result.next)
    yield from _rows(("Proven", text) for text in result.proven)
    yield from _rows((("Time", time_line(story)), ("Decided", decided_line(story)), ("Approved", approved_line(story))))
    for step in sorted(story.steps, key=lambda each: not each.status.startswith(("failed", "cancelled"))):
        took = span(step.seconds) if step.seconds is not None else ""
        yield from _rows((("Step", f"{step.id} {step.status} {took}{f' ({step.reason})' if step.reason else ''}"),))
    yield from _rows((("Run", f"{result.run_id}, {result.started_at} to {result.ended_at}, plan {(result.plan_digest or 'none')[7:15]}"),))


def time_line(story: Story) -> str:
    """`27m27s from request: approval 4m31s, ... Objective 30m: met`."""
    figures = figures_of(story)
    known = [f"{name} {span(took)}" for key, name in _FIGURES.items() if (took := figures.get(key)) is not None]
    rto = rto_of(story)
    verdict = "met" if rto.met else "NOT MET" if rto.met is False else f"nobody can say ({rto.reason})"
    return ", ".join((*known, f"objective {span(rto.objective)}: {verdict}" if rto.objective is not None else "no objective set"))


def decided_line(story: Story) -> str:
    """Who decided what, and why."""
    if story.plan is None and not story.decision:
        return ""
    plan = story.plan
    what = f"{plan.decision_type.value} {plan.service}, {plan.source_site} -> {plan.target_site}" if plan else "no plan"
    return f'{what}, by {story.decision.get("issuer", "unknown")}: "{story.decision.get("rationale", "")}"'


def approved_line(story: Story) -> str:
    """Who said yes, when and how."""
    return "; ".join(f"{each.approver.login} at {each.observed_at} ({each.channel})" for each in story.approvals)


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for label, text in rows:
        if text:
            yield f"  {label:<10} {text}"


def _within(lines: Iterable[str], budget: int) -> list[str]:
    """The first lines that fit, each on one line and shortened, in UTF-8 bytes."""
    kept: list[str] = []
    for line in lines:
        text = shown(line, MAX_LINE).rstrip()
        budget -= len(text.encode("utf-8", "replace")) + 1
        if budget < 0:
            return [*kept, _CUT]
        kept.append(text)
    return kept
