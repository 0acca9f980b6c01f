"""A GitHub App with a private key, as an adopter makes one: its public half is known to the fake."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from tests.support.github.repositories import Repository
    from tests.support.github.server import FakeGitHub

APP_ID = 31


@lru_cache
def private_key() -> rsa.RSAPrivateKey:
    """One for all tests of a process: making one takes a moment."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def install_app(fake: FakeGitHub, repository: Repository, *permissions: str, number: int = APP_ID) -> str:
    """An App that is installed on the repository; gives its private key (PEM). `permissions` such as `administration: write`."""
    key = private_key()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    granted = dict(permission.split(": ") for permission in (*permissions, "metadata: read"))
    fake.add_app(public, number=number, permissions=granted).install(repository.owner, [repository])
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
