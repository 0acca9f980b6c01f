"""What GitHub knows of a run and its surroundings, in the form in which stages hand it on (docs/design/workflows.md 2 and 6)."""

from collections.abc import Collection, Iterable
from typing import Literal

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.base import Count, Model, Utc

JobStatus = Literal["queued", "in_progress", "completed", "waiting", "requested", "pending"]
"""`queued`: wants a runner. `waiting`: for a review, a timer or a rule. `pending`: for a concurrency slot."""


def same_environment(one: str, other: str) -> bool:
    """Return whether two names are those of one environment: GitHub compares them without case, and has one of them at most.

    Of the letters A to Z only: the sign of the kelvin is no k.
    """
    return one.encode().lower() == other.encode().lower()


class RunFact(Model):
    """One workflow run, at one attempt."""

    run_id: Count
    attempt: Count
    name: str = ""
    title: str = ""
    event: str
    status: str
    conclusion: str | None = None
    path: str
    """Of the caller's workflow file, without its ref."""
    sha: str
    branch: str = ""
    actor: Person
    actor_is_bot: bool = False
    triggering_actor: Person
    triggering_actor_is_bot: bool = False
    created_at: Utc
    started_at: str
    url: str
    repository_id: Count
    repository: str
    referenced: tuple[tuple[str, str], ...] = ()
    """(path@ref, sha) of each reusable workflow in the run."""


class ScheduleFact(Model):
    """What GitHub made of a workflow's schedule."""

    file: str
    state: str
    """`active`, or why GitHub starts it no more: `disabled_inactivity`, `disabled_manually` and the like."""
    since: Utc
    """When the workflow last changed: before that nothing was due."""
    runs: tuple[Utc, ...] = ()
    """When its newest scheduled runs began, newest first."""


class JobFact(Model):
    """One job of one attempt of a run."""

    id: Count
    name: str
    attempt: Count
    status: JobStatus
    conclusion: str | None = None
    labels: tuple[str, ...] = ()
    runner_id: Count = 0
    """0 while no runner has it."""
    runner_name: str = ""
    runner_group: str = ""
    created_at: str = ""
    started_at: str = ""
    completed_at: str = ""
    url: str = ""

    def is_called(self, name: str) -> bool:
        """Return whether a workflow gives the job this name. GitHub prefixes the calling job's: `dr / Report`."""
        return self.name == name or self.name.endswith(f" / {name}")


def jobs_called(jobs: Iterable[JobFact], name: str, labels: Collection[str]) -> tuple[JobFact, ...]:
    """Return the jobs that a workflow gives this name; of several, those that ask for exactly these labels, where there is such a one.

    Our own names hold no input. A job of the caller's may: it then has any name, and still not the labels of the plan's runner.
    """
    found = tuple(job for job in jobs if job.is_called(name))
    wanted = {label.casefold() for label in labels}
    ours = tuple(job for job in found if {label.casefold() for label in job.labels} == wanted)
    return ours if len(found) > 1 and ours else found


class ReviewFact(Model):
    """One answer in a run's review history. GitHub gives it no time (docs/design/github.md 2)."""

    state: Literal["approved", "rejected", "pending"]
    person: Person
    bot: bool = False
    comment: str = ""
    environments: tuple[str, ...]


class RunnerFact(Model):
    """One self-hosted runner, as its registration says."""

    id: Count
    name: str
    online: bool
    busy: bool
    labels: tuple[str, ...]
    scope: Literal["repository", "organization"]
    group: str = ""
    version: str = ""
    """Of the agent; empty where GitHub does not say."""
    ephemeral: bool = False


class ArtifactFact(Model):
    """One artifact of a run."""

    id: Count
    name: str
    size: Count
    sha256: str = ""
    """`sha256:<hex>` of the zip, or empty."""
    expired: bool = False


class RepositoryFact(Model):
    """One repository. `private` is true for an internal one too: neither is public."""

    id: Count
    name: str
    """owner/name, as GitHub spells it now."""
    owner_id: Count
    owner_kind: Literal["User", "Organization"]
    private: bool
    default_branch: str
