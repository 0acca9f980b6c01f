"""What the act tests share, and the table of their runs at the end of the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.act.site import SECRETS, Site, make_site
from tests.support.openbao import OpenBao, start_openbao

REPORT = "act-runs"
JOBS = ("plan", "check", "execute", "conclude")


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
        rows = []
        for scenario, run in made.runs:
            results = " ".join(f"{job}={run.jobs.get(job, '-')}" for job in JOBS)
            rows.append([scenario, results, run.answers.get("outcome", ""), run.answers.get("exit_code", ""), f"{run.seconds:.1f}"])
        request.node.user_properties.append((REPORT, rows))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per run of the workflow: scenario, jobs and results, outcome, exit code, seconds."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ()) if report.when == "teardown"]
    reports += [report for report in terminalreporter.stats.get("", ()) if report.when == "teardown"]
    rows = [row for report in reports for name, value in report.user_properties if name == REPORT for row in value]
    if not rows:
        return
    head = ["scenario", "jobs", "outcome", "exit", "seconds"]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    terminalreporter.section("dispatch.yml under act")
    for row in [head, *rows]:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
