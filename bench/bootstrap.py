"""The bootstrap of a machine that answers SSH, beside the same script piped through plain `ssh` twice: everything, and the registration.

Both take a Debian that was just booted (tests/runners/host), from the network of CI, to an agent that is registered and started. The peer
is OpenSSH with a key in a file; ours also proves the machine first. Seconds are wall time of the faster of two machines each, in turn.
Needs root, as those tests do.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import Result
from hyops_ci.runners.bootstrap import set_up
from hyops_ci.runners.bootstrap.release import packed
from hyops_ci.runners.bootstrap.setup import command_of, host_of, stdin_of, variables
from tests.runners.host.booted import RUNNER
from tests.runners.host.site import NAME, Site, site

ROUNDS: Final = 2
MOST_ROUND_TRIPS: Final = 6
GOAL: Final = 1.5


def run() -> tuple[Result, Result]:
    """Measure ours and the peer in turn, each on a machine of its own."""
    ours, peer, again, trips = [], [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="bench-bootstrap-") as folder, site(Path(folder)) as made:
            seconds, count = _ours(made)
            ours.append(seconds)
            trips.append(count)
            made.service.online(NAME)
            again.append(_ours(made)[0])
        with tempfile.TemporaryDirectory(prefix="bench-bootstrap-") as folder, site(Path(folder)) as made:
            peer.append(_plain_ssh(made, Path(folder)))
            made.service.online(NAME)
    notes = (
        f"ours, the proof included, {_each(ours)} s; again, where nothing changes, {_each(again)} s",
        f"peer (the same script through plain ssh, twice) {_each(peer)} s",
    )
    return (
        Result("bootstrap", "of_plain_ssh", min(ours) / min(peer), "<=", GOAL, notes),
        Result("bootstrap", "round_trips", max(trips), "<=", MOST_ROUND_TRIPS),
    )


def _ours(made: Site) -> tuple[float, int]:
    began = time.monotonic()
    with made.prove() as host:
        set_up(host, made.order())
        return time.monotonic() - began, host.round_trips


def _plain_ssh(made: Site, folder: Path) -> float:
    """Seconds of the two commands, with what they read made beforehand."""
    key, known = folder / "key", folder / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    known.write_text(f"{RUNNER} {made.host.host_keys()[0]}\n", encoding="utf-8")
    made.host.let_in(replace(made.login, public=key.with_suffix(".pub").read_text(encoding="utf-8").strip()))
    order = made.order()
    settings = variables(order, host_of(order))
    options = ["-i", str(key), "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    ssh = ["ip", "netns", "exec", made.host.networks[0], "ssh", "-F", "none", *options, f"ops@{RUNNER}"]
    began = time.monotonic()
    for part, trust, registration in (("setup", order.trust, None), ("register", b"", made.mint())):
        sent = packed(settings, trust)
        _piped([*ssh, command_of(part, sent, "ops")], stdin_of(sent, registration))
    return time.monotonic() - began


def _piped(command: list[str], stdin: str) -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]


def _each(seconds: list[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in seconds)
