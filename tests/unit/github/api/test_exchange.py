"""Exchanges that end, and tokens that stay where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.api import client as client_module
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.exchange import LIMITS
from hyops_ci.github.api.responses import NotFound
from hyops_ci.github.artifacts import artifact_files
from tests.support.github.server import FakeGitHub
from tests.unit.github.scripted import FINE, TOKEN, Asking, Scripted, Time, failed, said

WORKFLOW = ".github/workflows/dr.yml"
CALLER = "on: workflow_dispatch\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n"


# ---------------------------------------------------------------------------------------------------- exchanges


def test_a_netrc_file_of_this_host_is_not_asked(
    asking: Asking, scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password my-own-password\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    client = asking(said(302, None, {"Location": f"{scripted.url}/bytes"}), said(200, b"zip"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5) == b"zip"
    assert [heard.headers.get("authorization") for heard in scripted.heard] == [f"token {TOKEN}", None]


def test_a_proxy_of_the_environment_is_used(scripted: Scripted, connected: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.script = [FINE]
    monkeypatch.setenv("HTTP_PROXY", scripted.url)
    monkeypatch.setenv("NO_PROXY", "")
    connected("http://localhost:9").ask(endpoints.REPOSITORY)
    assert scripted.heard[0].line == "GET http://localhost:9/repos/acme/dr HTTP/1.1"


def test_certificates_that_are_not_there_are_named_at_once(connected: Asking, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/gone/ca.pem")
    with pytest.raises(Fault) as failed:
        connected("https://127.0.0.1:9").ask(endpoints.REPOSITORY)
    assert failed.value.gate == "github.unreachable"
    assert "REQUESTS_CA_BUNDLE names no file of this host" in failed.value.found
    assert failed.value.reason == "this host cannot ask GitHub"
    assert "githubstatus" not in failed.value.fix
    assert time.slept == []


def test_a_company_certificate_of_the_host_is_taken_without_a_variable(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ca = str(tmp_path / "host.pem")
    monkeypatch.setattr(client_module, "host_ca", lambda: ca)
    assert asking(FINE)._http.session.verify == ca


def test_a_trickle_ends(asking: Asking, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time: one byte every now and then keeps the socket happy, and would hold a run for days."""
    monkeypatch.setattr(client_module, "LIMITS", replace(LIMITS, seconds=2.0))
    stop = threading.Event()

    def trickle() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        for step in count():
            time.at += 1.0 if step < 3 else 0  # after that the client has gone, and its next attempt is not to be hurried
            yield b" "
            if stop.wait(0.02):
                return

    try:
        client = asking(trickle(), FINE)
        assert client.ask(endpoints.REPOSITORY)["id"] == 77
        assert client.calls == 2
    finally:
        stop.set()


def test_an_answer_without_end_is_no_answer(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LIMITS", replace(LIMITS, max_bytes=1000))
    assert asking(said(200, {"id": "x" * 2000}), FINE).ask(endpoints.REPOSITORY)["id"] == 77


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_is_followed_with_a_token(status: int, asking: Asking, scripted: Scripted) -> None:
    """Of a renamed repository GitHub says 301. PyGithub would go on without the query, or end in a RuntimeError."""
    error = failed(asking(said(status, {"message": "Moved"}, {"Location": "https://elsewhere.example/x"}), FINE))
    assert (error.gate, len(scripted.heard)) == ("github.moved", 1)


def test_what_is_still_being_made_is_not_asked_for_by_pygithub(asking: Asking) -> None:
    client = asking(said(202, {"id": 1}))
    assert client.ask(endpoints.REPOSITORY)["id"] == 1
    assert client.calls == 1


# ------------------------------------------------------------------------------------------------------ downloads


def test_the_token_does_not_go_where_the_bytes_are(github_fake: FakeGitHub, connected: Asking) -> None:
    """The fake counts a signed address that gets a token as a violation."""
    repository = github_fake.add_repository("acme/dr")
    repository.add_workflow(WORKFLOW, CALLER)
    github_fake.add_user("maria")
    artifact = repository.add_run(actor="maria").add_artifact("dr-plan", {"plan.json": b"{}"})
    client = connected(github_fake.url, github_fake.add_token("actions: read"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10_000, artifact_id=artifact.id) == artifact.data


def test_an_artifact_from_its_name_to_its_files(github_fake: FakeGitHub, connected: Asking) -> None:
    repository = github_fake.add_repository("acme/dr")
    repository.add_workflow(WORKFLOW, CALLER)
    github_fake.add_user("maria")
    run = repository.add_run(actor="maria")
    run.add_artifact("dr-plan-1", {"plan.json": b"{}"})
    run.add_artifact("dr-plan-2", {"plan.json": b"[]"})
    client = connected(github_fake.url, github_fake.add_token("actions: read"))
    assert artifact_files(client, run.id, "dr-plan-2") == {"plan.json": b"[]"}


def test_bytes_that_do_not_come_are_asked_for_anew(asking: Asking, scripted: Scripted, time: Time) -> None:
    there = scripted.sends_to()
    client = asking(there, said(403, b"expired"), there, b"", there, said(200, b"half", length=10), there, said(200, b"zip"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5) == b"zip"
    assert (client.calls, len(time.slept)) == (4, 3)


def test_bytes_that_never_come_are_exit_12(asking: Asking, scripted: Scripted, time: Time) -> None:
    client = asking()
    scripted.script = [scripted.sends_to(), said(500, b"")] * 20
    with pytest.raises(Fault) as caught:
        client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert caught.value.found == "GET /repos/acme/dr/actions/artifacts/5/zip: HTTP 500 for the bytes"
    assert sum(time.slept) <= 120


def test_another_hop_is_followed_and_a_ring_is_not(asking: Asking, scripted: Scripted) -> None:
    client = asking(scripted.sends_to(), scripted.sends_to("/further"), said(200, b"zip"))
    assert client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5) == b"zip"
    client = asking(scripted.sends_to())
    with pytest.raises(Fault):
        client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)


def test_more_bytes_than_wanted_are_not_read(asking: Asking, scripted: Scripted) -> None:
    client = asking(scripted.sends_to(), said(200, b"x" * 11))
    with pytest.raises(Refusal) as caught:
        client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert (caught.value.gate, caught.value.exit_code, caught.value.found) == ("github.size", Exit.EVIDENCE, "more than 10 bytes")


@pytest.mark.parametrize("place", ["http://storage.example/x", "ftp://127.0.0.1/x", "", "/relative", "file:///etc/passwd"])
def test_bytes_come_over_https_only(place: str, asking: Asking) -> None:
    with pytest.raises(Refusal) as caught:
        asking(said(302, None, {"Location": place})).download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert caught.value.gate == "github.address"


def test_bytes_come_over_https_only_however_often_they_are_sent_on(asking: Asking, scripted: Scripted) -> None:
    client = asking(scripted.sends_to(), said(302, None, {"Location": "http://storage.example/x"}))
    with pytest.raises(Refusal) as caught:
        client.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert (caught.value.gate, caught.value.found, client.calls) == ("github.address", "http://storage.example", 1)


@pytest.mark.parametrize("place", ["https://[", "http://127.0.0.1:99999/x", "http://127.0.0.1:x/"])
def test_a_place_that_is_none_is_a_fault(place: str, asking: Asking) -> None:
    with pytest.raises(Fault):
        asking(said(302, None, {"Location": place})).download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)


def test_an_artifact_that_has_expired(asking: Asking) -> None:
    with pytest.raises(NotFound) as caught:
        asking(said(410, {"message": "Artifact has expired"})).download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    assert caught.value.gate == "github.gone"
