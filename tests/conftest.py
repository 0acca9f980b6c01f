"""What holds for every test: the same answer on a laptop, on a runner of GitHub, and in an empty home."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.act.table import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

# Time limits per example say more about the machine than about the code; pytest-timeout ends what hangs.
settings.register_profile("house", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)  # what tests/support/examples.py takes its share from
if settings.get_current_profile_name() == "default":  # under CI hypothesis chooses its own: no limits, no randomness
    settings.load_profile("house")

# A test that needs one of these sets it. Inside a GitHub job, or a shell that talks to a Vault, they would leak in.
for name in [n for n in os.environ if n.startswith(("GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "VAULT_", "BAO_", "ANSIBLE_", "GIT_"))]:
    del os.environ[name]
os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "TZ": "UTC"}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector, which looks at all of it again and again; none of it is ever garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is slow: else the last test, of those dealt to processes, may be one that all of them wait for."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
