"""Issues, as far as comments go."""

from __future__ import annotations

from tests.support.github.description import example
from tests.support.github.rendering import moved
from tests.support.github.routing import Answer, Ask, not_found, route

COMMENTS = "/repos/{owner}/{repo}/issues/{issue_number}/comments"


@route("POST", COMMENTS, "issues: write")
def add_comment(ask: Ask) -> Answer:
    number = ask.number("issue_number")
    if number not in ask.repository.issues:
        raise not_found()
    ask.repository.issues[number].append(ask.body["body"])
    seed = example("POST", COMMENTS, 201) | {"body": ask.body["body"]}
    return Answer(201, moved(seed, ask.state.url, repository=ask.repository.full_name))
