"""What the tests of the fake GitHub share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.github.caller import Caller
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]

WORKFLOW = """
name: DR
on:
  workflow_dispatch:
    inputs:
      decision: {required: true}
      mode: {default: plan, type: choice, options: [plan, run]}
  repository_dispatch:
    types: [dr-decision]
"""


@pytest.fixture
def recovery(github_fake: FakeGitHub) -> Repository:
    """A private repository of an enterprise with a workflow, and the people maria (1001), noor (1002) and eve (1003)."""
    for number, login in enumerate(("maria", "noor", "eve"), 1001):
        github_fake.add_user(login, number=number)
    made = github_fake.add_repository("acme/recovery", private=True, number=4242)
    made.add_workflow(".github/workflows/dr.yml", WORKFLOW)
    return made


@pytest.fixture
def call(github_fake: FakeGitHub, recovery: Repository) -> Iterator[Caller]:
    """A caller that may do everything in `recovery`, as a job would."""
    granted = ("actions: write", "contents: write", "administration: write", "deployments: write", "members: read")
    caller = Caller(github_fake, github_fake.add_token(*granted, "organization_self_hosted_runners: write"))
    yield caller
    caller.session.close()
