"""The client: patience that ends, nothing done twice, the token where it belongs, and no answer that is a traceback."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection

from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github import endpoints, wire
from hyops_ci.github.answers import Conflict, Forbidden, NotFound, Rejected, Unanswered, Unauthorized
from hyops_ci.github.client import AppKey, Client
from hyops_ci.github.endpoints import Endpoint
from hyops_ci.github.meanings import WITHOUT_GITHUB
from tests.support.github import faults
from tests.support.github.server import FakeGitHub
from tests.unit.github.conftest import TOKEN, Scripted, Time, said

Asking = Callable[..., Client]
REPOSITORY = "GET /repos/{owner}/{repo}"
DISPATCHES = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"
FINE = said(200, {"id": 77})
WORKFLOW = ".github/workflows/dr.yml"
CALLER = "on: workflow_dispatch\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n"
BAD_GATEWAY = said(502, b"<html>unicorn</html>")


def failed(client: Client, endpoint: Endpoint = endpoints.REPOSITORY, **path: object) -> DispatchError:
    with pytest.raises(DispatchError) as caught:
        client.ask(endpoint, **path)
    return caught.value


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


def test_a_netrc_file_of_this_host_is_not_asked(
    asking: Asking, scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password my-own-password\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    client = asking(said(302, None, {"Location": f"{scripted.url}/bytes"}), said(200, b"zip"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5) == b"zip"
    assert [heard.headers.get("authorization") for heard in scripted.heard] == [f"token {TOKEN}", None]


def test_a_proxy_of_the_environment_is_used(scripted: Scripted, connected: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.script = [FINE]
    monkeypatch.setenv("HTTP_PROXY", scripted.url)
    monkeypatch.setenv("NO_PROXY", "")
    connected("http://localhost:9").ask(endpoints.REPOSITORY)
    assert scripted.heard[0].line == "GET http://localhost:9/repos/acme/dr HTTP/1.1"


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
        "  docs     github-api.md",
    ]
    assert 85 < sum(time.slept) <= 120
    assert [int(seconds) for seconds in time.slept][:5] == [1, 2, 4, 8, 15]


def test_no_connection_at_all_is_exit_12(connected: Asking, time: Time) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failed(connected(f"http://127.0.0.1:{port}"))
    assert (error.gate, error.exit_code) == ("github.unreachable", Exit.UNAVAILABLE)
    assert error.found == "GET /repos/acme/dr: no answer (ConnectionError)"
    assert sum(time.slept) <= 120


def test_a_try_may_take_what_is_left_of_the_patience(asking: Asking, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    exchange = wire.Wire._exchange

    def slow(self: wire.Wire, *asked: Any) -> Any:
        limits.append(self.limit)
        time.at += self.limit
        return exchange(self, *asked)

    monkeypatch.setattr(wire.Wire, "_exchange", slow)
    failed(asking(BAD_GATEWAY))
    assert limits[0] == 20
    assert max(limits) == 20
    assert time.at - 1_000 <= 121


def test_a_trickle_ends(asking: Asking, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time: one byte every now and then keeps the socket happy, and would hold a run for days."""
    monkeypatch.setattr("hyops_ci.github.wire.TIMEOUT", 0.2)
    monkeypatch.setattr("hyops_ci.github.client.TIMEOUT", 0.2)
    stop = threading.Event()

    def trickle() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        for _ in repeat(None):
            time.at += 0.1
            yield b" "
            if stop.wait(0.02):
                return

    try:
        client = asking(trickle(), FINE)
        assert client.ask(endpoints.REPOSITORY)["id"] == 77
        assert client.calls == 2
    finally:
        stop.set()


def test_an_answer_without_end_is_no_answer(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1000)
    assert asking(said(200, {"id": "x" * 2000}), FINE).ask(endpoints.REPOSITORY)["id"] == 77


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


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_is_followed_with_a_token(status: int, asking: Asking, scripted: Scripted) -> None:
    """Of a renamed repository GitHub says 301. PyGithub would go on without the query, or end in a RuntimeError."""
    error = failed(asking(said(status, {"message": "Moved"}, {"Location": "https://elsewhere.example/x"}), FINE))
    assert (error.gate, len(scripted.heard)) == ("github.moved", 1)


def test_what_is_still_being_made_is_not_asked_for_by_pygithub(asking: Asking) -> None:
    client = asking(said(202, {"id": 1}))
    assert client.ask(endpoints.REPOSITORY)["id"] == 1
    assert client.calls == 1


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
        "  docs     github-api.md",
    ]
    assert (client.calls, time.slept) == (1, [])
    assert (client.headroom.remaining, client.headroom.limit) == (0, 1000)


def test_a_limit_that_does_not_end_is_not_waited_for_longer_than_two_minutes(asking: Asking, time: Time) -> None:
    assert failed(asking(limit())).gate == "github.limit"
    assert len(time.slept) == 1


@pytest.mark.parametrize("value", ["", "-1", "1e3", "²", "٣", "9" * 5000, "1,2"])
def test_odd_headers_are_no_numbers(value: str, asking: Asking) -> None:
    odd = dict.fromkeys(("X-RateLimit-Remaining", "X-RateLimit-Limit", "X-RateLimit-Reset"), value)
    client = asking(said(200, {"id": 77}, {name: text.encode().decode("latin-1") for name, text in odd.items()}))
    assert client.ask(endpoints.REPOSITORY)["id"] == 77
    assert client.headroom.remaining is None


def test_headroom_is_what_the_last_answer_said(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    client = connected(github_fake.url, github_fake.add_token("metadata: read"))
    client.ask(endpoints.REPOSITORY)
    client.ask(endpoints.REPOSITORY)
    assert (client.headroom.remaining, client.headroom.limit, client.calls) == (998, 1000, 2)
    assert client.headroom.resets_at is not None


# ------------------------------------------------------------------------------------------------- done only once


def runs_started(fake: FakeGitHub) -> int:
    return len(fake.repositories["acme/dr"].runs)


@pytest.fixture
def dispatching(github_fake: FakeGitHub, connected: Asking) -> Client:
    repository = github_fake.add_repository("acme/dr")
    repository.add_workflow(WORKFLOW, CALLER)
    return connected(github_fake.url, github_fake.add_token("actions: write"))


@pytest.mark.parametrize("lost", [faults.lost(), faults.truncated(), faults.answer(502), faults.answer(500), faults.dropped()])
def test_what_may_have_been_done_is_not_asked_for_again(lost: faults.Fault, github_fake: FakeGitHub, dispatching: Client) -> None:
    github_fake.inject(lost, DISPATCHES)
    with pytest.raises(Unanswered) as caught:
        dispatching.ask(endpoints.DISPATCH, body={"ref": "main", "return_run_details": True}, workflow="dr.yml")
    assert len(github_fake.made(DISPATCHES)) == 1
    assert runs_started(github_fake) == (1 if lost.kind in {"lost", "truncated"} else 0)
    assert caught.value.exit_code is Exit.UNAVAILABLE
    assert caught.value.lines()[0] == "FAILED github.unanswered (exit 12): GitHub did not say whether it did what was asked"


def test_what_a_limit_turned_away_is_asked_for_again(github_fake: FakeGitHub, dispatching: Client) -> None:
    github_fake.inject(faults.secondary(3), DISPATCHES)
    dispatching.ask(endpoints.DISPATCH, body={"ref": "main", "return_run_details": True}, workflow="dr.yml")
    assert runs_started(github_fake) == 1


def test_what_never_left_is_asked_for_again(connected: Asking, time: Time) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failed(connected(f"http://127.0.0.1:{port}"), endpoints.DISPATCH, workflow="dr.yml")
    assert error.gate == "github.unreachable"
    assert len(time.slept) > 5


def test_what_is_asked_once_goes_over_a_connection_of_its_own(
    github_fake: FakeGitHub, dispatching: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept connection that GitHub closes just then would look like a lost answer."""
    connections: list[HTTPConnection] = []
    connect = HTTPConnection.connect
    monkeypatch.setattr(HTTPConnection, "connect", lambda self: (connections.append(self), connect(self))[1])
    for _ in range(3):
        dispatching.exists(endpoints.ENVIRONMENT, name="x")
    assert len(connections) == 1
    dispatching.ask(endpoints.DISPATCH, body={"ref": "main"}, workflow="dr.yml")
    assert len(connections) == 2


def test_a_lost_answer_at_the_end_of_the_patience_is_still_one(asking: Asking, time: Time) -> None:
    """However late it is: whoever asked has to look whether it happened."""
    error = failed(asking(limit(Retry_After="100"), BAD_GATEWAY), endpoints.DISPATCH, workflow="dr.yml")
    assert isinstance(error, Unanswered)


# -------------------------------------------------------------------------------------------------- 401, 403, 404


def test_the_permission_that_is_missing_is_named(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    client = connected(github_fake.url, github_fake.add_token("metadata: read"))
    error = failed(client, endpoints.ENVIRONMENT, name="dr-prod")
    assert error.lines() == [
        "REFUSED github.permission (exit 4): this token may not do that",
        "  found    GET /repos/acme/dr/environments/dr-prod: HTTP 403, Resource not accessible by integration",
        "  expected a token with actions: read",
        "  fix      grant `actions: read` to the calling job; administration and organization permissions need a GitHub App's token",
        "  docs     github-api.md",
    ]


def test_githubs_own_word_on_the_permission_comes_first(asking: Asking) -> None:
    told = {"X-Accepted-GitHub-Permissions": "environments=read,actions=read; administration=write"}
    error = failed(asking(said(403, {"message": "no"}, told)), endpoints.ENVIRONMENT, name="dr-prod")
    assert error.expected == "a token with environments: read and actions: read or administration: write"


def test_an_unknown_token_and_an_unseen_repository_are_told_apart(github_fake: FakeGitHub, connected: Asking) -> None:
    other = github_fake.add_repository("acme/other")
    github_fake.add_repository("acme/dr", private=True)
    unknown = failed(connected(github_fake.url, "ghs_unknown"))
    unseen = failed(connected(github_fake.url, github_fake.add_token("metadata: read", repositories=[other])))
    assert (unknown.title(), unseen.title()) == (
        "REFUSED github.token (exit 2): GitHub does not know this token",
        "REFUSED github.missing (exit 4): GitHub shows no such thing to this token",
    )
    assert unseen.fix == "check the name; GitHub says the same for what a token without `metadata: read` may not see"


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        (said(403, {"message": "Resource protected by SAML"}, {"X-GitHub-SSO": "required; url=https://x"}), "Configure SSO"),
        (said(403, {"message": "your IP address is not on the IP allow list"}), "have this host's address added"),
    ],
)
def test_a_refusal_that_no_permission_heals_says_so(answer: bytes, fix: str, asking: Asking) -> None:
    assert fix in failed(asking(answer)).fix


def test_where_a_thing_may_be_missing(github_fake: FakeGitHub, connected: Asking) -> None:
    github_fake.add_repository("acme/dr")
    client = connected(github_fake.url, github_fake.add_token("actions: read"))
    assert client.exists(endpoints.ENVIRONMENT, name="dr-prod") is None
    with pytest.raises(Forbidden):
        connected(github_fake.url, github_fake.add_token("metadata: read")).exists(endpoints.ENVIRONMENT, name="dr-prod")


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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
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


# ------------------------------------------------------------------------------------------------------ downloads


def test_the_token_does_not_go_where_the_bytes_are(github_fake: FakeGitHub, connected: Asking) -> None:
    """The fake counts a signed address that gets a token as a violation."""
    repository = github_fake.add_repository("acme/dr")
    repository.add_workflow(WORKFLOW, CALLER)
    github_fake.add_user("maria")
    artifact = repository.add_run(actor="maria").add_artifact("dr-plan", {"plan.json": b"{}"})
    client = connected(github_fake.url, github_fake.add_token("actions: read"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10_000, artifact_id=artifact.id) == artifact.data


def to(scripted: Scripted, path: str = "/bytes") -> bytes:
    return said(302, None, {"Location": f"{scripted.url}{path}?sig=signed-canary-77aa"})


def test_bytes_that_do_not_come_are_asked_for_anew(asking: Asking, scripted: Scripted, time: Time) -> None:
    there = to(scripted)
    client = asking(there, said(403, b"expired"), there, b"", there, said(200, b"half", length=10), there, said(200, b"zip"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5) == b"zip"
    assert (client.calls, len(time.slept)) == (4, 3)


def test_bytes_that_never_come_are_exit_12(asking: Asking, scripted: Scripted, time: Time) -> None:
    client = asking()
    scripted.script = [to(scripted), said(500, b"")] * 20
    with pytest.raises(Fault) as caught:
        client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert caught.value.found == "GET /repos/acme/dr/actions/artifacts/5/zip: HTTP 500 for the bytes"
    assert sum(time.slept) <= 120


def test_another_hop_is_followed_and_a_ring_is_not(asking: Asking, scripted: Scripted) -> None:
    client = asking(to(scripted), to(scripted, "/further"), said(200, b"zip"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5) == b"zip"
    client = asking(to(scripted))
    with pytest.raises(Fault):
        client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)


def test_more_bytes_than_wanted_are_not_read(asking: Asking, scripted: Scripted) -> None:
    client = asking(to(scripted), said(200, b"x" * 11))
    with pytest.raises(Refusal) as caught:
        client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert (caught.value.gate, caught.value.exit_code, caught.value.found) == ("github.size", Exit.EVIDENCE, "more than 10 bytes")


@pytest.mark.parametrize("place", ["http://storage.example/x", "ftp://127.0.0.1/x", "", "/relative", "file:///etc/passwd"])
def test_bytes_come_over_https_only(place: str, asking: Asking) -> None:
    with pytest.raises(Refusal) as caught:
        asking(said(302, None, {"Location": place})).download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert caught.value.gate == "github.address"


@pytest.mark.parametrize("place", ["https://[", "http://127.0.0.1:99999/x", "http://127.0.0.1:x/"])
def test_a_place_that_is_none_is_a_fault(place: str, asking: Asking) -> None:
    with pytest.raises(Fault):
        asking(said(302, None, {"Location": place})).download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)


def test_an_artifact_that_has_expired(asking: Asking) -> None:
    with pytest.raises(NotFound) as caught:
        asking(said(410, {"message": "Artifact has expired"})).download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert caught.value.gate == "github.gone"


# ---------------------------------------------------------------------------------------------------------- an App


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app(key: rsa.RSAPrivateKey, github_fake: FakeGitHub) -> AppKey:
    """An App that is installed on the repository."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    repository = github_fake.add_repository("acme/dr")
    made = github_fake.add_app(public, number=31, permissions={"administration": "read", "metadata": "read"})
    made.install(repository.owner, [repository])
    return AppKey("31", key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode())


def apps_client(fake: FakeGitHub, app: AppKey, time: Time, now: Callable[[], float]) -> Client:
    return Client.connect("acme/dr", app=app, api_url=fake.url, sleep=time.sleep, monotonic=time.monotonic, now=now)


def test_an_app_gets_a_token_and_renews_it_before_it_ends(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    moment = [github_fake.now().timestamp()]
    client = apps_client(github_fake, app, time, lambda: moment[0])
    client.ask(endpoints.RUNNERS)
    client.ask(endpoints.RUNNERS)
    assert len(github_fake.made("POST /app/installations/{installation_id}/access_tokens")) == 1
    assert client.calls == 4
    moment[0] += 3600 - 299
    client.ask(endpoints.RUNNERS)
    assert len(github_fake.made("POST /app/installations/{installation_id}/access_tokens")) == 2


def test_an_apps_token_is_as_small_as_asked_for(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    small = AppKey(app.app_id, app.private_key, {"metadata": "read"})
    client = apps_client(github_fake, small, time, lambda: github_fake.now().timestamp())
    client.ask(endpoints.REPOSITORY)
    assert failed(client, endpoints.RUNNERS).gate == "github.permission"


def test_an_app_that_is_not_installed_here(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    github_fake.apps[31].installations.clear()
    with pytest.raises(NotFound) as caught:
        apps_client(github_fake, app, time, lambda: 0.0)
    assert caught.value.title() == "REFUSED github.app (exit 4): the App is not installed on this repository"


def test_an_app_that_github_does_not_know(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    with pytest.raises(Unauthorized) as caught:
        apps_client(github_fake, AppKey("32", app.private_key), time, lambda: 0.0)
    assert caught.value.title() == "REFUSED github.app (exit 2): GitHub does not know this App"
    assert caught.value.fix == "compare DR_APP_ID and DR_APP_KEY_FILE with the App's page; timedatectl shows the clock"


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\ncanary-5c1e\n-----END RSA PRIVATE KEY-----\n"])
def test_a_key_that_signs_nothing(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        Client.connect("acme/dr", app=AppKey("31", text))
    assert (caught.value.gate, caught.value.exit_code) == ("github.app", Exit.USAGE)
    assert "canary" not in "\n".join(caught.value.lines())


def test_an_installation_is_asked_for_again_like_anything_else(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    github_fake.inject(faults.answer(502), "GET /repos/{owner}/{repo}/installation")
    github_fake.inject(faults.truncated(), "POST /app/installations/{installation_id}/access_tokens")
    client = apps_client(github_fake, app, time, lambda: github_fake.now().timestamp())
    assert client.ask(endpoints.RUNNERS)["total_count"] == 0
    assert (client.calls, len(time.slept)) == (5, 2)


# -------------------------------------------------------------------------------------------------------- canaries


def test_no_token_in_any_record_refusal_or_repr(
    github_fake: FakeGitHub, app: AppKey, asking: Asking, scripted: Scripted, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """PyGithub logs whole answers at DEBUG, urllib3 signed addresses; a proxy may repeat what it was sent."""
    caplog.set_level(logging.DEBUG)
    client = apps_client(github_fake, app, time, lambda: github_fake.now().timestamp())
    client.ask(endpoints.RUNNERS)
    texts = [repr(client), repr(app), repr(client.__dict__)]
    mirror = asking(said(422, {"message": f"sent: Authorization: token {TOKEN}", "errors": [TOKEN]}))
    texts += failed(mirror).lines()
    downloading = asking()
    scripted.script = [to(scripted), said(200, b"zip")]
    downloading.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    for status in (401, 403, 404, 422, 429, 502):
        error = failed(asking(said(status, {"message": "no"})))
        texts += [*error.lines(), repr(error), json.dumps(error.to_json()), *map(str, (error.__cause__, error.__context__))]
    texts += [record.getMessage() for record in caplog.records] + time.told
    everything = "\n".join(texts)
    canaries = [TOKEN, *github_fake.tokens, app.private_key.splitlines()[3], "signed-canary-77aa"]
    assert [canary for canary in canaries if canary in everything] == []
