"""What a machine carries of its owner and its order, in the notes that Proxmox VE keeps with it.

Tags survive, too, but not whatever is in a name (letters, digits, `_ - + .`, and the data centre may rewrite or forbid them); and a
clone is given its notes by the very request that makes it, its tags only by the next one. So the notes decide, and one tag tells people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hyops_ci.contracts.clock import Clock
from hyops_ci.runners.ports import MARK, MachineOrder

TAG: Final = MARK
REQUEST: Final = "dr-request"
MADE: Final = "dr-made"
USER: Final = "dr-login-user"
KEY: Final = "dr-login-key"
SETTLED: Final = "dr-settings"
"""Written by the same request as the settings: where it is missing, the clone has those of its template still."""
_LINE: Final = re.compile(r"\s*(managed-by|dr-[a-z-]{1,30})=(.{1,400}?)\s*")
_HEAD: Final = "A standing runner of dr-dispatch, made and kept by the repository below. Whose it is, is read from these lines."


def of_order(order: MachineOrder, clock: Clock) -> dict[str, str]:
    """Return the marks of a new machine. With the public half of the login's key, so that any later run can go on from a bare clone."""
    return {
        **order.owner.labels(),
        REQUEST: order.request_id,
        MADE: clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        USER: order.login_user,
        KEY: order.login_key,
    }


def write(marks: Mapping[str, str]) -> str:
    """Return the notes."""
    return "\n".join([_HEAD, "", *(f"{name}={value}" for name, value in marks.items())])


def read(notes: str) -> dict[str, str]:
    """Return the marks in notes; one that stands there twice with two values is none."""
    found: dict[str, set[str]] = {}
    for line in notes.splitlines():
        if match := _LINE.fullmatch(line):
            found.setdefault(match[1], set()).add(match[2])
    return {name: values.pop() for name, values in found.items() if len(values) == 1}
