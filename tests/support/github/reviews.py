"""Reviews of a run that waits at an environment: the history, and deciding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.github.accounts import Account
from tests.support.github.description import Json, example
from tests.support.github.environments import Environment
from tests.support.github.rendering import moved
from tests.support.github.routing import Answer, Ask, Refused, route

if TYPE_CHECKING:
    from tests.support.github.runs import Run

RUNS = "/repos/{owner}/{repo}/actions/runs/{run_id}"


@dataclass(eq=False)
class Review:
    """One entry of the review history. It has no time: GitHub gives none."""

    user: Account
    state: str
    comment: str
    environments: list[Environment]

    def show(self) -> Json:
        """As in the history."""
        shown = [environment.dated() for environment in self.environments]
        return {"state": self.state, "comment": self.comment, "environments": shown, "user": self.user.show()}


def waiting(run: Run) -> list[Environment]:
    """The environments that jobs of the latest attempt wait for."""
    names = {job.environment.lower() for job in run.jobs if job.status == "waiting" and job.environment}
    return [environment for name, environment in run.repository.environments.items() if name in names]


def decide(run: Run, review: Review) -> None:
    """Write it into the history; the jobs go on, or end in failure."""
    run.history.append(review)
    names = {environment.name.lower() for environment in review.environments}
    for job in run.jobs:
        if job.status == "waiting" and job.environment.lower() in names:
            if review.state == "approved":
                job.queue()
            else:
                job.finish("failure")


def may_review(run: Run, environment: Environment, login: str) -> bool:
    """A required reviewer, and not who started it where that is prevented."""
    own = login.lower() in {run.actor.login.lower(), run.attempt.triggering_actor.login.lower()}
    return environment.reviews(login) and not (environment.prevent_self_review and own)


def add_review(run: Run, user: Account | str, state: str, comment: str, environments: Sequence[str]) -> Review:
    """The body of `Run.review`. To plant what GitHub would not write, append a `Review` to `run.history`."""
    account = user if isinstance(user, Account) else run.repository.state.account(user)
    chosen = [run.repository.environments[name.lower()] for name in environments] or waiting(run)
    for environment in chosen:
        if not may_review(run, environment, account.login):
            raise ValueError(f"{account.login} may not review {environment.name} for run {run.id}")
    if not chosen:
        raise ValueError(f"run {run.id} waits for nothing")
    review = Review(account, state, comment, chosen)
    decide(run, review)
    return review


@route("GET", f"{RUNS}/approvals", "actions: read")
def list_reviews(ask: Ask) -> Answer:
    return Answer(200, [review.show() for review in ask.run.history])


@route("GET", f"{RUNS}/pending_deployments", "actions: read")
def list_pending(ask: Ask) -> Answer:
    run = ask.run
    pending: list[Json] = []
    for environment in waiting(run):
        clock = {"wait_timer": environment.wait_timer, "wait_timer_started_at": run.attempt.started_at}
        can = may_review(run, environment, ask.token.actor)
        pending.append(
            {"environment": environment.brief(), "current_user_can_approve": can, "reviewers": environment.show_reviewers()} | clock
        )
    return Answer(200, pending)


@route("POST", f"{RUNS}/pending_deployments", "deployments: write")
def review_pending(ask: Ask) -> Answer:
    """By a person: an App may not (`enabledForGitHubApps: false` in the description)."""
    if not ask.token.personal:
        raise Refused(403, "Resource not accessible by integration")
    run, wanted = ask.run, ask.body["environment_ids"]
    chosen = [environment for environment in waiting(run) if environment.id in wanted]
    if len(chosen) != len(set(wanted)):
        raise Refused(422, "Validation Failed", [{"resource": "Environment", "code": "invalid", "field": "environment_ids"}])
    if not all(may_review(run, environment, ask.token.actor) for environment in chosen):
        raise Refused(422, "Validation Failed", [{"resource": "Environment", "code": "custom", "field": "reviewer"}])
    decide(run, Review(ask.state.account(ask.token.actor), ask.body["state"], ask.body["comment"], chosen))
    deployments = []
    for environment in chosen:
        seed = example("POST", f"{RUNS}/pending_deployments")[0]
        seed |= {"id": ask.state.next_id(), "sha": run.sha, "ref": run.branch, "environment": environment.name, "creator": run.actor.show()}
        deployments.append(moved(seed, ask.state.url, repository=run.repository.full_name))
    return Answer(200, deployments)
