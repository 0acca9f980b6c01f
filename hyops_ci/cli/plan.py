"""`hyops-ci plan`: the plan stage, on GitHub or over a checkout in a shell."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import bootstrap_option, checkout_option, decision_options, form_options, format_option, gather, moment_option
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.intake.form import Form

if TYPE_CHECKING:
    from hyops_ci.stages.handover import RunDir


@dataclass(frozen=True)
class PlanOptions:
    """What is planned, where, and as of when."""

    decision_text: str
    decision_ref: str
    approvals: str
    resume: str
    bootstrap_reason: str
    checkout: Path
    ledger: str
    folder: Path | None
    at: datetime | None


@click.command("plan")
@decision_options
@form_options(from_environment=True)
@click.option("--approvals", envvar="DR_APPROVALS", default="", help="Signed approvals as a JSON array.")
@click.option("--resume", envvar="DR_RESUME", default="", help="Number of the run that waited for signatures.")
@bootstrap_option
@checkout_option
@click.option("--ledger", default="", help="In a shell: path or URL of the ledger; else the config's, or the repository's own.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Outside GitHub: where the run's folder is made.")
@moment_option
@format_option
@gather(PlanOptions)
def command(options: PlanOptions, form: Form, output: str) -> int:
    """Resolve a decision against config and overlay to a plan, or refuse it. Needs no runner and no secret."""
    from hyops_ci.cli.github_job import checkout_config, finish_stage, github_context, job_folder, show_gates
    from hyops_ci.cli.render import emit
    from hyops_ci.contracts.plan import Plan
    from hyops_ci.report.text import refusal_lines
    from hyops_ci.stages.context import ShiftedClock
    from hyops_ci.stages.handover import new_run
    from hyops_ci.stages.plan.stage import Ask, plan

    ask = Ask(
        options.checkout,
        decision_bytes(options.decision_text, options.decision_ref, options.checkout),
        form,
        approvals=options.approvals,
        resume=options.resume.strip(),
        bootstrap_reason=options.bootstrap_reason,
    )
    config = checkout_config(options.checkout)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        world = github_context(config, on_runner=False)
        run = new_run(job_folder(os.environ, world.job, "plan") / "run")
        end = plan(ask, run, world)
        show_gates(run, "gates.json")
        return finish_stage(run, end, outputs_of(run), output)
    from hyops_ci.cli.shell import shell_context

    world = shell_context(config, ledger=options.ledger)
    world = replace(world, clock=ShiftedClock(options.at)) if options.at else world
    run = new_run((options.folder or Path(tempfile.mkdtemp(prefix="dr-plan-"))) / "run")
    end = plan(ask, run, world)
    document = run.read_model("plan.json", Plan).document() if run.has("plan.json") else {}
    if end.refusal is not None:
        refusal = end.refusal
        lines = refusal_lines(end.state, refusal)
        emit(output, lines, {"outcome": end.state.value, "error": refusal.document(), "folder": str(run.root)})
        return refusal.exit_code
    planned = "{service} {lane} -> {runner_ref}".format_map(document) if document else "and nothing is planned: the decision is to wait"
    lines = [f"{end.state} {planned}", f"  in {run.root}"]
    emit(output, lines, {"outcome": end.state.value, "plan": document, "folder": str(run.root)})
    return 0


def decision_bytes(text: str, ref: str, checkout: Path) -> bytes:
    """Return the decision, from the text itself, a file, or the checkout. Raises Refusal (exit 3 or 2)."""
    from hyops_ci.errors import Exit, Refusal
    from hyops_ci.stages.plan.inputs import read_source

    if text and ref:
        raise Refusal(
            "intake.kind",
            "a decision and a reference together",
            exit_code=Exit.DECISION,
            found=f"decision and decision_ref {ref}",
            expected="one of the two",
            fix="leave one out",
        )
    if ref:
        path, _, sha = ref.partition("@")
        if sha != os.environ.get("GITHUB_SHA"):
            raise Refusal(
                "intake.ref",
                "the reference is not at this run's commit",
                exit_code=Exit.DECISION,
                found=f"{ref}; this run is at {os.environ.get('GITHUB_SHA', 'no commit')}",
                expected="path@sha of the commit that the workflow was started on",
                fix="commit the decision, then start the workflow on that commit",
            )
        return read_source(checkout, path)
    # An input of a workflow is text and nothing else: it names no file of the machine that it arrives on.
    if text.startswith("@") and os.environ.get("GITHUB_ACTIONS") != "true":
        from hyops_ci.cli.validate import read_input

        return read_input(Path(text[1:]))
    return text.encode("utf-8", "surrogateescape")


def outputs_of(run: RunDir) -> dict[str, str]:
    """Return what the next jobs need of a plan; none of it is free text of the decision."""
    import json

    from hyops_ci.contracts.plan import Plan
    from hyops_ci.stages.job import check_job_name, execute_job_name
    from hyops_ci.stages.origin import ORIGIN, Origin

    if not run.has("plan.json"):
        return {}
    plan = run.read_model("plan.json", Plan)
    resumes = run.read_model(ORIGIN, Origin).resumes
    return {
        "decision_id": plan.decision_id,
        "service": plan.service,
        "plan_digest": plan.digest(),
        "runs_on": json.dumps(list(plan.runs_on)),
        "runner_ref": plan.runner_ref,
        "gate": plan.approval.gate,
        "check_gate": plan.approval.check_gate,
        "runner_names": json.dumps(list(plan.runner_names)),
        "lane": plan.lane,
        "check_title": check_job_name(plan, resumes.run_id if resumes is not None else 0),
        "title": execute_job_name(plan),
        "exercise": plan.exercise,
    } | (
        {
            "bootstrap_reason": plan.bootstrap.reason,
            "bootstrap_gate": plan.bootstrap.gate,
            "bootstrap_runs_on": json.dumps(list(plan.bootstrap.runs_on)),
            "bootstrap_provider": plan.bootstrap.provider,
        }
        if plan.bootstrap is not None
        else {}
    )
