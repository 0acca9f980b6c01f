"""What answers mean, without a network: how long to wait, and every refusal word by word."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import DispatchError, Exit, Fault
from hyops_ci.github.api.endpoints import DISPATCH, ENDPOINTS, ENVIRONMENT, INSTALLATION, INSTALLATION_TOKEN, RUNNERS
from hyops_ci.github.api.errors import error_for, malformed, permissions_named, reading
from hyops_ci.github.api.responses import Response, Unanswered, call_text, rate_limit_wait

NOW = datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)
DATE = format_datetime(NOW, usegmt=True)
SPENT = {"date": DATE, "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}


def with_message(status: int, message: str, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps({"message": message}))


# ----------------------------------------------------------------------------------------------------- how long


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Response(0, problem="no answer"), None),
        (Response(500), None),
        (Response(599), None),
        (Response(429), 60.0),
        (Response(429, {"retry-after": "120"}), 120.0),
        (Response(403, SPENT), 90.0),
        (Response(403, {**SPENT, "retry-after": "3"}), 3.0),
        (Response(403, {**SPENT, "x-ratelimit-reset": "0"}), 1.0),
        (Response(403, {**SPENT, "x-ratelimit-reset": "soon"}), 60.0),
        (with_message(403, "You have exceeded a secondary rate limit"), 60.0),
        (with_message(403, "Resource not accessible by integration"), None),
        (Response(403, {"x-ratelimit-remaining": "12"}), None),
        (Response(301), None),
        (Response(400), None),
        (Response(404, SPENT), None),
        (Response(422), None),
    ],
)
def test_how_long_to_wait(answer: Response, seconds: float | None) -> None:
    assert rate_limit_wait(answer) == seconds


@pytest.mark.parametrize(
    ("answer", "without_effect"),
    [(Response(0), False), (Response(0, unsent=True), True), (Response(502), False), (Response(429), True), (Response(403, SPENT), True)],
)
def test_what_certainly_did_nothing(answer: Response, without_effect: bool) -> None:
    assert answer.without_effect is without_effect


# ------------------------------------------------------------------------------------------------ GitHub's words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"message": "Validation Failed", "errors": [{"message": "no ref"}, "odd", {"code": "x"}]}',
            "Validation Failed no ref; odd; {'code': 'x'}",
        ),
        ('{"message": "No", "errors": "because"}', "No because"),
        ('{"message": "No", "errors": {"a": 1}}', "No {'a': 1}"),
        ('{"message": "No", "errors": null}', "No"),
        ("[]", ""),
        ("3", ""),
        ("", ""),
        ("<html>", ""),
        ("[" * 100_000, ""),
    ],
)
def test_githubs_own_words(text: str, message: str) -> None:
    assert Response(422, {}, text).message == message


def test_a_text_is_not_shown_by_repr() -> None:
    assert "canary-8f21" not in repr(Response(201, {}, '{"token": "canary-8f21"}'))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("actions=read", "actions: read"),
        ("contents=read,pull_requests=write", "contents: read and pull_requests: write"),
        ("contents=read; metadata=read", "contents: read or metadata: read"),
        ("", ""),
    ],
)
def test_permissions_that_github_names(header: str, words: str) -> None:
    assert permissions_named(Response(403, {"x-accepted-github-permissions": header})) == words


# ------------------------------------------------------------------------------------------------- word by word

GRANT = "grant `actions: read` to the calling job; administration and organization permissions need a GitHub App's token"
RUN = "hyops-ci run --action failover --service <name>/<env> --reason ... --checkout <checkout>"
PLACE = "/repos/acme/dr/environments/dr-prod"


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (
            with_message(401, "Bad credentials"),
            [
                "REFUSED github.token (exit 2): GitHub does not know this token",
                f"  found    GET {PLACE}: HTTP 401, Bad credentials",
                "  expected a token that is valid now, with actions: read",
                "  fix      make a new token; a job's own token ends with the job",
            ],
        ),
        (
            with_message(403, "Resource not accessible by integration"),
            [
                "REFUSED github.permission (exit 4): this token may not do that",
                f"  found    GET {PLACE}: HTTP 403, Resource not accessible by integration",
                "  expected a token with actions: read",
                f"  fix      {GRANT}",
            ],
        ),
        (
            with_message(404, "Not Found"),
            [
                "REFUSED github.missing (exit 4): GitHub shows no such thing to this token",
                f"  found    GET {PLACE}: HTTP 404, Not Found",
                "  expected that it exists, and a token that sees it: actions: read",
                "  fix      check the name; GitHub says the same for what a token without `actions: read` may not see",
            ],
        ),
        (
            with_message(409, "Cannot cancel a workflow run that is completed"),
            [
                "REFUSED github.conflict (exit 5): GitHub cannot do that now",
                f"  found    GET {PLACE}: HTTP 409, Cannot cancel a workflow run that is completed",
                "  expected another state of the thing",
                "  fix      look at it on GitHub",
            ],
        ),
        (
            with_message(422, "No ref found for: main"),
            [
                "REFUSED github.rejected (exit 2): GitHub refused what was sent",
                f"  found    GET {PLACE}: HTTP 422, No ref found for: main",
                "  expected what GitHub's message says",
                "  fix      correct it; the message is GitHub's own",
            ],
        ),
        (
            with_message(301, "Moved Permanently"),
            [
                "REFUSED github.moved (exit 2): the repository has another name now",
                f"  found    GET {PLACE}: HTTP 301, Moved Permanently",
                "  expected the name that it has today",
                "  fix      name it as its page does; a rename or a transfer moved it",
            ],
        ),
        (
            Response(0, problem="no answer (ReadTimeout)"),
            [
                "FAILED github.unreachable (exit 12): GitHub does not answer",
                f"  found    GET {PLACE}: no answer (ReadTimeout)",
                "  expected an answer within 2 minutes",
                f"  fix      see githubstatus.com, then a new run; with GitHub down, on the runner: {RUN}",
            ],
        ),
        (
            Response(403, SPENT),
            [
                "FAILED github.limit (exit 12): this token has asked GitHub too much",
                f"  found    GET {PLACE}: HTTP 403; free again at 03:06:01Z",
                "  expected calls left within 2 minutes",
                f"  fix      a new run after that, or a token of its own for this; not waiting, on the runner: {RUN}",
            ],
        ),
    ],
)
def test_every_refusal_word_by_word(answer: Response, lines: list[str]) -> None:
    error = error_for(ENVIRONMENT, answer, PLACE)
    assert error.lines() == [*lines, "  docs     hyops-ci docs github-api.md"]


def test_an_unanswered_call_word_by_word() -> None:
    assert Unanswered(DISPATCH, "/repos/acme/dr/actions/workflows/dr.yml/dispatches", "no answer (ReadTimeout)").lines() == [
        "FAILED github.unanswered (exit 12): GitHub did not say whether it did what was asked",
        "  found    POST /repos/acme/dr/actions/workflows/dr.yml/dispatches: no answer (ReadTimeout)",
        "  expected an answer",
        "  fix      look at the Actions page before asking again",
        "  docs     hyops-ci docs github-api.md",
    ]


def test_an_answer_of_another_shape_word_by_word() -> None:
    assert malformed(RUNNERS, "/repos/acme/dr/actions/runners", "no total_count").lines() == [
        "FAILED github.answer (exit 12): GitHub's answer is not what its API describes",
        "  found    GET /repos/acme/dr/actions/runners: no total_count",
        "  expected what docs.github.com/rest describes",
        f"  fix      see that GITHUB_API_URL is GitHub's; with GitHub down, on the runner: {RUN}",
        "  docs     hyops-ci docs github-api.md",
    ]


@pytest.mark.parametrize(
    ("endpoint", "status", "reason"),
    [
        (INSTALLATION, 401, "GitHub does not know this App"),
        (INSTALLATION_TOKEN, 401, "GitHub does not know this App"),
        (INSTALLATION, 404, "the App is not installed on this repository"),
    ],
)
def test_an_app_is_told_about_itself(endpoint: object, status: int, reason: str) -> None:
    error = error_for(endpoint, Response(status), "/x")  # type: ignore[arg-type]  # as much of an answer as is read
    assert (error.gate, error.reason) == ("github.app", reason)


@pytest.mark.parametrize("error", [KeyError("a"), IndexError(), TypeError(), AttributeError(), ValueError("canary-8f21 is no time")])
def test_reading_ends_in_a_fault_that_repeats_no_value(error: Exception) -> None:
    with pytest.raises(Fault) as caught, reading(INSTALLATION_TOKEN):
        raise error
    assert caught.value.found == f"POST /app/installations/{{installation}}/access_tokens: {type(error).__name__}"
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_a_refusal_inside_reading_stays_what_it_is() -> None:
    with pytest.raises(Fault, match=r"github\.unanswered"), reading(RUNNERS):
        raise Unanswered(DISPATCH, "", "nothing")


# ------------------------------------------------------------------------------------------------ whatever comes

headers = st.dictionaries(
    st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset", "date", "x-accepted-github-permissions", "x-github-sso"]),
    st.text() | st.sampled_from(["0", "5", "9" * 12, "9" * 13, DATE]),
)


@given(
    st.sampled_from(ENDPOINTS),
    st.integers(0, 700).filter(lambda status: not 200 <= status < 300),
    headers,
    st.text() | st.dictionaries(st.sampled_from(["message", "errors"]), st.text() | st.lists(st.text())).map(json.dumps),
)
def test_whatever_comes_is_explained_on_single_lines(endpoint: object, status: int, told: dict[str, str], text: str) -> None:
    answer = Response(status, told, text)
    wait = rate_limit_wait(answer)
    assert wait is None or wait >= 1
    error = error_for(endpoint, answer, "/repos/acme/dr/x")  # type: ignore[arg-type]  # as much of an answer as is read
    assert isinstance(error, DispatchError)
    assert all(line.isprintable() for line in error.lines())
    assert error.exit_code in Exit
    assert (error.exit_code is Exit.UNAVAILABLE) is (answer.transient or answer.rate_limited), (
        "exit 12 for what may pass, and for nothing else"
    )


def test_without_a_place_the_endpoint_itself_is_named() -> None:
    assert call_text(ENVIRONMENT) == "GET /repos/{repo}/environments/{name}"
