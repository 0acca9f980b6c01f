"""Whether a PostgreSQL takes writes, and how new its data is, asked by a login that needs next to no privilege (docs/verification.md).

Imported where a probe has a login: the driver takes a tenth of a second to load.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NoReturn

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection
from scramp import ScramException

from hyops_ci.contracts.config import ProbeLogin
from hyops_ci.errors import shown

QUESTION: Final = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
"""Anybody may ask it."""
_OK, _SASL, _SASL_FINAL = 0, (10, 11, 12), 12
"""PostgreSQL, Message Formats: AuthenticationOk, AuthenticationSASL to AuthenticationSASLFinal."""


_READS: Final = "-c default_transaction_read_only=on -c TimeZone=UTC -c statement_timeout={0} -c lock_timeout={0}"
"""Of a session that asks how new the data is: whatever the query says, it changes nothing and waits for nobody."""


class NotServing(Exception):
    """The database let nobody in, or takes no writes; the text says which."""


def writable(connection: socket.socket, host: str, login: ProbeLogin, password: str, timeout: float) -> None:
    """Ask over a fresh connection to `host`, which is used up. Raises NotServing, or OSError where the peer is silent or gone."""
    with _session(connection, host, login, password, timeout) as session:
        [[recovering, read_only]] = session.run(QUESTION)
    if recovering:
        raise NotServing("is in recovery: a standby, it takes no writes")
    if read_only:
        raise NotServing("takes no writes: transaction_read_only is on")


def newest(connection: socket.socket, host: str, login: ProbeLogin, password: str, timeout: float) -> datetime:
    """Return the time that the login's `freshness` query yields. Raises as `writable`, NotServing for a query that yields no time.

    It is one statement, prepared: what a second one says never runs. As a value of another query it can have one row alone.
    """
    reads = {"options": _READS.format(f"{int(timeout * 1000)}ms")}
    with _session(connection, host, login, password, timeout, reads) as session:
        query = login.freshness or "NULL"
        asked = f"SELECT extract(epoch FROM ({query}\n)::timestamptz)::bigint"  # noqa: S608 - the reviewed config's own words; it may only read
        statement = session.prepare(asked)
        [[found]] = statement.run()
    if not isinstance(found, int):
        raise NotServing("its query of the newest data yields nothing")
    try:
        return datetime.fromtimestamp(found, UTC)
    except (OverflowError, ValueError, OSError):
        raise NotServing("its query of the newest data yields a time of no calendar") from None


@contextmanager
def _session(
    connection: socket.socket,
    host: str,
    login: ProbeLogin,
    password: str,
    timeout: float,
    startup: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Connection]:
    """Yield a session. Raises NotServing and OSError as `writable`, also for what goes wrong in the block.

    TLS is used where the database offers it. Its certificate is not compared with a CA: SCRAM shows that the peer knows what the password
    is checked with, and is bound to the certificate that was shown. `timeout` seconds are for all of it.
    """
    known = {"password": password, "sock": connection, "application_name": "dr-dispatch", "startup_params": dict(startup)}
    with _at_most(connection, timeout):
        try:
            with _ByScram(login.user, host, login.database, **known) as session:
                yield session
        except DatabaseError as error:
            raise NotServing(_answer(error)) from None
        except ScramException:
            raise NotServing(f"does not know the password of {login.user} itself: this may be another database") from None
        except OSError:
            raise
        except (Error, ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise OSError("no answer, or not one of PostgreSQL's protocol") from None


class _ByScram(Connection):  # type: ignore[misc]  # the driver is untyped
    """Logs in by SCRAM alone: a peer that asks for the password itself, for its MD5 or for nothing may be anybody."""

    proven = False

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:  # noqa: N802 - the driver's name
        kind = int.from_bytes(data[:4], "big")
        if kind == _OK and not self.proven:
            _refuse("lets this login in without a password")
        if kind != _OK and kind not in _SASL:
            _refuse("asks for the password in a way that gives it away")
        super().handle_AUTHENTICATION_REQUEST(data, context)
        self.proven = self.proven or kind == _SASL_FINAL


def _refuse(what: str) -> NoReturn:
    raise NotServing(f"{what}, and only scram-sha-256 is used (pg_hba.conf, password_encryption)")


def _answer(error: DatabaseError) -> str:
    """Return the database's own words: its code and message."""
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return shown(f"PostgreSQL says {said.get('C', 'an error')}: {said.get('M', '')}")


@contextmanager
def _at_most(connection: socket.socket, timeout: float) -> Iterator[None]:
    """End the connection after that many seconds: the driver waits for each byte anew."""
    connection.settimeout(timeout)
    handle = connection.dup()  # TLS takes the first one away
    timer = threading.Timer(timeout, _end, (handle,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        handle.close()


def _end(handle: socket.socket) -> None:
    with suppress(OSError):  # it is over already
        handle.shutdown(socket.SHUT_RDWR)
