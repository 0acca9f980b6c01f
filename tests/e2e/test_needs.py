"""What a host lacks is refused by the check and told by the doctor in execute's own words, before a person is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hyops_ci.execution.leftovers import BUNDLE
from hyops_ci.ledger.host_lock import host_lock
from hyops_ci.operations.doctor.doctor import doctor
from hyops_ci.secrets.ansible_vault import encrypt
from tests.security.incident import RECOVERED, SERVICE, Incident, assert_recovered, start_incident

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def incident(tmp_path: Path) -> Iterator[Incident]:
    with start_incident(tmp_path) as made:
        yield made


def root_of(incident: Incident) -> Path:
    return incident.site.runner / "envs" / "lab"


def password_of(incident: Incident) -> Path:
    return incident.site.runner / "vault-password"


def write_bundle(incident: Incident, content: bytes) -> None:
    path = root_of(incident) / BUNDLE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def unnamed(incident: Incident, _: ExitStack) -> None:
    """A bundle, and no word of its password."""
    write_bundle(incident, encrypt(b'A_NAME="a value of it"\n', b"whatever it was"))


def open_to_all(incident: Incident, _: ExitStack) -> None:
    password_of(incident).chmod(0o644)


def gone(incident: Incident, _: ExitStack) -> None:
    password_of(incident).unlink()


def emptied(incident: Incident, _: ExitStack) -> None:
    password_of(incident).write_text("\n")


def another_password(incident: Incident, _: ExitStack) -> None:
    write_bundle(incident, encrypt(b'A_NAME="a value of it"\n', b"another"))


def no_bundle_at_all(incident: Incident, _: ExitStack) -> None:
    write_bundle(incident, b"A_NAME=in clear\n")


def held(incident: Incident, stack: ExitStack) -> None:
    stack.enter_context(host_lock(root_of(incident)))


def full(_: Incident, stack: ExitStack) -> None:
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setattr("hyops_ci.stages.host_needs.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1024**2}))


class Lack(NamedTuple):
    lacks: Callable[[Incident, ExitStack], None]
    gate: str
    code: int
    later: bool = True
    """Whether execute says the same in the same words; else it says so in its own way."""


LACKS = {
    "no password is named": Lack(unnamed, "secrets.password", 8),
    "others can read the password": Lack(open_to_all, "secrets.password", 8),
    "the password is gone": Lack(gone, "secrets.password", 8),
    "the password is empty": Lack(emptied, "secrets.password", 8),
    "the password is of another bundle": Lack(another_password, "secrets.bundle", 8),
    "the bundle is none": Lack(no_bundle_at_all, "secrets.bundle", 8),
    "another run holds the env": Lack(held, "lock.host", 5),
    "the disk is full": Lack(full, "host.disk", 7, later=False),
}


def without_password(incident: Incident) -> None:
    incident.configure(lambda config: config["host"].pop("vault_password_file"))


@pytest.mark.parametrize("name", LACKS)
def test_it_is_known_before_anyone_is_asked(name: str, incident: Incident) -> None:
    lack = LACKS[name]
    if lack.lacks is unnamed:
        without_password(incident)
    incident.plan()
    with ExitStack() as stack:
        lack.lacks(incident, stack)
        ended = incident.check()
        told = doctor(SERVICE, "failover", incident.site.repository, incident.site.world())
    assert ended.refusal is not None, ended
    assert (ended.refusal.gate, ended.refusal.exit_code) == (lack.gate, lack.code)
    assert ended.refusal.fix
    assert not incident.folder.has("request.json"), "nobody is asked"
    assert lack.gate in [error.gate for error in told.refused]
    assert [line.text for line in told.lines if line.status == "FAIL" and lack.gate in line.text]
    assert told.exit_code == lack.code


@pytest.mark.parametrize("name", [name for name, lack in LACKS.items() if lack.later])
def test_where_it_comes_about_after_the_approval_the_words_are_the_same(name: str, incident: Incident) -> None:
    lack = LACKS[name]
    if lack.lacks is unnamed:
        without_password(incident)
    incident.reach_gate()
    answer = incident.signed("jonas")
    with ExitStack() as stack:
        lack.lacks(incident, stack)
        incident.again()
        before = incident.check()
        incident.again()
        after = incident.execute(answer)
    assert before.refusal is not None
    assert after.refusal is not None
    assert [getattr(after.refusal, word) for word in ("gate", "reason", "found", "expected", "fix", "exit_code")] == [
        getattr(before.refusal, word) for word in ("gate", "reason", "found", "expected", "fix", "exit_code")
    ]
    assert not incident.folder.has("secrets.json")
    assert not (incident.folder.root / "private" / "deploy" / "journal.jsonl").exists(), "HyOps did nothing"


def test_a_fresh_runtime_needs_no_password(incident: Incident) -> None:
    """The smallest config names no password file, and a runtime that HyOps made has no bundle: the secrets are in HyOps' environment."""
    without_password(incident)
    password_of(incident).unlink()
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))
    manifest = json.loads(incident.folder.read("secrets.json"))
    assert len(manifest["secrets"]) == 6
    assert "bundle_sha256" not in manifest
    assert not (root_of(incident) / "vault").exists()


def test_what_else_is_refused_is_said_too(incident: Incident) -> None:
    """One run shows everything: mending one thing does not lead to the next refusal, a pull request and a run later."""
    incident.plan()
    incident.site.forget_state("org/gcp/wan-hub-network")
    password_of(incident).chmod(0o644)
    ended = incident.check()
    assert ended.refusal is not None
    said = [line.partition(":")[0] for line in incident.said if line.startswith("also refused, ")]
    assert {ended.refusal.gate, *(line.removeprefix("also refused, ") for line in said)} >= {"states.ok", "secrets.password"}


def test_a_check_leaves_the_lock_to_who_acts(incident: Incident) -> None:
    incident.reach_gate()
    with host_lock(root_of(incident)):
        pass
    assert incident.execute(incident.signed("jonas")).state in RECOVERED


def test_a_laptop_says_what_it_cannot_see(incident: Incident, tmp_path: Path) -> None:
    """A clone of the repository and no HyOps: what the runner alone can show is named, and nothing is called well."""
    config: dict[str, Any] = {}

    def elsewhere(known: dict[str, Any]) -> None:
        known["host"].update(hyops=str(tmp_path / "none" / "hyops"), envs_base=str(tmp_path / "none"))
        config.update(known)

    incident.configure(elsewhere)
    told = doctor(SERVICE, "failover", incident.site.repository, incident.site.world())
    unseen = {line.topic for line in told.lines if line.text.startswith("not looked at: this is no runner's host")}
    assert unseen == {"restore", "runner", "host", "system", "hyops", "secrets", "bundle", "states"}
    assert told.exit_code == 0
    assert "Not looked at from here: restore, runner, host, system, hyops, secrets, bundle, states" in told.verdict()


def test_a_doctor_with_a_token(incident: Incident) -> None:
    """GitHub does not tell a checkout which commit it has; the plan of a look needs none."""
    incident.approvers("jonas", channels=("environment", "signed"))
    world = incident.site.world()
    for github in (None, incident.client()):
        told = doctor(SERVICE, "failover", incident.site.repository, replace(world, github=github))
        assert [line.text_line() for line in told.lines if line.status == "FAIL"] == []
        assert told.exit_code == 0


def test_a_way_back_that_is_not_due_hides_nothing(incident: Incident) -> None:
    """`failback` of a service that is at home does nothing; what is wrong beside that is still a failure."""
    incident.site.seed_state("platform/postgresql-ha-backup#postgresql_backup_config_gcp_dr", 1)
    assert doctor(SERVICE, "failback", incident.site.repository, incident.site.world()).exit_code == 0
    password_of(incident).chmod(0o644)
    told = doctor(SERVICE, "failback", incident.site.repository, incident.site.world())
    assert [line.topic for line in told.lines if line.status == "FAIL"]
    assert told.exit_code == 8
