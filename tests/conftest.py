"""What holds for every test: the same answer on a laptop, on a runner of GitHub, and in an empty home."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.act.table import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

# Time limits, of an example or of drawing some, say more about the machine than about the code; pytest-timeout ends what hangs.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("house"), max_examples=25)  # what tests/support/examples.py takes its share from
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let every process begin with its share of what is slow: else the last test may be one that all of them wait for.

    pytest-xdist first deals the list out in equal parts, and later takes from the end of the longest one. The tests of a slow module
    stay together: they share what is made once.
    """
    processes = int(getattr(config, "workerinput", {}).get("workercount", 1))
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    quick = [item for item in items if item.get_closest_marker("slow") is None]
    modules = list(dict.fromkeys(item.path for item in slow))
    share = {path: number % processes for number, path in enumerate(modules)}
    dealt: list[pytest.Item] = []
    for number in range(processes):
        first = [item for item in slow if share[item.path] == number]
        room = (len(items) - len(dealt)) // (processes - number) - len(first)
        dealt += first + quick[: max(room, 0)]
        del quick[: max(room, 0)]
    items[:] = dealt + quick
