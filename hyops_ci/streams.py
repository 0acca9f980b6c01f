"""The three standard streams, where nobody is there any more: a reader that ended, a terminal that was closed, a stream that never was."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

GONE: Final = frozenset({errno.EPIPE, errno.EIO})
"""What a pipe without a reader answers, and a terminal that was closed."""


def open_closed() -> None:
    """Open those of the three streams that the caller closed on nothing: else the next file takes the place of one, and what is printed."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # as long as the process


@contextmanager
def whoever_listens(stream: TextIO, *, gone: frozenset[int] | None = None) -> Iterator[None]:
    """Print inside. Where nobody takes it any more, what is printed on `stream` is lost from then on, and nothing else is.

    `gone`: errors that say so; every error of the system when absent. Any other is raised.
    """
    try:
        yield
    except OSError as error:
        if gone is not None and error.errno not in gone:
            raise
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)
