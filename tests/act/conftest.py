"""What the act tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.act.site import SECRETS, Site, make_site
from tests.act.table import JOBS, REPORT
from tests.support.openbao import OpenBao, start_openbao


@pytest.fixture(scope="session")
def bao() -> Iterator[OpenBao]:
    """One OpenBao for all sites: the secrets of env `lab` and its two roles."""
    with start_openbao() as server:
        for path, fields in SECRETS.items():
            server.put(path, **fields)
        server.add_env("lab", list(SECRETS))
        yield server


@pytest.fixture
def site(tmp_path: Path, bao: OpenBao, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A fresh site; its runs go into the table."""
    with make_site(tmp_path, bao) as made:
        yield made
        in_the_table(request, made)


def in_the_table(request: pytest.FixtureRequest, site: Site) -> None:
    """The runs of a site go into the table."""
    rows = []
    for scenario, run in site.runs:
        results = " ".join(f"{job}={run.jobs.get(job, '-')}" for job in JOBS)
        rows.append([scenario, results, run.answers.get("outcome", ""), run.answers.get("exit_code", ""), f"{run.seconds:.1f}"])
    request.node.user_properties.append((REPORT, rows))
