"""Google Cloud passes the contract suite: by keys in the machine's metadata, and by OS Login."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from tests.runners.contract import EgressContract
from tests.runners.gcp_fake.world import gcp_world
from tests.runners.world import World


@pytest.mark.slow
class TestGcp(EgressContract):
    def world(self) -> AbstractContextManager[World]:
        return gcp_world()
