"""What a machine that is made or tidied up could be turned into: who gets the key of the App, and whose machine is worked on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from hyops_ci.contracts.runner_machine import Registration
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.github.registration import Registry
from hyops_ci.operations.runner_record import Occasion, record
from hyops_ci.runners.ports import Machine, MachineState, Owner
from hyops_ci.runners.ssh import Candidate, Login, ProvenHost, new_login, prove
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import local_job
from tests.runners.memory_provider import MemoryProvider, MemoryWorld
from tests.runners.world import OTHERS, OWNER
from tests.secrets.test_documented_role import paste
from tests.secrets.test_places import pem, read
from tests.support.clock import START, Clock
from tests.support.github.app_key import APP_ID, install_app
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub
from tests.support.openbao import OpenBao, start_openbao
from tests.support.ssh_server import SshServer, line_of, new_key, serving
from tests.unit.operations.test_leftovers import NAME, Site, tip, twice

__all__ = ["github_fake"]
MACHINE = Machine("gcp-ops-runner", MachineState.RUNNING, id="7", place="zone-b", address="10.0.0.7")
CONFIG = b"services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}\n"


# ------------------------------------------------------------------------------------- the key that registers runners


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[OpenBao]:
    """The authority with the role of docs/vault-role.md, and the App's key."""
    with start_openbao() as bao:
        bao.put("secret/dr/github-app", private_key=pem())
        bao.put("secret/dr/proxmox", token="dr@pve!bootstrap=0d9d7f3c-0000-4d6a-9b0c-5d1b0c2a7e11")
        paste(bao, tmp_path)
        yield bao


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    return github_fake.add_repository("acme/shop", private=True)


def registry(fake: FakeGitHub, repository: Repository, key: str, learn: list[str]) -> Registry:
    install_app(fake, repository, "administration: write")
    about = Registration(app_id=APP_ID, key="dr/github-app#private_key")
    return Registry.connect(about, key, "acme/shop", api_url=fake.url, learn=learn.append)


@pytest.mark.bao
@pytest.mark.parametrize(
    "claims",
    [
        {"environment": "dr-check"},
        {"environment": "dr-prod"},
        {"environment": "production"},
        {"ref": "refs/heads/a-branch"},
        {"ref_protected": "false"},
        {"event_name": "pull_request_target"},
        {"job_workflow_ref": "acme/recovery/.github/workflows/mine.yml@" + "3f2a" + "0" * 36},
        {"job_workflow_sha": "e" * 40},
        {"repository_id": "666"},
        {"run_attempt": "2"},
    ],
    ids=lambda claims: "-".join(claims),
)
def test_a_job_that_passed_no_gate_learns_no_key(claims: dict[str, str], authority: OpenBao) -> None:
    with pytest.raises(Refusal) as refused:
        read(authority, "dr/github-app#private_key", **claims)
    assert (refused.value.gate, refused.value.exit_code) == ("secrets.login", Exit.SECRETS)


@pytest.mark.bao
def test_the_job_behind_the_gate_registers_its_runner(authority: OpenBao, github_fake: FakeGitHub, repository: Repository) -> None:
    key = read(authority, "dr/github-app#private_key").values["dr/github-app#private_key"]
    minted = registry(github_fake, repository, key, []).token()
    assert register(github_fake, minted.value) == 201
    assert [runner.name for runner in repository.runners] == ["gcp-ops-runner"]


def register(fake: FakeGitHub, token: str) -> int:
    """What somebody with a registration token sends."""
    body = {"url": "https://github.com/acme/shop", "name": "gcp-ops-runner", "version": "2.336.0", "labels": [], "group_id": 1}
    headers = {"Authorization": f"RemoteAuth {token}", "User-Agent": "GitHubActionsRunner"}
    return requests.post(f"{fake.url}/actions/runners/register", json=body, headers=headers, timeout=60).status_code


@pytest.mark.parametrize("end", ["told", "refused", "broken"])
def test_a_registration_token_that_gets_into_everything(
    end: str, github_fake: FakeGitHub, repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a provider, a host or a bug of ours does with it: the evidence and what is said hold none of it."""
    caplog.set_level(logging.DEBUG)
    hidden: list[str] = []
    said: list[str] = []

    def body(part: PartRecorder, run: RunDir) -> None:
        token = registry(github_fake, repository, pem(), hidden).token().value
        part.note("set-up", steps=[f"config.sh --token {token}", token[::-1]], env={"ACTIONS_RUNNER_INPUT_TOKEN": token})
        run.write_json("console.json", {"tail": f"+ ./config.sh --token {token}"})
        said.append(token)
        if end == "refused":
            raise Refusal(
                "runner.setup", "the host cannot be made so", exit_code=Exit.RUNNER, found=f"ps: {token}", expected="x", fix=token
            )
        if end == "broken":
            raise RuntimeError(token)

    job = replace(local_job(START, "maria", {}), repository="acme/shop", repository_id=repository.id)
    context = RunContext(job=job, clock=Clock(), home=tmp_path, state_dir=tmp_path, ledger_remote="")
    done = record(Occasion("ensure-runner", "a recovery", CONFIG), tmp_path / "out", context, body, hidden)
    assert done.sealed.problems == ()
    assert done.exit_code == {"told": 0, "refused": Exit.RUNNER, "broken": Exit.USAGE}[end]
    [token] = said
    sealed = read_files(done.sealed.path)
    assert not any(token.encode() in content for content in sealed.values())
    assert token not in caplog.text + repr(done) + str(done.end.refusal)
    assert pem().splitlines()[1] not in caplog.text + "".join(content.decode("utf-8", "replace") for content in sealed.values())


def test_a_token_that_was_kept_for_another_day(github_fake: FakeGitHub, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    minted = registry(github_fake, repository, pem(), []).token()
    later = datetime.now(UTC) + timedelta(hours=1, seconds=1)
    monkeypatch.setattr(github_fake, "now", lambda: later)
    assert register(github_fake, minted.value) == 404
    assert repository.runners == []


# ----------------------------------------------------------------------------------------------- whose machine it is


@pytest.mark.parametrize("owner", [*OTHERS, None], ids=["another repository", "another lane", "another runner", "nobody"])
def test_a_strangers_machine_with_our_name_is_left_alone(owner: Owner | None) -> None:
    world = MemoryWorld()
    world.put("gcp-ops-runner", owner)
    provider = MemoryProvider(world, OWNER)
    seen = provider.describe("gcp-ops-runner")
    assert seen.state is MachineState.AMBIGUOUS, "the table refuses it: never a second one"
    for attempt in (lambda: provider.admit(seen, "x", "ssh-ed25519 AAAA"), lambda: provider.start(seen), lambda: provider.delete(seen)):
        with pytest.raises(DispatchError) as refused:
            attempt()
        assert (refused.value.gate, refused.value.exit_code) == ("runner.foreign", Exit.RUNNER)
    assert (provider.owned(), world.machines()) == ([], ["gcp-ops-runner"])


def test_our_own_machine_is_taken_up() -> None:
    world = MemoryWorld()
    world.put("gcp-ops-runner", OWNER)
    provider = MemoryProvider(world, OWNER)
    [seen] = provider.owned()
    assert provider.admit(seen, "x", "ssh-ed25519 AAAA") == "x"
    provider.delete(seen)
    assert world.machines() == []


@pytest.fixture
def login() -> Login:
    return new_login("ops")


@pytest.fixture
def server(tmp_path: Path, login: Login) -> Iterator[SshServer]:
    with serving(login, tmp_path / "bin") as made:
        yield made


class Today(Clock):
    """Waits take no time; the day is the real one."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def proven(server: SshServer, login: Login, *keys: str) -> ProvenHost:
    candidate = Candidate(MACHINE, server, lambda: keys, lambda: "its console")
    return prove(candidate, login, limit=60, clock=Today())


def test_a_machine_that_answers_in_the_place_of_ours_gets_nothing(server: SshServer, login: Login) -> None:
    """Whoever is on the way, or took the address over: its key is none that the provider names, and nobody logs in there."""
    with pytest.raises(Refusal) as refused:
        proven(server, login, line_of(new_key()))
    assert (refused.value.gate, refused.value.exit_code) == ("runner.ssh", Exit.RUNNER)
    assert server.logins == 0, "no key was offered to it"


def test_a_machine_whose_provider_names_no_key_gets_nothing(server: SshServer, login: Login) -> None:
    with pytest.raises(Fault) as refused:
        proven(server, login)
    assert (refused.value.gate, refused.value.exit_code) == ("runner.ssh", Exit.RUNNER)
    assert server.logins == 0


def test_the_machine_that_the_provider_names_is_worked_on(server: SshServer, login: Login) -> None:
    with proven(server, login, line_of(server.host_key)) as host:
        assert host.run("echo here").out == "here\n"
    assert server.logins == 1


# ------------------------------------------------------------------------------------------ a runner that is taken away


@pytest.fixture
def site(github_fake: FakeGitHub, tmp_path: Path) -> Site:
    made = Site(github_fake, github_fake.add_repository("acme/store", private=True), tmp_path)
    made.tips["pg-ha/prod"] = tip()
    return made


def test_a_runner_that_a_recovery_needs_is_called_a_leftover(site: Site) -> None:
    """Somebody removes its registration, so that the next tidying up removes its machine in the middle of a recovery."""
    site.put()
    search = twice(site)
    site.tips["pg-ha/prod"] = tip("claimed", at="2026-11-23T06:19:00Z", state="EXECUTING")
    with pytest.raises(Refusal) as refused:
        search.remove(NAME)
    assert (refused.value.gate, refused.value.exit_code) == ("reap.kept", Exit.CONFLICT)
    assert site.world.machines() == [NAME]


def test_a_leftover_is_removed_by_its_name(site: Site) -> None:
    site.put()
    assert twice(site).remove(NAME).kind == "machine"
    assert site.world.machines() == []
