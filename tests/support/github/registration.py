"""Tokens that register and remove runners, and runners made for one job (JIT)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from tests.support.github.routing import Answer, Ask, Refused, route
from tests.support.github.runners import ORG, ORG_WRITE, REPO, WRITE, make_runner

if TYPE_CHECKING:
    from tests.support.github.accounts import Account
    from tests.support.github.repositories import Repository

HOUR = 3600


def _token(ask: Ask, kind: str) -> Answer:
    """Good for one hour."""
    token = f"A{kind}{ask.state.next_id():027d}"
    ask.state.runner_tokens.append(token)
    return Answer(201, {"token": token, "expires_at": ask.state.stamp(after=HOUR)})


def _just_in_time(ask: Ask, owner: Repository | Account) -> Answer:
    """409 for a name that is taken, 404 for a group that is not there."""
    body = ask.body
    if any(runner.name == body["name"] for runner in owner.runners):
        raise Refused(409, f"Already exists - A runner with the name {body['name']} already exists.")
    runner = make_runner(
        owner, body["name"], body["labels"], status="offline", ephemeral=True, os="unknown", group_id=body["runner_group_id"]
    )
    inside = {".runner": base64.b64encode(json.dumps({"AgentId": runner.id, "AgentName": runner.name}).encode()).decode()}
    encoded = base64.b64encode(json.dumps(inside).encode()).decode()
    return Answer(201, {"runner": runner.show(), "encoded_jit_config": encoded})


@route("POST", f"{REPO}/registration-token", WRITE)
def create_registration_token(ask: Ask) -> Answer:
    ask.repository  # noqa: B018 - 404 for a repository that is not there
    return _token(ask, "R")


@route("POST", f"{ORG}/registration-token", ORG_WRITE)
def create_organization_registration_token(ask: Ask) -> Answer:
    ask.organization  # noqa: B018
    return _token(ask, "R")


@route("POST", f"{REPO}/remove-token", WRITE)
def create_remove_token(ask: Ask) -> Answer:
    ask.repository  # noqa: B018
    return _token(ask, "D")


@route("POST", f"{ORG}/remove-token", ORG_WRITE)
def create_organization_remove_token(ask: Ask) -> Answer:
    ask.organization  # noqa: B018
    return _token(ask, "D")


@route("POST", f"{REPO}/generate-jitconfig", WRITE)
def generate_jit_config(ask: Ask) -> Answer:
    return _just_in_time(ask, ask.repository)


@route("POST", f"{ORG}/generate-jitconfig", ORG_WRITE)
def generate_organization_jit_config(ask: Ask) -> Answer:
    return _just_in_time(ask, ask.organization)
