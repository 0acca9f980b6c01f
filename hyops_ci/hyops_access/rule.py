"""The one sudo rule, and the one program that it is about: what root puts on a host where HyOps has a user of its own."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Final

import hyops_ci

ENTRY: Final = "/opt/dr-dispatch/as-hyops"
"""What the runner's user may start as HyOps' user. It takes no arguments, and reads what it is asked from stdin."""
RELEASES: Final = "/opt/dr-dispatch/hyops-access"
"""Folder of the libraries that it starts, by their digest."""
JOURNALS: Final = "/var/lib/dr-dispatch"
"""Folder of the journals of deploys: HyOps' user writes, the runner's group reads."""
SUDOERS: Final = "/etc/sudoers.d/dr-dispatch"
LIBRARY: Final = Path(hyops_ci.__file__).resolve().parent

ENTRY_TEXT: Final = f"""\
#!/bin/sh
# What the runner's user starts as HyOps' user, by {SUDOERS}. The first line that it reads names the release that asks.
IFS= read -r release || exit 64
case $release in "" | *[!0-9a-f]*) exit 64 ;; esac
exec "{RELEASES}/$release/start"
"""


def rules_of(user: str, hyops_user: str) -> str:
    """Return the file of rules. What goes in and out is not logged: secrets go in."""
    return (
        f"# {user} starts HyOps as {hyops_user} (hyops-ci runner prepare)\n"
        f"Defaults!{ENTRY} env_reset, !use_pty, !requiretty\n"
        f'{user} ALL=({hyops_user}) NOPASSWD: NOLOG_INPUT: NOLOG_OUTPUT: {ENTRY} ""\n'
    )


def as_listed(rule: str, hyops_user: str) -> bool:
    """Return whether a rule, as `sudo -l` prints it, is the one above."""
    narrow = r"(?:(?:NOPASSWD|NOLOG_INPUT|NOLOG_OUTPUT|NOSETENV): )*"
    return "NOPASSWD: " in rule and re.fullmatch(rf'\({re.escape(hyops_user)}\) {narrow}{re.escape(ENTRY)} ""', rule) is not None


def start_text(release: str, home: Path) -> str:
    """Return the program of one release: its library in the environment `home` that root made."""
    boot = f"import sys; sys.path.insert(0, '{RELEASES}/{release}'); from hyops_ci.hyops_access.worker import main; main()"
    return f'#!/bin/sh\ncd /\nexec {home}/bin/python -I -B -c "{boot}"\n'


def release_of(library: Path = LIBRARY) -> str:
    """Return the digest of a library: both sides must be of one release."""
    digest = sha256()
    for path in sorted(library.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(library).as_posix()} {sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:24]
