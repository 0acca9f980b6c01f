"""Workflow runs, their attempts and jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from tests.support.github.accounts import Account
from tests.support.github.description import Json, example
from tests.support.github.jobs import Job, make_job
from tests.support.github.rendering import moved
from tests.support.github.reviews import Review, add_review
from tests.support.github.routing import Answer, Ask, Refused, not_found, route

if TYPE_CHECKING:
    from tests.support.github.artifacts import Artifact
    from tests.support.github.repositories import Repository
    from tests.support.github.workflows import Workflow

HOME = "/repos/{owner}/{repo}/actions/runs/{run_id}"
Reference = tuple[str, str]


class RunOptions(TypedDict, total=False):
    """What a run may be told; the rest is like a `workflow_dispatch` by `maria` on the default branch, queued."""

    number: int
    event: str
    actor: Account | str
    triggering_actor: Account | str
    branch: str
    sha: str
    title: str
    inputs: Json
    referenced: Sequence[Reference]
    """(path@ref, sha) of each reusable workflow that is called."""
    created_at: str


@dataclass(eq=False)
class Attempt:
    """One attempt of a run: who asked for it, and its jobs."""

    number: int
    triggering_actor: Account
    started_at: str
    jobs: list[Job] = field(default_factory=list)


@dataclass(eq=False)
class Run:
    """One workflow run. Its status follows its jobs until `finish`, or until `status` is set by hand."""

    repository: Repository = field(repr=False)
    id: int
    workflow_id: int
    name: str
    path: str
    number: int
    event: str
    actor: Account
    branch: str
    sha: str
    title: str
    created_at: str
    referenced: list[Reference]
    inputs: Json
    attempts: list[Attempt] = field(default_factory=list)
    history: list[Review] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    conclusion: str | None = None
    status_by_hand: str | None = None
    on_cancel: Callable[[Run], None] | None = field(default=None, repr=False)
    """Instead of ending the run at once, when somebody cancels it."""

    @property
    def attempt(self) -> Attempt:
        """The latest."""
        return self.attempts[-1]

    @property
    def jobs(self) -> list[Job]:
        """Of the latest attempt."""
        return self.attempt.jobs

    @property
    def status(self) -> str:
        """As GitHub derives it."""
        if self.conclusion:
            return "completed"
        if self.status_by_hand:
            return self.status_by_hand
        found = {job.status for job in self.jobs}
        return next((status for status in ("in_progress", "waiting", "queued", "pending") if status in found), "queued")

    @property
    def url(self) -> str:
        """In the API."""
        return f"{self.repository.url}/actions/runs/{self.id}"

    @property
    def page(self) -> str:
        """For people."""
        return f"{self.repository.page}/actions/runs/{self.id}"

    def add_job(self, name: str, labels: Sequence[str] = ("self-hosted",), *, status: str = "", environment: str = "") -> Job:
        """A job: queued, or `waiting` when its environment is gated. A missing environment is made, unprotected, as GitHub does."""
        return make_job(self, name, labels, status, environment)

    def review(self, user: Account | str, state: str = "approved", *, comment: str = "", environments: Sequence[str] = ()) -> Review:
        """Somebody reviews as in the browser: all waiting environments, or those named. ValueError where GitHub would not let them."""
        return add_review(self, user, state, comment, environments)

    def finish(self, conclusion: str = "success") -> None:
        """End it, and its jobs with it: those that did not end are cancelled."""
        for job in self.jobs:
            if job.status != "completed":
                job.finish("cancelled")
        self.conclusion = conclusion

    def fail_at_startup(self) -> None:
        """`startup_failure`: the workflow file asks for more than it is granted; there are no jobs."""
        self.attempt.jobs.clear()
        self.conclusion = "startup_failure"

    def rerun(self, actor: Account | str) -> Attempt:
        """Start another attempt; `actor` stays, `triggering_actor` is who asked."""
        self.conclusion = self.status_by_hand = None
        state = self.repository.state
        self.attempts.append(Attempt(len(self.attempts) + 1, account_of(self.repository, actor), state.stamp()))
        return self.attempt

    def add_artifact(self, name: str, files: dict[str, bytes], **changes: object) -> Artifact:
        """An uploaded artifact with these files; `changes` are fields of `Artifact` (expired, digest)."""
        from tests.support.github.artifacts import make_artifact

        return make_artifact(self, name, files, **changes)

    def show(self, attempt: Attempt | None = None) -> Json:
        """In full, as of its latest attempt, or of another."""
        shown_attempt = attempt or self.attempt
        number, later = shown_attempt.number, self.attempts[shown_attempt.number :]
        seed = example("GET", HOME)
        repository = self.repository.show()
        own = f"{self.url}/attempts/{number - 1}" if number > 1 else None
        shown: Json = moved(seed, self.repository.state.url, repository=self.repository.full_name)
        shown |= {"id": self.id, "name": self.name, "node_id": f"WFR_{self.id}", "head_branch": self.branch, "head_sha": self.sha}
        shown |= {"path": self.path, "run_number": self.number, "event": self.event, "display_title": self.title}
        shown |= {"status": "completed" if later else self.status, "conclusion": "failure" if later else self.conclusion}
        shown |= {"workflow_id": self.workflow_id, "url": self.url, "html_url": self.page, "pull_requests": []}
        shown |= {"created_at": self.created_at, "updated_at": self.repository.state.stamp(), "run_started_at": shown_attempt.started_at}
        shown |= {"actor": self.actor.show(), "triggering_actor": shown_attempt.triggering_actor.show(), "run_attempt": number}
        shown |= {f"{part}_url": f"{self.url}/{part}" for part in ("jobs", "logs", "artifacts", "cancel", "rerun")}
        shown |= {"previous_attempt_url": own, "workflow_url": f"{self.repository.url}/actions/workflows/{self.workflow_id}"}
        shown |= {"referenced_workflows": [{"path": path, "sha": sha} for path, sha in self.referenced]}
        shown["head_commit"] |= {"id": self.sha}
        return shown | {"repository": repository, "head_repository": repository}


def make_run(repository: Repository, workflow: Workflow | str, options: RunOptions) -> Run:
    """The body of `Repository.add_run`."""
    path = workflow if isinstance(workflow, str) else workflow.path
    known = next((known for known in repository.workflows if known.path == path), None)
    branch = options.get("branch", repository.default_branch)
    actor = account_of(repository, options.get("actor", "maria"))
    created = options.get("created_at", repository.state.stamp())
    run = Run(
        repository,
        options.get("number") or repository.state.next_id(),
        known.id if known else 1,
        known.name if known else path,
        path,
        len(repository.runs) + 1,
        options.get("event", "workflow_dispatch"),
        actor,
        branch,
        options.get("sha") or (repository.branches[branch].sha if branch in repository.branches else repository.head),
        options.get("title", known.name if known else path),
        created,
        list(options.get("referenced", ())),
        options.get("inputs", {}),
    )
    run.attempts.append(Attempt(1, account_of(repository, options.get("triggering_actor", actor)), created))
    repository.runs[run.id] = run
    return run


def account_of(repository: Repository, who: Account | str) -> Account:
    if isinstance(who, Account):
        return who
    return repository.state.accounts.get(who.lower()) or repository.state.add_user(who, kind="Bot" if who.endswith("[bot]") else "User")


@route("GET", HOME, "actions: read")
def get_run(ask: Ask) -> Answer:
    return Answer(200, ask.run.show())


@route("GET", f"{HOME}/attempts/{{attempt_number}}", "actions: read")
def get_attempt(ask: Ask) -> Answer:
    run = ask.run
    if not 1 <= ask.number("attempt_number") <= len(run.attempts):
        raise not_found()
    return Answer(200, run.show(run.attempts[ask.number("attempt_number") - 1]))


@route("GET", "/repos/{owner}/{repo}/actions/runs", "actions: read")
def list_runs(ask: Ask) -> Answer:
    return page_of_runs(ask, list(ask.repository.runs.values()))


@route("POST", f"{HOME}/cancel", "actions: write")
def cancel(ask: Ask) -> Answer:
    run = ask.run
    if run.status == "completed":
        raise Refused(409, "Cannot cancel a workflow run that is completed.")
    if run.on_cancel:
        run.on_cancel(run)
    else:
        run.finish("cancelled")
    return Answer(202, {})


def page_of_runs(ask: Ask, runs: list[Run]) -> Answer:
    """Newest first, with the filters of the description."""
    query = ask.query
    tests: dict[str, Callable[[Run, str], bool]] = {
        "actor": lambda run, wanted: run.actor.login.lower() == wanted.lower(),
        "branch": lambda run, wanted: run.branch == wanted,
        "event": lambda run, wanted: run.event == wanted,
        "head_sha": lambda run, wanted: run.sha == wanted,
        "status": lambda run, wanted: wanted in {run.status, run.conclusion},
        "created": lambda run, wanted: _within(run.created_at, wanted),
    }
    for name, test in tests.items():
        if name in query:
            runs = [run for run in runs if test(run, query[name])]
    return ask.page(sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True), "workflow_runs", Run.show)


def _within(moment: str, wanted: str) -> bool:
    """GitHub's search syntax for dates: `>=X`, `<=X`, `>X`, `<X`, `X..Y` with `*` for open, or a day."""
    if ".." in wanted:
        low, high = wanted.split("..")
        return (low == "*" or moment >= low) and (high == "*" or moment[: len(high)] <= high)
    compare = {">=": moment.__ge__, "<=": moment.__le__, ">": moment.__gt__, "<": moment.__lt__}
    for sign, test in compare.items():
        if wanted.startswith(sign):
            return bool(test(wanted.removeprefix(sign)))
    return moment.startswith(wanted)
