"""One call of `git`: an environment of its own, an enforced time limit, and no secret in argv, files or messages.

Nothing of the user's or the system's configuration is read; no prompt, no hook, no redirect (it would take the token along).
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hyops_ci.address import is_protected
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.files import locked

TIMEOUT: Final = 60.0
"""Seconds that one call of git may take."""
NO_ANSWER: Final = 124
_OPTIONS: Final = (
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    "credential.helper=",
    "http.followRedirects=false",
    "fetch.writeCommitGraph=false",
    "push.followTags=false",
)
_KEPT: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
"""Of the environment: where certificates and keys are, and the way out through a proxy. No GIT_TRACE*: it prints headers."""
_SCP: Final = re.compile(r"^[^/:]+:[^/]")


@dataclass(frozen=True)
class GitResult:
    """What one call returned: exit code, standard output, and standard error without secrets."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output as text, without white space around it."""
        return self.out.decode("utf-8", "replace").strip()


class Git:
    """Calls of `git` on a local bare repository, for one remote."""

    def __init__(self, remote: str, folder: Path, token: str = "") -> None:
        self.remote = _address(remote, token)
        self.folder = folder.resolve()
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode() if token else ""
        self._hidden = [secret for secret in (token, basic) if secret]
        self._environ = _environment(self.folder)
        if basic and urlsplit(self.remote).scheme in ("https", "http"):
            header = {"COUNT": "1", "KEY_0": "http.extraHeader", "VALUE_0": f"Authorization: Basic {basic}"}
            self._environ |= {f"GIT_CONFIG_{name}": value for name, value in header.items()}

    def run(self, *words: str, data: bytes = b"", limit: float | None = None) -> GitResult:
        """Run git once and return its result; code 124 after `limit` seconds, with every process it started killed.

        Raises Fault (exit 12) `ledger.git` where git is not installed.
        """
        options = [part for option in _OPTIONS for part in ("-c", option)]
        try:
            child = subprocess.Popen(
                ["git", *options, *words],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise _broken("there is no git on this host", "git: not found", "git on the PATH", "install git") from None
        with child:
            try:
                out, err = child.communicate(data, timeout=TIMEOUT if limit is None else limit)
            except BaseException as error:
                # The whole session: git's own children hold the pipes open, and one of them talks to the remote.
                os.killpg(child.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return GitResult(NO_ANSWER, b"", "no answer in time")
        return GitResult(child.returncode, out, self.safe(err.decode("utf-8", "replace")))

    def local(self, *words: str, data: bytes = b"") -> GitResult:
        """Run a command that needs no remote. Raises Fault (exit 12) when it fails."""
        result = self.run(*words, data=data)
        if result.code != 0:
            raise _broken(
                "git failed on this host",
                f"git {words[0]}: {first_line(result.err)}",
                "a working git and a writable folder",
                f"look at {self.folder}; it is only a cache and may be removed",
            )
        return result

    def safe(self, text: str) -> str:
        """Return `text` without the token, plain or in base64."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    def prepare(self) -> None:
        """Create the local repository, completely or not at all; safe with other processes doing the same."""
        if (self.folder / "HEAD").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.folder.with_name(f".{self.folder.name}.lock"), make=True, wait=None):
            # HEAD is the last thing that `git init` writes; a process that waited here finds it.
            if not (self.folder / "HEAD").exists():
                self.local("init", "--quiet", "--bare", ".")


def first_line(text: str) -> str:
    """Return the most telling line of git's standard error: an error before a hint, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))]
    return next(iter(errors or lines), "no message")


def _address(remote: str, token: str) -> str:
    """Return the remote, a path made absolute. Raises Refusal (exit 2) where a secret would be visible or sent unencrypted."""
    if "://" not in remote and not _SCP.match(remote):
        return str(Path(remote).resolve())
    parts = urlsplit(remote)
    if parts.password is not None or (parts.username is not None and parts.scheme in ("http", "https")):
        raise _unsafe("the ledger's address holds a credential", f"{parts.scheme}://***@{parts.hostname}{parts.path}")
    if token and parts.scheme == "http" and not is_protected(remote):
        raise _unsafe("a token would travel in the clear", f"http://{parts.hostname}")
    return remote


def _environment(folder: Path) -> dict[str, str]:
    """Return the complete environment of git; nothing else is inherited."""
    who: Mapping[str, str] = {"NAME": "dr-dispatch", "EMAIL": "dr-dispatch@localhost"}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LC_ALL": "C",
        "GIT_DIR": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": "file:https:http:ssh",
        **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()},
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
    }


def _broken(reason: str, found: str, expected: str, fix: str) -> Fault:
    return Fault("ledger.git", reason, exit_code=Exit.UNAVAILABLE, found=found, expected=expected, fix=fix)


def _unsafe(reason: str, found: str) -> Refusal:
    expected = "https://<host>/<repository>, the token in the environment"
    return Refusal(
        "ledger.remote", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix="correct ledger.repository", docs="ledger.md"
    )
