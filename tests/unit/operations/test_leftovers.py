"""Leftovers are looked for on three sides, remembered between looks, and removed by name: with a provider in memory and the fake GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.config.settings import lane_settings
from hyops_ci.contracts.base import seconds, stamp
from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Fault, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.registration import Registry
from hyops_ci.github.runs import unfinished_runs
from hyops_ci.operations.leftovers import MEMORY, LeftoverSearch, Sides
from hyops_ci.runners.ports import MachineState, Owner
from hyops_ci.runners.reaping import BETWEEN
from tests.runners.memory_provider import MemoryProvider, MemoryWorld
from tests.runners.world import Trouble
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
CONFIG = parsed_config(
    b"""
services:
  pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}
  pg-ha/home: {failover: {lane: onprem, blueprint: dr/postgresql-ha-failback-onprem@v1}}
"""
)
NAME = "gcp-ops-runner"
LATER = BETWEEN.total_seconds()
HOURS = timedelta(hours=3).total_seconds()


@dataclass
class Site:
    """One lane: its cloud, its repository, its ledger."""

    fake: FakeGitHub
    repository: Repository
    state_dir: Path
    world: MemoryWorld = field(default_factory=MemoryWorld)
    tips: dict[str, Tip | Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def search(self, *, provider: bool = True, registrations: bool = True, lane: str = "gcp") -> LeftoverSearch:
        token = self.fake.add_token("administration: write", "actions: read", actor="maria")
        client = Client.connect(self.repository.full_name, token=token, api_url=self.fake.url, sleep=lambda _: None)
        owner = Owner(self.repository.id, lane, f"{lane}-ops-runner")
        sides = Sides(
            (lambda: MemoryProvider(self.world, owner)) if provider else None,
            Registry(client) if registrations else None,
            lambda: unfinished_runs(client),
            self.tip,
        )
        return LeftoverSearch(CONFIG, lane_settings(CONFIG, lane), owner, sides, self.world.clock, self.state_dir)

    def tip(self, service: str) -> Tip:
        self.asked.append(service)
        found = self.tips[service]
        if isinstance(found, Fault):
            raise found
        return found

    def owner(self) -> Owner:
        return Owner(self.repository.id, "gcp", NAME)

    def put(self, name: str = NAME, state: MachineState = MachineState.RUNNING) -> None:
        self.world.put(name, self.owner(), state)
        self.world.clock.sleep(HOURS)


TIPS = Path(__file__).parents[2] / "cases" / "contracts" / "accept" / "ledger-tip"


def tip(name: str = "new", **changes: Any) -> Tip:
    return Tip.model_validate_json(json.dumps(json.loads((TIPS / f"{name}.json").read_bytes()) | changes))


@pytest.fixture
def site(github_fake: FakeGitHub, tmp_path: Path) -> Site:
    made = Site(github_fake, github_fake.add_repository("acme/shop", private=True), tmp_path)
    made.tips["pg-ha/prod"] = tip()
    return made


def twice(site: Site, **sides: Any) -> LeftoverSearch:
    """A search whose next look is the second one."""
    search = site.search(**sides)
    search.find()
    site.world.clock.sleep(LATER)
    return search


def test_a_machine_without_a_registration_is_removed_at_the_second_look(site: Site) -> None:
    site.put()
    site.put("another", MachineState.STOPPED)
    search = site.search()
    with pytest.raises(Refusal, match=r"reap\.kept") as refused:
        search.remove(NAME)
    assert "seen for the first time" in refused.value.found
    site.world.clock.sleep(LATER)
    again = site.search()  # another process
    assert again.remove(NAME).kind == "machine"
    assert site.world.machines() == ["another"], "what was not named stays"
    assert again.remove("another").name == "another"
    with pytest.raises(Refusal, match=r"reap\.name"):
        again.remove(NAME)


def test_a_registration_without_a_machine_is_removed_at_the_second_look(site: Site) -> None:
    site.repository.add_runner(NAME, [NAME], status="offline")
    other = site.repository.add_runner("dc1-ops", [NAME], status="offline")
    search = twice(site)
    assert search.remove(NAME).kind == "registration"
    assert site.repository.runners == [other]


def test_one_that_comes_to_work_between_look_and_removal_stays(site: Site) -> None:
    runner = site.repository.add_runner(NAME, [NAME], status="offline")
    search = twice(site)
    listed, registry = search.sides.registrations, search.sides.registrations

    def busy_now() -> object:
        found = Registry.runners(listed)  # type: ignore[arg-type]  # the search was given one
        runner.busy = True
        return found

    registry.runners = busy_now  # type: ignore[union-attr,assignment]  # of this registry alone
    with pytest.raises(Refusal, match=r"registration\.busy"):
        search.remove(NAME)
    assert site.repository.runners == [runner]


def test_a_machine_whose_agent_registers_while_the_provider_is_asked_stays(site: Site) -> None:
    site.put()
    search = twice(site)
    enter = search.sides.provider
    assert enter is not None
    provider = enter()
    describe = provider.describe

    def registers(name: str) -> object:
        site.repository.add_runner(NAME, [NAME])
        return describe(name)

    object.__setattr__(provider, "describe", registers)
    search.sides = replace(search.sides, provider=lambda: provider)
    with pytest.raises(Refusal, match=r"reap\.name"):
        search.remove(NAME)
    assert site.world.machines() == [NAME]


def test_another_owners_machine_is_not_seen(site: Site) -> None:
    site.world.put(NAME, Owner(1, "gcp", NAME))
    site.world.put("unmarked", None)
    site.repository.add_runner(NAME, [NAME], status="offline")
    site.world.clock.sleep(HOURS)
    assert twice(site).find().leftovers == ()


# --------------------------------------------------------------------------------------------- what uses the runner


def a_run(site: Site, workflow: str, status: str) -> None:
    used = (f"hybridops/dr-dispatch/.github/workflows/{workflow}@{'3f2a' + '0' * 36}", "3f2a" + "0" * 36)
    site.repository.add_run(actor=site.fake.add_user("maria"), referenced=[used]).status_by_hand = status


@pytest.mark.parametrize("workflow", ["dispatch.yml", "runner.yml"])
@pytest.mark.parametrize("status", ["in_progress", "queued", "waiting", "pending", "requested"])
def test_a_run_that_may_need_it_keeps_it(site: Site, status: str, workflow: str) -> None:
    site.put()
    a_run(site, workflow, status)
    with pytest.raises(Refusal, match=r"reap\.kept") as refused:
        twice(site).remove(NAME)
    assert "in use: run " in refused.value.found
    assert f" is {status.replace('_', ' ')}" in refused.value.found
    assert site.world.machines() == [NAME]


def test_a_run_that_ended_does_not(site: Site) -> None:
    site.put()
    a_run(site, "dispatch.yml", "completed")
    assert twice(site).remove(NAME).name == NAME


@pytest.mark.parametrize(("quiet", "lock"), [("PT1M", "held"), ("PT24H", "unknown")])
def test_a_lock_that_is_not_free_keeps_it(site: Site, quiet: str, lock: str) -> None:
    site.put()
    search = twice(site)
    said = stamp(site.world.clock.now() - timedelta(seconds=seconds(quiet)))
    site.tips["pg-ha/prod"] = tip("claimed", state="EXECUTING", mutating=True, at=said)
    with pytest.raises(Refusal, match=r"reap\.kept") as refused:
        search.remove(NAME)
    assert f"in use: the lock of pg-ha/prod is {lock}" in refused.value.found


def test_another_workflows_run_does_not(site: Site) -> None:
    site.put()
    run = site.repository.add_run(actor=site.fake.add_user("maria"))
    run.status_by_hand = "queued"
    assert twice(site).remove(NAME).name == NAME


Sight = Callable[[Site], None]


def too_many_runs(site: Site) -> None:
    maria = site.fake.add_user("maria")
    for _ in range(101):
        site.repository.add_run(actor=maria).status_by_hand = "queued"


def no_ledger(site: Site) -> None:
    site.tips["pg-ha/prod"] = Fault("ledger.unreachable", "no answer", exit_code=12, found="x", expected="y", fix="z")  # type: ignore[arg-type]  # 12 is Exit.UNAVAILABLE


@pytest.mark.parametrize("blind", [too_many_runs, no_ledger])
def test_what_uses_it_must_be_known(site: Site, blind: Sight) -> None:
    site.put()
    blind(site)
    search = twice(site)
    with pytest.raises(Refusal, match=r"reap\.kept") as refused:
        search.remove(NAME)
    assert "whether a run uses it is not known" in refused.value.found
    assert [each.partition(":")[0] for each in search.find().not_known] == ["what uses the runner"]


def test_only_the_ledgers_of_the_lanes_services_are_asked(site: Site) -> None:
    site.search().find()
    assert site.asked == ["pg-ha/prod"]


# ------------------------------------------------------------------------------------------------- what is not seen


def test_without_credentials_it_says_what_it_could_not_see(site: Site) -> None:
    site.put()
    site.repository.add_runner(NAME, [NAME], status="offline")
    found = site.search(provider=False).find()
    assert (found.leftovers, found.not_known) == ((), ("machines: no credentials of the provider",))
    found = site.search(registrations=False).find()
    assert found.leftovers == ()
    assert found.not_known == ("registrations: no App's key, and no token that may list runners",)


def test_a_provider_that_does_not_answer_is_no_provider_without_machines(site: Site) -> None:
    site.repository.add_runner(NAME, [NAME], status="offline")
    search = twice(site)
    site.world.cause(Trouble.SILENT)
    with pytest.raises(Refusal, match=r"reap\.name"):
        search.remove(NAME)
    [said] = search.find().not_known
    assert said.startswith("machines: ")


def test_what_was_seen_is_not_forgotten_by_a_look_that_sees_half(site: Site) -> None:
    site.put()
    site.search().find()
    memory = json.loads((site.state_dir / MEMORY).read_bytes())
    site.world.clock.sleep(LATER)
    site.search(registrations=False).find()
    assert json.loads((site.state_dir / MEMORY).read_bytes()) == memory
    assert site.search().remove(NAME).name == NAME


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"x": 1}', b"\xff", b'{"1/gcp/gcp-ops-runner": {"machine 1": 5}}'])
def test_a_memory_that_cannot_be_read_is_a_first_sight(site: Site, content: bytes) -> None:
    site.put()
    (site.state_dir / MEMORY).write_bytes(content)
    [found] = site.search().find().leftovers
    assert found.kept.startswith("seen for the first time")
