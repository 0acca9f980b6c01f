"""The pytest fixture: `from tests.support.github.fixture import github_fake` in a conftest.py, or in a test module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.github.server import FakeGitHub, start_github


@pytest.fixture
def github_fake() -> Iterator[FakeGitHub]:
    """A fake with nothing in it. The test fails when the client broke GitHub's description."""
    with start_github() as fake:
        yield fake
    judge(fake)


def judge(fake: FakeGitHub) -> None:
    """Fail the test when its client, or the fake, broke the description."""
    if fake.violations:
        pytest.fail("GitHub's description is violated:\n" + "\n".join(fake.violations), pytrace=False)
