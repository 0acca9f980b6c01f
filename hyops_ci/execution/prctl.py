"""What the kernel is told of this process. Loaded by every command before anything else, so it loads little."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process. Raises OSError when the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def close_to_others() -> None:
    """Close memory and environment of this process (`/proc/<pid>/mem`, `environ`, ptrace) to processes of the same user.

    HyOps and whatever it starts run as that user. A program that is started from here is open again.
    Only a runner starts HyOps, and that is Linux.
    """
    if sys.platform == "linux":
        prctl(_PR_SET_DUMPABLE, 0)
