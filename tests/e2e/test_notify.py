"""People are told of a run: a receiver that verifies signatures, an issue with comments, and receivers that do their worst."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.notify import Notification, Notify
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.evidence.verify import verify
from hyops_ci.github.api.client import Client
from hyops_ci.stages.conclude.stage import conclude, sha256_of
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.notifier import SECRET as SECRET_NAME
from hyops_ci.stages.notifier import Notifier
from hyops_ci.stages.sealing import bundle_path
from hyops_ci.text import in_code
from tests.security.incident import CALLER, Incident, assert_recovered, start_incident
from tests.support.receiver import SECRET, Receiver, start_receiver

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ISSUE = 42
ALL = ["waiting", "started", "past-no-return", "ended"]


@pytest.fixture
def incident(tmp_path: Path) -> Iterator[Incident]:
    with start_incident(tmp_path) as made:
        yield made


def telling(incident: Incident, notify: Notify, *, secret: str = SECRET, token: str = "") -> None:
    """Every stage from now on has this notifier."""
    plain = incident.world
    content = (incident.site.repository / ".github" / "dr-dispatch.yml").read_bytes()

    def world(stage: Any, **job: Any) -> RunContext:
        made = plain(stage, **job)
        github = Client.connect(CALLER, token=token, api_url=incident.fake.url, sleep=lambda _: None) if token else None
        environ = {**made.environ, SECRET_NAME: secret}
        notifier = Notifier(notify, parsed_config(content), made.job, environ, github)
        return replace(made, environ=environ, notifier=notifier)

    incident.world = world  # type: ignore[method-assign]  # of this incident alone


def recover(incident: Incident) -> None:
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))
    bundle = bundle_path(incident.folder)
    ended = conclude(incident.folder, incident.world("conclude"), evidence=bundle, digest=sha256_of(bundle), results={})
    assert ended.exit_code == 0


def noted(incident: Incident) -> list[dict[str, Any]]:
    """What the evidence says of who was told."""
    return [each for event in read_chain(incident.folder.root) if event.name == "notify" for each in event.data["told"]]


def test_a_run_is_told_at_each_moment_with_a_signature_that_holds(incident: Incident) -> None:
    incident.repository.issues[ISSUE] = []
    token = incident.fake.add_token("issues: write", "metadata: read", repositories=[incident.repository])
    with start_receiver() as receiver:
        telling(incident, Notify(webhook=receiver.url, issue=ISSUE), token=token)
        recover(incident)
    assert receiver.moments == ALL
    assert receiver.forged == []
    told = [Notification.model_validate(each, strict=False) for each in receiver.taken]
    assert {each.service for each in told} == {"pg-ha/lab"}
    assert {each.run_url for each in told} == {f"https://github.com/{CALLER}/actions/runs/{incident.run.id}"}
    assert [each.outcome for each in told][-1].startswith("COMPLETED")
    assert told[-1].exit_code == 0
    assert all("\n" not in each.text for each in told)
    assert [each.text.split("  ")[0] for each in told[:3]] == ["WAITING FOR APPROVAL", "STARTED", "PAST NO RETURN"]
    assert len({each["x-dr-dispatch-delivery"] for each in receiver.headers}) == 4
    comments = incident.repository.issues[ISSUE]
    assert [comment.splitlines()[0] for comment in comments] == [in_code(each.text) for each in told]
    assert [(each["moment"], each["to"], each["problem"]) for each in noted(incident)] == [
        (moment, to, "") for moment in ALL[:3] for to in ("webhook", f"issue {ISSUE}")
    ]


def test_no_secret_is_told_kept_or_printed(incident: Incident) -> None:
    token = incident.fake.add_token("issues: write", "metadata: read", repositories=[incident.repository])
    incident.repository.issues[ISSUE] = []
    with start_receiver() as receiver:
        telling(incident, Notify(webhook=receiver.url, issue=ISSUE), token=token)
        recover(incident)
    secrets = [SECRET, token, *incident.site.secrets.values()] if hasattr(incident.site, "secrets") else [SECRET, token]
    kept = b"\n".join(read_files(bundle_path(incident.folder)).values()).decode("utf-8", "replace")
    said = "\n".join([*incident.said, *map(bytes.decode, receiver.raw), *incident.repository.issues[ISSUE], kept])
    assert [each for each in secrets if each in said] == []


def test_only_the_moments_that_were_asked_for(incident: Incident) -> None:
    with start_receiver() as receiver:
        telling(incident, Notify.model_validate({"webhook": receiver.url, "at": ["ended"]}, strict=False))
        recover(incident)
    assert receiver.moments == ["ended"]


def test_a_run_that_is_refused_is_told_as_ended(incident: Incident) -> None:
    with start_receiver() as receiver:
        telling(incident, Notify(webhook=receiver.url))
        incident.reach_gate()
        denied = incident.execute(incident.signed("jonas", "deny"))
        bundle = bundle_path(incident.folder)
        conclude(incident.folder, incident.world("conclude"), evidence=bundle, digest=sha256_of(bundle), results={})
    assert denied.refusal is not None
    assert receiver.moments == ["waiting", "ended"]
    assert receiver.taken[-1]["outcome"] == "DENIED"
    assert receiver.taken[-1]["exit_code"] == 6


# -------------------------------------------------------------------------------------------------- receivers at their worst


def slow(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(600):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def huge(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(10_000):
        handler.wfile.write(b" " * 65536)


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def repeats(handler: BaseHTTPRequestHandler) -> None:
    """An error with what it was sent, and line ends."""
    handler.send_response(500, "sha256=what-was-sent")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [(slow, "no answer"), (huge, "more than 65536 bytes"), (reset, "no connection"), (repeats, "HTTP 500")],
    ids=["slow", "huge", "reset", "error"],
)
def test_a_hostile_receiver_stops_nothing(incident: Incident, answer: Callable[[BaseHTTPRequestHandler], None], problem: str) -> None:
    with start_receiver(answer) as receiver:
        telling(incident, Notify(webhook=receiver.url))
        begun = time.monotonic()
        recover(incident)
        assert time.monotonic() - begun < 90
    assert verify(bundle_path(incident.folder)).ok
    assert [each["moment"] for each in noted(incident)] == ALL[:3]
    assert all(problem in each["problem"] or each["problem"] == "no answer yet" for each in noted(incident)), noted(incident)
    assert any("webhook not told that the run is ended" in line for line in incident.said)


def test_a_redirect_is_not_followed(incident: Incident) -> None:
    with ExitStack() as stack:
        other: Receiver = stack.enter_context(start_receiver())

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", other.url)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        receiver = stack.enter_context(start_receiver(redirect))
        telling(incident, Notify(webhook=receiver.url))
        recover(incident)
        assert other.raw == []
    assert {each["problem"] for each in noted(incident)} == {"redirects (HTTP 307), which is never followed"}


def test_without_a_secret_nothing_is_sent(incident: Incident) -> None:
    with start_receiver() as receiver:
        telling(incident, Notify(webhook=receiver.url, issue=ISSUE), secret="")
        recover(incident)
    assert receiver.raw == []
    assert {each["problem"] for each in noted(incident)} == {
        "no secret of 16 characters to sign with (notify_secret)",
        "no token that may write comments (notify_token)",
    }
