"""A lane's runner in one word, and what asking for it costs: eight calls at most, the App's login included."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hyops_ci.config.settings import LaneSettings
from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.github.api.client import AppKey, Client
from hyops_ci.github.runner_versions import Schedule
from hyops_ci.github.runners import LaneRunners
from hyops_ci.stages.watch.queue import Presence
from hyops_ci.stages.watch.runner_status import best_of, runner_status
from tests.support.clock import START
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
LABELS = ("self-hosted", "gcp-ops-runner")
PLAN_BUDGET = 8


def lane(*names: str) -> LaneSettings:
    return LaneSettings("gcp", True, "gcp-ops-runner", LABELS, names, "gcp", "gcp-ops-runner")


def runner(name: str, *, online: bool = True, busy: bool = False, version: str = "2.336.0", labels: tuple[str, ...] = LABELS) -> RunnerFact:
    return RunnerFact(id=len(name), name=name, online=online, busy=busy, labels=labels, scope="repository", version=version)


OFF, WORKING, OLD = runner("off", online=False), runner("working", busy=True), runner("old-one", version="2.320.0")
ENDED = Schedule(version="2.336.0", runtime_ends="2026-11-05T08:04:55Z")


@pytest.mark.parametrize(
    ("found", "presence", "words"),
    [
        (LaneRunners(runners=(OFF, WORKING, OLD, runner("free"))), Presence.ONLINE, "free is idle"),
        (LaneRunners(runners=(OFF, WORKING, OLD)), Presence.BUSY, "working is busy"),
        (LaneRunners(runners=(OFF, OLD)), Presence.OFFLINE, "off is offline"),
        (
            LaneRunners(runners=(OLD,)),
            Presence.OUTDATED,
            "old-one is online, but agent 2.320.0 is below 2.329.0, the oldest that GitHub registers",
        ),
        (LaneRunners(runners=(runner("unsaid", version=""),)), Presence.ONLINE, "unsaid is idle"),
        (
            LaneRunners(runners=(runner("a", labels=("self-hosted",)),), named=True),
            Presence.ABSENT,
            "a is without the label gcp-ops-runner",
        ),
        (LaneRunners(unseen_names=("a", "b"), named=True), Presence.ABSENT, "GitHub shows no runner a or b"),
        (LaneRunners(), Presence.ABSENT, "GitHub shows no runner with these labels"),
        (
            LaneRunners(unseen_names=("a",), named=True, not_known=("first 1 of 2 looked at",)),
            Presence.UNKNOWN,
            "not known: first 1 of 2 looked at",
        ),
    ],
)
def test_the_best_of_a_lanes_runners(found: LaneRunners, presence: Presence, words: str) -> None:
    seen = best_of(found, LABELS, (), START)
    assert (seen.presence, seen.words) == (presence, words)


def test_an_agent_past_its_date() -> None:
    assert best_of(LaneRunners(runners=(runner("free"),)), LABELS, (ENDED,), START).presence is Presence.OUTDATED


@pytest.mark.parametrize("names", [(), ("gcp-ops-runner-01",), ("nobody",), tuple(f"ops-{number}" for number in range(50))], ids=len)
def test_ten_thousand_runners_and_an_app(names: tuple[str, ...], github_fake: FakeGitHub) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    repository = github_fake.add_repository("acme/shop", private=True)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    rights = {"administration": "read", "organization_self_hosted_runners": "read", "metadata": "read"}
    github_fake.add_app(public, number=31, permissions=rights).install(repository.owner)
    repository.add_runner("a-first", ["gcp-ops-runner"], version="2.336.0")
    for number in range(10_000):
        repository.add_runner(f"build-{number:05}", ["build"])
        repository.owner.add_runner(f"pool-{number:05}", ["pool"])
    repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"])
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    client = Client.connect("acme/shop", app=AppKey("31", pem), api_url=github_fake.url)
    seen = runner_status(lane(*names), client, START, "acme")
    assert len(github_fake.calls) <= PLAN_BUDGET
    assert seen.presence is (Presence.ONLINE if not names or "gcp-ops-runner-01" in names else Presence.UNKNOWN)
    assert any("looked at" in said for said in seen.not_known)
    if names == ("gcp-ops-runner-01",):
        assert seen.ambiguous == ("a-first",)
        assert [one.name for one in seen.runners or ()] == ["gcp-ops-runner-01"]


def test_nobody_can_look() -> None:
    seen = runner_status(lane(), None, START)
    assert (seen.presence, seen.runners, seen.ambiguous, seen.schedules) == (Presence.UNKNOWN, None, None, None)
    assert "administration: read" in seen.words
