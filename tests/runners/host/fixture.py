"""The pytest fixtures: `from tests.runners.host.fixture import booted_host` in a test module, or in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runners.host.booted import BootedHost
from tests.runners.host.site import Site, site


@pytest.fixture(scope="module")
def new_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A machine that was just made, with the key of this run in it; a GitHub and an agent's archive beside it."""
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def booted_host(new_site: Site) -> BootedHost:
    """That machine alone: a Debian with systemd as PID 1 that answers SSH from the network of CI."""
    return new_site.host
