"""Print results and refusals: as text, as JSON, and as annotation and summary on GitHub."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hyops_ci.cli import terminal
from hyops_ci.errors import DispatchError, Exit
from hyops_ci.github.actions.commands import WorkflowCommands, without_commands
from hyops_ci.parsing.documents import json_object
from hyops_ci.streams import lost_reader_ignored
from hyops_ci.text import listed, shell, visible

if TYPE_CHECKING:
    from hyops_ci.stages.conclude.stage import Conclusion


def emit(output: str, lines: Sequence[str], document: Any) -> None:
    """Print a result: its lines as text, or its document as one JSON value. Neither holds a command of GitHub's runner."""
    if output == "json":
        # `#` by its number: the same value in JSON, and no `##[command]` for the runner.
        terminal.out(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True).replace("##[", "#\\u0023["))
    else:
        terminal.out(_for_log("\n".join(lines)))


def set_outputs(values: Mapping[str, str], output: str, *, required: Iterable[str] = ()) -> None:
    """Set the outputs of a step, with `--format json` also on stdout. Raises Refusal for an output that GitHub cannot carry."""
    workflow().outputs(values, required=required)
    if output == "json":
        emit(output, (), dict(values))


def say(line: str) -> None:
    """One line of progress, on stderr."""
    terminal.err(_for_log(visible(line)))


def _for_log(text: str) -> str:
    """Return the text, in a job without anything that the runner would take for a command."""
    return without_commands(text) if workflow().active else text


def progress(line: str) -> None:
    """One line of progress with its time, as people compare it with other clocks; in colour on a terminal, plain in CI."""
    at = f"{datetime.now(UTC):%H:%M:%SZ}"
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR") or os.environ.get("GITHUB_ACTIONS") == "true":
        say(f"{at} {line}")
        return
    from rich.console import Console
    from rich.text import Text

    # `Text` takes the line as it is: nothing in it is read as markup.
    styled = Text.assemble((f"{at} ", "dim"), visible(line))
    styled.highlight_words([" ok ", "RECOVERED", "VALID"], "bold green")
    styled.highlight_words([" failed ", "REFUSED", "UNKNOWN", "INVALID"], "bold red")
    styled.highlight_words([" running "], "bold blue")
    styled.highlight_words(["from here cancelling does not undo", "Cancel now"], "bold yellow")
    with lost_reader_ignored(sys.stderr):
        Console(stderr=True, highlight=False, soft_wrap=True).print(styled)


def workflow() -> WorkflowCommands:
    """Return the workflow commands of this step, on stderr: GitHub's runner reads either stream, and stdout is for the result."""
    path = os.environ.get("GITHUB_OUTPUT")
    return _of_step(path) if path else WorkflowCommands(os.environ)


@lru_cache(maxsize=1)
def _of_step(_: str) -> WorkflowCommands:
    """One for each step: its output file is its own, and it counts annotations."""
    return WorkflowCommands(os.environ)


def asked_for_json(argv: Sequence[str]) -> bool:
    """Return whether a command was called with `--format json`, also where it was called in a way that it does not take."""
    return "--format=json" in argv or ("--format", "json") in pairwise(argv)


def show_error(error: DispatchError, argv: Sequence[str]) -> int:
    """Show what stopped a command, in the form that was asked for. Return the exit code."""
    if asked_for_json(argv):
        terminal.out(json.dumps({"error": error.to_json()}, indent=2, sort_keys=True))
    else:
        terminal.err(_for_log("\n".join(error.lines())))
    annotate(error)
    return int(error.exit_code)


def annotate(error: DispatchError) -> None:
    """One annotation and one summary block for what stopped the run."""
    lines = error.lines()
    workflow().annotate("error", lines[0], "\n".join(lines))
    summarize(lines)


def summarize(lines: Sequence[str]) -> None:
    """Show lines on the run's page, as a list under their headline."""
    workflow().summary("\n".join(listed(lines)))


def show_conclusion(ended: Conclusion, output: str) -> int:
    """Print how a run ended: its summary, its bundle, and the verifier's result. Return the exit code."""
    from hyops_ci.evidence.contents import read_files
    from hyops_ci.report.text import summary_lines

    result = ended.result
    document = {
        "outcome": result.outcome.value,
        "exit_code": result.exit_code,
        "headline": result.headline,
        "decision_id": result.decision_id,
        "plan_digest": result.plan_digest,
        "check_digest": result.check_digest,
        "claim_id": result.claim_id,
        "epoch": result.epoch,
        "bundle": str(ended.bundle),
        "bundle_sha256": ended.sha256,
        "report": str(ended.report),
        "evidence_valid": ended.verdict.ok,
        "problems": list(ended.verdict.problems),
        "stand_in": result.stand_in,
        "refusal": result.refusal.document() if result.refusal else None,
        "deviations": list(result.deviations),
        "proven": list(result.proven),
        "not_proven": list(result.not_proven),
    }
    evidence = f"{ended.bundle}, {ended.sha256[:19]}...; {shell('hyops-ci evidence verify {}', ended.bundle)}"
    lines = [
        *summary_lines(result, json_object(read_files(ended.bundle).get("objectives.json")) or {}, evidence),
        f"  {'Report':<10} {ended.report}",
    ]
    if not ended.verdict.ok:
        lines += [f"  {'INVALID':<10} {problem}" for problem in ended.verdict.problems[:5]]
    emit(output, lines, document)
    return result.exit_code if ended.verdict.ok else int(Exit.EVIDENCE)
