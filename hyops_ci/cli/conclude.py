"""`hyops-ci conclude`: the last stage, which always runs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import format_option
from hyops_ci.parsing.documents import json_object, read_document, read_json
from hyops_ci.parsing.strict_json import JsonError

if TYPE_CHECKING:
    from hyops_ci.contracts.ensured import Ensured
    from hyops_ci.stages.conclude.stage import Conclusion
    from hyops_ci.stages.watch.stage import Watched


@click.command("conclude")
@format_option
def command(output: str) -> int:
    """Verify the evidence and say how the run ended. DR_EVIDENCE and DR_EVIDENCE_DIGEST name what execute sealed, if it ran.

    Exit 0 when the evidence is whole, whatever the outcome: the jobs that failed are red themselves.
    """
    from hyops_ci.cli.github_job import github_context, read_handover
    from hyops_ci.cli.render import say, set_outputs, summarize, workflow
    from hyops_ci.evidence.contents import read_files
    from hyops_ci.report.text import markdown, summary_lines
    from hyops_ci.stages.conclude.stage import conclude

    run, config = read_handover(os.environ, "conclude")
    world = github_context(config, on_runner=False)
    evidence, ensured = os.environ.get("DR_EVIDENCE", ""), _ensured(os.environ.get("DR_ENSURED", ""))
    ended = conclude(
        run,
        world,
        evidence=Path(evidence) if evidence else None,
        digest=os.environ.get("DR_EVIDENCE_DIGEST", ""),
        results=_results(os.environ.get("DR_RESULTS", "{}")),
        watches=[*_watches(os.environ.get("DR_WATCHED", "[]")), *([ensured] if ensured is not None else [])],
    )
    ended = named_by_its_run(ended)
    result, flow = ended.result, workflow()
    set_outputs(
        {
            "outcome": result.outcome.value,
            "exit_code": str(result.exit_code),
            "decision_id": result.decision_id,
            "plan_digest": result.plan_digest or "",
            "check_digest": result.check_digest or "",
            "claim_id": result.claim_id,
            "epoch": str(result.epoch or ""),
            "evidence": str(ended.bundle),
            "evidence_digest": ended.sha256,
            "report": str(ended.report),
            "github": write_github_record(ended),
            "ensured": write_ensured(ended.bundle, ensured),
        },
        output,
    )
    files = read_files(ended.bundle)
    lines = summary_lines(
        result, json_object(files.get("objectives.json")) or {}, f"artifact dr-evidence-{world.job.run_id}, {ended.sha256}"
    )
    made = [*(ensured.lines() if ensured is not None else []), *([f"  Gave way   {ended.gave_way}"] if ended.gave_way else [])]
    for line in (*lines, *made):
        say(line)
    flow.summary(markdown(files))
    if made:
        summarize(made)
    flow.annotate("notice" if result.exit_code == 0 else "warning", lines[0], "\n".join(lines))
    for problem in (*ended.verdict.problems, *ended.contradictions):
        say(f"evidence: {problem}")
    if ended.contradictions:
        flow.annotate("error", "The evidence and GitHub do not agree", "\n".join(ended.contradictions))
    return ended.exit_code


def named_by_its_run(ended: Conclusion) -> Conclusion:
    """Return the conclusion with bundle and report under the name that the report's command has, as the artifact hands them out."""
    from hyops_ci.evidence.bundle import bundle_name

    bundle = ended.bundle.rename(ended.bundle.with_name(bundle_name(ended.result.run_id)))
    return replace(ended, bundle=bundle, report=ended.report.rename(bundle.with_suffix(".html")))


def write_github_record(ended: Conclusion) -> str:
    """Write what GitHub shows of the run beside the bundle. Return the file's name, empty where GitHub was not asked."""
    if ended.github is None:
        return ""
    path = ended.bundle.with_name("github.json")
    path.write_text(json.dumps(ended.github.document(), indent=2, sort_keys=True), encoding="utf-8")
    return str(path)


def write_ensured(bundle: Path, ensured: Ensured | None) -> str:
    """Write what was done about a missing runner beside the bundle. Return the file's name, empty where nothing was to be done."""
    if ensured is None:
        return ""
    from hyops_ci.contracts.ensured import DOCUMENT

    path = bundle.with_name(DOCUMENT)
    path.write_text(json.dumps(ensured.document(), indent=2, sort_keys=True), encoding="utf-8")
    return str(path)


def _ensured(text: str) -> Ensured | None:
    """Return what ensure-runner handed over; what cannot be read is ignored, as what a watch hands over is."""
    from hyops_ci.contracts.ensured import Ensured

    with suppress(JsonError):
        return read_document(Ensured, text) if text else None
    return None


def _results(text: str) -> dict[str, str]:
    """Return GitHub's result of each job; other content is ignored."""
    return {name: str(result) for name, result in (json_object(text) or {}).items()}


def _watches(text: str) -> list[Watched]:
    """Return what the watch jobs handed over; what cannot be read is ignored."""
    from hyops_ci.stages.watch.stage import Watched

    try:
        value = read_json(text)
    except JsonError:
        return []
    found = []
    for each in value if isinstance(value, list) else []:
        with suppress(JsonError):
            found.append(read_document(Watched, json.dumps(each)))
    return found
