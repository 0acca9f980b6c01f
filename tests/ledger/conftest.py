"""The places a ledger is tested in: a list, a branch in memory, a bare repository, and the same repository behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyops_ci.ledger.git_store import GitStore
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.store import Store
from tests.ledger.ledger_setup import BRANCH, MemoryStore, at, bare, on_host
from tests.support.git_http import GitServer, serving
from tests.support.ref_store import Branch, RefStore

Stores = Callable[[], Store]
"""Another client of the same branch at every call."""


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository as the ledger's home."""
    return bare(tmp_path / "served" / "ledger.git")


@pytest.fixture
def server(remote: Path) -> Iterator[GitServer]:
    with serving(remote.parent) as running:
        yield running


@pytest.fixture(params=["list", "ref", "bare", "http"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    if request.param == "ref":
        branch = Branch()
        return lambda: RefStore(branch)
    if request.param == "list":
        store = MemoryStore()
        return lambda: store
    home: Path = request.getfixturevalue("remote")
    address = request.getfixturevalue("server").url(home.name) if request.param == "http" else str(home)
    caches = iter(range(100))
    return lambda: GitStore(address, BRANCH, tmp_path / f"cache-{next(caches)}", sleep=lambda _: None)


@pytest.fixture
def made(remote: Path, tmp_path: Path) -> Ledger:
    """A ledger with its first tip, on the bare repository."""
    ledger = on_host(str(remote), state_dir=tmp_path / "host")
    ledger.init("onprem", at(-60))
    return ledger
