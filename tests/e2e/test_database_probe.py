"""A recovery whose probe logs in: a database that takes writes is served from, one in recovery is not, and nobody sees the password."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.run import State
from hyops_ci.evidence.contents import read_files
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import SCENARIOS, example_decision, one_run
from hyops_ci.redaction import Redactor
from hyops_ci.report.text import summary_lines
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


def recover(site: Site, server: Server, **more: str) -> Conclusion:
    """A run of the example, proven by what this database says of itself."""
    login = {"user": "dr_probe", "secret": SECRET, **more}
    path = site.repository / ".github" / "dr-dispatch.yml"
    config = yaml.safe_load(path.read_text())
    config["verification"][site.service] = [
        {"kind": "postgres", "target": server.target, "login": login, "hold": "PT1S", "timeout": "PT3S"}
    ]
    config["objectives"] = {site.service: {"rto": "PT30M", "rpo": "PT5M"}}
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


# ------------------------------------------------------------------------------------------------- how new the data is


@pytest.fixture
def kept(home: Path, data: Path) -> Iterator[Server]:
    """A database with a table that the probe's login may read."""
    with postgres.running(home, data) as server:
        server.sql(
            "DROP TABLE IF EXISTS heartbeat",
            "CREATE TABLE heartbeat (at timestamptz)",
            "INSERT INTO heartbeat VALUES (now() - interval '2 minutes'), (now() - interval '3 minutes')",
            "GRANT SELECT ON heartbeat TO dr_probe",
        )
        yield server


def measured(ended: Conclusion) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    files = read_files(ended.bundle)
    assert ended.verdict.ok, ended.verdict.problems
    objectives = json.loads(files["objectives.json"])
    return objectives["figures"].get("data_age", {}), objectives["rpo"], json.loads(files["result.json"])


def test_how_much_data_was_lost_is_measured_and_judged(site: Site, kept: Server) -> None:
    ended = recover(site, kept, freshness="select max(at) from heartbeat")
    age, rpo, result = measured(ended)
    assert 60 <= age["seconds"] <= 121
    assert rpo == {"objective": 300, "met": True}
    assert not any("data loss" in each for each in result["not_proven"])
    ledger = Ledger.over_git(str(site.root / "ledger.git"), site.service, state_dir=site.root / "onlooker")
    figures = ledger.tip().figures
    assert figures is not None
    assert (figures.data_age, figures.rpo, figures.verdict) == (age["seconds"], 300, "met")
    assert "before the request is the newest data. Objective 5m00s: met" in "\n".join(summary_of(ended))


def summary_of(ended: Conclusion) -> list[str]:
    files = read_files(ended.bundle)
    return summary_lines(ended.result, json.loads(files["objectives.json"]))


def test_data_that_is_older_than_promised(site: Site, kept: Server) -> None:
    ended = recover(site, kept, freshness="select min(at) - interval '1 hour' from heartbeat")
    _, rpo, result = measured(ended)
    assert rpo == {"objective": 300, "met": False}
    assert result["outcome"] in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS), "it is a verdict, and no failure"


UNKNOWN = {
    "more than one row": ("select at from heartbeat", "more than one row"),
    "no row": ("select max(at) from heartbeat where false", "yields nothing"),
    "no time": ("select 'soon'", "invalid input syntax"),
    "a table that the login may not read": ("select max(now()) from pg_authid", "permission denied"),
    "a change": ("with gone as (delete from heartbeat returning at) select max(at) from gone", "PostgreSQL says"),
    "a second statement": (
        "select now())); delete from heartbeat; select extract(epoch from (select now()",
        "cannot insert multiple commands",
    ),
    "a session that would write": ("select set_config('transaction_read_only', 'off', false)::timestamptz", "PostgreSQL says"),
    "data that was written since": ("select now() + interval '1 hour'", "newer than the request"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_says_nothing_about_the_data_changes_nothing_and_ends_no_run(site: Site, kept: Server, name: str) -> None:
    query, why = UNKNOWN[name]
    age, rpo, result = measured(recover(site, kept, freshness=query))
    assert (age["seconds"], rpo["met"]) == (None, None)
    assert why in age["reason"]
    assert result["outcome"] in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)
    assert kept.sql("SELECT count(*) FROM heartbeat") == [[2]]


def test_without_a_query_it_is_not_measured(site: Site, kept: Server) -> None:
    age, rpo, result = measured(recover(site, kept))
    assert (age, rpo["met"]) == ({}, None)
    assert any("data loss (no probe asks for the newest data" in each for each in result["not_proven"])
