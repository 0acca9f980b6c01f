"""Follow a run to its end, print its progress, and fetch and verify its evidence.

To stop following stops nothing: the run goes on (docs/design/texts.md 3).
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hyops_ci.contracts.base import duration
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.github_facts import JobFact, RunFact, jobs_called
from hyops_ci.contracts.run import Result
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.evidence.bundle import BUNDLE, bundle_among
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from hyops_ci.github.actions.startup_failure import NOT_KNOWN, explain_startup
from hyops_ci.github.actions.workflow_file import read_workflow
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import Forbidden, NotFound
from hyops_ci.github.artifacts import artifact_files
from hyops_ci.github.contents import file_at
from hyops_ci.github.jobs import cancel, jobs
from hyops_ci.github.runs import run
from hyops_ci.parsing.documents import json_object, read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.stages.job import HOSTED, REPORT_JOB
from hyops_ci.text import shell, span

PACE: Final = 10.0
"""Seconds between two looks, at least."""
SLOW_PACE: Final = 30.0
"""The same, where nothing has happened for `QUIET`: a token has about a thousand calls an hour for all jobs (docs/design/github.md 8)."""
QUIET: Final = 600.0
TROUBLE_PACE: Final = 60.0
"""The same after a look that got no answer: it may be a limit, which knocking makes longer."""
LINE_EVERY: Final = 30.0
"""Seconds between two lines while nothing happens (docs/design/texts.md 3)."""


@dataclass(frozen=True)
class RunOutcome:
    """How a followed run ended, from its verified evidence."""

    result: Result
    digest: str
    """sha256 of the bundle."""
    artifact: str
    objectives: dict[str, Any]
    bundle: bytes = field(repr=False)


def follow(
    client: Client, run_id: int, *, within: int, clock: Clock, say: Callable[[str], None], cancel_on_timeout: bool = False
) -> RunFact:
    """Return the run once it has ended. `within`: seconds. Lines go to `say`, one per change and one every 30 s.

    Raises Fault (exit 12) `dispatch.deadline`: the run goes on, unless `cancel_on_timeout`.
    """
    until = clock.monotonic() + within
    shown_state, since, said_at = "", clock.monotonic(), -LINE_EVERY
    while True:
        try:
            fact, state = _look(client, run_id)
        except Refusal:
            say(f"run {run_id} goes on; this token may no longer read it")
            raise
        now = clock.monotonic()
        if state != shown_state:
            shown_state, since, said_at = state, now, now
            say(state)
        elif now - said_at >= LINE_EVERY:
            said_at = now
            say(f"{state}   for {span(int(now - since))}")
        if fact is not None and fact.status == "completed":
            return fact
        if now >= until:
            raise _too_late(client, run_id, state, within, cancel_on_timeout)
        pace = TROUBLE_PACE if fact is None else SLOW_PACE if now - since > QUIET else PACE
        clock.sleep(min(pace * random.uniform(1.0, 1.2), max(until - now, 0.1)))  # noqa: S311 - jitter


def fetch(client: Client, fact: RunFact, *, decision_id: str = "") -> RunOutcome:
    """Return what a run that has ended came to. `decision_id`: of the decision that it must have been about.

    Raises Refusal: `dispatch.startup` (exit 2) for a run that never began; exit 11 where evidence is missing, does not
    verify, is about another run, or is not what the report of the run stands behind.
    """
    if fact.conclusion == "startup_failure":
        raise _never_began(client, fact)
    name = f"dr-evidence-{fact.run_id}-{fact.attempt}"
    try:
        files = artifact_files(client, fact.run_id, name)
    except Refusal as error:
        if error.gate != "artifact.missing":
            raise
        raise _no_evidence(fact, f"no artifact {name}; GitHub's word on the run is {fact.conclusion}") from None
    if (bundle := bundle_among(files)) is None:
        raise _no_evidence(fact, f"{name} holds {', '.join(sorted(files)[:5]) or 'nothing'}, no {name}.tar")
    with tempfile.TemporaryDirectory(prefix="dr-evidence-") as folder:
        path = Path(folder, BUNDLE)
        path.write_bytes(files[bundle])
        verdict = verify(path)
        problems = list(verdict.problems)
        inside = read_files(path) if verdict.ok else {}
    result = _result(inside.get("result.json"))
    if result is not None:
        problems += _of_another(result, fact, decision_id)
    if problems or result is None:
        raise _does_not_verify(fact, name, problems or ["no result in it"])
    if fact.conclusion != "success" and (report := _report(client, fact)) != "success":
        raise _not_of_its_report(fact, name, report, result)
    return RunOutcome(result, digest_bytes(files[bundle]), name, json_object(inside.get("objectives.json")) or {}, files[bundle])


# ------------------------------------------------------------------------------------------------- where a run is


def _look(client: Client, run_id: int) -> tuple[RunFact | None, str]:
    """Return the run and one line on it. A GitHub that does not answer ends nothing."""
    try:
        fact = run(client, run_id)
        if fact.status == "completed":
            return fact, f"run {run_id} ended: {fact.conclusion}   {fact.url}"
        if fact.status == "waiting":
            return fact, f"run {run_id} waits for {_reviewers(client, run_id)}   {fact.url}"
        return fact, f"run {run_id} {_working(jobs(client, run_id, fact.attempt)) or fact.status.replace('_', ' ')}"
    except Fault as error:
        return None, f"run {run_id} goes on as far as anybody knows; {error.reason}"


def _reviewers(client: Client, run_id: int) -> str:
    """Whom the waiting jobs wait for."""
    found = client.ask(endpoints.PENDING, run_id=run_id)
    gates = [f"{each['environment']['name']} ({_people(each.get('reviewers') or [])})" for each in found or []]
    return f"a review of {' and '.join(gates)}" if gates else "a rule of its environment"


def _people(reviewers: list[dict[str, Any]]) -> str:
    names = [each["reviewer"]["login"] if each["type"] == "User" else f"team {each['reviewer']['slug']}" for each in reviewers]
    return " or ".join(names) or "a timer or a rule"


def _working(found: tuple[JobFact, ...]) -> str:
    """Return what is being done, and what waits for a runner."""
    lines = [f"does {job.name}{f' on {job.runner_name}' * bool(job.runner_name)}" for job in found if job.status == "in_progress"]
    lines += [f"waits for label {', '.join(job.labels)} ({job.name})" for job in found if job.status == "queued"]
    return "; ".join(lines)


# --------------------------------------------------------------------------------------------- what it came to


def _result(data: bytes | None) -> Result | None:
    try:
        return read_document(Result, data or b"")
    except JsonError:
        return None


def _of_another(result: Result, fact: RunFact, decision_id: str) -> list[str]:
    """A bundle can be whole and true, and of another run: anybody who can upload an artifact can upload that."""
    problems = []
    if result.run_id.partition("-")[0] != str(fact.run_id):
        problems.append(f"it is the evidence of run {result.run_id}")
    if decision_id and result.decision_id not in ("", decision_id):
        problems.append(f"it is about decision {result.decision_id}, not {decision_id}")
    return problems


def _report(client: Client, fact: RunFact) -> str:
    """Return how the job that uploads the evidence ended, in GitHub's word.

    It ends well whatever the outcome, but not where something was uploaded under the name of its evidence before, as whoever takes
    another job of the run can, nor where GitHub shows something else than the evidence tells. No other job is asked: those that stopped
    the run are red, and a caller's own may fail after a good recovery.
    """
    ends = {str(job.conclusion) for job in jobs_called(jobs(client, fact.run_id, fact.attempt), REPORT_JOB, HOSTED)}
    return ", ".join(sorted(ends)) or "no such job"


def _not_of_its_report(fact: RunFact, name: str, report: str, result: Result) -> Refusal:
    return Refusal(
        "evidence.report",
        "the report of the run does not stand behind its evidence",
        exit_code=Exit.EVIDENCE,
        found=f"{name} says {result.outcome}; GitHub's word on the job {REPORT_JOB} is {report}, on the run {fact.conclusion}",
        expected=f"a job {REPORT_JOB} that uploaded the evidence itself, and found nothing against it",
        fix=f"believe neither, and read that job of {fact.url}; what was done stands in the ledger: hyops-ci ledger show",
        docs="dispatch.md",
    )


def _never_began(client: Client, fact: RunFact) -> Refusal:
    """The caller's file says why, where anything does."""
    try:
        causes = explain_startup(read_workflow(file_at(client, fact.path, fact.sha), fact.path))
        found, fix = "; ".join(cause.line() for cause in causes), causes[0].fix if causes else ""
    except (Forbidden, NotFound) as error:
        found, fix = f"{fact.path} cannot be read here ({error.gate})", "give the token contents: read, or read it yourself"
    except Refusal as error:
        found, fix = f"{error.reason}: {error.found}", error.fix
    return Refusal(
        "dispatch.startup",
        "GitHub could not start the run: there are no jobs, and nothing happened",
        exit_code=Exit.USAGE,
        found=found or f"nothing wrong in {fact.path} at {fact.sha[:12]}; not known from here: {NOT_KNOWN}",
        expected="a workflow that grants what dispatch.yml needs",
        fix=f"{fix or 'read the line on top of the run'} ({fact.url})",
        docs="dispatch.md",
    )


def _no_evidence(fact: RunFact, found: str) -> Refusal:
    return Refusal(
        "evidence.missing",
        "the run ended and left no evidence",
        exit_code=Exit.EVIDENCE,
        found=found,
        expected="the artifact that every run of dispatch.yml leaves, refusals too",
        fix=f"read {fact.url}; what was done stands in the ledger: hyops-ci ledger show",
        docs="dispatch.md",
    )


def _does_not_verify(fact: RunFact, name: str, problems: list[str]) -> Refusal:
    return Refusal(
        "evidence.verify",
        "the evidence of the run does not verify",
        exit_code=Exit.EVIDENCE,
        found=f"{name}: {'; '.join(problems[:5])}",
        expected="a bundle of this run in which every byte is as it was sealed",
        fix=f"keep it; the digest that its host signed on the ledger is the true one: hyops-ci ledger show ({fact.url})",
        docs="evidence.md",
    )


def _too_late(client: Client, run_id: int, state: str, within: int, cancel_it: bool) -> Fault:
    done = "the run was cancelled" if cancel_it and cancel(client, run_id) else "the run goes on, nothing was cancelled"
    return Fault(
        "dispatch.deadline",
        f"the run has not ended in time; {done}",
        exit_code=Exit.UNAVAILABLE,
        found=state,
        expected=f"an end within {duration(within)}",
        fix=shell("follow it: gh run watch {} --repo {}", run_id, client.repository),
        docs="dispatch.md",
    )
