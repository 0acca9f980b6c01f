"""The stages of the proof, and what is said where one of them does not come about."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.runners.ports import Access, Machine

MAX_SKEW: Final = 20.0
"""Seconds; the tokens of jobs are compared with the host's clock, 30 s either way."""
TAIL: Final = 20
"""Lines of the console that are shown."""


class Stage(StrEnum):
    """What had to work next."""

    REACH = "port 22"
    BANNER = "SSH banner"
    PIN = "host key of the provider"
    HOST_KEY = "host key"
    LOGIN = "login"
    CLOUD_INIT = "cloud-init"
    CLOCK = "clock"


_EXPECTED: Final = {
    Stage.REACH: ("a connection to port 22", "the way in ({way}): its firewall rule, its right; then whether sshd runs (the console)"),
    Stage.BANNER: ("the banner of an SSH server", "what listens on port 22 of the machine; whether the way in ({way}) reaches it"),
    Stage.PIN: (
        "a host key of the machine, by the provider's own channel",
        "whether the image publishes its host keys: by the guest agent, by guest attributes, or on the serial console",
    ),
    Stage.HOST_KEY: (
        "the key that the provider names",
        "somebody else may answer at this address: find out who. Where the machine was made anew by hand, delete it and start again",
    ),
    Stage.LOGIN: ("a login as {user} with the key of this run", "whether the machine takes keys from its provider (guest agent, OS Login)"),
    Stage.CLOUD_INIT: ("a cloud-init that is done", "on the machine: cloud-init status --long; then delete it and start again"),
    Stage.CLOCK: ("a clock within {skew:.0f} s of ours", "on the machine: timedatectl; its way to a time server"),
}


@dataclass(frozen=True)
class Candidate:
    """A machine that its provider calls running, and how it is reached and known."""

    machine: Machine
    access: Access
    host_keys: Callable[[], tuple[str, ...]]
    """The provider's: `Provider.host_keys`. Asked in each attempt, since a machine has none while it boots."""
    console: Callable[[], str] = str
    """The tail of its console, for a diagnosis."""


@dataclass(frozen=True)
class Missed:
    """Where an attempt ended."""

    stage: Stage
    words: str
    final: bool = False
    """Whether no waiting mends it."""


class Missing(Exception):
    """A stage that did not come about, this time."""

    def __init__(self, stage: Stage, words: str, *, final: bool = False) -> None:
        self.missed = Missed(stage, words, final)
        super().__init__(words)


def words_of(error: BaseException) -> str:
    """Return an error of a library on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}" if str(error) else type(error).__name__


@dataclass(frozen=True)
class Effort:
    """What was tried for a proof that did not come about."""

    candidate: Candidate
    user: str
    attempts: int
    seconds: float


def diagnosis(effort: Effort, missed: Missed, say: Callable[[str], None]) -> DispatchError:
    """Return what is raised: which stage, what was seen, what the console says. `say` gets the tail of the console."""
    candidate = effort.candidate
    tail = _console(candidate)
    for line in tail:
        say(f"console of {candidate.machine.name}: {line}")
    expected, fix = (text.format(way=candidate.access.words, user=effort.user, skew=MAX_SKEW) for text in _EXPECTED[missed.stage])
    found = missed.words[:200] + (f"; its console ends with: {tail[-1]}" if tail else "; its console says nothing")
    if missed.stage is Stage.HOST_KEY:
        return Refusal(
            "runner.ssh",
            f"{candidate.machine.resource} answers with another host key than its provider names",
            exit_code=Exit.RUNNER,
            found=found,
            expected=expected,
            fix=fix,
            docs="runners.md",
        )
    return Fault(
        "runner.ssh",
        f"{candidate.machine.resource} cannot be worked on: {missed.stage}, after {effort.attempts} attempts in {effort.seconds:.0f} s",
        exit_code=Exit.RUNNER,
        found=found,
        expected=expected,
        fix=fix,
        docs="runners.md",
    )


def _console(candidate: Candidate) -> list[str]:
    try:
        text = candidate.console()
    except DispatchError as error:
        return [f"(not to be had: {error.reason})"]
    return [line.rstrip() for line in text.splitlines() if line.strip()][-TAIL:]
