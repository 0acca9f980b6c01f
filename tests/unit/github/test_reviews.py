"""The review history of a run, word for word."""

from __future__ import annotations

import pytest

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.github_facts import ReviewFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.reviews import GHOST, read_review, reviews
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.reviews import Review
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop")


def connect(fake: FakeGitHub, *permissions: str) -> Client:
    token = fake.add_token(*(permissions or ("actions: read",)))
    return Client.connect("acme/shop", token=token, api_url=fake.url, sleep=lambda _: None)


def test_nobody_answered(github_fake: FakeGitHub, repository: Repository) -> None:
    assert reviews(connect(github_fake), repository.add_run().id) == ()


def test_one_review_lets_both_jobs_of_a_gate_go(github_fake: FakeGitHub, repository: Repository) -> None:
    jonas, priya = github_fake.add_user("jonas", number=1001), github_fake.add_user("priya", number=1002)
    repository.add_environment("dr-bootstrap", reviewers=[priya])
    repository.add_environment("dr-prod", reviewers=[jonas, priya], prevent_self_review=True)
    run = repository.add_run()
    run.add_job("ensure-runner", environment="dr-bootstrap")
    run.review(priya, comment="no runner tonight")
    for name in ("execute", "watch execute"):
        run.add_job(name, environment="dr-prod")
    run.review(jonas, "rejected", comment="wrong\nservice")
    assert reviews(connect(github_fake), run.id) == (
        ReviewFact(state="approved", person=Person(login="priya", id=1002), comment="no runner tonight", environments=("dr-bootstrap",)),
        ReviewFact(state="rejected", person=Person(login="jonas", id=1001), comment="wrong\nservice", environments=("dr-prod",)),
    )


def test_a_bot_is_one(github_fake: FakeGitHub, repository: Repository) -> None:
    run = repository.add_run()
    bot = github_fake.add_user("approve[bot]", number=9001, kind="Bot")
    run.history.append(Review(bot, "approved", "", [repository.add_environment("dr-prod")]))
    [found] = reviews(connect(github_fake), run.id)
    assert (found.person, found.bot) == (Person(login="approve[bot]", id=9001), True)


def test_an_account_that_is_gone_has_no_number() -> None:
    record = {"state": "rejected", "user": None, "comment": None, "environments": [{"name": "dr-prod"}]}
    assert read_review(record) == ReviewFact(state="rejected", person=GHOST, environments=("dr-prod",))


class Odd(Client):
    """Answers what no description has."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def ask(self, *_: object, **__: object) -> object:
        return self.answer


GOOD = {"state": "approved", "user": {"login": "jonas", "id": 1}, "environments": [{"name": "dr-prod"}]}


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"message": "?"}, [{}], [None], [GOOD | {"state": "maybe"}], [GOOD, {"state": "rejected"}], [GOOD | {"environments": None}]],
)
def test_a_record_that_cannot_be_read_is_never_read_past(answer: object) -> None:
    with pytest.raises(Refusal) as caught:
        reviews(Odd(answer), 212)
    assert (caught.value.gate, caught.value.exit_code) == ("approval.history", Exit.APPROVAL)


def test_without_the_permission(github_fake: FakeGitHub, repository: Repository) -> None:
    with pytest.raises(Refusal) as caught:
        reviews(connect(github_fake, "contents: read"), repository.add_run().id)
    assert "actions: read" in caught.value.fix
