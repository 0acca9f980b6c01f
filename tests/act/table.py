"""The table of the act runs at the end of the suite.

A hook of the whole suite: the process that prints the end reads only the top conftest when workers do the tests.
"""

from __future__ import annotations

from typing import Final

import pytest

REPORT: Final = "act-runs"
JOBS: Final = ("plan", "check", "execute", "conclude")


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
