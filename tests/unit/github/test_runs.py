"""Who started a run, from what, by which event."""

from __future__ import annotations

import pytest

from hyops_ci.contracts.approval import Person
from hyops_ci.errors import Exit, Fault
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import NotFound
from hyops_ci.github.runs import read_run, run, runs_after, waiting_runs
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
SHA = "3f2a" * 10


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop", number=4711)


def connect(fake: FakeGitHub) -> Client:
    return Client.connect("acme/shop", token=fake.add_token("actions: read"), api_url=fake.url, sleep=lambda _: None)


def test_a_run(github_fake: FakeGitHub, repository: Repository) -> None:
    maria = github_fake.add_user("maria", number=1003)
    called = ("hybridops/dr-dispatch/.github/workflows/dispatch.yml@v1", SHA)
    made = repository.add_run(number=212, actor=maria, title="failover pg-ha/prod", referenced=[called])
    found = run(connect(github_fake), 212)
    assert (found.run_id, found.attempt, found.event, found.title) == (212, 1, "workflow_dispatch", "failover pg-ha/prod")
    assert (found.actor, found.triggering_actor) == (Person(login="maria", id=1003),) * 2
    assert (found.actor_is_bot, found.triggering_actor_is_bot) == (False, False)
    assert (found.path, found.sha, found.branch) == (".github/workflows/dr.yml", repository.head, "main")
    assert (found.repository_id, found.repository, found.referenced) == (4711, "acme/shop", (called,))
    assert (found.url, found.created_at) == (made.page, made.created_at)


def test_a_rerun_names_both_people(github_fake: FakeGitHub, repository: Repository) -> None:
    made = repository.add_run(actor=github_fake.add_user("maria", number=1003))
    made.rerun(github_fake.add_user("jonas", number=1001))
    found = run(connect(github_fake), made.id)
    assert (found.attempt, found.actor.login, found.triggering_actor) == (2, "maria", Person(login="jonas", id=1001))


def test_a_workflows_own_token(github_fake: FakeGitHub, repository: Repository) -> None:
    made = repository.add_run(actor=github_fake.add_user("github-actions[bot]", number=41898282, kind="Bot"))
    found = run(connect(github_fake), made.id)
    assert (found.actor.bot, found.actor_is_bot, found.triggering_actor_is_bot) == (True, True, True)


def test_no_such_run(github_fake: FakeGitHub, repository: Repository) -> None:
    with pytest.raises(NotFound):
        run(connect(github_fake), 1)


def test_runs_of_the_same_workflow_branch_and_commit_newest_first(github_fake: FakeGitHub, repository: Repository) -> None:
    workflow = repository.add_workflow(".github/workflows/dr.yml", "on: workflow_dispatch")
    first = read_run(repository.add_run(workflow, number=212).show())
    for number, title in (
        (213, "resume 212 by jonas"),
        (214, "resume 2120 by jonas"),
        (215, "resume 212 by priya"),
        (216, "not resume 212 "),
    ):
        repository.add_run(workflow, number=number, title=title)
    title = "resume 212 by mallory"
    repository.add_run(".github/workflows/other.yml", number=217, title=title)
    repository.add_run(workflow, number=211, title=title)
    repository.add_run(workflow, number=218, title=title, branch="evil")
    repository.add_run(workflow, number=219, title=title, sha="0" * 40)
    repository.add_run(workflow, number=220, title=title, event="push")
    assert [each.run_id for each in runs_after(connect(github_fake), first, "dr.yml", "resume 212 ")] == [215, 213]


def test_one_odd_entry_of_a_list_hides_no_other(monkeypatch: pytest.MonkeyPatch, github_fake: FakeGitHub, repository: Repository) -> None:
    workflow = repository.add_workflow(".github/workflows/dr.yml", "on: workflow_dispatch")
    first = read_run(repository.add_run(workflow, number=212).show())
    made = repository.add_run(workflow, title="resume 212 by jonas")
    good = made.show()
    odd: list[object] = [{}, {**good, "actor": None}, {**good, "id": "x"}, None, good]
    monkeypatch.setattr(Client, "pages", lambda *_, **__: iter(odd))
    for found in (runs_after(connect(github_fake), first, "dr.yml", "resume 212 "), waiting_runs(connect(github_fake), "dr.yml")):
        assert [each.run_id for each in found] == [made.id]


def test_the_file_of_a_run_is_named_without_its_ref(repository: Repository) -> None:
    shown = repository.add_run().show()
    assert read_run({**shown, "path": ".github/workflows/dr.yml@refs/heads/main"}).path == ".github/workflows/dr.yml"


class Odd(Client):
    """Answers what no description has."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def ask(self, *_: object, **__: object) -> object:
        return self.answer


@pytest.mark.parametrize("answer", [None, [], {}, {"actor": None}, {"actor": {"login": "a b", "id": 1}, "repository": {}}])
def test_an_answer_of_another_form(answer: object) -> None:
    with pytest.raises(Fault) as caught:
        run(Odd(answer), 212)
    assert (caught.value.gate, caught.value.exit_code) == ("github.answer", Exit.UNAVAILABLE)
