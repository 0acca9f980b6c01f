"""What is sent to Proxmox VE and to whom, and that the token is in nothing that anybody reads."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.runners import proxmox
from hyops_ci.runners.ports import Adapters, MachineState
from tests.runners.proxmox_fake.server import SECRET, TOKEN, Answer, certificate
from tests.runners.proxmox_fake.world import ProxmoxWorld, machine, proxmox_world
from tests.runners.world import KEY, NAME, ORDER, OWNER
from tests.support.examples import examples


def connected(world: ProxmoxWorld, token: str = TOKEN, **changes: object) -> Adapters:
    return proxmox.connect(machine(world.fake, **changes), OWNER, token, world.clock, world.said.append)


def failed(world: ProxmoxWorld, adapters: Adapters) -> DispatchError:
    with pytest.raises((Fault, Refusal)) as caught:
        adapters.provider.create(ORDER)
    assert NAME in caught.value.found
    return caught.value


# ----------------------------------------------------------------------------------------------------- whom


def test_another_certificate_than_the_pinned_one_gets_no_request() -> None:
    with proxmox_world() as world:
        told = failed(world, connected(world, fingerprint=":".join(["AB"] * 32)))
        assert world.fake.seen == []
    assert "another certificate than the pinned one" in told.found


def test_without_a_pin_the_certificate_is_one_that_the_host_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate()[0].cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with proxmox_world() as world:
        told = failed(world, connected(world, fingerprint=None))
        assert world.fake.seen == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert connected(world, fingerprint=None).provider.create(ORDER).state is MachineState.RUNNING
    assert "TLS: " in told.found


def test_a_redirect_is_not_followed() -> None:
    with proxmox_world() as world:
        world.fake.override = lambda method, path: (302, "Found", b"")
        told = failed(world, connected(world))
        assert world.fake.requests == 1
    assert told.gate == "runner.provider"


# ---------------------------------------------------------------------------------------------------- token


@pytest.mark.parametrize(
    "value",
    ["", SECRET, f"dr@pve={SECRET}", f"dr!bootstrap={SECRET}", f"{TOKEN}\n", f"PVEAPIToken={TOKEN}", f"{TOKEN}\r\nX: y", "dr@pve!a=canary"],
)
def test_a_value_that_is_no_token_is_refused_before_anything_is_sent(value: str) -> None:
    with proxmox_world() as world, pytest.raises(Refusal) as caught:
        connected(world, token=value)
    assert (caught.value.gate, caught.value.exit_code) == ("runner.token", Exit.SECRETS)
    assert "canary" not in str(caught.value.to_json())
    assert SECRET not in str(caught.value.to_json())


def test_an_expired_token_is_a_refusal() -> None:
    with proxmox_world() as world:
        world.fake.token = "another"
        told = failed(world, connected(world))
    assert told.gate == "runner.permission"
    assert "401" in told.found


def hostile(answer: Callable[[], Answer]) -> Callable[[str, str], Answer]:
    return lambda method, path: answer()


ECHOES = {
    "reason": hostile(lambda: (403, f"no rights for PVEAPIToken={TOKEN}", b'{"data": null}')),
    "value alone": hostile(lambda: (500, f"bad secret {SECRET}", b"")),
    "errors": hostile(lambda: (400, "no", json.dumps({"errors": {SECRET: TOKEN}}).encode())),
    "base64": hostile(lambda: (400, "no", json.dumps({"errors": {"x": __import__("base64").b64encode(TOKEN.encode()).decode()}}).encode())),
    "page": hostile(lambda: (200, "OK", f"<html>{TOKEN}</html>".encode())),
    "data": hostile(lambda: (200, "OK", json.dumps({"data": [{"vmid": 130, "type": TOKEN, "node": SECRET}]}).encode())),
    "redirect": hostile(lambda: (302, TOKEN, b"")),
    "silence": hostile(lambda: (595, TOKEN, TOKEN.encode())),
}


@pytest.mark.parametrize("how", ECHOES)
def test_a_server_that_repeats_the_token_gets_it_into_nothing(
    how: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with proxmox_world() as world:
        world.fake.override = ECHOES[how]
        adapters = connected(world)
        told = failed(world, adapters)
        shown = [*told.lines(), *traceback.format_exception(told), json.dumps(told.to_json()), repr(adapters), *world.said, caplog.text]
        shown += [*capfd.readouterr(), repr(told.__context__), repr(told.__cause__)]
    secret = [SECRET, TOKEN, __import__("base64").b64encode(TOKEN.encode()).decode()]
    assert not [text for text in shown for each in secret if each in text]


def test_logs_of_the_machine_are_shown_without_the_token() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        provider = connected(world).provider
        world.boots(NAME, (), f"before {SECRET} after")
        shown = provider.console(provider.describe(NAME))
    assert SECRET not in shown
    assert "before" in shown


# -------------------------------------------------------------------------------------------- what is answered


@pytest.mark.parametrize(
    ("status", "words", "gate"),
    [
        (500, "cluster not ready - no quorum?", "runner.provider"),
        (595, "No route to host", "runner.provider"),
        (596, "tls_process_server_certificate: certificate verify failed", "runner.provider"),
        (403, "Permission check failed (/vms/130, VM.Audit)", "runner.permission"),
        (404, "Not Found", "runner.provider"),
        (501, "Method 'GET /x' not implemented", "runner.provider"),
    ],
)
def test_what_an_error_means(status: int, words: str, gate: str) -> None:
    with proxmox_world() as world:
        world.fake.override = lambda method, path: (status, words, b'{"data": null}')
        told = failed(world, connected(world))
    assert told.gate == gate
    assert str(status) in told.found


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"data": 1}', b'{"data": "x", "data": []}', b'{"data": [{"vmid": NaN}]}', b"\xff", b'{"data": [[]]}'],
)
def test_what_is_no_answer_of_the_api_is_never_taken_for_one(body: bytes) -> None:
    with proxmox_world() as world:
        world.fake.override = lambda method, path: (200, "OK", body)
        told = failed(world, connected(world))
        assert world.fake.requests == 1
    assert told.gate == "runner.provider"
    assert "cannot be read" in told.reason


WORDS = st.sampled_from(
    ["qemu", "running", "stopped", "pve1", "UPID:pve1:0003D5E2:01A2B3C4:673F0A11:qmclone:9000:dr@pve!bootstrap:", "OK", ""]
)
FIELDS = st.sampled_from(
    [
        "vmid",
        "node",
        "type",
        "name",
        "template",
        "status",
        "exitstatus",
        "digest",
        "upid",
        "t",
        "iface",
        "active",
        "content",
        "result",
        "lock",
        "description",
    ]
)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(0, 10**10) | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=examples(60))
@given(
    at=st.integers(0, 16),
    data=DATA,
    status=st.sampled_from([200, 200, 400, 403, 500, 595]),
    act=st.sampled_from(["create", "delete", "admit", "console"]),
)
def test_one_answer_of_any_kind_ends_in_a_machine_or_in_words(at: int, data: object, status: int, act: str) -> None:
    """Whatever one answer is, in whatever step: what was meant happens, or a Refusal or Fault names the machine; nothing is made twice."""
    with proxmox_world() as world:
        if act != "create":
            world.put(NAME, OWNER)
        provider = connected(world).provider
        found = provider.describe(NAME)
        first = world.fake.requests
        world.fake.override = lambda method, path: (
            (status, "words", json.dumps({"data": data}).encode()) if world.fake.requests - first == at + 1 else None
        )
        arguments = {"create": (ORDER,), "admit": (found, "opsadmin", KEY)}.get(act, (found,))
        refused: list[DispatchError] = []
        try:
            getattr(provider, act)(*arguments)
        except (Fault, Refusal) as error:
            refused.append(error)
        assert not [error for error in refused if NAME not in error.found]
        assert len(world.machines()) <= 1
