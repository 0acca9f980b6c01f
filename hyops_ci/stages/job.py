"""The job that a stage runs in, as GitHub or a shell describes it, and the names of the jobs of dispatch.yml."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from hyops_ci.contracts.base import RunId, moment
from hyops_ci.contracts.github_facts import JobFact, jobs_called
from hyops_ci.contracts.plan import Plan
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.documents import json_object


@dataclass(frozen=True)
class Job:
    """One job of one run. Facts that are absent are empty; outside class `lab` gates refuse the ones that matter."""

    run_id: RunId
    attempt: int = 1
    on_github: bool = False
    repository: str = ""
    repository_id: int = 0
    actor: str = ""
    actor_id: int = 0
    triggering_actor: str = ""
    event: str = ""
    ref: str = ""
    ref_protected: bool = False
    default_branch: str = ""
    sha: str = ""
    server_url: str = ""
    workflow_ref: str = ""
    workflow_sha: str = ""
    runner_name: str = ""
    runner_environment: str = ""
    step_debug: bool = False
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def run_number(self) -> int:
        """GitHub's number of the run, without the attempt. Raises ValueError in a shell."""
        return int(self.run_id.partition("-")[0])

    @property
    def url(self) -> str:
        """Page of this run, or empty in a shell."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_number}" if self.on_github else ""

    @property
    def on_default_branch(self) -> bool:
        """Whether it was started on the default branch, whose files are reviewed."""
        return bool(self.default_branch) and self.ref == f"refs/heads/{self.default_branch}"

    @property
    def requesters(self) -> tuple[tuple[str, int], ...]:
        """The people who asked, as (login, id): none of them may approve."""
        people = {self.actor: self.actor_id} if self.actor else {}
        if self.triggering_actor:
            people.setdefault(self.triggering_actor, 0)
        return tuple(people.items())


def check_job_name(plan: Plan, resumes: int = 0) -> str:
    """Return the name that dispatch.yml gives the job that checks `plan`. It says which run is resumed: GitHub keeps it for later runs."""
    return f"Check {plan.runner_ref} ({f'resume {resumes}' if resumes else 'changes nothing'})"


def resumed_by(jobs: Iterable[JobFact]) -> tuple[int, ...]:
    """Return the numbers of the runs that a run with these jobs says it resumes: of ours there is at most one.

    The plan wrote it, which runs on a machine of GitHub's: what took the check has no say in its name.
    """
    named = (re.fullmatch(r"(?:.* / )?Check \S+ \(resume ([1-9][0-9]{0,17})\)", job.name) for job in jobs)
    return tuple(sorted({int(found[1]) for found in named if found}))


BOOTSTRAP_JOB: Final = "Make the runner"
"""What dispatch.yml calls the job that makes a missing runner."""


def waited_for_runner(jobs: tuple[JobFact, ...], plan: Plan) -> int | None:
    """Return the seconds that the check was in the queue, where a job made or repaired its runner meanwhile; None for almost every run."""
    about, check = plan.bootstrap, check_job(jobs, plan)
    making = only_job(jobs, BOOTSTRAP_JOB, about.runs_on) if about is not None else None
    if making is None or not making.runner_name or check is None or not (check.created_at and check.started_at):
        return None
    return max(0, round((moment(check.started_at) - moment(check.created_at)).total_seconds()))


def check_job(jobs: tuple[JobFact, ...], plan: Plan) -> JobFact | None:
    """Return the job that checked `plan`, in a run of its own or one that resumes another; None where there is none, or more than one."""
    found = [only_job(jobs, check_job_name(plan, number), plan.runs_on) for number in (0, *resumed_by(jobs))]
    there = [job for job in found if job is not None]
    return there[0] if len(there) == 1 else None


def only_job(jobs: tuple[JobFact, ...], name: str, labels: Collection[str]) -> JobFact | None:
    """Return the job of this name, for a runner with these labels; None where there is none, or more than one."""
    fits = jobs_called(jobs, name, labels)
    return fits[0] if len(fits) == 1 else None


REPORT_JOB: Final = "Report"
"""What dispatch.yml calls the job that uploads the evidence."""
HOSTED: Final = ("ubuntu-latest",)
"""Labels of the machines of GitHub's on which dispatch.yml plans, watches and reports."""
DRILL_JOB: Final = "Drill"
"""First word of the name of the job that carries out a drill: a real run that finds its runner busy with one ends it."""


def execute_job_name(plan: Plan) -> str:
    """Return the name that dispatch.yml gives the job that carries out `plan`.

    No name of a job holds an input of the run, and with the calling job's before it each is shorter than the 100 characters that GitHub
    keeps.
    """
    if plan.settles is not None:
        return f"Settle {plan.settles.serves}, plan {plan.digest()[7:15]}"
    word = DRILL_JOB if plan.exercise else "Recover"
    return f"{word} at {plan.target_site}, plan {plan.digest()[7:15]}"


def is_dispatch(workflow: str) -> bool:
    """Return whether a reusable workflow of a run, `<owner>/<repository>/.github/workflows/<file>@<ref>`, is dispatch.yml."""
    return workflow.partition("@")[0].endswith("/.github/workflows/dispatch.yml")


def is_drill_job(job: JobFact) -> bool:
    """Return whether a job carries out a drill, by the name that `execute_job_name` gives it."""
    return re.fullmatch(rf"(?:.* / )?{DRILL_JOB} at \S+, plan [0-9a-f]{{8}}", job.name) is not None


def local_job(now: datetime, user: str, environ: Mapping[str, str]) -> Job:
    """Return a job in a shell: rehearsal, or break-glass with GitHub down."""
    return Job(run_id=f"local-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}", actor=user, triggering_actor=user, environ=environ)


def read_job(environ: Mapping[str, str]) -> Job:
    """Return the job that GitHub describes in the environment. Raises Refusal (exit 2) outside a GitHub job."""
    if environ.get("GITHUB_ACTIONS") != "true":
        raise Refusal(
            "job.environment",
            "this command runs inside a GitHub job",
            exit_code=Exit.USAGE,
            found="GITHUB_ACTIONS is not set",
            expected="a step of a workflow",
            fix="in a shell use `hyops-ci rehearse` to try, or `hyops-ci run` on the runner with GitHub down",
        )
    number, attempt = environ.get("GITHUB_RUN_ID", ""), environ.get("GITHUB_RUN_ATTEMPT", "1")
    if not (number.isdigit() and attempt.isdigit()):
        raise Refusal(
            "job.run-id",
            "GitHub gave no run id",
            exit_code=Exit.USAGE,
            found=f"GITHUB_RUN_ID={number!r}",
            expected="digits",
            fix="leave GITHUB_RUN_ID and GITHUB_RUN_ATTEMPT of the job as the runner sets them",
        )
    event = _event(environ.get("GITHUB_EVENT_PATH", ""))
    repository = event.get("repository")
    default_branch = repository.get("default_branch", "") if isinstance(repository, dict) else ""
    return Job(
        run_id=f"{number}-{attempt}",
        attempt=int(attempt),
        on_github=True,
        repository=environ.get("GITHUB_REPOSITORY", ""),
        repository_id=_number(environ.get("GITHUB_REPOSITORY_ID", "")),
        actor=environ.get("GITHUB_ACTOR", ""),
        actor_id=_number(environ.get("GITHUB_ACTOR_ID", "")),
        triggering_actor=environ.get("GITHUB_TRIGGERING_ACTOR", ""),
        event=environ.get("GITHUB_EVENT_NAME", ""),
        ref=environ.get("GITHUB_REF", ""),
        ref_protected=environ.get("GITHUB_REF_PROTECTED") == "true",
        default_branch=default_branch if isinstance(default_branch, str) else "",
        sha=environ.get("GITHUB_SHA", ""),
        server_url=environ.get("GITHUB_SERVER_URL", "https://github.com"),
        workflow_ref=environ.get("GITHUB_WORKFLOW_REF", ""),
        workflow_sha=environ.get("GITHUB_WORKFLOW_SHA", ""),
        runner_name=environ.get("RUNNER_NAME", ""),
        runner_environment=environ.get("RUNNER_ENVIRONMENT", ""),
        step_debug=environ.get("RUNNER_DEBUG") == "1" or environ.get("ACTIONS_STEP_DEBUG") == "true",
        environ=environ,
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _event(path: str) -> dict[str, object]:
    try:
        return (json_object(Path(path).read_bytes()) if path else None) or {}
    except OSError:
        return {}
