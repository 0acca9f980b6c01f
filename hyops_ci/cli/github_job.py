"""Stages as steps of a GitHub job: context from the environment; outputs, summary, annotation and handover back to the job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hyops_ci.cli.connect import connect, home_folder, remote_at, state_dir, token_for
from hyops_ci.cli.given import given
from hyops_ci.cli.notifier import notifier_for
from hyops_ci.cli.render import progress, say, set_outputs, summarize, workflow
from hyops_ci.config.file import CONFIG_PATH, TRUST_FILE, parsed_config, read_trust
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.report.text import refusal_lines
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.handover import RunDir, unpack
from hyops_ci.stages.job import Job, read_job
from hyops_ci.stages.runner import StageEnd
from hyops_ci.text import shell

HANDOVER: Final = "handover.tar"


def job_folder(environ: Mapping[str, str], job: Job, stage: str) -> Path:
    """Return a folder of this job, below the runner's temporary folder."""
    return Path(environ.get("RUNNER_TEMP") or "/tmp") / "dr-dispatch" / f"{job.run_id}-{stage}"  # noqa: S108 - RUNNER_TEMP is always there on GitHub


def github_context(config: DispatchConfig | None, *, on_runner: bool) -> RunContext:
    """Return the context of a step. Only a job on the standing runner has a host that may pin its callers."""
    job = read_job(os.environ)
    remote = remote_at((config.ledger.repository if config else None) or job.repository, job.server_url)
    return RunContext(
        job=job,
        clock=SystemClock(),
        home=home_folder(),
        state_dir=state_dir(),
        ledger_remote=remote,
        ledger_token=token_for(remote, job.server_url, "DR_TOKEN"),
        standby_remote=(config.ledger.standby if config else None) or "",
        standby_token=os.environ.get("DR_STANDBY_TOKEN", ""),
        environ=os.environ,
        say=progress,
        hyops_line=say,
        trust=host_trust() if on_runner else None,
        github=connect(job.repository) if os.environ.get("DR_TOKEN") else None,
        notifier=notifier_for(config, job),
    )


def host_trust(path: Path = TRUST_FILE) -> HostTrust | None:
    """Return the host's trust, None without a file. Raises Refusal (exit 2) for a file that others can write, or another document."""
    try:
        facts, data = path.stat(), path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _bad_trust(path, f"{error.strerror}") from None
    if facts.st_uid != 0 or facts.st_mode & 0o022:
        raise _bad_trust(path, f"owner {facts.st_uid}, mode {facts.st_mode & 0o777:04o}")
    return read_trust(data, str(path))


def _bad_trust(path: Path, found: str) -> Refusal:
    return Refusal(
        "trust.file",
        "the host's trust file cannot be trusted",
        exit_code=Exit.USAGE,
        found=f"{path}: {found}",
        expected="a file of root that only root can write",
        fix=shell("chown root:root {}; chmod 644 {}", path, path),
    )


def read_handover(environ: Mapping[str, str], stage: str) -> tuple[RunDir, DispatchConfig | None]:
    """Return the run folder that the stage before handed over, and the config in it.

    After the check DR_PLAN_HANDOVER_DIGEST says what the plan's job handed to it. A workflow that does not pass it is told so.
    """
    job = read_job(environ)
    folder = job_folder(environ, job, stage) / "run"
    planned = environ.get("DR_PLAN_HANDOVER_DIGEST", "")
    if not planned and stage not in ("check", "ensure-runner"):
        say("plan_handover_digest is not set: what the check handed over as planned is not compared with what the plan handed to it")
    run = unpack(Path(environ.get("DR_HANDOVER", "")), environ.get("DR_HANDOVER_DIGEST", ""), folder, planned=planned)
    return run, sealed_config(run)


def sealed_config(run: RunDir) -> DispatchConfig | None:
    """Return the config that the run was planned with, None where planning did not get that far."""
    return parsed_config(run.read("sources/config")) if run.has("sources/config") else None


def checkout_config(path: Path) -> DispatchConfig | None:
    """Return the config of the checkout, None where it cannot be read: the plan stage refuses it with the reason."""
    try:
        return parsed_config(given(path / CONFIG_PATH))
    except (OSError, DispatchError):
        return None


def show_gates(run: RunDir, name: str) -> None:
    """Print the result of every gate in a folded group of the job's log."""
    if not run.has(name):
        return
    said = run.read_json(name)
    with workflow().group(f"Gates: {len(said['passed'])} passed, {len(said['refused'])} refused"):
        for gate in said["passed"]:
            say(f"ok    {gate['id']:<20} {gate.get('note', '')}".rstrip())
        for refusal in said["refused"]:
            say(f"FAIL  {refusal['gate']:<20} {refusal['reason']}: {refusal['found']}")


def finish_stage(run: RunDir, end: StageEnd, outputs: Mapping[str, str], output: str) -> int:
    """Hand over, set outputs, and show what stopped the run. Return the step's exit code."""
    handover = run.root.parent / HANDOVER
    digest = run.pack(handover)
    code = end.refusal.exit_code if end.refusal else 0
    left = {"outcome": end.state.value, "exit_code": str(code), **outputs, "handover": str(handover), "handover_digest": digest}
    set_outputs(left, output, required=("outcome", "exit_code", "handover", "handover_digest"))
    if end.refusal is not None:
        lines = refusal_lines(end.state, end.refusal)
        workflow().annotate("error" if code else "notice", lines[0], "\n".join(lines))
        summarize(lines)
        for line in lines:
            say(line)
    return code
