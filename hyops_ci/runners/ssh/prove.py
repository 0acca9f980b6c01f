"""From a machine that its provider calls running to one that can be worked on (docs/design/workflows.md 5).

Six stages, each of which can be the one that fails: the port, the banner, the host key, the login, cloud-init, the clock. All are tried
again with growing waits until the time is over, except what no waiting mends: another key than the provider says, and a cloud-init that
failed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from hyops_ci.contracts.clock import Clock
from hyops_ci.dataclass import dataclass
from hyops_ci.http.retry import Backoff, repeat
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.ssh.connecting import TRY, connect, settled
from hyops_ci.runners.ssh.login import Login
from hyops_ci.runners.ssh.proven import PROOF, Facts, ProvenHost
from hyops_ci.runners.ssh.stages import Candidate, Effort, Missed, Missing, diagnosis

PAUSES: Final = Backoff(first=1.0, factor=1.5, longest=10.0, jitter=0.5)


def prove(candidate: Candidate, login: Login, *, limit: float, clock: Clock, say: Callable[[str], None] = lambda _: None) -> ProvenHost:
    """Return the machine as one that can be worked on, within `limit` seconds. The caller closes it.

    Raises Refusal `runner.ssh` (exit 7) for another host key than the provider names, Fault `runner.ssh` (exit 7) with the stage that
    failed, what was seen and the tail of the console for everything else.
    """
    attempt = _Attempt(candidate, login, clock, Deadline(clock, limit))
    said: list[str] = []

    def announce(missed: ProvenHost | Missed, _: float) -> None:
        if isinstance(missed, Missed) and (text := f"{missed.stage}: {missed.words}") not in said[-1:]:
            said.append(text)
            say(f"{candidate.machine.name} is not ready: {text}")

    found = repeat(
        attempt.once,
        lambda result: isinstance(result, Missed) and not result.final,
        sleep=clock.sleep,
        backoff=PAUSES,
        fits=lambda _, wait: attempt.until.left > wait,
        announce=announce,
    )
    if isinstance(found, Missed):
        raise diagnosis(Effort(candidate, login.user, attempt.count, attempt.until.waited), found, say)
    facts = found.facts
    say(f"{candidate.machine.name} is ready after {facts.seconds:.0f} s: {facts.host_key}, cloud-init {facts.cloud_init}")
    return found


@dataclass
class _Attempt:
    candidate: Candidate
    login: Login
    clock: Clock
    until: Deadline
    count: int = 0

    def step(self) -> float:
        """Return the seconds that the next step may take."""
        return max(0.5, min(TRY, self.until.left))

    def once(self) -> ProvenHost | Missed:
        self.count += 1
        held = ExitStack()
        try:
            return self._proven(held)
        except Missing as problem:
            held.close()
            return problem.missed
        except BaseException:
            held.close()
            raise

    def _proven(self, held: ExitStack) -> ProvenHost:
        connection, fingerprint = connect(self.candidate, self.login, held, self.step())
        status, offset = settled(connection, self.until.left, self.clock)
        facts = Facts(
            self.candidate.machine, self.login.user, fingerprint, status, round(offset, 1), self.count, round(self.until.waited, 1)
        )
        return ProvenHost(PROOF, connection, held, facts)
