"""The last mutual exclusion: one run per env on one host, held by the kernel for as long as a process has it open."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from hyops_ci.errors import Exit, Refusal
from hyops_ci.files import locked
from hyops_ci.portable import is_locked

LOCK: Final = ".dr-dispatch.lock"
PATIENCE: Final = 1.0
"""Seconds: a check that looks whether the env is free holds its lock for a moment."""


@contextmanager
def host_lock(env_root: Path) -> Iterator[int]:
    """Hold the env of this host, by a file in it that no other user can open; yields the descriptor, for what must outlive this process.

    Raises Refusal (exit 5) `lock.host` when another process holds it.
    """
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(locked(env_root / LOCK, wait=PATIENCE))
        except BlockingIOError:
            raise _held(env_root) from None
        except OSError as error:
            raise _unlockable(env_root, error) from None
        yield handle


def require_unlocked(env_root: Path) -> None:
    """Require, before anyone approves, that no process holds the env now. Nothing is written. Raises Refusal as `host_lock`."""
    try:
        held = is_locked(env_root / LOCK)
    except FileNotFoundError:
        if os.access(env_root, os.W_OK | os.X_OK):
            return
        raise _unlockable(env_root, PermissionError(errno.EACCES, "this user cannot write there")) from None
    except OSError as error:
        raise _unlockable(env_root, error) from None
    if held:
        raise _held(env_root)


def _held(env_root: Path) -> Refusal:
    return Refusal(
        "lock.host",
        "another run works on this env of this host",
        exit_code=Exit.CONFLICT,
        found=f"{env_root} is locked",
        expected="a free env",
        fix="wait for that run to end; hyops may still be finishing after a cancel",
        docs="ledger.md",
    )


def _unlockable(env_root: Path, error: OSError) -> Refusal:
    return Refusal(
        "lock.host",
        "the env cannot be locked on this host",
        exit_code=Exit.CONFLICT,
        found=f"{env_root}: {error.strerror}",
        expected="the runtime root of the env",
        fix="make the env with HyOps on this host, or repair its owner",
        docs="ledger.md",
    )
