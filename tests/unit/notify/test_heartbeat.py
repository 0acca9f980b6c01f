"""A ping: where it may go, that its address is shown nowhere, and when it is sent again."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from hyops_ci.contracts.notify import Notify
from hyops_ci.notify.heartbeat import ping
from tests.support.ports import free_port
from tests.support.receiver import start_receiver

CANARY = "c4n4ry-6b1f-4a6e-9d1c-of-the-watcher"
ORIGIN = "https://hc-ping.com"


def test_a_ping_is_taken() -> None:
    with start_receiver() as watcher:
        origin = watcher.url.removesuffix("/dr")
        assert ping(f"{origin}/{CANARY}?status=up&msg=OK", origin, {}, lab=True) == ""
    assert watcher.pings == [f"/{CANARY}?status=up&msg=OK"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no address to ping"),
        (f"https://hc-ping.com.evil.example/{CANARY}", "none at https://hc-ping.com"),
        (f"https://hc-ping.com@evil.example/{CANARY}", "none at https://hc-ping.com"),
        (f"https://hc-ping.com:8443/{CANARY}", "none at https://hc-ping.com"),
        (f"http://hc-ping.com/{CANARY}", "none at https://hc-ping.com"),
        (f"https://hc-ping.com/{CANARY}\nHost: x", "none at https://hc-ping.com"),
        (f"https://hc-ping.com/{CANARY}#x", "none at https://hc-ping.com"),
        (f"https://hc-ping.com/{CANARY * 20}", "none at https://hc-ping.com"),
        ("https://hc-ping.com", "none at https://hc-ping.com"),
        ("https://hc-ping.com/", "none at https://hc-ping.com"),
    ],
)
def test_an_address_that_is_not_at_the_configs_server_is_not_asked_and_not_shown(url: str, why: str) -> None:
    found = ping(url, ORIGIN, {}, lab=False)
    assert why in found
    assert CANARY not in found


@pytest.mark.parametrize(
    ("origin", "why"), [("http://192.0.2.1", "not https"), ("https://127.0.0.1", "this host"), ("https://localhost", "this host")]
)
def test_only_https_to_another_host(origin: str, why: str) -> None:
    Notify(heartbeat=origin)
    found = ping(f"{origin}/{CANARY}", origin, {}, lab=False)
    assert why in found
    assert CANARY not in found


def test_passing_trouble_is_tried_once_more_and_a_redirect_is_not_followed() -> None:
    answers = [503, 204, 404, 302]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(answers.pop(0))
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with start_receiver(answer) as watcher:
        origin = watcher.url.removesuffix("/dr")
        said = [ping(f"{origin}/{CANARY}", origin, {}, lab=True, sleep=lambda _: None) for _ in range(3)]
    assert said == ["", "HTTP 404", "redirects (HTTP 302), which is never followed"]
    assert watcher.pings == [f"/{CANARY}"] * 4


def test_a_watcher_that_does_not_answer_is_a_word_without_its_address() -> None:
    with start_receiver(port=free_port()) as watcher:
        origin = watcher.url.removesuffix("/dr")
    found = ping(f"{origin}/{CANARY}", origin, {}, lab=True, sleep=lambda _: None)
    assert found == "refused the connection"
