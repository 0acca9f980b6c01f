"""The key of one run: made in memory, gone with the process."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hyops_ci.dataclass import dataclass, field

if TYPE_CHECKING:
    from paramiko import PKey


@dataclass(frozen=True)
class Login:
    """Who logs in, and with what."""

    user: str
    public: str
    """In OpenSSH's form, for the machine (`MachineOrder.login_key`)."""
    key: PKey = field(repr=False)


def new_login(user: str) -> Login:
    """Return a login with a new ed25519 key."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from paramiko import Ed25519Key

    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()).decode()
    public = made.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()
    return Login(user, public, Ed25519Key(file_obj=io.StringIO(private)))
