"""One try of a connection, to the pinned key alone; and what the machine says once it is there."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hyops_ci.contracts.clock import Clock
from hyops_ci.runners.ssh.feeding import feed, runner_class
from hyops_ci.runners.ssh.login import Login
from hyops_ci.runners.ssh.stages import MAX_SKEW, Candidate, Missing, Stage, words_of

if TYPE_CHECKING:
    import socket

    from fabric import Connection
    from paramiko import PKey, Transport

TRY: Final = 15.0
"""Seconds that one step of one attempt may take."""


def connect(candidate: Candidate, login: Login, held: ExitStack, step: float) -> tuple[Connection, str]:
    """Return an open connection that `held` closes, and the fingerprint of the key that was met. Raises Missing.

    `step`: seconds that each step of it may take.
    """
    import paramiko
    from fabric import Config, Connection

    try:
        sock = held.enter_context(candidate.access.connect(candidate.machine, step))
    except OSError as error:
        raise Missing(Stage.REACH, words_of(error)) from None
    pinned = _pinned(candidate)
    settings = Config(overrides={"runners": {"remote": runner_class()}, "load_ssh_configs": False}, lazy=True)
    connection = Connection(
        candidate.machine.name,
        user=login.user,
        port=paramiko.config.SSH_PORT,
        config=settings,
        forward_agent=False,
        connect_kwargs={
            "sock": sock,
            "pkey": login.key,
            "look_for_keys": False,
            "allow_agent": False,
            "banner_timeout": step,
            "auth_timeout": step,
            "timeout": step,
            "transport_factory": _of_kinds({key.get_name() for key in pinned}),
        },
    )
    held.callback(connection.close)
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    for key in pinned:
        connection.client.get_host_keys().add(connection.host, key.get_name(), key)
    _log_in(connection)
    met = connection.transport.get_remote_server_key().asbytes()
    return connection, fingerprint_of(met)


def _pinned(candidate: Candidate) -> tuple[PKey, ...]:
    """Return the keys that the provider names. Raises Missing while it names none that can be read."""
    from paramiko import PKey, SSHException
    from paramiko.pkey import UnknownKeyType

    keys, lines = [], candidate.host_keys()
    for line in lines:
        with suppress(ValueError, SSHException, UnknownKeyType):
            kind, text = line.split()[:2]
            keys.append(PKey.from_type_string(kind, base64.b64decode(text, validate=True)))
    if not keys:
        raise Missing(Stage.PIN, f"none of {len(lines)} lines is a key" if lines else "it names none yet")
    return tuple(keys)


def fingerprint_of(blob: bytes) -> str:
    """Return how OpenSSH shows a key."""
    return "SHA256:" + base64.b64encode(sha256(blob).digest()).decode().rstrip("=")


def _of_kinds(kinds: set[str]) -> Callable[..., Transport]:
    """Return what makes a transport that agrees on these kinds of host keys alone."""
    from paramiko import Transport

    def make(sock: socket.socket, **settings: object) -> Transport:
        transport = Transport(sock, **settings)
        options = transport.get_security_options()
        options.key_types = [kind for kind in options.key_types if kind in kinds] or options.key_types
        return transport

    return make


def _log_in(connection: Connection) -> None:
    """Open the connection. Raises Missing with the stage that did not work."""
    import paramiko

    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        met, named = fingerprint_of(error.key.asbytes()), fingerprint_of(error.expected_key.asbytes())
        raise Missing(Stage.HOST_KEY, f"{met}, where the provider names {named}", final=True) from None
    except paramiko.ssh_exception.IncompatiblePeer as error:
        final = "host key" in str(error)
        raise Missing(Stage.HOST_KEY if final else Stage.BANNER, words_of(error), final=final) from None
    except paramiko.AuthenticationException as error:
        raise Missing(Stage.LOGIN, words_of(error)) from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise Missing(_reached(connection), words_of(error)) from None


def _reached(connection: Connection) -> Stage:
    """Return the stage that a connection was at when it broke."""
    transport = connection.client.get_transport()
    if transport is None or not transport.remote_version:
        return Stage.BANNER
    try:
        transport.get_remote_server_key()
    except Exception:  # noqa: BLE001 - there is none yet
        return Stage.BANNER
    return Stage.LOGIN


_LOOK: Final = """\
status=absent rc=0
if command -v cloud-init >/dev/null 2>&1; then
  status=$(timeout {seconds:.0f} cloud-init status --wait --long 2>&1) || rc=$?
fi
printf '%s\\n--\\n%s\\n%s\\n' "$status" "$rc" "$(date -u +%s.%N)"
"""
"""Everything that is asked of the machine itself, in one round trip; the time last, so that it is no older than the answer."""
ENDED: Final = 124
"""What `timeout` says of a command that it ended."""
DEGRADED: Final = 2
"""What cloud-init says where it is done, with errors that it got over."""
SETTLED: Final = frozenset({"absent", "done", "disabled", "degraded done"})


def settled(connection: Connection, left: float, clock: Clock) -> tuple[str, float]:
    """Return what cloud-init says of itself, and the seconds that the machine's clock is ahead. Raises Missing."""
    seconds = max(1.0, left - 1)
    try:
        done = connection.run(_LOOK.format(seconds=seconds), in_stream=feed(""), hide=True, warn=True, pty=False, timeout=seconds + TRY)
        status, _, rest = done.stdout.rpartition("\n--\n")
        code, stamp = rest.split()
        rc, offset = int(code), float(stamp) - clock.now().timestamp()
    except Exception as error:  # noqa: BLE001 - fabric, invoke, paramiko and the socket each have their own
        raise Missing(Stage.CLOUD_INIT, words_of(error)) from None
    state = status if status == "absent" else next((x[7:].strip() for x in status.splitlines() if x.startswith("status:")), "unknown")
    if rc == ENDED:
        raise Missing(Stage.CLOUD_INIT, f"it is still {state}")
    if rc not in (0, DEGRADED) or state not in SETTLED:
        raise Missing(Stage.CLOUD_INIT, " ".join(status.split()), final=True)
    if abs(offset) > MAX_SKEW:
        raise Missing(Stage.CLOCK, f"{abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} ours")
    return state, offset
