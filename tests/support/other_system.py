"""A pytest plugin: `hyops-ci` runs without what only Linux has, as it would on a laptop with Windows; the rest of a test is a runner.

`pytest -p tests.support.other_system PATHS`. Python's own `msvcrt` is stood in for by what the system has: its documented behaviour.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess  # noqa: F401 - loaded before there is an `msvcrt`, by which it would know Windows
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
NAMES = (
    "O_CLOEXEC",
    "O_DIRECTORY",
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "fchmod",
    "fchown",
    "geteuid",
    "getuid",
    "killpg",
    "getpgid",
    "setsid",
    "fork",
    "chown",
    "pipe2",
    "uname",
)
SIGNALS = ("SIGHUP", "SIGQUIT", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGPIPE", "pthread_sigmask")


class Missing:
    """Finds none of the modules that the other system lacks."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def msvcrt() -> ModuleType:
    """Return the module that locks files on Windows: `locking` raises OSError where another one holds the bytes."""
    made = ModuleType("msvcrt")
    flock, exclusive, at_once = fcntl.flock, fcntl.LOCK_EX, fcntl.LOCK_NB

    def locking(handle: int, mode: int, count: int) -> None:
        try:
            flock(handle, exclusive | (at_once if mode == 2 else 0))
        except BlockingIOError:
            raise OSError(errno.EACCES, "Permission denied") from None

    made.__dict__.update(LK_LOCK=1, LK_NBLCK=2, locking=locking)
    return made


@contextmanager
def elsewhere() -> Iterator[None]:
    """Hide what only Linux has."""
    modules = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    names = [(os, name, getattr(os, name)) for name in NAMES] + [(signal, name, getattr(signal, name)) for name in SIGNALS]
    sys.meta_path.insert(0, Missing)  # type: ignore[arg-type]  # a class does for a finder
    sys.modules["msvcrt"] = msvcrt()
    for module, name, _ in names:
        delattr(module, name)
    try:
        yield
    finally:
        for module, name, value in names:
            setattr(module, name, value)
        del sys.modules["msvcrt"]
        sys.meta_path.remove(Missing)  # type: ignore[arg-type]  # a class does for a finder
        sys.modules.update(modules)


with elsewhere():  # what is read of `os` when it is loaded
    from hyops_ci.cli import app

_there = app.main


def main(argv: list[str] | None = None) -> None:
    """The command line on the other system."""
    with elsewhere():
        _there(argv)


app.main = main
