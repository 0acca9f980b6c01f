"""Two counterparts of the client: the fake GitHub that knows its API, and a socket that says exactly what it was given."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hyops_ci.github.api.client import Client
from tests.support.github.fixture import github_fake
from tests.unit.github.scripted import TOKEN, Scripted, Time

__all__ = ["github_fake"]


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    made = Scripted()
    listener = socket.create_server(("127.0.0.1", 0))
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=made.serve, args=(listener,), daemon=True)
    thread.start()
    yield made
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def connected(time: Time) -> Callable[..., Client]:
    """A client whose waiting takes no time."""

    def make(url: str, token: str = TOKEN, **more: Any) -> Client:
        return Client.connect("acme/dr", token=token, api_url=url, sleep=time.sleep, monotonic=time.monotonic, say=time.told.append, **more)

    return make


@pytest.fixture
def asking(scripted: Scripted, connected: Callable[..., Client]) -> Callable[..., Client]:
    """A client of a counterpart that says these answers."""

    def make(*answers: bytes | Iterator[bytes]) -> Client:
        scripted.script = list(answers)
        return connected(scripted.url)

    return make
