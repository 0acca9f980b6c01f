"""One signed request: what is signed, where it may go, and when it is sent again."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest

from hyops_ci.contracts.notify import Moment, Notification, Notify
from hyops_ci.notify.webhook import deliver, signature, unfit
from tests.support.receiver import SECRET, start_receiver

MESSAGE = Notification(moment=Moment.STARTED, text="STARTED  Süd", at="2026-11-28T03:00:00Z", run_id="42-1", service="pg-ha/prod")


def test_the_signature_is_githubs() -> None:
    """The example of GitHub's page on validating webhooks."""
    assert (
        signature(b"Hello, World!", "It's a Secret to Everybody")
        == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


def test_exactly_what_is_sent_is_signed() -> None:
    with start_receiver() as receiver:
        assert deliver(receiver.url, SECRET, MESSAGE, {}) == ""
        assert deliver(receiver.url, SECRET[::-1], MESSAGE, {}) == ""
    assert receiver.taken == [MESSAGE.document()]
    assert [json.loads(each) for each in receiver.forged] == [MESSAGE.document()]
    assert receiver.headers[0]["x-dr-dispatch-moment"] == "started"
    assert receiver.headers[0]["x-dr-dispatch-delivery"] == "42-1-started"


def test_passing_trouble_is_tried_once_more_and_a_no_is_not() -> None:
    answers = [503, 204, 400]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(answers.pop(0))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with start_receiver(answer) as receiver:
        assert deliver(receiver.url, SECRET, MESSAGE, {}, sleep=lambda _: None) == ""
        assert deliver(receiver.url, SECRET, MESSAGE, {}, sleep=lambda _: None) == "HTTP 400"
    assert len(receiver.raw) == 3


@pytest.mark.parametrize(
    ("url", "secret", "lab", "why"),
    [
        ("https://hooks.example.net/dr", SECRET, False, ""),
        ("https://[2001:db8::1]:8443/dr", SECRET, False, ""),
        ("http://127.0.0.1:8080/dr", SECRET, True, ""),
        ("http://hooks.example.net/dr", SECRET, False, "not https"),
        ("https://localhost/dr", SECRET, False, "this host"),
        ("https://169.254.169.254/latest", SECRET, False, "this host"),
        ("https://127.0.0.1/dr", SECRET, False, "this host"),
        ("https://hooks.example.net/dr", "short", False, "no secret"),
        ("https://hooks.example.net/dr", "", True, "no secret"),
    ],
)
def test_where_it_may_go(url: str, secret: str, lab: bool, why: str) -> None:
    Notify(webhook=url)
    found = unfit(url, secret, lab=lab)
    assert (why in found) if why else not found


def test_clear_text_over_a_network_is_not_sent_in_a_lab_either() -> None:
    assert deliver("http://192.0.2.1/dr", SECRET, MESSAGE, {}, sleep=lambda _: None) == "neither https nor on the loopback"


@pytest.mark.parametrize(
    "url", ["ftp://x.example/dr", "https://u:p@x.example/dr", "https://x.example/dr?token=1", "https://x.example/a b", ""]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="webhook"):
        Notify(webhook=url)
