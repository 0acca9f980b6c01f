"""Proxmox VE passes the contract suite: the real proxmoxer over TLS against a fake that keeps to the API's own models and privileges."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from tests.runners.contract import ProviderContract
from tests.runners.proxmox_fake.world import proxmox_world
from tests.runners.world import World


@pytest.mark.slow
class TestProxmox(ProviderContract):
    def world(self) -> AbstractContextManager[World]:
        return proxmox_world()
