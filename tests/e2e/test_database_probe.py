"""A recovery whose probe logs in: a database that takes writes is served from, one in recovery is not, and nobody sees the password."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hyops_ci.contracts.run import State
from hyops_ci.evidence.contents import read_files
from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import SCENARIOS, example_decision, one_run
from hyops_ci.redaction import Redactor
from hyops_ci.stages.conclude.stage import Conclusion
from hyops_ci.stages.context import SystemClock
from tests.support import postgres
from tests.support.postgres import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SECRET, PASSWORD = "PG_PROBE_PASSWORD", "probe-0123456789-abcdef"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with postgres.programs() as folder:
        yield folder


@pytest.fixture(scope="module")
def data(home: Path) -> Path:
    made = postgres.initialise(home)
    with postgres.running(home, made) as server:
        server.sql(f"CREATE ROLE dr_probe LOGIN PASSWORD '{PASSWORD}'", "CHECKPOINT")
    return made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    printed: list[str] = []
    made = Site(tmp_path, SystemClock(), printed.append, printed.append)
    with endpoint() as port:
        set_up(made, port)
        authority = tmp_path / "authority.json"
        authority.write_text(json.dumps(json.loads(authority.read_text()) | {SECRET: PASSWORD}))
        yield made
    assert PASSWORD not in "\n".join(printed)
    (tmp_path / "printed").write_text("\n".join(printed))


def recover(site: Site, server: Server) -> Conclusion:
    """A run of the example, proven by what this database says of itself."""
    login = {"user": "dr_probe", "secret": SECRET}
    path = site.repository / ".github" / "dr-dispatch.yml"
    config = yaml.safe_load(path.read_text())
    config["verification"][site.service] = [
        {"kind": "postgres", "target": server.target, "login": login, "hold": "PT1S", "timeout": "PT3S"}
    ]
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return one_run(site, site.root / "run-1", example_decision("failover", site.clock, 1), SCENARIOS["recovered"])


def test_a_database_that_takes_writes_proves_the_recovery_and_hyops_never_has_its_password(site: Site, home: Path, data: Path) -> None:
    program, seen = site.runner / "hyops", site.runner / "environment"
    program.rename(program.with_name("stand-in"))
    program.write_text(f'#!/bin/sh\nenv | cut -d= -f1 >> "{seen}"\nexec "{program.with_name("stand-in")}" "$@"\n')
    program.chmod(0o755)
    with postgres.running(home, data) as server:
        ended = recover(site, server)
    assert ended.verdict.ok, ended.verdict.problems
    files = read_files(ended.bundle)
    result = json.loads(files["result.json"])
    assert result["outcome"] in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)
    assert result["proven"] == [f"PostgreSQL takes writes at {server.target}, says dr_probe's login, held 1 s"]
    everywhere = {**files, "report": ended.report.read_bytes()}
    everywhere |= {str(path): path.read_bytes() for path in site.root.rglob("*") if path.is_file() and path.name != "authority.json"}
    seeker = Redactor({SECRET: PASSWORD})
    assert [name for name, content in everywhere.items() if seeker.find(content)] == []
    names = seen.read_text().split()
    assert "PATRONI_SUPERUSER_PASSWORD" in names
    assert SECRET not in names
    brought = json.loads(files["secrets.json"])
    assert SECRET in [each["key"] for each in brought["secrets"]]
    assert f"{SECRET}: for a probe, HyOps does not get it" in brought["notes"]
    assert SECRET not in brought["changed"], "it was written to HyOps' bundle"


def test_a_database_in_recovery_is_not_served_from(site: Site, home: Path, data: Path) -> None:
    (data / "standby.signal").touch()
    with postgres.running(home, data) as server:
        ended = recover(site, server)
    (data / "standby.signal").unlink()
    result = json.loads(read_files(ended.bundle)["result.json"])
    assert (result["outcome"], result["exit_code"]) == (State.NOT_PROVEN, 13)
    assert "is in recovery: a standby, it takes no writes" in "\n".join(result["not_proven"])
    assert "serves" not in result["headline"]


def test_a_password_that_the_authority_does_not_have_is_missed_before_anyone_is_asked(site: Site, home: Path, data: Path) -> None:
    authority = site.root / "authority.json"
    authority.write_text(json.dumps({name: value for name, value in json.loads(authority.read_text()).items() if name != SECRET}))
    with postgres.running(home, data) as server:
        ended = recover(site, server)
    result = json.loads(read_files(ended.bundle)["result.json"])
    assert (result["refusal"]["gate"], result["refusal"]["found"]) == ("secrets.names", SECRET)
    assert "approvals.json" not in read_files(ended.bundle)
