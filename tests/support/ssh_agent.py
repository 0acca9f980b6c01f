"""An SSH agent on a Unix socket, as far as a client asks for keys and signatures."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import paramiko

KEYS, KEYS_ARE, SIGN, SIGNED, FAILED = 11, 12, 13, 14, 5


@contextmanager
def ssh_agent(folder: Path, *keys: paramiko.PKey) -> Iterator[Path]:
    """Yield the path for SSH_AUTH_SOCK."""
    path = folder / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = Thread(target=_serve, args=(listener, keys), daemon=True)
        thread.start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _serve(listener: socket.socket, keys: tuple[paramiko.PKey, ...]) -> None:
    with suppress(OSError):
        while True:
            wire, _ = listener.accept()
            with wire, suppress(EOFError):
                while True:
                    body = _read(wire, struct.unpack(">I", _read(wire, 4))[0])
                    answer = _answer(body, keys)
                    wire.sendall(_text(answer))


def _answer(body: bytes, keys: tuple[paramiko.PKey, ...]) -> bytes:
    if body[0] == KEYS:
        return struct.pack(">BI", KEYS_ARE, len(keys)) + b"".join(_text(key.asbytes()) + _text(b"dr-dispatch") for key in keys)
    if body[0] == SIGN:
        message = paramiko.Message(body[1:])
        blob, data = message.get_binary(), message.get_binary()
        for key in keys:
            if key.asbytes() == blob:
                return bytes([SIGNED]) + _text(key.sign_ssh_data(data).asbytes())
    return bytes([FAILED])


def _text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _read(wire: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (part := wire.recv(size - len(found))):
            raise EOFError
        found += part
    return found
