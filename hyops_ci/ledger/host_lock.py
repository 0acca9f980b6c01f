"""The last mutual exclusion: one run per env on one host, held by the kernel for as long as a process has it open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from hyops_ci.errors import Exit, Refusal
from hyops_ci.files import locked

LOCK: Final = ".dr-dispatch.lock"


@contextmanager
def host_lock(env_root: Path) -> Iterator[int]:
    """Hold the env of this host, by a file in it that no other user can open; yields the descriptor, for what must outlive this process.

    Raises Refusal (exit 5) `lock.host` when another process holds it.
    """
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(locked(env_root / LOCK))
        except BlockingIOError:
            raise Refusal(
                "lock.host",
                "another run works on this env of this host",
                exit_code=Exit.CONFLICT,
                found=f"{env_root} is locked",
                expected="a free env",
                fix="wait for that run to end; hyops may still be finishing after a cancel",
                docs="ledger.md",
            ) from None
        except OSError as error:
            raise Refusal(
                "lock.host",
                "the env cannot be locked on this host",
                exit_code=Exit.CONFLICT,
                found=f"{env_root}: {error.strerror}",
                expected="the runtime root of the env",
                fix="make the env with HyOps on this host, or repair its owner",
                docs="ledger.md",
            ) from None
        yield handle
