"""The provider in memory passes the contract suite, so that what is tested on it holds for the real ones."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from tests.runners.contract import EgressContract
from tests.runners.memory_provider import MemoryWorld
from tests.runners.world import World


class TestInMemory(EgressContract):
    def world(self) -> AbstractContextManager[World]:
        return nullcontext(MemoryWorld())
