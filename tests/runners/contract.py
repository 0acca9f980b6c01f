"""What every provider must do, whoever it is: a class of tests that each of them inherits, on its own fake cloud.

class TestMine(ProviderContract):
    def world(self) -> AbstractContextManager[World]: ...
"""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.runners.ports import CONSOLE, Adapters, Machine, MachineOrder, MachineState, Owner, Provider
from tests.runners.world import HOST_KEY, KEY, NAME, NEXT_KEY, ORDER, OTHERS, OWNER, Killed, Trouble, World
from tests.support.examples import examples

STEPS: Final = 60
"""More requests than any call sends: a cut behind the last one does not come."""


INHERITED: Final = (HealthCheck.differing_executors,)
"""The same test runs on several providers; what one found is no example of another."""


def body(key: str) -> str:
    return " ".join(key.split()[:2])


class ProviderContract:
    """The suite. A subclass gives `world`."""

    def world(self) -> AbstractContextManager[World]:
        raise NotImplementedError

    def order(self, world: World) -> MachineOrder:
        return ORDER

    # ------------------------------------------------------------------------------------------------ describe

    def test_nothing_is_asked_before_the_first_call(self) -> None:
        with self.world() as world, world.cut(0, done=False) as cut:
            world.connect()
            assert cut.count == 0

    def test_a_machine_that_is_not_there_is_absent(self) -> None:
        with self.world() as world:
            found = world.connect().provider.describe(NAME)
        assert (found.name, found.state, found.id) == (NAME, MachineState.ABSENT, "")

    @pytest.mark.parametrize("state", [MachineState.RUNNING, MachineState.STOPPED, MachineState.STARTING])
    def test_a_machine_is_shown_as_it_is(self, state: MachineState) -> None:
        with self.world() as world:
            world.put(NAME, OWNER, state)
            found = world.connect().provider.describe(NAME)
        assert found.state is state
        assert OWNER.owns(found.labels)
        assert found.id
        assert found.place
        assert found.words
        assert found.created_at.endswith("Z")

    @pytest.mark.parametrize("owner", [None, *OTHERS], ids=["nobody", "repository", "lane", "runner"])
    def test_a_machine_of_another_owner_is_ambiguous(self, owner: Owner | None) -> None:
        with self.world() as world:
            world.put(NAME, owner)
            found = world.connect().provider.describe(NAME)
        assert found.state is MachineState.AMBIGUOUS
        assert found.words

    def test_two_machines_of_one_name_are_ambiguous(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER, place=0)
            world.put(NAME, OWNER, place=1)
            found = world.connect().provider.describe(NAME)
        assert found.state is MachineState.AMBIGUOUS

    # -------------------------------------------------------------------------------------------------- create

    def test_a_machine_is_made_once(self) -> None:
        with self.world() as world:
            provider = world.connect().provider
            made = provider.create(self.order(world))
            again = world.connect().provider.create(self.order(world))
            assert made.state is again.state is MachineState.RUNNING
            assert (made.id, made.place) == (again.id, again.place)
            assert made.address
            assert provider.describe(NAME).id == made.id
            assert world.machines() == [NAME]
            assert world.logins(NAME) == {body(KEY)}

    def test_an_order_of_another_run_adopts_this_owners_machine(self) -> None:
        """Its key is that of the new run, and of that one alone."""
        with self.world() as world:
            first = world.connect().provider.create(self.order(world))
            order = replace(self.order(world), request_id="1a0f5a54-7b0e-5d1c-8f2b-0d6a3c9e1b77", login_key=NEXT_KEY)
            second = world.connect().provider.create(order)
            assert first.id == second.id
            assert world.machines() == [NAME]
            world.connect().provider.admit(second, order.login_user, order.login_key)
            assert world.logins(NAME) == {body(NEXT_KEY)}

    def test_a_stopped_machine_is_adopted_and_started(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER, MachineState.STOPPED)
            assert world.connect().provider.create(self.order(world)).state is MachineState.RUNNING
            assert world.machines() == [NAME]

    def test_the_name_of_another_owner_is_refused(self) -> None:
        with self.world() as world:
            world.put(NAME, OTHERS[0])
            with pytest.raises(Refusal) as caught:
                world.connect().provider.create(self.order(world))
            assert caught.value.gate == "runner.foreign"
            assert NAME in caught.value.found
            assert world.machines() == [NAME]

    def test_no_quota_is_a_refusal_and_leaves_nothing(self) -> None:
        with self.world() as world:
            world.cause(Trouble.QUOTA)
            with pytest.raises(Refusal) as caught:
                world.connect().provider.create(self.order(world))
            assert caught.value.gate == "runner.quota"
            assert NAME in caught.value.found
            assert world.machines() == []
            assert world.disks() == 0

    def test_no_permission_is_a_refusal_and_leaves_nothing(self) -> None:
        with self.world() as world:
            world.cause(Trouble.DENIED)
            with pytest.raises(Refusal) as caught:
                world.connect().provider.create(self.order(world))
            assert caught.value.gate == "runner.permission"
            assert NAME in caught.value.found
            assert world.machines() == []

    def test_an_order_that_the_provider_does_not_know_is_a_refusal(self) -> None:
        with self.world() as world:
            world.cause(Trouble.BAD_ORDER)
            with pytest.raises(Refusal) as caught:
                world.connect().provider.create(self.order(world))
            assert caught.value.gate == "runner.order"
            assert world.machines() == []

    def test_a_place_without_room_gives_way_to_the_next(self) -> None:
        with self.world() as world:
            world.cause(Trouble.NO_ROOM)
            provider = world.connect().provider
            if world.places == 1:
                with pytest.raises(Fault) as caught:
                    provider.create(self.order(world))
                assert caught.value.gate == "runner.capacity"
                assert world.machines() == []
            else:
                assert provider.create(self.order(world)).state is MachineState.RUNNING
                assert world.machines() == [NAME]
                assert world.disks() == 1

    def test_no_room_anywhere_is_a_fault_and_leaves_nothing(self) -> None:
        with self.world() as world:
            world.cause(Trouble.NO_ROOM_ANYWHERE)
            with pytest.raises(Fault) as caught:
                world.connect().provider.create(self.order(world))
            assert caught.value.gate == "runner.capacity"
            assert NAME in caught.value.found
            assert world.machines() == []
            assert world.disks() == 0

    def test_a_slow_operation_is_waited_for(self) -> None:
        with self.world() as world:
            world.cause(Trouble.SLOW)
            assert world.connect().provider.create(self.order(world)).state is MachineState.RUNNING
            assert world.clock.seconds >= 90

    def test_a_machine_that_is_shown_late_is_waited_for(self) -> None:
        with self.world() as world:
            world.cause(Trouble.LATE)
            assert world.connect().provider.create(self.order(world)).state is MachineState.RUNNING

    @pytest.mark.parametrize("full", [False, True], ids=["room", "the first place full"])
    @pytest.mark.parametrize(
        ("done", "again"),
        [(False, ORDER.request_id), (True, ORDER.request_id), (True, "1a0f5a54-7b0e-5d1c-8f2b-0d6a3c9e1b77")],
        ids=["before", "after", "another run"],
    )
    def test_killed_while_a_machine_is_not_yet_shown_no_second_one_is_begun(self, full: bool, done: bool, again: str) -> None:
        """At each request in turn. When it starts again, the place that was full has room, and the machine is on its way in the other.

        So does the next run, whose order has another id.
        """
        for at in range(STEPS):
            with self.world() as world:
                world.cause(Trouble.LATE)
                if full and world.places > 1:
                    world.cause(Trouble.NO_ROOM)
                with world.cut(at, done=done) as cut:
                    try:
                        world.connect().provider.create(self.order(world))
                    except Killed:
                        assert cut.fell
                world.heal()
                order = replace(self.order(world), request_id=again)
                assert world.connect().provider.create(order).state is MachineState.RUNNING
                assert world.machines() == [NAME], f"request {at}"
            if not cut.fell:
                return
        pytest.fail("more requests than any call may send")

    def test_an_operation_that_never_ends_is_left_at_the_deadline_and_taken_up_later(self) -> None:
        """Until it ends no second machine is asked for, in this place or in another."""
        with self.world() as world:
            world.cause(Trouble.NEVER)
            with pytest.raises(Fault) as caught:
                world.connect().provider.create(self.order(world))
            assert NAME in caught.value.found
            assert 60 <= world.clock.seconds <= 3600
            world.heal()
            assert world.connect().provider.create(self.order(world)).state is MachineState.RUNNING
            assert world.machines() == [NAME]

    def test_a_machine_that_does_not_come_up_is_named_with_its_state_and_console(self) -> None:
        with self.world() as world:
            world.cause(Trouble.HALFWAY)
            provider = world.connect().provider
            with pytest.raises(Fault) as caught:
                provider.create(self.order(world))
            assert caught.value.gate == "runner.halfway"
            assert NAME in caught.value.found
            assert "grub rescue" in caught.value.found
            left = world.connect().provider.describe(NAME)
            assert left.state is not MachineState.ABSENT
            world.heal()
            assert world.connect().provider.create(self.order(world)).state is MachineState.RUNNING
            assert world.machines() == [NAME]

    # --------------------------------------------------------------------------------------------------- start

    def test_a_stopped_machine_is_started(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER, MachineState.STOPPED)
            provider = world.connect().provider
            found = provider.describe(NAME)
            assert provider.start(found).state is MachineState.RUNNING
            assert provider.start(found).state is MachineState.RUNNING, "what was said before does not count"

    def test_a_machine_that_is_not_started_is_named(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER, MachineState.STOPPED)
            provider = world.connect().provider
            found = provider.describe(NAME)
            world.cause(Trouble.HALFWAY)
            with pytest.raises(Fault) as caught:
                provider.start(found)
            assert caught.value.gate == "runner.halfway"
            assert NAME in caught.value.found

    def test_another_owners_machine_is_not_started_nor_logged_in_to(self) -> None:
        with self.world() as world:
            world.put(NAME, OTHERS[0], MachineState.STOPPED)
            provider = world.connect().provider
            theirs = provider.describe(NAME)
            for act in (provider.start, provider.revoke, lambda machine: provider.admit(machine, "opsadmin", KEY)):
                with pytest.raises(Refusal) as caught:
                    act(theirs)
                assert caught.value.gate == "runner.foreign"
            assert world.logins(NAME) == set()

    # --------------------------------------------------------------------------------------------------- login

    def test_a_key_is_let_in_and_taken_back(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER)
            provider = world.connect().provider
            found = provider.describe(NAME)
            assert provider.admit(found, "opsadmin", KEY)
            assert world.logins(NAME) == {body(KEY)}
            provider.admit(found, "opsadmin", KEY)
            assert world.logins(NAME) == {body(KEY)}
            provider.admit(found, "opsadmin", NEXT_KEY)
            assert world.logins(NAME) == {body(NEXT_KEY)}
            provider.revoke(found)
            provider.revoke(found)
            assert world.logins(NAME) == set()

    # ------------------------------------------------------------------------------------- console and host keys

    def test_the_tail_of_the_console_is_shown(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER)
            provider = world.connect().provider
            found = provider.describe(NAME)
            assert isinstance(provider.console(found), str)
            world.boots(NAME, (), "x" * (2 * CONSOLE) + "\nthe last line\n")
            tail = provider.console(found)
        assert len(tail) <= CONSOLE
        assert tail.rstrip().endswith("the last line")

    def test_host_keys_come_by_the_providers_channel(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER)
            provider = world.connect().provider
            found = provider.describe(NAME)
            assert provider.host_keys(found) == ()
            world.boots(NAME, (HOST_KEY,), "")
            assert provider.host_keys(found) == (HOST_KEY,)

    # ------------------------------------------------------------------------------------------ delete and owned

    def test_an_own_machine_is_deleted_with_its_disk(self) -> None:
        with self.world() as world:
            provider = world.connect().provider
            made = provider.create(self.order(world))
            assert world.disks() == 1
            provider.delete(made)
            assert world.machines() == []
            assert world.disks() == 0
            provider.delete(made)
            assert provider.describe(NAME).state is MachineState.ABSENT

    @pytest.mark.parametrize("owner", [None, *OTHERS], ids=["nobody", "repository", "lane", "runner"])
    def test_another_owners_machine_is_not_deleted_whatever_is_passed(self, owner: Owner | None) -> None:
        with self.world() as world:
            world.put(NAME, owner)
            provider = world.connect().provider
            found = provider.describe(NAME)
            for claimed in (found, replace(found, state=MachineState.RUNNING, labels=OWNER.labels())):
                with pytest.raises(Refusal) as caught:
                    provider.delete(claimed)
                assert caught.value.gate == "runner.foreign"
            assert world.machines() == [NAME]

    def test_only_this_owners_machines_are_listed(self) -> None:
        with self.world() as world:
            world.put(NAME, OWNER)
            world.put("gcp-ops-runner-2", OWNER, MachineState.STOPPED, place=world.places - 1)
            for number, owner in enumerate((None, *OTHERS)):
                world.put(f"other-{number}", owner)
            found = world.connect().provider.owned()
        assert {(each.name, each.state) for each in found} == {(NAME, MachineState.RUNNING), ("gcp-ops-runner-2", MachineState.STOPPED)}

    # ------------------------------------------------------------------------------------------- no answer, nonsense

    @pytest.mark.parametrize("trouble", [Trouble.SILENT, Trouble.NONSENSE])
    @pytest.mark.parametrize("what", ["describe", "create", "start", "admit", "revoke", "delete", "console", "host_keys", "owned"])
    def test_what_cannot_be_read_is_a_fault_that_names_the_resource(self, trouble: Trouble, what: str) -> None:
        with self.world() as world:
            world.put(NAME, OWNER, MachineState.STOPPED)
            provider = world.connect().provider
            found = provider.describe(NAME)
            world.cause(trouble)
            with pytest.raises(Fault) as caught:
                self.call(provider, what, found)
            assert caught.value.gate == "runner.provider"
            assert caught.value.exit_code is Exit.UNAVAILABLE
            assert NAME in caught.value.found or (what == "owned" and caught.value.found)
            world.heal()
            assert world.machines() == [NAME]

    def test_errors_now_and_then_are_tried_again(self) -> None:
        with self.world() as world:
            world.cause(Trouble.HICCUP)
            provider = world.connect().provider
            made = provider.create(self.order(world))
            assert made.state is MachineState.RUNNING
            provider.admit(made, "opsadmin", KEY)
            assert [each.name for each in provider.owned()] == [NAME]
            provider.delete(made)
            assert world.machines() == []

    @staticmethod
    def call(provider: Provider, what: str, machine: Machine) -> object:
        arguments = {"describe": (NAME,), "create": (ORDER,), "admit": (machine, "opsadmin", KEY), "owned": ()}
        return getattr(provider, what)(*arguments.get(what, (machine,)))

    # -------------------------------------------------------------------------------------------------- killed

    @settings(max_examples=examples(30), suppress_health_check=INHERITED)
    @given(
        cuts=st.lists(st.tuples(st.integers(0, STEPS), st.booleans()), min_size=1, max_size=4),
        trouble=st.sampled_from([None, Trouble.SLOW, Trouble.NO_ROOM, Trouble.HICCUP, Trouble.LATE]),
        before=st.sampled_from([None, MachineState.STOPPED, MachineState.STARTING]),
        heals=st.booleans(),
    )
    def test_killed_anywhere_and_started_again_there_is_one_machine(
        self, cuts: list[tuple[int, bool]], trouble: Trouble | None, before: MachineState | None, heals: bool
    ) -> None:
        """Room that comes back between two tries, in a place that was full, makes no second machine either."""
        with self.world() as world:
            if trouble and not (trouble is Trouble.NO_ROOM and world.places == 1):
                world.cause(trouble)
            if before:
                world.put(NAME, OWNER, before)
            order = self.order(world)
            for at, done in cuts:
                self.run_once(world.connect(), world, order, at, done)
                assert world.machines() in ([], [NAME])
                if heals:
                    world.heal()
            provider = world.connect().provider
            made = provider.create(order)
            provider.admit(made, order.login_user, order.login_key)
            assert made.state is MachineState.RUNNING
            assert world.machines() == [NAME]
            assert world.logins(NAME) == {body(KEY)}

    @staticmethod
    def run_once(adapters: Adapters, world: World, order: MachineOrder, at: int, done: bool) -> None:
        with world.cut(at, done=done) as cut:
            try:
                made = adapters.provider.create(order)
                adapters.provider.admit(made, order.login_user, order.login_key)
            except Killed:
                assert cut.fell

    @settings(max_examples=examples(20), suppress_health_check=INHERITED)
    @given(at=st.integers(0, 20), done=st.booleans())
    def test_killed_while_it_deletes_and_started_again_nothing_is_left(self, at: int, done: bool) -> None:
        with self.world() as world:
            made = world.connect().provider.create(self.order(world))
            world.put("other", OTHERS[0])
            with world.cut(at, done=done) as cut:
                try:
                    world.connect().provider.delete(made)
                except Killed:
                    assert cut.fell
            world.connect().provider.delete(made)
            assert world.machines() == ["other"]

    # ----------------------------------------------------------------------------------------- way out, way in

    def test_a_way_out_is_looked_at(self) -> None:
        with self.world() as world:
            egress = world.connect().egress
            world.way_out(False)
            missing = egress.look()
            assert not missing.ready
            assert missing.words
            world.way_out(True)
            assert egress.look().ready

    def test_a_way_out_is_not_made_unless_the_config_says_so(self) -> None:
        with self.world() as world:
            world.way_out(False)
            with pytest.raises(Refusal) as caught:
                world.connect().egress.make()
            assert caught.value.gate == "runner.egress"
            assert caught.value.fix
            assert world.ways_out() == 0

    def test_a_way_out_that_is_there_is_left_alone(self) -> None:
        with self.world() as world:
            world.way_out(True)
            assert world.connect().egress.make().ready
            assert world.ways_out() == 1

    def test_the_way_in_is_a_socket_to_the_machines_ssh_port(self) -> None:
        with self.world() as world:
            made = world.connect().provider.create(self.order(world))
            with world.connect().access.connect(made, 10) as way:
                assert isinstance(way, socket.socket)
                way.settimeout(10)
                assert way.recv(4) == b"SSH-"

    def test_no_way_in_is_an_oserror(self) -> None:
        with self.world() as world:
            absent = world.connect().provider.describe(NAME)
            with pytest.raises(OSError, match=r"."), world.connect().access.connect(absent, 2):
                pass


class EgressContract(ProviderContract):
    """For a provider whose way out can be made."""

    def test_a_way_out_is_made_once_when_the_config_says_so(self) -> None:
        with self.world() as world:
            world.way_out(False)
            assert world.connect(may_make_egress=True).egress.make().ready
            assert world.connect(may_make_egress=True).egress.make().ready
            assert world.connect().egress.look().ready
            assert world.ways_out() == 1

    @settings(max_examples=examples(10), suppress_health_check=INHERITED)
    @given(cuts=st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=3))
    def test_killed_while_it_makes_a_way_out_and_started_again_there_is_one(self, cuts: list[tuple[int, bool]]) -> None:
        with self.world() as world:
            world.way_out(False)
            for at, done in cuts:
                with world.cut(at, done=done) as cut:
                    try:
                        world.connect(may_make_egress=True).egress.make()
                    except Killed:
                        assert cut.fell
            assert world.connect(may_make_egress=True).egress.make().ready
            assert world.ways_out() == 1
