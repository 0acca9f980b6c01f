"""Standard streams with nobody behind them: a reader that ended, a terminal that was closed, a stream that the caller closed."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

READER_LOST: Final = frozenset({errno.EPIPE, errno.EIO})
"""What a pipe without a reader answers, and a terminal that was closed."""


def open_closed_streams() -> None:
    """Open the null device for each standard stream that the caller closed: else the next file that is opened gets what is printed."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # as long as the process


@contextmanager
def lost_reader_ignored(stream: TextIO, *, errors: Collection[int] | None = None) -> Iterator[None]:
    """Print inside. Once nobody takes what is printed on `stream`, it is thrown away from then on, and the program goes on.

    `errors`: the `errno` that say so; every error of the system when absent. Raises OSError for any other.
    """
    try:
        yield
    except OSError as error:
        if errors is not None and error.errno not in errors:
            raise
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)
