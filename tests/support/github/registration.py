"""Tokens that register and remove runners."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.support.github.routing import REMOTE_AUTH, Answer, Ask, Refused, not_found, route
from tests.support.github.runners import ORG, ORG_WRITE, REPO, WRITE, Registrable, make_runner

if TYPE_CHECKING:
    from tests.support.github.accounts import Account
    from tests.support.github.repositories import Repository

HOUR = 3600
AGENTS_OWN = "https://github.com/actions/runner/blob/main/src/Runner.Common/RunnerDotcomServer.cs"
"""The agent's own call, which GitHub documents nowhere else."""


def _token(ask: Ask, kind: str, owner: Repository | Account) -> Answer:
    """Good for one hour."""
    token = f"A{kind}{ask.state.next_id():027d}"
    ask.state.runner_tokens.append(token)
    if kind == "R":
        ask.state.registrable[token] = Registrable(owner, ask.state.now() + timedelta(seconds=HOUR))
    return Answer(201, {"token": token, "expires_at": ask.state.stamp(after=HOUR)})


@route("POST", f"{REPO}/registration-token", WRITE)
def create_registration_token(ask: Ask) -> Answer:
    return _token(ask, "R", ask.repository)


@route("POST", f"{ORG}/registration-token", ORG_WRITE)
def create_organization_registration_token(ask: Ask) -> Answer:
    return _token(ask, "R", ask.organization)


@route("POST", f"{REPO}/remove-token", WRITE)
def create_remove_token(ask: Ask) -> Answer:
    return _token(ask, "D", ask.repository)


@route("POST", f"{ORG}/remove-token", ORG_WRITE)
def create_organization_remove_token(ask: Ask) -> Answer:
    return _token(ask, "D", ask.organization)


@route("POST", "/actions/runners/register", REMOTE_AUTH, documented=AGENTS_OWN)
def register_agent(ask: Ask) -> Answer:
    """An agent registers itself, as `config.sh` does: offline until it runs, and listed when GitHub gets to it (`State.listed_after`)."""
    body, state = ask.body, ask.state
    known = state.registrable.get(ask.token.secret)
    if known is None or known.until <= state.now():
        raise not_found()
    owner = known.owner
    if any(runner.name.casefold() == body["name"].casefold() for runner in owner.runners):
        raise Refused(409, f"Already exists - A runner with the name {body['name']} already exists.")
    labels = [each["name"] for each in body["labels"] if each.get("type", "custom").lower() != "system"]
    runner = make_runner(owner, body["name"], labels, status="offline", version=body["version"], group_id=body.get("group_id") or 1)
    runner.listed_from = state.now() + timedelta(seconds=state.listed_after)
    inside = {"authorization_url": f"{state.url}/token", "server_url": state.url, "client_id": str(runner.id)}
    return Answer(201, {"id": runner.id, "name": runner.name, "authorization": inside})
