"""A pytest plugin that notes which endpoints each test really asked: `pytest -p tests.support.asked`, into the file DR_ASKED names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import Endpoint

ASKED: dict[str, set[str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    asked = ASKED.setdefault(item.nodeid, set())
    once = Client._once

    def noted(self: Client, endpoint: Endpoint, *rest: Any) -> Any:
        answer = once(self, endpoint, *rest)
        if answer.fine or answer.status == 302:
            asked.add(f"{endpoint.method} {endpoint.path}")
        return answer

    Client._once = noted  # type: ignore[method-assign]
    try:
        return (yield)
    finally:
        Client._once = once  # type: ignore[method-assign]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    if path := os.environ.get("DR_ASKED"):
        Path(path).write_text(json.dumps({test: sorted(asked) for test, asked in ASKED.items() if asked}), encoding="utf-8")
