"""The token is seen by the server, and by nobody and nothing else."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError
from hyops_ci.ledger.ledger import Ledger
from tests.ledger.ledger_setup import SERVICE, at, git, request
from tests.support.git_http import No, serve_git, serving

TOKEN = "ghs_CANARYcanary0123456789"
FORMS = (TOKEN, base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode())


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `git` that writes down its arguments and the names in its environment, and then does its work."""
    real = shutil.which("git")
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "argv $*" >> {log}\nenv | sed "s/=.*//; s/^/env /" >> {log}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


def everything_below(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_token_goes_to_the_server_only(remote: Path, tmp_path: Path, watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hvs.of-somebody-else")
    monkeypatch.setenv("GIT_TRACE_CURL", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'alias.push'='!false'")
    with serving(remote.parent, TOKEN) as server:
        ledger = Ledger.over_git(server.url(remote.name), SERVICE, state_dir=tmp_path / "host", token=TOKEN)
        ledger.init("onprem", at(-60))
        claim = ledger.claim(request(1))
        ledger.advance(claim, State.EXECUTING, at=at(1))
        sent = {authorization for _, _, authorization in server.seen}
        paths = [path for _, path, _ in server.seen]
    assert sent == {f"Basic {FORMS[1]}"}
    log = watched.read_text()
    assert "argv" in log
    assert "env GIT_CONFIG_VALUE_0" in log, "that is where it travels"
    assert not any(name in log for name in ("env VAULT_TOKEN", "env GIT_TRACE_CURL", "env GIT_CONFIG_PARAMETERS"))
    assert not (tmp_path / "trace").exists()
    for form in FORMS:
        assert form not in log, "argv"
        assert form.encode() not in everything_below(tmp_path / "host"), "cache and memory"
        assert form.encode() not in everything_below(remote), "the remote's own files"
        assert form not in "".join(paths), "URLs"


def command_lines() -> list[bytes]:
    """Of every process of this machine, as anybody on it can read them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes())
    return lines


def test_no_process_shows_it_while_git_talks(remote: Path, tmp_path: Path) -> None:
    """Sampled while the server holds the answer back: git and its helpers are all there, and wait."""
    samples: list[bytes] = []
    with serving(remote.parent, TOKEN) as server:
        server.on_request = lambda path: samples.extend(command_lines())
        ledger = Ledger.over_git(server.url(remote.name), SERVICE, state_dir=tmp_path / "host", token=TOKEN)
        ledger.init("onprem", at(-60))
        ledger.claim(request(1))
        other = Ledger.over_git(server.url(remote.name), SERVICE, state_dir=tmp_path / "other", token=TOKEN)
        assert other.tip().epoch == 1
    talking = [line for line in samples if b"git" in line and b"http" in line]
    assert any(b"\0push\0" in line for line in talking)
    assert any(b"remote-http" in line for line in talking), "the child that holds the connection"
    assert not any(form.encode() in line for form in FORMS for line in samples)


def test_no_object_and_no_config_holds_it(remote: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Files of Git are compressed: what they hold is looked at as Git reads it."""
    with serving(remote.parent, TOKEN) as server:
        ledger = Ledger.over_git(server.url(remote.name), SERVICE, state_dir=tmp_path / "host", token=TOKEN)
        ledger.init("onprem", at(-60))
        claim = ledger.claim(request(1))
        ledger.advance(claim, State.EXECUTING, at=at(1))
    (cache,) = (tmp_path / "host").glob("ledger-*.git")
    for repository in (cache, remote):
        git(repository, "repack", "-a", "-d", "--quiet")
        listed = git(repository, "config", "--list", "--local")
        held = git(repository, "cat-file", "--batch-all-objects", "--batch", "--buffer")
        assert "tip.json" in held or "LedgerTip" in held
        assert not any(form in text for form in FORMS for text in (listed, held))
    assert not any(form in text for form in FORMS for text in capfd.readouterr())


def test_a_server_that_repeats_it_is_not_quoted(remote: Path, tmp_path: Path) -> None:
    """A proxy that shows what it was sent, in its words of refusal."""
    with serving(remote.parent, TOKEN) as server:
        ledger = Ledger.over_git(server.url(remote.name), SERVICE, state_dir=tmp_path / "host", token=TOKEN)
        ledger.init("onprem", at(-60))
        server.trouble.append(No(403, f"Permission denied to {TOKEN}: {{authorization}}"))
        with pytest.raises(DispatchError) as caught:
            ledger.claim(request(1))
    text = "\n".join([*caught.value.lines(), repr(caught.value), str(caught.value.to_json())])
    assert "Permission denied to ***: Basic ***" in text
    assert not any(form in text for form in FORMS)


def test_no_message_repeats_it(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when git itself says it: the wrapper shouts its whole environment."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for code, shout in (
        (128, "fatal: $GIT_CONFIG_VALUE_0"),
        (1, f"error: {TOKEN} is no good"),
        (128, f"fatal: Authentication failed for {TOKEN}"),
    ):
        (folder / "git").write_text(f'#!/bin/sh\nif [ "$GIT_CONFIG_COUNT" ]; then echo "{shout}" >&2; exit {code}; fi\n')
        (folder / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        ledger = Ledger.over_git("https://git.example.net/ledger.git", SERVICE, state_dir=tmp_path / f"host-{code}", token=TOKEN)
        monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", ())
        with pytest.raises(DispatchError) as caught:
            ledger.tip()
        text = "\n".join([*caught.value.lines(), str(caught.value), repr(caught.value), str(caught.value.to_json())])
        assert "***" in text
        assert not any(form in text for form in FORMS)


def test_over_tls_as_github_is(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And to nobody whose certificate is not trusted."""
    with serve_git(remote.parent, TOKEN) as server, serve_git(remote.parent, TOKEN) as other:
        monkeypatch.setenv("GIT_SSL_CAINFO", str(server.ca))
        ledger = Ledger.over_git(server.url(remote.name), SERVICE, state_dir=tmp_path / "host", token=TOKEN)
        ledger.init("onprem", at(-60))
        assert ledger.claim(request(1)).epoch == 1
        assert {authorization for _, _, authorization in server.seen} == {f"Basic {FORMS[1]}"}
        monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", ())
        with pytest.raises(DispatchError, match=r"ledger\.untrusted"):
            Ledger.over_git(other.url(remote.name), SERVICE, state_dir=tmp_path / "host", token=TOKEN).tip()
        assert other.seen == []


def test_no_token_no_header(remote: Path, tmp_path: Path, watched: Path) -> None:
    with serving(remote.parent) as server:
        Ledger.over_git(server.url(remote.name), SERVICE, state_dir=tmp_path / "host").init("onprem", at())
        assert {authorization for _, _, authorization in server.seen} == {""}
    assert "env GIT_CONFIG_COUNT" not in watched.read_text()


def test_configuration_of_the_user_is_not_read(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook, a rewrite of addresses or an askpass of the user's would be somebody else's code in ours."""
    home, canary = tmp_path / "home", tmp_path / "canary"
    home.mkdir()
    script = home / "script"
    script.write_text(f"#!/bin/sh\ntouch {canary}\nexit 1\n")
    script.chmod(0o755)
    for name in ("pre-push", "reference-transaction", "post-commit"):
        (home / name).symlink_to(script)
    (home / ".gitconfig").write_text(
        f'[core]\nhooksPath = {home}\naskPass = {script}\n[url "file:///nowhere/"]\ninsteadOf = {remote.parent}/\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    monkeypatch.setenv("GIT_ASKPASS", str(script))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    ledger = Ledger.over_git(str(remote), SERVICE, state_dir=tmp_path / "host")
    ledger.init("onprem", at())
    assert ledger.claim(request(1)).epoch == 1
    assert not canary.exists()
