"""The `ansible-vault` container, formats 1.1 and 1.2, AES256: bytes in, bytes out, all in memory.

`ansible-vault encrypt` needs the plaintext in a file or a pipe and half a second; this needs neither. The
tests prove it against `ansible-vault view` and `ansible-vault encrypt`, both ways.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from binascii import Error as BadHex
from binascii import hexlify, unhexlify
from typing import Final

HEADER: Final = b"$ANSIBLE_VAULT;1.1;AES256"
_VERSIONS: Final = (b"1.1", b"1.2")
_ROUNDS: Final = 10_000
_BLOCK: Final = 16
_COLUMNS: Final = 80


class NotAVault(ValueError):
    """The bytes are not a complete ansible-vault file of a supported format."""


class WrongPassword(ValueError):
    """The authentication code does not fit: another password, or changed bytes."""


def encrypt(plain: bytes, password: bytes, salt: bytes | None = None) -> bytes:
    """Return `plain` as an ansible-vault 1.1 file. `salt` (32 bytes) is random unless a test fixes it."""
    salt = os.urandom(32) if salt is None else salt
    cipher_key, mac_key, counter = _keys(password, salt)
    padding = _BLOCK - len(plain) % _BLOCK
    secret = _ctr(plain + bytes([padding]) * padding, cipher_key, counter)
    mac = hmac.digest(mac_key, secret, hashlib.sha256)
    body = hexlify(b"\n".join((hexlify(salt), hexlify(mac), hexlify(secret))))
    lines = [HEADER, *(body[at : at + _COLUMNS] for at in range(0, len(body), _COLUMNS)), b""]
    return b"\n".join(lines)


def decrypt(vault: bytes, password: bytes) -> bytes:
    """Return the plain bytes of `vault`. Raises as `authenticate`."""
    secret, cipher_key, counter = authenticate(vault, password)
    plain = _ctr(secret, cipher_key, counter)
    padding = plain[-1] if plain else 0
    if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
        raise NotAVault("its padding is broken")
    return plain[:-padding]


def authenticate(vault: bytes, password: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the encrypted bytes of `vault`, with cipher key and first counter, once its authentication code fits; nothing is decrypted.

    Raises NotAVault for other bytes, WrongPassword where it does not open.
    """
    header, *lines = vault.splitlines() or [b""]
    fields = [part.strip() for part in header.strip().split(b";")]
    if fields[0] != b"$ANSIBLE_VAULT":
        raise NotAVault("it does not begin with $ANSIBLE_VAULT")
    if len(fields) < 3 or fields[1] not in _VERSIONS or fields[2] != b"AES256":
        raise NotAVault("it is not in format 1.1 or 1.2 with AES256")
    try:
        salt, mac, secret = (unhexlify(part) for part in unhexlify(b"".join(lines)).split(b"\n", 2))
    except (BadHex, ValueError):
        raise NotAVault("its body is cut off or not hexadecimal") from None
    cipher_key, mac_key, counter = _keys(password, salt)
    if not hmac.compare_digest(hmac.digest(mac_key, secret, hashlib.sha256), mac):
        raise WrongPassword("the password does not open it")
    return secret, cipher_key, counter


def _keys(password: bytes, salt: bytes) -> tuple[bytes, bytes, bytes]:
    """Return cipher key, authentication key and first counter, all from one PBKDF2 (ansible `VaultAES256`)."""
    derived = hashlib.pbkdf2_hmac("sha256", password, salt, _ROUNDS, 80)
    return derived[:32], derived[32:64], derived[64:]


def _ctr(data: bytes, key: bytes, counter: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return cipher.update(data) + cipher.finalize()
