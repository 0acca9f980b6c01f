"""One call of `git`: a repository and an environment of its own, limits that are enforced, and no secret in argv, files or messages.

git works in a repository that is made for the call, over the objects of this host's copy (`git_copy`). The user's configuration is not
read; the system's only for a remote on this host, where the administrator says whose repositories are safe (`safe.directory`). No prompt,
no hook, no redirect (it would take the token along).
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hyops_ci import portable
from hyops_ci.address import is_protected
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger.git_copy import ObjectCopy

TIMEOUT: Final = 60.0
"""Seconds that one call of git may take."""
NO_ANSWER: Final = 124
MAX_PACK: Final = 64 * 1024 * 1024
"""Bytes of one file that git may write. A ledger's 20,000 newest transitions are about 10 MB."""
MAX_MEMORY: Final = 2 * 1024 * 1024 * 1024
"""Bytes of memory that one process of git may take: its threads' stacks count too. A large file takes none, it is streamed."""
OLDEST: Final = (2, 31)
"""The first version of git that takes the token's header from the environment; one before it sends none, and is refused for that."""
WANTED: Final = ".".join(map(str, OLDEST))
_OPTIONS: Final = (
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.bigFileThreshold=1m",
    "core.fsync=all",
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "credential.helper=",
    "http.followRedirects=false",
    "fetch.writeCommitGraph=false",
    "push.followTags=false",
)
_KEPT: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
"""Of the environment: where certificates and keys are, and the way out through a proxy. No GIT_TRACE*: it prints headers."""
_SCP: Final = re.compile(r"^[^/:]+:[^/]")
_NO_ROOM: Final = re.compile(r"no space left on device|disk quota exceeded|read-only file system", re.I)
_NOT_OURS: Final = re.compile(r"insufficient permission|permission denied|operation not permitted", re.I)
_GENERAL: Final = re.compile(
    r"^(fatal: Could not read from remote repository|Please make sure you have|and the repository exists|Warning: Permanently added|@+$"
    r"|error: failed to push some refs)",
    re.I,
)
"""Lines that follow the one which says why."""


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
    """Calls of `git` for one remote, with this host's copy of its objects."""

    def __init__(self, remote: str, folder: Path, token: str = "") -> None:
        self.remote = _address(remote, token)
        self.copy = ObjectCopy(folder)
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode() if token else ""
        self._hidden = [secret for secret in (token, basic) if secret]
        parts = urlsplit(self.remote)
        self._environ = _environment(on_this_host=self.remote.startswith("/") or parts.scheme == "file")
        self.by_http = parts.scheme in ("https", "http")
        self.sends_token = bool(basic) and self.by_http
        if self.sends_token:
            # For this origin alone: no other address gets it, whatever leads there.
            scope = f"http.{parts.scheme}://{parts.netloc}/.extraHeader"
            header = {"COUNT": "1", "KEY_0": scope, "VALUE_0": f"Authorization: Basic {basic}"}
            self._environ |= {f"GIT_CONFIG_{name}": value for name, value in header.items()}

    def run(self, *words: str, data: bytes = b"", limit: float | None = None, refs: Mapping[str, str] | None = None) -> GitResult:
        """Run git once in a repository that has these refs; code 124 after `limit` seconds, with every process it started killed.

        Raises Fault (exit 12) `ledger.git` where git is not installed.
        """
        with self.copy.as_repository(refs or {}) as repository:
            return self._run(repository, words, data, TIMEOUT if limit is None else limit)

    def _run(self, repository: Path, words: tuple[str, ...], data: bytes, limit: float) -> GitResult:
        options = [part for option in _OPTIONS for part in ("-c", option)]
        try:
            child = subprocess.Popen(
                ["git", *options, *words],
                cwd=repository,
                env=self._environ | {"GIT_DIR": str(repository), "HOME": str(repository)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise broken("there is no git on this host", "git: not found", "git on the PATH", "install git") from None
        with child:
            try:
                _bound(child.pid)
                out, err = child.communicate(data, timeout=limit)
            except BaseException as error:
                # The whole session: git's own children hold the pipes open, and one of them talks to the remote.
                portable.kill_group(child.pid)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return GitResult(NO_ANSWER, b"", "no answer in time")
        said = self.safe(err.decode("utf-8", "replace")).replace(str(repository), str(self.copy.folder))
        return GitResult(child.returncode, out, said)

    def local(self, *words: str, data: bytes = b"") -> GitResult:
        """Run a command that needs no remote. Raises DamagedCopy when it fails."""
        result = self.run(*words, data=data)
        if result.code != 0:
            said = f"git {words[0]}: {first_line(result.err)}"
            full = _NO_ROOM.search(result.err) or _NOT_OURS.search(result.err)
            raise self.cannot_write(said) if full else self.copy.damaged(said)
        return result

    def cannot_write(self, line: str) -> Fault:
        """Return the fault for a disk of this host that takes no more, or is another user's."""
        fix = f"make room, or repair the owner of {self.copy.folder}"
        return broken("git cannot write on this host", line, "a disk with room, that this user may write", fix)

    def own_line(self, output: str) -> str:
        """Return the line of git's errors that is about this host's copy or disk, empty where the remote is to blame."""
        said = (line.strip() for line in output.splitlines() if line.startswith(("fatal:", "error:")) and "remote unpack" not in line)
        return next((line for line in said if str(self.copy.folder) in line or _NO_ROOM.search(line)), "")

    def is_sound(self, *commits: str) -> bool:
        """Return whether the copy's objects can be read, and these commits are among them. Takes a second for years of a ledger."""
        refs = self.copy.seen() | {f"refs/heads/{each}": each for each in commits}
        return self.run("fsck", "--no-progress", "--no-dangling", refs=refs).code == 0

    def safe(self, text: str) -> str:
        """Return `text` without the token, plain or in base64."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    def refuse_old(self) -> None:
        """Raise Fault (exit 12) for a git that has not sent the token. Asked only where a remote says that there is none."""
        version = _version(self.run("version").text)
        if not sends_tokens(version):
            raise broken("git is too old to send the token", f"git {version}", f"git {WANTED} or newer", "install a newer git on this host")


def git_version() -> str:
    """Return the version of this host's git; empty where it has none."""
    try:
        said = subprocess.run(["git", "version"], capture_output=True, check=False, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return _version(said.stdout.decode("utf-8", "replace"))


def sends_tokens(version: str) -> bool:
    """Return whether a git of this version sends a token. One that cannot be told does, or says itself what is wrong."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is None or (int(found[1]), int(found[2])) >= OLDEST


def _version(said: str) -> str:
    words = said.split()
    return words[2] if len(words) > 2 else ""


def first_line(text: str) -> str:
    """Return the most telling line of git's standard error: what ssh said before git gave up, an error before a hint, else the first."""
    every = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in every if not _GENERAL.match(line)] or every
    errors = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))]
    return next(iter(errors or lines), "no message")


def broken(reason: str, found: str, expected: str, fix: str) -> Fault:
    """Return the fault for a git of this host that cannot do its work."""
    return Fault("ledger.git", reason, exit_code=Exit.UNAVAILABLE, found=found, expected=expected, fix=fix, docs="ledger.md")


def _bound(pid: int) -> None:
    """Bound what git and its children may write and hold in memory, where the system can: a hostile branch ends git, not this host."""
    try:
        from resource import RLIMIT_DATA, RLIMIT_FSIZE, prlimit
    except ImportError:
        return
    with suppress(ProcessLookupError):
        prlimit(pid, RLIMIT_FSIZE, (MAX_PACK, MAX_PACK))
        prlimit(pid, RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))


def absolute(remote: str) -> str:
    """Return a path as one that means the same from every folder; an address as it is."""
    return remote if "://" in remote or _SCP.match(remote) else str(Path(remote).resolve())


def _address(remote: str, token: str) -> str:
    """Return the remote, a path made absolute. Raises Refusal (exit 2) where a secret would be visible or sent unencrypted."""
    if (path := absolute(remote)) != remote or path.startswith("/"):
        return path
    parts = urlsplit(remote)
    if parts.password is not None or (parts.username is not None and parts.scheme in ("http", "https")):
        raise _unsafe("the ledger's address holds a credential", f"{parts.scheme}://***@{parts.hostname}{parts.path}")
    if token and parts.scheme == "http" and not is_protected(remote):
        raise _unsafe("a token would travel in the clear", f"http://{parts.hostname}")
    return remote


def _environment(*, on_this_host: bool) -> dict[str, str]:
    """Return the environment of git but for its repository; nothing else is inherited."""
    who: Mapping[str, str] = {"NAME": "dr-dispatch", "EMAIL": "dr-dispatch@localhost"}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        **({} if on_this_host else {"GIT_CONFIG_NOSYSTEM": "1"}),
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


def _unsafe(reason: str, found: str) -> Refusal:
    expected = "https://<host>/<repository>, the token in the environment"
    return Refusal(
        "ledger.remote", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix="correct ledger.repository", docs="ledger.md"
    )
