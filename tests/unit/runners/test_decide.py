from __future__ import annotations

from itertools import product

import pytest

from hyops_ci.runners.decide import CHANGES, RULES, Action, AgentView, Permission, QueueView, Situation, decide
from hyops_ci.runners.ports import MachineState

EVERY = [Situation(*each) for each in product(QueueView, AgentView, MachineState, Permission)]


def test_nothing_is_changed_without_permission() -> None:
    for case in EVERY:
        if decide(case).action in CHANGES:
            assert case.permission is Permission.ALLOWED, case


def test_a_machine_is_made_only_where_the_provider_says_that_there_is_none() -> None:
    made = {case for case in EVERY if decide(case).action is Action.CREATE}
    assert made
    for case in made:
        assert case.machine is MachineState.ABSENT, case
        assert case.queue is QueueView.MISSING, case
        assert case.agent in (AgentView.OFFLINE, AgentView.ABSENT, AgentView.UNKNOWN), case


def test_a_runner_that_is_there_is_left_alone_whatever_is_allowed() -> None:
    for case in EVERY:
        if case.queue is QueueView.TAKEN:
            assert decide(case).action is Action.USE
        elif case.queue is QueueView.BUSY or (case.agent is AgentView.ONLINE and case.machine is not MachineState.AMBIGUOUS):
            assert decide(case).action is Action.WAIT


def test_no_row_is_dead() -> None:
    assert {decide(case) for case in EVERY} == set(RULES)


@pytest.mark.parametrize(
    ("agent", "machine", "action"),
    [
        (AgentView.OFFLINE, MachineState.STOPPED, Action.START),
        (AgentView.ABSENT, MachineState.STOPPED, Action.START),
        (AgentView.OFFLINE, MachineState.RUNNING, Action.RESTART_AGENT),
        (AgentView.UNKNOWN, MachineState.RUNNING, Action.RESTART_AGENT),
        (AgentView.ABSENT, MachineState.RUNNING, Action.REGISTER_AGAIN),
        (AgentView.OFFLINE, MachineState.ABSENT, Action.CREATE),
        (AgentView.UNKNOWN, MachineState.UNKNOWN, Action.REFUSE),
        (AgentView.OFFLINE, MachineState.STARTING, Action.WAIT),
        (AgentView.ABSENT, MachineState.AMBIGUOUS, Action.REFUSE),
        (AgentView.AMBIGUOUS, MachineState.RUNNING, Action.REFUSE),
    ],
)
def test_a_missing_runner_that_may_be_made(agent: AgentView, machine: MachineState, action: Action) -> None:
    assert decide(Situation(QueueView.MISSING, agent, machine, Permission.ALLOWED)).action is action
