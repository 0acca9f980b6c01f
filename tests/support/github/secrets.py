"""Secrets of a repository: sealed by whoever sets one, with a key of the repository; nobody reads them back but its jobs."""

from __future__ import annotations

import base64

from nacl.public import PrivateKey, SealedBox

from tests.support.github.routing import Answer, Ask, Refused, route

HOME = "/repos/{owner}/{repo}/actions/secrets"
KEY_ID = "568250167242549743"
KEY = PrivateKey.generate()


@route("GET", f"{HOME}/public-key", "secrets: read")
def public_key(ask: Ask) -> Answer:
    """What a value is sealed with."""
    return Answer(200, {"key_id": KEY_ID, "key": base64.b64encode(bytes(KEY.public_key)).decode()})


@route("PUT", f"{HOME}/{{secret_name}}", "secrets: write")
def put_secret(ask: Ask) -> Answer:
    """201 for a new one, 204 for one that was there."""
    if ask.body["key_id"] != KEY_ID:
        raise Refused(422, "Bad request - the key_id is not that of the repository")
    name = ask.values["secret_name"].upper()
    known = name in ask.repository.secrets
    ask.repository.secrets[name] = SealedBox(KEY).decrypt(base64.b64decode(ask.body["encrypted_value"])).decode()
    return Answer(204) if known else Answer(201, {})
