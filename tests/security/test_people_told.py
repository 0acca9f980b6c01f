"""Attack: who is told of a run, and by whom: receivers that were chosen, messages that were made up, what they could carry away."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import requests

from hyops_ci.cli.notifier import notifier_for
from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.notify import Moment
from hyops_ci.redaction.redactor import Redactor
from hyops_ci.stages.job import Job
from hyops_ci.stages.notifier import Notifier
from tests.support.receiver import SECRET, Receiver, start_receiver

JOB = Job(run_id="42-1", on_github=True, repository="acme/recovery", ref="refs/heads/main", default_branch="main")
NOW = datetime(2026, 11, 28, 3, 5, tzinfo=UTC)
PASSWORD = "c4n4ry/Superuser+Word==1"


def config(url: str) -> DispatchConfig:
    found = parsed_config(
        f"""
services: {{pg-ha/lab: {{failover: {{lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}}}}
envs: {{lab: {{class: lab}}}}
notify: {{webhook: "{url}"}}
""".encode()
    )
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_NOTIFY_SECRET", SECRET)


def tell(notifier: Notifier, text: str = "RECOVERED", service: str = "pg-ha/lab") -> list[dict[str, Any]]:
    notifier.tell(Moment.ENDED, text, NOW, service=service, outcome="COMPLETED", exit_code=0)
    return notifier.close(lambda line: None)


@pytest.mark.parametrize("ref", ["refs/heads/mine", "refs/tags/main", "refs/pull/7/merge"])
def test_a_branch_that_chooses_the_receiver(ref: str) -> None:
    with start_receiver() as receiver:
        assert tell(notifier_for(config(receiver.url), replace(JOB, ref=ref))) == []
    assert receiver.raw == []


def test_the_reviewed_config_chooses_the_receiver() -> None:
    with start_receiver() as receiver:
        assert tell(notifier_for(config(receiver.url), JOB)) == [{"moment": "ended", "to": "webhook", "problem": ""}]
    assert ([each["text"] for each in receiver.taken], receiver.forged) == (["RECOVERED"], [])


def test_a_message_that_somebody_made_up() -> None:
    """Without the secret, or with the signature of another message: a receiver that verifies takes neither."""
    with start_receiver() as receiver:
        tell(notifier_for(config(receiver.url), JOB), "FAILED")
        [true], [headers] = receiver.raw, receiver.headers
        made_up = true.replace(b"FAILED", b"RECOVERED")
        for signed in ({}, {"X-Hub-Signature-256": headers["x-hub-signature-256"]}, {"X-Hub-Signature-256": "sha256="}):
            assert requests.post(receiver.url, data=made_up, headers=signed, timeout=60).status_code == 204
    assert [each["text"] for each in receiver.taken] == ["FAILED"]
    assert len(receiver.forged) == 3


def test_a_message_that_is_sent_again_is_known_by_its_signed_body() -> None:
    with start_receiver() as receiver:
        tell(notifier_for(config(receiver.url), JOB))
        requests.post(receiver.url, data=receiver.raw[0], headers=receiver.headers[0], timeout=60)
    first, again = receiver.taken
    assert {each["x-dr-dispatch-delivery"] for each in receiver.headers} == {f"{first['run_id']}-{first['moment']}"}
    assert first == again


def test_a_receiver_that_sends_the_message_elsewhere() -> None:
    with ExitStack() as stack:
        inside: Receiver = stack.enter_context(start_receiver())

        def elsewhere(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", inside.url)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        receiver = stack.enter_context(start_receiver(elsewhere))
        [told] = tell(notifier_for(config(receiver.url), JOB))
    assert inside.raw == []
    assert told["problem"] == "redirects (HTTP 307), which is never followed"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254"])
def test_an_address_of_the_runners_own_is_no_receiver(host: str) -> None:
    """Outside class lab: a service of the runner's host would be asked by the job."""
    [told] = tell(notifier_for(config(f"https://{host}/dr"), JOB), service="pg-ha/prod")
    assert told["problem"] == "its address is this host's"


def test_a_message_that_would_carry_a_secret_away() -> None:
    with start_receiver() as receiver:
        made = notifier_for(config(receiver.url), JOB)
        made.clean = Redactor([PASSWORD, SECRET]).text
        tell(made, f"FAILED: psql: password {PASSWORD} \x1b[2J\n::error::{SECRET}")
    [body] = receiver.raw
    assert PASSWORD.encode() not in body
    assert SECRET.encode() not in body
    assert "\x1b" not in receiver.taken[0]["text"]
    assert "\n" not in receiver.taken[0]["text"]
