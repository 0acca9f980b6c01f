"""What is done about the runner of a lane: a table over the queue, GitHub, the provider and the policy (docs/design/workflows.md 5).

Pure. The first row that fits decides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.runners.ports import MachineState


class QueueView(StrEnum):
    """What the queue of the run's own job says."""

    TAKEN = "taken"
    BUSY = "busy"
    """The runner works on something else."""
    MISSING = "missing"
    """Nobody took the job within the limit; or there is no job, where a runner is repaired outside a run."""


class AgentView(StrEnum):
    """What GitHub says of the runner's registration."""

    ONLINE = "online"
    OFFLINE = "offline"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    """Several registrations would take the job, or one carries the labels that the config does not list."""
    UNKNOWN = "unknown"
    """No token that may list runners, or GitHub did not answer."""


class Permission(StrEnum):
    """What policy says of making or repairing a runner now."""

    ALLOWED = "allowed"
    """The reason is one of `policy.bootstrap_reasons`, the lane has a machine, the gate was passed."""
    NO_REASON = "no reason"
    NOT_ALLOWED = "reason not allowed"
    """Not among `policy.bootstrap_reasons`, or lab-fallback outside class lab."""
    NO_MACHINE = "no machine"
    """`lanes.<lane>.machine` is left out: nothing says how one is made."""
    NOT_APPROVED = "not approved"


class Action(StrEnum):
    """What is done."""

    USE = "use"
    WAIT = "wait"
    START = "start"
    RESTART_AGENT = "restart agent"
    REGISTER_AGAIN = "register again"
    CREATE = "create"
    REFUSE = "refuse"


CHANGES: Final = frozenset({Action.START, Action.RESTART_AGENT, Action.REGISTER_AGAIN, Action.CREATE})
"""What changes something, and therefore asks for permission."""


@dataclass(frozen=True)
class Situation:
    """Everything that is known."""

    queue: QueueView
    agent: AgentView
    machine: MachineState
    permission: Permission


@dataclass(frozen=True)
class Rule:
    """One row. An empty set of a column stands for anything."""

    action: Action
    because: str
    queue: frozenset[QueueView] = frozenset()
    agent: frozenset[AgentView] = frozenset()
    machine: frozenset[MachineState] = frozenset()
    permission: frozenset[Permission] = frozenset()

    def fits(self, case: Situation) -> bool:
        """Return whether this row is about the situation."""
        return all(
            not wanted or found in wanted
            for wanted, found in (
                (self.queue, case.queue),
                (self.agent, case.agent),
                (self.machine, case.machine),
                (self.permission, case.permission),
            )
        )


_Q, _A, _M, _P = QueueView, AgentView, MachineState, Permission

RULES: Final = (
    Rule(Action.USE, "the runner took the job", queue=frozenset({_Q.TAKEN})),
    Rule(Action.WAIT, "it works on something else and becomes free", queue=frozenset({_Q.BUSY})),
    Rule(Action.REFUSE, "more than one runner would take the job: list lanes.<lane>.names", agent=frozenset({_A.AMBIGUOUS})),
    Rule(Action.REFUSE, "the machine of this name is another owner's, or there are two", machine=frozenset({_M.AMBIGUOUS})),
    Rule(Action.WAIT, "its agent is online: GitHub may take a minute to offer the job", agent=frozenset({_A.ONLINE})),
    Rule(Action.REFUSE, "no bootstrap_reason was given: a recovery does not make its runner", permission=frozenset({_P.NO_REASON})),
    Rule(Action.REFUSE, "the config does not allow this reason here", permission=frozenset({_P.NOT_ALLOWED})),
    Rule(Action.REFUSE, "the config does not say how the machine is made", permission=frozenset({_P.NO_MACHINE})),
    Rule(Action.REFUSE, "nobody approved it", permission=frozenset({_P.NOT_APPROVED})),
    Rule(Action.REFUSE, "the provider does not say whether the machine is there: never a second one", machine=frozenset({_M.UNKNOWN})),
    Rule(Action.WAIT, "the machine is on its way up", machine=frozenset({_M.STARTING})),
    Rule(Action.START, "the machine is there and stopped", machine=frozenset({_M.STOPPED})),
    Rule(Action.CREATE, "there is no machine", machine=frozenset({_M.ABSENT})),
    Rule(Action.REGISTER_AGAIN, "the machine runs and GitHub does not know its agent", agent=frozenset({_A.ABSENT})),
    Rule(Action.RESTART_AGENT, "the machine runs and its agent does not answer GitHub"),
)
"""The last row needs no condition: what is left is a running machine whose agent is offline, or of which GitHub does not tell."""


def decide(case: Situation) -> Rule:
    """Return the row that decides."""
    return next(rule for rule in RULES if rule.fits(case))
