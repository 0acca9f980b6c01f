"""Attack: the secret authority, or what stands before it, repeats in an error what it was sent: the login of the run.

Its answers are shown to people where it refuses. What a run leaves is searched whole, as after a module that prints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.evidence.contents import read_files
from hyops_ci.secrets.map import builtin_map
from hyops_ci.stages.sealing import bundle_path
from tests.security.incident import Incident
from tests.security.test_network_peers import peer, sends

WITH_A_FORM = "hvs.CAESIJ3mPlanted0nlyForThisTest0000"
WITHOUT = "planted-login-without-a-form-4711"
FACTS = {"policies": ["dr-lab"], "type": "service", "explicit_max_ttl": 600}
Words = Callable[[str], list[str]]


@contextmanager
def authority(token: str, refused: str, words: Words) -> Iterator[str]:
    """Vault as a run meets it, up to the request whose path holds `refused`: it is answered 403 with these words about the token."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        if path.endswith("/login"):
            said: dict[str, object] = {"auth": {"client_token": token}}
        elif refused in path:
            sends(403, json.dumps({"errors": words(handler.headers.get("X-Vault-Token", ""))}).encode())(handler)
            return
        elif path.endswith("lookup-self"):
            said = {"data": FACTS}
        else:
            said = {"data": {"subkeys": dict.fromkeys(row.key for row in builtin_map().rows)}}
        sends(200, json.dumps(said).encode())(handler)

    with peer(answer) as url:
        yield url


def left_by(incident: Incident) -> bytes:
    """All that the run shows and keeps."""
    if not bundle_path(incident.folder).exists():
        incident.conclude()
    files = [path.read_bytes() for path in incident.folder.root.rglob("*") if path.is_file()]
    return b"\n".join([*files, *read_files(bundle_path(incident.folder)).values(), *(line.encode() for line in incident.said)])


@pytest.mark.parametrize("token", [WITH_A_FORM, WITHOUT], ids=["a form of its own", "no form"])
def test_an_authority_that_repeats_the_login(token: str, incident: Incident) -> None:
    with authority(token, "/data/", lambda sent: ["permission denied", f"X-Vault-Token: {sent}"]) as url:
        incident.configure(lambda config: config.update(vault={"address": url, "site": "gcp"}))
        incident.reach_gate()
        ended = incident.execute(incident.signed("jonas"))
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code) == ("secrets.denied", 8), ended
    assert "permission denied X-Vault-Token: [redacted" in ended.refusal.found, "the rest of what it said is shown"
    assert ended.state is State.FAILED
    assert token.encode() not in left_by(incident)


def test_an_authority_that_repeats_the_login_of_the_check(incident: Incident) -> None:
    with authority(WITH_A_FORM, "/subkeys/", lambda sent: [f"X-Vault-Token: {sent}"]) as url:
        incident.configure(lambda config: config.update(vault={"address": url, "site": "gcp"}))
        incident.plan()
        ended = incident.check()
    assert ended.refusal is not None
    assert ended.refusal.gate == "secrets.denied", ended
    assert WITH_A_FORM not in f"{ended.refusal}"
    assert WITH_A_FORM.encode() not in left_by(incident)


def test_an_authority_that_says_what_is_wrong(incident: Incident) -> None:
    with authority(WITH_A_FORM, "/data/", lambda sent: ["1 error occurred:\n\t* permission denied\n\n"]) as url:
        incident.configure(lambda config: config.update(vault={"address": url, "site": "gcp"}))
        incident.reach_gate()
        ended = incident.execute(incident.signed("jonas"))
    assert ended.refusal is not None
    assert "1 error occurred: * permission denied" in ended.refusal.found
    assert b"[redacted" not in left_by(incident)
