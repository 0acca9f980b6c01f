"""Which agents get jobs, and until when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import Forbidden
from hyops_ci.github.runner_versions import Schedule, objection, older, schedule, warning
from tests.support.github.fixture import github_fake
from tests.support.github.runners import RunnerVersion
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def connect(fake: FakeGitHub, *permissions: str) -> Client:
    fake.add_repository("acme/shop")
    token = fake.add_token(*permissions, actor="maria")
    return Client.connect("acme/shop", token=token, api_url=fake.url, sleep=lambda _: None)


def test_githubs_schedule(github_fake: FakeGitHub) -> None:
    github_fake.runner_versions = {
        "2.336.0": RunnerVersion("2.336.0", "2026-11-05T08:04:55Z"),
        "2.337.0": RunnerVersion("2.337.0"),
    }
    client = connect(github_fake, "administration: read")
    assert schedule(client, "2.336.0") == Schedule(version="2.336.0", runtime_ends="2026-11-05T08:04:55Z")
    assert schedule(client, "2.337.0") == Schedule(version="2.337.0")
    assert schedule(client, "9.9.9") is None
    assert schedule(client, "../../x") is None
    assert client.calls == 3, "what is no version is not asked for"


def test_without_the_permission(github_fake: FakeGitHub) -> None:
    with pytest.raises(Forbidden) as refused:
        schedule(connect(github_fake, "actions: read"), "2.336.0")
    assert "administration: read" in refused.value.expected


@pytest.mark.parametrize(
    ("version", "than", "answer"),
    [
        ("2.328.9", "2.329.0", True),
        ("2.329.0", "2.329.0", False),
        ("2.1000.0", "2.329.0", False),
        ("v2.336.0", "2.336.0", False),
        ("", "2.329.0", None),
        ("2.336", "2.329.0", None),
        ("2.336.0-beta", "2.329.0", None),
    ],
)
def test_older(version: str, than: str, answer: bool | None) -> None:
    assert older(version, than) is answer


@pytest.mark.parametrize(
    ("version", "ends", "words"),
    [
        ("2.328.0", None, "below 2.329.0, the oldest that GitHub registers"),
        ("2.335.1", None, "below 2.336.0, the first that knows `uses: $/...`"),
        ("2.336.0", "2026-10-31T00:00:00Z", "gets no jobs since 2026-10-31T00:00:00Z"),
        ("2.336.0", "2026-11-05T08:04:55Z", ""),
        ("2.337.0", None, ""),
        ("", None, ""),
    ],
)
def test_objection(version: str, ends: str | None, words: str) -> None:
    said = objection(version, Schedule(version=version, runtime_ends=ends), NOW)
    assert words in said
    assert bool(said) == bool(words)
    if ends is None:
        assert objection(version, None, NOW) == said, "an unknown schedule is no objection"


@pytest.mark.parametrize(
    ("runtime", "registration", "words"),
    [
        ("2026-11-30T00:00:00Z", None, "gets no jobs from 2026-11-30T00:00:00Z"),
        ("2026-12-02T00:00:00Z", None, ""),
        ("2026-10-30T00:00:00Z", None, ""),
        (None, "2026-11-10T00:00:00Z", "cannot be registered again from 2026-11-10T00:00:00Z"),
        (None, None, ""),
    ],
)
def test_warning(runtime: str | None, registration: str | None, words: str) -> None:
    said = warning("2.336.0", Schedule(version="2.336.0", runtime_ends=runtime, registration_ends=registration), NOW)
    assert words in said
    assert bool(said) == bool(words)
