"""A machine that was proven: reached, known by its pinned key, logged in to, booted to its end, with a clock that is right.

The bootstrap takes nothing else (`hyops_ci.runners.bootstrap`), and only `prove` makes one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Fault
from hyops_ci.runners.ports import Machine
from hyops_ci.runners.ssh.feeding import NO_STATUS, feed, listen

if TYPE_CHECKING:
    from fabric import Connection

MAX_OUTPUT: Final = 1024 * 1024
"""Characters of an answer that are kept."""


class _Proof:
    """What only this package makes."""


PROOF: Final = _Proof()
"""For `prove` alone: without it there is no `ProvenHost`."""


@dataclass(frozen=True)
class Facts:
    """What the proof found, for people and the evidence."""

    machine: Machine
    user: str
    """Who is logged in; may become root by sudo, or is root."""
    host_key: str
    """Fingerprint of the key that was pinned and met, `SHA256:<base64>`."""
    cloud_init: str
    """What it says of itself: done, degraded, disabled; or absent."""
    clock_offset: float
    """Seconds that its clock is ahead of ours."""
    attempts: int
    seconds: float
    """From the first look to the proof."""


@dataclass(frozen=True)
class Ran:
    """What one command came to."""

    rc: int
    out: str
    err: str


class ProvenHost:
    """One connection to one proven machine. Closed by whoever asked for it."""

    def __init__(self, proof: _Proof, connection: Connection, held: ExitStack, facts: Facts) -> None:
        if proof is not PROOF:
            raise TypeError("a ProvenHost comes from prove() alone")
        self._connection, self._held = connection, held
        self.facts = facts
        self.round_trips = 1
        """Commands that were run over this connection, that of the proof among them."""

    @property
    def machine(self) -> Machine:
        """The machine that it is."""
        return self.facts.machine

    def run(self, command: str, *, stdin: str = "", timeout: float = 600.0, heard: Callable[[str], None] = lambda _: None) -> Ran:
        """Run one command of a shell; return what it came to, whatever its exit code. `heard` gets each line of its stdout at once.

        `stdin` is all that the command reads, and stands nowhere else. Raises Fault `runner.ssh` where the connection breaks or the
        time is over.
        """
        self.round_trips += 1
        problem = ""
        try:
            out = listen(heard, MAX_OUTPUT)
            done = self._connection.run(
                command, in_stream=feed(stdin), out_stream=out, hide="err", warn=True, pty=False, timeout=timeout, encoding="utf-8"
            )
            if done.exited != NO_STATUS:
                return Ran(done.exited, done.stdout[-MAX_OUTPUT:], done.stderr[-MAX_OUTPUT:])
            problem = "it ended without an exit code"
        except Exception as error:  # noqa: BLE001 - fabric, invoke, paramiko and the socket each have their own; none shows stdin
            problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise Fault(
            "runner.ssh",
            f"{self.machine.resource}: the connection broke while the host was worked on",
            exit_code=Exit.RUNNER,
            found=problem,
            expected=f"an answer within {timeout:.0f} s",
            fix="the same command again: what is in place is kept",
            docs="runners.md",
        )

    def close(self) -> None:
        """Close connection and tunnel."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
