"""The client: what it sends, patience that ends, and no answer that is a traceback."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.errors import WITHOUT_GITHUB
from hyops_ci.github.api.responses import Conflict, Forbidden, NotFound, Rejected, Response, Unauthorized
from hyops_ci.http.client import HttpClient, Reply
from tests.support.examples import examples
from tests.support.github.server import FakeGitHub
from tests.support.ports import free_port
from tests.unit.github.scripted import BAD_GATEWAY, FINE, TOKEN, Asking, Scripted, Time, failed, said

# -------------------------------------------------------------------------------------------------- what is sent


def test_what_is_sent(asking: Asking, scripted: Scripted) -> None:
    client = asking(said(204))
    client.ask(endpoints.DISPATCH, params={"a": "b c&d"}, body={"ref": "main"}, workflow="dr.yml")
    (heard,) = scripted.heard
    assert heard.line == "POST /repos/acme/dr/actions/workflows/dr.yml/dispatches?a=b+c%26d HTTP/1.1"
    assert json.loads(heard.body) == {"ref": "main"}
    assert heard.headers["authorization"] == f"token {TOKEN}"
    assert heard.headers["accept"] == "application/vnd.github+json"
    assert heard.headers["x-github-api-version"] == "2022-11-28"
    assert heard.headers["user-agent"]


@pytest.mark.parametrize("prefix", ["/api/v3", "/api/v3/"])
def test_an_enterprise_server_has_its_api_below_a_prefix(prefix: str, scripted: Scripted, connected: Asking) -> None:
    scripted.script = [FINE]
    connected(f"{scripted.url}{prefix}").ask(endpoints.REPOSITORY)
    assert scripted.heard[0].line == "GET /api/v3/repos/acme/dr HTTP/1.1"


@pytest.mark.parametrize(
    ("repository", "token", "address"),
    [
        ("acme", TOKEN, "https://api.github.com"),
        ("acme/..", TOKEN, "https://api.github.com"),
        ("acme/dr/x", TOKEN, "https://api.github.com"),
        ("acme/dr", "", "https://api.github.com"),
        ("acme/dr", f"{TOKEN}\n", "https://api.github.com"),
        ("acme/dr", f"{TOKEN}\r\nX-Other: 1", "https://api.github.com"),
        ("acme/dr", TOKEN, "http://github.acme.example/api/v3"),
        ("acme/dr", TOKEN, "http://127.0.0.1@github.acme.example"),
        ("acme/dr", TOKEN, "https://user:password-9d2f@github.acme.example"),
        ("acme/dr", TOKEN, "ftp://127.0.0.1"),
        ("acme/dr", TOKEN, "https://"),
        ("acme/dr", TOKEN, "https://[::1"),
        ("acme/dr", TOKEN, "https://github.acme.example:port"),
        ("acme/dr", TOKEN, "https://github.acme.example/?to=me"),
        ("acme/dr", TOKEN, ""),
    ],
)
def test_no_client_for_what_cannot_be_one(repository: str, token: str, address: str) -> None:
    with pytest.raises(Refusal) as caught:
        Client.connect(repository, token=token, api_url=address)
    text = "\n".join(caught.value.lines())
    assert (caught.value.gate, caught.value.exit_code) == ("github.address", Exit.USAGE)
    assert TOKEN not in text
    assert "password-9d2f" not in text


def test_without_a_repository_the_refusal_says_where_one_is_named() -> None:
    with pytest.raises(Refusal) as refused:
        Client.connect("", token="t0ken")
    assert refused.value.found == "--repository, GITHUB_REPOSITORY and GH_REPO are empty"


names = st.text(st.characters(), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("..")
@example(".")
@example("a/../../b?x=1#y")
@example("%2e%2e")
@example("\ud800")
@given(names)
def test_any_name_stays_one_segment(asking: Asking, scripted: Scripted, name: str) -> None:
    client = asking(FINE)
    scripted.heard.clear()
    if name in {".", ".."} or any("\ud800" <= letter <= "\udfff" for letter in name):
        assert failed(client, endpoints.ENVIRONMENT, name=name).gate == "github.address"
        assert scripted.heard == []
        return
    client.ask(endpoints.ENVIRONMENT, name=name)
    path = scripted.heard[0].line.split(" ")[1]
    before, _, segment = path.rpartition("/")
    assert (before, unquote(segment)) == ("/repos/acme/dr/environments", name)
    assert "?" not in path


@pytest.mark.parametrize("path", ["", ".github/../../x", "/etc", "a//b", "a/."])
def test_a_path_of_several_segments_leads_nowhere_else(path: str, asking: Asking, scripted: Scripted) -> None:
    assert failed(asking(FINE), endpoints.CONTENT, path=path).gate == "github.address"
    assert scripted.heard == []


def test_a_path_of_several_segments(asking: Asking, scripted: Scripted) -> None:
    asking(FINE).ask(endpoints.CONTENT, path=".github/a b?.yml")
    assert scripted.heard[0].line == "GET /repos/acme/dr/contents/.github/a%20b%3F.yml HTTP/1.1"


# ----------------------------------------------------------------------------------------------------- patience


@pytest.mark.parametrize("trouble", [500, 502, 503, 504, 520])
def test_a_failure_of_github_is_asked_again(trouble: int, asking: Asking, time: Time) -> None:
    client = asking(said(trouble, b"<html>"), said(trouble, b"<html>"), FINE)
    assert client.ask(endpoints.REPOSITORY)["id"] == 77
    assert client.calls == 3
    assert time.told == [f"GitHub: HTTP {trouble}; trying again in {seconds} s" for seconds in (1, 2)]


@pytest.mark.parametrize(
    "trouble",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        said(200, b'{"id": 7', length=100),
        said(200, b'{"id": 7'),
        said(200, b"<html>log in to this network</html>"),
        said(200, b"\xff\xfe"),
        said(200, b'{"id": NaN}'),
        said(200, b"[" * 100_000),
        said(200, b""),
        said(200, b"not gzip", {"Content-Encoding": "gzip"}),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
    ],
)
def test_no_answer_is_asked_again(trouble: bytes, asking: Asking, time: Time) -> None:
    assert asking(trouble, FINE).ask(endpoints.REPOSITORY)["id"] == 77
    assert len(time.slept) == 1


def test_after_two_minutes_it_is_exit_12_with_the_command_without_github(asking: Asking, time: Time) -> None:
    error = failed(asking(BAD_GATEWAY))
    assert isinstance(error, Fault)
    assert error.lines() == [
        "FAILED github.unreachable (exit 12): GitHub does not answer",
        "  found    GET /repos/acme/dr: HTTP 502",
        "  expected an answer within 2 minutes",
        f"  fix      see githubstatus.com, then a new run; {WITHOUT_GITHUB}",
        "  docs     hyops-ci docs github-api.md",
    ]
    assert 85 < sum(time.slept) <= 120
    assert [int(seconds) for seconds in time.slept][:5] == [1, 2, 4, 8, 16]


def test_no_connection_at_all_is_exit_12(connected: Asking, time: Time) -> None:
    error = failed(connected(f"http://127.0.0.1:{free_port()}"))
    assert (error.gate, error.exit_code) == ("github.unreachable", Exit.UNAVAILABLE)
    assert error.found == "GET /repos/acme/dr: no answer (ConnectionError)"
    assert sum(time.slept) <= 120


def test_a_try_may_take_what_is_left_of_the_patience(asking: Asking, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    send = HttpClient.send

    def slow(self: HttpClient, *asked: Any, seconds: float, **more: Any) -> Reply:
        limits.append(seconds)
        time.at += seconds
        return send(self, *asked, seconds=seconds, **more)

    monkeypatch.setattr(HttpClient, "send", slow)
    failed(asking(BAD_GATEWAY))
    assert limits[0] == 20
    assert max(limits) == 20
    assert time.at - 1_000 <= 121


@pytest.mark.parametrize(
    ("status", "kind", "gate", "code"),
    [
        (400, Rejected, "github.rejected", Exit.USAGE),
        (401, Unauthorized, "github.token", Exit.USAGE),
        (403, Forbidden, "github.permission", Exit.POLICY),
        (404, NotFound, "github.missing", Exit.POLICY),
        (409, Conflict, "github.conflict", Exit.CONFLICT),
        (410, NotFound, "github.gone", Exit.POLICY),
        (422, Rejected, "github.rejected", Exit.USAGE),
        (451, Rejected, "github.rejected", Exit.USAGE),
    ],
)
def test_no_other_refusal_is_asked_again(status: int, kind: type[Refusal], gate: str, code: Exit, asking: Asking, time: Time) -> None:
    client = asking(said(status, {"message": "because"}))
    error = failed(client)
    assert type(error) is kind
    assert (error.gate, error.exit_code, client.calls, time.slept) == (gate, code, 1, [])
    assert f"HTTP {status}, because" in error.found


# -------------------------------------------------------------------------------------------------------- limits


def limit(**headers: str) -> bytes:
    return said(
        403, {"message": "You have exceeded a secondary rate limit."}, {name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    ("answer", "waited"),
    [
        (limit(Retry_After="7"), 7),
        (limit(Retry_After="0"), 1),
        (limit(Retry_After="soon"), 60),
        (limit(), 60),
        (said(429, {"message": "Too Many Requests"}), 60),
        (said(429, {"message": "Too Many Requests"}, {"Retry-After": "30"}), 30),
        (said(403, {"message": "no"}, {"Retry-After": "5"}), 5),
    ],
)
def test_a_secondary_limit_is_waited_out(answer: bytes, waited: float, asking: Asking, time: Time) -> None:
    assert asking(answer, FINE).ask(endpoints.REPOSITORY)["id"] == 77
    assert waited <= time.slept[0] <= waited + 1


GITHUBS_TIME = datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)


def spent(seconds: int) -> bytes:
    """The hour's calls are gone until `seconds` from GitHub's now, which is not this host's."""
    reset = str(int(GITHUBS_TIME.timestamp()) + seconds)
    told = {"Date": format_datetime(GITHUBS_TIME, usegmt=True), "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    return said(403, {"message": "API rate limit exceeded"}, {**told, "X-RateLimit-Limit": "1000"})


def test_a_primary_limit_that_ends_soon_is_waited_out(asking: Asking, time: Time) -> None:
    assert asking(spent(40), FINE).ask(endpoints.REPOSITORY)["id"] == 77
    assert 40 <= time.slept[0] <= 41


def test_a_primary_limit_that_lasts_is_said_at_once(asking: Asking, time: Time) -> None:
    client = asking(spent(1800))
    error = failed(client)
    assert isinstance(error, Fault)
    assert error.lines() == [
        "FAILED github.limit (exit 12): this token has asked GitHub too much",
        "  found    GET /repos/acme/dr: HTTP 403, API rate limit exceeded; free again at 03:34:31Z",
        "  expected calls left within 2 minutes",
        f"  fix      a new run after that, or a token of its own for this; not waiting, on the runner: {WITHOUT_GITHUB.partition(': ')[2]}",
        "  docs     hyops-ci docs github-api.md",
    ]
    assert (client.calls, time.slept) == (1, [])
    assert (client.rate_limit.remaining, client.rate_limit.limit) == (0, 1000)


def test_a_limit_that_does_not_end_is_not_waited_for_longer_than_two_minutes(asking: Asking, time: Time) -> None:
    assert failed(asking(limit())).gate == "github.limit"
    assert len(time.slept) == 1


@pytest.mark.parametrize("value", ["", "-1", "1e3", "²", "٣", "9" * 5000, "1,2"])
def test_odd_headers_are_no_numbers(value: str, asking: Asking) -> None:
    odd = dict.fromkeys(("X-RateLimit-Remaining", "X-RateLimit-Limit", "X-RateLimit-Reset"), value)
    client = asking(said(200, {"id": 77}, {name: text.encode().decode("latin-1") for name, text in odd.items()}))
    assert client.ask(endpoints.REPOSITORY)["id"] == 77
    assert client.rate_limit.remaining is None


def test_headroom_is_what_the_last_answer_said(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    client = connected(github_fake.url, github_fake.add_token("metadata: read"))
    client.ask(endpoints.REPOSITORY)
    client.ask(endpoints.REPOSITORY)
    assert (client.rate_limit.remaining, client.rate_limit.limit, client.calls) == (998, 1000, 2)
    assert client.rate_limit.resets_at is not None


# ----------------------------------------------------------------------------------------------- what answers hold


def test_a_field_that_is_not_there_is_a_fault(asking: Asking) -> None:
    found = asking(said(200, {"owner": {"login": "acme"}})).ask(endpoints.REPOSITORY)
    with pytest.raises(Fault, match=r"github\.answer") as caught:
        found["owner"]["id"]
    assert caught.value.found == "GET /repos/acme/dr: no id"
    assert found.get("id") is None


@pytest.mark.parametrize("body", [{}, {"jobs": {}}, {"jobs": [1]}, [], 3, None])
def test_what_is_no_listing_is_a_fault(body: object, asking: Asking) -> None:
    client = asking(said(200, json.dumps(body).encode()))
    if body is None:  # JSON's null is as good as nothing
        assert isinstance(failed(client, endpoints.JOBS, run_id=1, attempt=1), Fault)
        return
    with pytest.raises(Fault):
        list(client.pages(endpoints.JOBS, "jobs", run_id=1, attempt=1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["message", "errors"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(50))
@given(
    status=st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503]),
    body=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()),
    told=st.dictionaries(
        st.sampled_from(["Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Date", "Location", "X-Accepted-GitHub-Permissions"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    ),
)
def test_any_answer_is_a_value_or_an_explanation(asking: Asking, status: int, body: bytes, told: dict[str, str]) -> None:
    answer = said(status, body if status != 204 else b"", told)
    for ask in (
        lambda client: client.ask(endpoints.REPOSITORY),
        lambda client: list(client.pages(endpoints.JOBS, "jobs", run_id=1, attempt=1)),
        lambda client: client.exists(endpoints.ENVIRONMENT, name="x"),
        lambda client: client.ask(endpoints.DISPATCH, workflow="dr.yml"),
    ):
        with contextlib.suppress(DispatchError):  # anything else fails the test
            ask(asking(answer))


def test_pages_are_asked_for_as_they_are_wanted(github_fake: FakeGitHub, connected: Asking) -> None:
    repository = github_fake.add_repository("acme/dr")
    for number in range(250):
        repository.add_runner(f"runner-{number}", ["x"])
    client = connected(github_fake.url, github_fake.add_token("administration: read"))
    found = client.pages(endpoints.RUNNERS, "runners")
    assert next(found)["name"] == "runner-0"
    assert client.calls == 1
    assert len(list(found)) == 249
    assert client.calls == 3
    assert len(list(client.pages(endpoints.RUNNERS, "runners", most=2))) == 200
    assert client.calls == 5


def test_a_full_last_page_is_followed_by_an_empty_one(asking: Asking) -> None:
    client = asking(said(200, [{"id": n} for n in range(100)]), said(200, []))
    assert len(list(client.pages(endpoints.REVIEWS, "", run_id=1))) == 100
    assert client.calls == 2


@pytest.mark.parametrize(
    ("date", "ahead"),
    [("Tue, 24 Nov 2026 12:00:00 GMT", 30.0), ("Tue, 24 Nov 2026 12:01:00 GMT", -30.0), ("yesterday", None), ("", None)],
)
def test_the_clock_is_compared_with_githubs(date: str, ahead: float | None) -> None:
    answer = Response(200, {"date": date} if date else {}, "{}")
    here = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC).timestamp()
    assert (None if answer.date is None else here - answer.date) == ahead


def test_every_answer_says_how_far_the_clocks_are_apart(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    client = connected(github_fake.url, github_fake.add_token("metadata: read"))
    client._now = lambda: datetime.now(UTC).timestamp() + 3600
    assert client.ahead is None
    client.ask(endpoints.REPOSITORY)
    assert client.ahead is not None
    assert 3590 < client.ahead < 3610
