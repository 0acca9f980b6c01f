"""Doctor over a rehearsal's site: where all is well, one thing wrong at a time, and anything at all in config and overlay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.doctor.doctor import doctor
from hyops_ci.operations.doctor.report import Diagnosis
from hyops_ci.operations.prepare.environment import PreparedState
from hyops_ci.operations.rehearse.sandbox import APPROVER, Site, set_up
from hyops_ci.planning.needs import NEEDS
from hyops_ci.stages.context import RunContext, SystemClock
from tests.ledger.ledger_setup import request
from tests.support.examples import examples
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.support.host_key import host_signs

__all__ = ["github_fake"]
SERVICE = "pg-ha/lab"
CONFIG = ".github/dr-dispatch.yml"
OVERLAY = ".github/dr/lab/postgresql-ha-failover-gcp.yml"
DATABASE = "platform/postgresql-ha#postgresql_restore_gcp_dr"
TOPICS = [need.topic for need in NEEDS]
PREPARED = PreparedState(Path("/opt/dr-dispatch/job-started.sh"), True, Path("/opt/dr-dispatch/0123"), True)


@pytest.fixture(autouse=True)
def prepared_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.operations.doctor.doctor.prepared_state", lambda: PREPARED)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "site", SystemClock())
    set_up(made, 5432)
    return made


def look(site: Site, world: RunContext | None = None, **options: Any) -> Diagnosis:
    """The diagnosis; nothing on the site, its ledger included, is another than before, and no value of a secret was told."""
    before, values = files(site.root), secrets_of(site)
    found = doctor(SERVICE, options.pop("action", "failover"), site.repository, world or site.world(), **options)
    assert files(site.root) == before
    said = "\n".join(
        [*(line.text_line() for line in found.by_topic()), found.verdict(), *(json.dumps(each.to_json()) for each in found.refused)]
    )
    assert [value for value in values if value in said] == []
    return found


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def secrets_of(site: Site) -> list[str]:
    with suppress(OSError):
        return [*json.loads((site.root / "authority.json").read_text()).values(), (site.runner / "vault-password").read_text()]
    return []


def words(found: Diagnosis, *topics: str) -> list[str]:
    return [line.text_line() for line in found.by_topic() if not topics or line.topic in topics]


def change(site: Site, path: str, edit: Callable[[Any], object]) -> None:
    """Edit a YAML file of the repository."""
    document = yaml.safe_load((site.repository / path).read_text())
    edit(document)
    (site.repository / path).write_text(yaml.safe_dump(document, sort_keys=False))


def trust(**changes: Any) -> HostTrust:
    base: dict[str, Any] = {
        "repository_id": 4711,
        "repository_owner_id": 77,
        "ref": "refs/heads/main",
        "workflow_shas": ["3f2a" + "0" * 36],
        "runner_refs": ["gcp-ops-runner"],
        "gates": {"lab": "dr-lab"},
        "approvers": [],
    }
    return HostTrust.model_validate_json(json.dumps({**base, **changes}))


# --------------------------------------------------------------------------------------------------- where all is well


def test_all_is_well(site: Site) -> None:
    site.seed_state("org/gcp/wan-hub-network", 50)
    found = look(site)
    assert list(dict.fromkeys(line.topic for line in found.by_topic())) == TOPICS
    assert (found.exit_code, [line for line in found.lines if line.status == "FAIL"]) == (0, [])
    lines = words(found, *(topic for topic in TOPICS if topic not in ("config", "runner", "system")))
    assert lines == [
        "ok    overlay     committed = on runner, 0 CHANGE_ME inputs, guards closed",
        "ok    restore     would run: postgresql_restore",
        (
            "warn  backup set  the newest set that platform/postgresql-ha-backup knew when it last ran; "
            "labels of the repository are not readable here, HyOps reads them at restore time"
        ),
        "ok    probes      tcp 127.0.0.1:5432",
        f"warn  host        does not pin its callers (trust.json); HyOps runs as {getuser()}, the user of hyops-ci (SECURITY.md)",
        "ok    host        prepared by root: job-started hook, environment 0123",
        "warn  hyops       0.1.4+stand.in, a stand-in: it recovers nothing",
        "ok    secrets     6 of 6 names, values not read",
        "ok    bundle      there and opened by its password, or none there and none needed; nothing decrypted",
        "ok    vault       a file, in the lab",
        "ok    gate        signed, 1 of jonas",
        "ok    states      4 of 4, oldest 50 d",
        "ok    lock        free, epoch 0, primary onprem",
        "warn  readiness   not known: no check was kept yet",
        "warn  drill       never run",
    ]
    assert found.verdict() == "A failover now would be planned and checked: nothing seen from here stands in its way"


@pytest.mark.parametrize("prepared", [True, False])
def test_a_host_that_pins_its_callers(prepared: bool, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    host = PreparedState(Path("/opt/dr-dispatch/job-started.sh"), prepared, Path("/opt/dr-dispatch/0123"), prepared)
    monkeypatch.setattr("hyops_ci.operations.doctor.doctor.prepared_state", lambda: host)
    approvers = yaml.safe_load((site.repository / CONFIG).read_text())["approvals"]["approvers"]
    pinned = trust(approvers=[{"id": 1002, "login": APPROVER, "key": approvers[APPROVER]}], evidence_keys=[site.host_public])
    found = look(site, replace(site.world(), trust=pinned))
    lacks = "lacks the job-started hook /opt/dr-dispatch/job-started.sh and the environment /opt/dr-dispatch/0123"
    user = getuser()
    assert words(found, "host") == [
        f"ok    host        pins its callers (trust.json); HyOps runs as {user}, the user of hyops-ci (SECURITY.md)",
        "ok    host        prepared by root: job-started hook, environment 0123"
        if prepared
        else f"warn  host        {lacks}, which only root can write: bash actions/setup/setup.sh runner prepare",
    ]
    assert " is gcp-ops-runner, " in words(found, "runner")[0]
    assert found.exit_code == 0


# ---------------------------------------------------------------------------------------------- one thing wrong at a time


def close_lane(config: Any) -> None:
    config["lanes"] = {"gcp": {"enabled": False}}


def open_guard(overlay: Any) -> None:
    next(step for step in overlay["steps"] if step["id"] == "postgresql_restore")["inputs"]["restore_confirm"] = True


def leave_placeholder(overlay: Any) -> None:
    next(step for step in overlay["steps"] if step["id"] == "gcp_pg_vms")["inputs"]["zone"] = "CHANGE_ME_ZONE"


def lose_name(site: Site) -> None:
    path = site.root / "authority.json"
    known = json.loads(path.read_text())
    del known["POWERDNS_API_KEY"]
    path.write_text(json.dumps(known))


WRONG: dict[str, tuple[Callable[[Site], object], str, str, int]] = {
    "no config": (lambda site: (site.repository / CONFIG).unlink(), "config", "config.file", 2),
    "broken config": (lambda site: (site.repository / CONFIG).write_text("services: ["), "config", "", 2),
    "another service": (
        lambda site: change(site, CONFIG, lambda c: c["services"].update({"erp/lab": c["services"].pop(SERVICE)})),
        *("config", "config.service", 4),
    ),
    "closed lane": (lambda site: change(site, CONFIG, close_lane), "config", "lane.enabled", 4),
    "no overlay": (lambda site: (site.repository / OVERLAY).unlink(), "overlay", "config.file", 2),
    "no YAML": (lambda site: (site.repository / OVERLAY).write_text("steps: ["), "overlay", "", 2),
    "placeholder": (lambda site: change(site, OVERLAY, leave_placeholder), "overlay", "overlay.placeholder", 4),
    "open guard": (lambda site: change(site, OVERLAY, open_guard), "overlay", "overlay.guards", 4),
    "old database": (lambda site: site.seed_state(DATABASE, 70), "restore", "restore.skipped", 4),
    "no env": (lambda site: site.lose_envs(), "hyops", "hyops.env-dir", 7),
    "no HyOps": (lambda site: (site.runner / "hyops").unlink(), "hyops", "hyops.missing", 7),
    "no authority": (lambda site: site.lose_authority(), "secrets", "secrets.file", 8),
    "a name less": (lose_name, "secrets", "secrets.names", 8),
    "no map": (lambda site: change(site, CONFIG, lambda c: c["vault"].update(secret_map="none.csv")), "secrets", "config.file", 2),
    "a file for production": (lambda site: change(site, CONFIG, lambda c: c.pop("envs")), "vault", "authority.site", 4),
    "nobody signs": (lambda site: change(site, CONFIG, lambda c: c["approvals"].pop("approvers")), "gate", "approval.gate", 4),
    "no state": (lambda site: site.forget_state("org/gcp/wan-hub-network"), "states", "states.ok", 9),
    "no ledger": (lambda site: (site.root / "ledger.git" / "HEAD").unlink(), "lock", "", 5),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_thing_wrong(name: str, site: Site) -> None:
    breaks, topic, gate, code = WRONG[name]
    breaks(site)
    found = look(site)
    failed = [line for line in found.by_topic() if line.status == "FAIL"]
    assert topic in [line.topic for line in failed], words(found)
    if gate:
        assert gate in [error.gate for error in found.refused]
    assert found.exit_code == int(found.refused[0].exit_code)
    assert code in [int(error.exit_code) for error in found.refused], [error.to_json() for error in found.refused]
    assert found.verdict().startswith(f"A failover now would be REFUSED at {found.refused[0].gate}")
    assert "Fix: " in found.verdict()


def test_several_things_wrong_are_all_told(site: Site) -> None:
    site.seed_state(DATABASE, 70)
    site.forget_state("org/gcp/wan-hub-network")
    lose_name(site)
    found = look(site)
    assert {"restore", "secrets", "states"} <= {line.topic for line in found.by_topic() if line.status == "FAIL"}
    assert found.verdict().startswith("A failover now would be REFUSED at restore.skipped (and ")


def test_the_example_of_the_page(site: Site) -> None:
    site.seed_state(DATABASE, 70)
    found = look(site)
    assert found.exit_code == 4
    assert "would be SKIPPED: state ok, " in words(found, "restore")[0]
    assert found.verdict().startswith("A failover now would be REFUSED at restore.skipped. Fix: -f restore=<label>")


def test_a_named_backup_set(site: Site) -> None:
    again = look(site, restore="20261123-020003F")
    assert words(again, "restore") == ["ok    restore     would run: postgresql_restore"]
    assert words(again, "backup set")[0].startswith("warn  backup set  20261123-020003F, as named; ")


def test_another_runners_host(site: Site) -> None:
    approvers = yaml.safe_load((site.repository / CONFIG).read_text())["approvals"]["approvers"]
    other = trust(
        runner_refs=["other-runner"],
        approvers=[{"id": 1002, "login": APPROVER, "key": approvers[APPROVER]}],
        evidence_keys=[site.host_public],
    )
    found = look(site, replace(site.world(), trust=other))
    assert found.exit_code == 7
    assert words(found, "runner", "host")[0].startswith("FAIL  runner      ")


def test_a_config_that_the_host_does_not_allow(site: Site) -> None:
    found = look(site, replace(site.world(), trust=trust()))
    assert [line[:16] for line in words(found, "host")] == ["FAIL  host      "]
    assert found.refused[0].gate == "trust.looser"
    assert words(found, "lock") == ["ok    lock        free, epoch 0, primary onprem"], "the rest is asked all the same"


def test_a_run_that_was_cut_off_holds_the_lock(site: Site) -> None:
    ledger = host_signs(Ledger.over_git(str(site.root / "ledger.git"), SERVICE, state_dir=site.root / "host"), site.host_key)
    claim = ledger.claim(request(service=SERVICE, at=stamp(site.clock.now())))
    for state in (State.EXECUTING, State.INDETERMINATE):
        ledger.advance(claim, state, at=stamp(site.clock.now()))
    found = look(site)
    assert found.exit_code == 5
    assert words(found, "lock")[0].startswith("FAIL  lock        lock.unknown: ")


def test_nothing_to_fail_back_from(site: Site) -> None:
    site.seed_state("platform/postgresql-ha-backup#postgresql_backup_config_gcp_dr", 1)
    found = look(site, action="failback")
    assert found.exit_code == 0
    assert found.verdict().startswith("A failback now would do nothing, lock.")


# ------------------------------------------------------------------------------------------------------------ GitHub


@pytest.fixture
def environment(site: Site) -> None:
    """The gate is GitHub's."""
    change(site, CONFIG, lambda config: config.update(approvals={"channels": ["environment"]}))


def asking(site: Site, fake: FakeGitHub, **options: Any) -> RunContext:
    token = fake.add_token("actions: read", "contents: read", "metadata: read")
    client = Client.connect("acme/recovery", token=token, api_url=fake.url, sleep=lambda seconds: None, **options)
    return replace(site.world(), github=client)


@pytest.mark.usefixtures("environment")
def test_a_gate_that_nobody_could_ask_about(site: Site) -> None:
    found = look(site)
    assert words(found, "gate") == ["warn  gate        not asked: set GH_TOKEN and GH_REPO, or hyops-ci environment check"]
    assert found.exit_code == 0


def test_a_laptop_is_no_reason_to_refuse_production(site: Site) -> None:
    """A run on GitHub knows its branch; a look without GitHub does not, and says so."""
    change(site, CONFIG, lambda config: config["envs"]["lab"].update({"class": "production"}))
    found = look(site)
    assert "config.ref" not in [error.gate for error in found.refused]
    assert [line for line in words(found, "config") if line.startswith("warn") and "its branch was not looked at" in line]
    assert "Not looked at from here: the config's branch" in found.verdict()


@pytest.mark.usefixtures("environment")
def test_gates_as_github_says(site: Site, github_fake: FakeGitHub) -> None:
    repository = github_fake.add_repository("acme/recovery")
    repository.commit({"README.md": "x"})
    repository.protect()
    people = [github_fake.add_user("jonas", number=1002), github_fake.add_user("priya", number=1003)]
    repository.add_environment("dr-lab", reviewers=people, prevent_self_review=True, branches=["main"], can_admins_bypass=False)
    found = look(site, asking(site, github_fake))
    assert words(found, "gate")[0].startswith("ok    gate        dr-lab: jonas, priya; no self-review; main only")
    repository.add_environment("dr-lab")
    found = look(site, asking(site, github_fake))
    assert words(found, "gate")[0].startswith(
        "FAIL  gate        approval.gate: environment dr-lab does not protect; dr-lab exists, 0 reviewers"
    )
    assert found.exit_code == 4


@pytest.mark.usefixtures("environment")
def test_github_down_is_told_beside_the_rest(site: Site, github_fake: FakeGitHub) -> None:
    github_fake.add_repository("acme/recovery")
    github_fake.inject(faults.answer(503), times=None)
    clock = iter(range(0, 10**6, 60))
    found = look(site, asking(site, github_fake, monotonic=lambda: float(next(clock))))
    assert found.refused[0].exit_code == 12
    assert [line[:17] for line in words(found, "gate")] == ["FAIL  gate       "]
    assert words(found, "lock", "restore") == [
        "ok    restore     would run: postgresql_restore",
        "ok    lock        free, epoch 0, primary onprem",
    ]


def test_the_runner_as_github_shows_it(site: Site, github_fake: FakeGitHub) -> None:
    repository = github_fake.add_repository("acme/recovery")
    token = github_fake.add_token("administration: read", "metadata: read")
    client = Client.connect("acme/recovery", token=token, api_url=github_fake.url, sleep=lambda seconds: None)
    assert words(look(site, runners=client), "runner")[1].startswith("warn  runner      on GitHub: GitHub shows no runner")
    runner = repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"], version="2.336.0")
    assert words(look(site, runners=client), "runner")[1].startswith(
        "ok    runner      on GitHub: gcp-ops-runner-01 is idle, agent 2.336.0"
    )
    runner.status = "offline"
    assert words(look(site, runners=client), "runner")[1].startswith("warn  runner      on GitHub: gcp-ops-runner-01 is offline")


# -------------------------------------------------------------------------------------------------- anything at all


@dataclass
class Shared:
    """One site for many examples, with the texts that were there."""

    site: Site
    texts: dict[str, str]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    made = Site(tmp_path_factory.mktemp("doctor") / "site", SystemClock())
    set_up(made, 5432)
    return Shared(made, {path: (made.repository / path).read_text() for path in (CONFIG, OVERLAY)})


values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10), st.lists(st.text(max_size=3), max_size=2))
garbage = st.one_of(st.binary(max_size=60), st.recursive(values, lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3)))


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([CONFIG, OVERLAY]), content=garbage)
def test_anything_instead_of_a_file(path: str, content: Any, shared: Shared) -> None:
    tell(shared, path, content if isinstance(content, bytes) else yaml.safe_dump(content).encode())


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), path=st.sampled_from([CONFIG, OVERLAY]))
def test_anything_at_one_place_of_a_file(data: st.DataObject, path: str, shared: Shared) -> None:
    document = yaml.safe_load(shared.texts[path])
    places = list(places_of(document))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(values)
    tell(shared, path, yaml.safe_dump(document).encode())


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of every value inside."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places_of(value[key])


def tell(shared: Shared, path: str, content: bytes) -> None:
    """Whatever is there: lines, a last line, and an exit code that is one of ours."""
    try:
        (shared.site.repository / path).write_bytes(content)
        found = look(shared.site)
    finally:
        for name, text in shared.texts.items():
            (shared.site.repository / name).write_text(text)
    assert found.lines
    assert all(line.text_line().isprintable() for line in found.by_topic())
    assert all(isinstance(error, Refusal) or error.exit_code for error in found.refused)
    assert found.verdict()
