"""GitHub behind a run of act: the fake, kept true to what act does with the jobs, and to what people answer meanwhile.

act knows no environments, reviews or queue. So each line that it prints moves the fake's run on: a job that begins is taken
by the runner, one that ends is finished, and at the end of `check` the approval gate opens, or whoever is asked says no.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hyops_ci.stages.job import BOOTSTRAP_JOB, REPORT_JOB
from tests.support.github.fixture import judge
from tests.support.github.jobs import Job
from tests.support.github.repositories import Repository
from tests.support.github.reviews import Review, decide
from tests.support.github.runners import Runner
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub, start_github
from tests.support.github.tokens import Token
from tests.support.github.workflows import Workflow
from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA

CALLER = "acme/recovery"
PEOPLE = {"maria": 1001, "jonas": 1002, "priya": 1003}
GATE, CHECK_GATE, BOOTSTRAP_GATE = "dr-lab", "dr-check", "dr-bootstrap"
CALLED = f"hybridops/dr-dispatch/.github/workflows/dispatch.yml@{WORKFLOW_SHA}"
JOB = "dr"
"""The caller's job; GitHub puts its name before those of the jobs it calls."""
RUNNER = "dr-runner-01"
SELF_HOSTED = ("check", "execute")
ACTIONS_TOKEN = {"actions": "write", "contents": "write", "metadata": "read"}


@dataclass
class Control:
    """GitHub as the caller's jobs meet it."""

    fake: FakeGitHub
    repository: Repository
    workflow: Workflow
    answer: tuple[str, str] | None = None
    """(login, approved or rejected): what somebody says at the approval gate when the check is done."""
    after_answer: Callable[[], object] = lambda: None
    """What somebody does to the gate right after that."""
    runner: str = RUNNER
    """Who takes the jobs of the plan's runner; empty for nobody."""
    makes: tuple[str, str] | None = None
    """(login, approved or rejected): what somebody says at the gate of the job that makes a missing runner."""
    late: bool = False
    """Whether a job is taken only when act begins it, so that the watch sees it in the queue first."""
    opened: Callable[[Run], object] = lambda run: None
    """What is there of a run before its first job begins."""
    run: Run | None = None
    titles: dict[str, str] = field(default_factory=dict)
    caller_job: str = JOB
    """What GitHub puts before the names of the jobs of dispatch.yml."""
    queue: list[tuple[Job, Runner]] = field(default_factory=list)
    """Jobs that wait for a runner which is at work for another run."""
    cancelled: bool = False
    """Whether somebody cancelled the run: GitHub says so of the job at work, where act knows only that it failed."""

    def beside(self, **changes: Any) -> Control:
        """The same GitHub, for a run that is carried out at the same time."""
        return replace(self, run=None, titles={}, cancelled=False, **changes)

    def guard(self, *reviewers: str) -> None:
        """Make the approval gate hold its jobs until one of these reviews."""
        gate = self.repository.environments[GATE]
        gate.reviewers, gate.prevent_self_review = [self.fake.account(login) for login in reviewers], True

    def open_run(self, number: int, actor: str, title: str, inputs: Mapping[str, str], event: str = "workflow_dispatch") -> Run:
        """The run that act is about to carry out."""
        run = self.repository.add_run(self.workflow, number=number, actor=actor, title=title, inputs=dict(inputs), event=event)
        self.begin(run)
        return run

    def begin(self, run: Run) -> None:
        """act carries out this run from now on."""
        self.run, self.titles, self.cancelled = run, {}, False
        run.referenced = [(CALLED, WORKFLOW_SHA)]
        run.add_job(f"{self.caller_job} / Plan", ["ubuntu-latest"]).take()
        self.opened(run)

    def gates(self) -> dict[str, str]:
        """Job -> the environment that the run's plan named for it, as far as it has."""
        named = {"check": "check_gate", "execute": "gate", "ensure-runner": "bootstrap_gate"}
        return {job: self.titles[output] for job, output in named.items() if output in self.titles}

    def saw(self, entry: Mapping[str, Any]) -> None:
        """One line of act."""
        job = str(entry.get("jobID") or "")
        if entry.get("command") == "set-output" and job == "plan":
            self._planned(str(entry["name"]), str(entry["arg"]))
        if entry.get("command") == "set-output" and job == "check" and entry["name"] == "ready" and entry["arg"] == "true":
            self._ask()
        if entry.get("command") == "set-output" and job == "watch-check" and (entry["name"], entry["arg"]) == ("verdict", "missing"):
            self._may_be_made()
        if job == "ensure-runner" and "jobResult" in entry and (making := self._making()) is not None and making.status != "completed":
            making.finish(str(entry["jobResult"]))
        if job == "conclude" and "jobResult" in entry and self.run is not None:
            name = f"{self.caller_job} / {REPORT_JOB}"
            if not any(known.name == name for known in self.run.jobs):
                self.run.add_job(name, ["ubuntu-latest"]).finish(str(entry["jobResult"]))
        if job in SELF_HOSTED and (found := self.job(job)) is not None:
            if entry.get("stage") == "Main":
                self._take(found)
            if "jobResult" in entry and found.status != "completed":
                found.finish("cancelled" if self.cancelled else str(entry["jobResult"]))
                self._freed(found.runner)

    def job(self, name: str) -> Job | None:
        """A job of the run that is carried out, by what dispatch.yml calls it."""
        title = self.titles.get("check_title" if name == "check" else "title", "")
        return next((job for job in self.run.jobs if title and job.name == f"{self.caller_job} / {title}"), None) if self.run else None

    def keep_artifacts(self, folder: Path) -> None:
        """What act's artifact server was given is there for later runs, too."""
        assert self.run is not None
        for packed in folder.glob("*/*/*.zip"):
            with zipfile.ZipFile(packed) as archive:
                self.run.add_artifact(packed.parent.name, {name: archive.read(name) for name in archive.namelist()})

    def _planned(self, name: str, value: str) -> None:
        if name in self.titles or not value:
            return
        self.titles[name] = value
        if name in ("check_title", "runs_on") and {"check_title", "runs_on"} <= set(self.titles) and self.run is not None:
            self._came(self.run.add_job(f"{self.caller_job} / {self.titles['check_title']}", self._labels(), environment=CHECK_GATE))

    def _ask(self) -> None:
        if self.run is None or "asked" in self.titles:  # a composite's output is printed once for each step that hands it on
            return
        self.titles["asked"] = "once"
        asked = self.run.add_job(f"{self.caller_job} / {self.titles['title']}", self._labels(), environment=self.titles["gate"])
        if self.answer is not None:
            login, said = self.answer
            gate = self.repository.environments[self.titles["gate"]]
            # As GitHub writes it, or as nobody could make it write: what it lets through is judged here.
            decide(self.run, Review(self.fake.account(login), said, "seen", [gate]))
        self.after_answer()
        self._came(asked)

    def _may_be_made(self) -> None:
        """The job that makes the runner waits for its review, which somebody gives; then it is taken."""
        if self.run is None or "bootstrap_runs_on" not in self.titles or self._making() is not None:
            return
        labels = json.loads(self.titles["bootstrap_runs_on"])
        making = self.run.add_job(f"{self.caller_job} / {BOOTSTRAP_JOB}", labels, environment=BOOTSTRAP_GATE)
        if self.makes is not None:
            login, said = self.makes
            decide(self.run, Review(self.fake.account(login), said, "seen", [self.repository.environments[BOOTSTRAP_GATE]]))
            making.take(self.repository.add_runner("mgmt-runner-01", labels[1:], id=None) if "self-hosted" in labels else hosted(making))

    def _making(self) -> Job | None:
        name = f"{self.caller_job} / {BOOTSTRAP_JOB}"
        return next((job for job in self.run.jobs if job.name == name), None) if self.run else None

    def taken_by(self, runner: Any) -> None:
        """A runner that came takes the check that waits."""
        if (waiting := self.job("check")) is not None and waiting.status == "queued":
            waiting.take(runner)

    def _labels(self) -> list[str]:
        return list(json.loads(self.titles["runs_on"]))

    def _came(self, job: Job) -> None:
        """A job is there; the runner is idle and takes it, if nothing holds it."""
        if not self.late:
            self._take(job)

    def _take(self, job: Job) -> None:
        if job.status != "queued" or not self.runner:
            return
        runner = self._runner()
        if self._at_work_elsewhere(runner):
            self.queue.append((job, runner))
        else:
            job.take(runner)

    def _at_work_elsewhere(self, runner: Runner) -> bool:
        jobs = (job for run in list(self.repository.runs.values()) if run is not self.run for job in run.jobs)
        return any(job.runner is runner and job.status == "in_progress" for job in jobs)

    def _freed(self, runner: Runner | None) -> None:
        """A runner has nothing to do any more: it takes what waits for it, one job."""
        for job, wanted in self.queue:
            if wanted is runner and job.status == "queued":
                job.take(wanted)
                return

    def _runner(self) -> Any:
        known = {runner.name: runner for runner in self.repository.runners}
        return known.get(self.runner) or self.repository.add_runner(self.runner, self._labels())


def hosted(job: Job) -> Runner:
    """One of GitHub's own machines, which no list of runners shows."""
    return Runner(job.run.repository, 1000000001, "GitHub Actions 2", [], read_only=(), group_id=0, group_name="GitHub Actions")


@contextmanager
def serve_control(token: str, workflow: str) -> Iterator[Control]:
    """GitHub with the caller's repository: a protected branch, a gate that holds nobody yet, a job token. Judged on leaving."""
    with start_github() as fake:
        for login, number in PEOPLE.items():
            fake.add_user(login, number=number)
        fake.add_organization("acme", number=int(GITHUB_CLAIMS["repository_owner_id"]))
        repository = fake.add_repository(CALLER, private=True, plan="enterprise", number=int(GITHUB_CLAIMS["repository_id"]))
        found = repository.add_workflow(".github/workflows/dr.yml", workflow)
        repository.protect()
        repository.add_environment(GATE, branches="protected")
        repository.add_environment(CHECK_GATE, branches="protected")
        fake.tokens[token] = Token(token, "github-actions[bot]", ACTIONS_TOKEN, None, fake.now() + timedelta(days=1))
        fake.add_user("github-actions[bot]", number=41898282, kind="Bot")
        yield Control(fake, repository, found)
    judge(fake)
