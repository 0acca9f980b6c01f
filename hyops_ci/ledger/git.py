"""The ledger on a Git branch of any remote, through `git` itself. Pushing a descendant is the compare-and-swap; no force, ever.

`git` runs with a configuration of its own: nothing of the user's or the system's is read, no prompt, no hook.
A token travels in the environment only (GIT_CONFIG_*), never in argv, URL or a file.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger.store import Head

FILE: Final = "tip.json"
TIMEOUT: Final = 60.0
"""Seconds that one call of git may take."""
WAITS: Final = (0.5, 2.0, 5.0)
"""Seconds between tries when the remote does not answer."""
MAX_HISTORY: Final = 20_000
_LOST_RACE: Final = re.compile(
    r"non-fast-forward|fetch first|cannot lock ref|stale info|failed to update ref|incorrect old value|reference already exists", re.I
)
_DENIED: Final = re.compile(r"authentication failed|could not read username|403|401|permission|denied|protected branch|GH006|GH013", re.I)
_NO_REMOTE: Final = re.compile(r"repository .* not found|does not appear to be a git repository|does not exist", re.I)


class GitStore:
    """One branch of one remote, with a bare repository of our own in between."""

    def __init__(self, remote: str, branch: str, cache: Path, token: str = "", sleep: Callable[[float], None] = time.sleep) -> None:
        self._remote, self._branch, self._cache, self._sleep = remote, branch, cache, sleep
        self._ref = f"refs/heads/{branch}"
        self._environ = _environment(remote, token, cache)
        self._secret = token

    def read(self) -> Head | None:
        """The head with its history. Raises Refusal (exit 5) for content that is no ledger, Fault (exit 12) for no answer."""
        self._prepare()
        listed = self._ask("ls-remote", "--exit-code", self._remote, self._ref, missing_is_fine=True)
        if not listed:
            return None
        commit = listed.split()[0]
        self._ask("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force", self._remote, f"{self._ref}:refs/heads/seen")
        commits = self._git("rev-list", f"--max-count={MAX_HISTORY}", "--first-parent", commit).split()
        return Head(commit, tuple(self._tips(commits)), tuple(commits))

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        """Add one commit. None: somebody else came first."""
        self._prepare()
        blob = self._git("hash-object", "-w", "--stdin", text=canonical(tip.document()).decode())
        tree = self._git("mktree", text=f"100644 blob {blob}\t{FILE}\n")
        commit = self._git("commit-tree", tree, *(("-p", parent) if parent else ()), "-m", message)
        said = ""
        for wait in (*WAITS, None):
            done = self._run("push", "--quiet", "--porcelain", self._remote, f"{commit}:{self._ref}")
            if done.returncode == 0:
                return commit
            said = done.stderr
            if _LOST_RACE.search(done.stderr + done.stdout):
                return commit if self._is_there(commit) else None
            if _DENIED.search(done.stderr):
                raise self._denied(done.stderr)
            if wait is not None:
                # The answer may be lost after the push took effect: look before trying again.
                if self._is_there(commit):
                    return commit
                self._sleep(wait)
        raise self._silent(said)

    def _is_there(self, commit: str) -> bool:
        try:
            head = self.read()
        except Fault:
            return False
        return head is not None and commit in head.commits

    def _tips(self, commits: list[str]) -> list[Tip]:
        """All tips in one call: `cat-file --batch` answers in the order asked."""
        asked = "".join(f"{commit}:{FILE}\n" for commit in commits)
        data = self._run("cat-file", "--batch", text=asked).stdout.encode("utf-8", "surrogateescape")
        tips, at = [], 0
        for commit in commits:
            line_end = data.index(b"\n", at)
            header = data[at:line_end].split()
            if len(header) != 3 or header[1] != b"blob":
                raise self._unreadable(commit, f"no {FILE}")
            size = int(header[2])
            try:
                tips.append(Tip.model_validate_json(data[line_end + 1 : line_end + 1 + size]))
            except ValidationError as error:
                raise self._unreadable(commit, f"{error.error_count()} fields of {FILE} do not fit") from None
            at = line_end + 1 + size + 1
        return tips

    def _prepare(self) -> None:
        if not (self._cache / "HEAD").exists():
            self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._git("init", "--quiet", "--bare", ".")

    def _ask(self, *words: str, missing_is_fine: bool = False) -> str:
        """A call that talks to the remote, tried again while it does not answer."""
        said = ""
        for wait in (*WAITS, None):
            done = self._run(*words)
            if done.returncode == 0:
                return done.stdout.strip()
            said = done.stderr
            if missing_is_fine and done.returncode == 2 and not done.stderr.strip():
                return ""
            if _DENIED.search(done.stderr):
                raise self._denied(done.stderr)
            if _NO_REMOTE.search(done.stderr):
                raise self._no_remote(done.stderr)
            if wait is not None:
                self._sleep(wait)
        raise self._silent(said)

    def _git(self, *words: str, text: str = "") -> str:
        """A call that stays on this host."""
        done = self._run(*words, text=text)
        if done.returncode != 0:
            raise Fault(
                "ledger.git",
                "git failed on this host",
                exit_code=Exit.UNAVAILABLE,
                found=f"git {words[0]}: {self._safe(done.stderr)}",
                expected="a working git and a writable folder",
                fix=f"look at {self._cache}",
            )
        return done.stdout.strip()

    def _run(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *words]
        try:
            return subprocess.run(
                command,
                cwd=self._cache,
                env=dict(self._environ),
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "no answer in time")
        except FileNotFoundError:
            raise Fault(
                "ledger.git",
                "there is no git on this host",
                exit_code=Exit.UNAVAILABLE,
                found="git: not found",
                expected="git on the PATH",
                fix="install git",
            ) from None

    def _safe(self, text: str) -> str:
        line = next((each.strip() for each in text.splitlines() if each.strip()), "no message")
        return line.replace(self._secret, "***") if self._secret else line

    def _denied(self, said: str) -> Refusal:
        return Refusal(
            "ledger.denied",
            "the ledger may not be read or written",
            exit_code=Exit.CONFLICT,
            found=f"{self._branch}: {self._safe(said)}",
            expected="a job with contents: write, and a ruleset that forbids only deletion and force-push",
            fix="give the calling job contents: write (docs/ledger.md)",
            docs="ledger.md",
        )

    def _no_remote(self, said: str) -> Refusal:
        return Refusal(
            "ledger.missing",
            "there is no such ledger",
            exit_code=Exit.CONFLICT,
            found=self._safe(said),
            expected="a repository that this job can reach",
            fix="hyops-ci ledger init; or correct ledger.repository",
            docs="ledger.md",
        )

    def _silent(self, said: str) -> Fault:
        return Fault(
            "ledger.unreachable",
            "the ledger does not answer",
            exit_code=Exit.UNAVAILABLE,
            found=f"{len(WAITS) + 1} tries; {self._safe(said)}",
            expected="an answer of the Git remote",
            fix="wait and start a new run; with GitHub down: hyops-ci run on the runner",
            docs="ledger.md",
        )

    def _unreadable(self, commit: str, what: str) -> Refusal:
        return Refusal(
            "ledger.unreadable",
            "the ledger cannot be read, so nothing is done and nothing is overwritten",
            exit_code=Exit.CONFLICT,
            found=f"{self._branch} at {commit[:12]}: {what}",
            expected="tips of this release or an older one",
            fix="look at the branch; somebody else wrote to it",
            docs="ledger.md",
        )


def _environment(remote: str, token: str, cache: Path) -> Mapping[str, str]:
    """The whole environment of git."""
    who = {"NAME": "dr-dispatch", "EMAIL": "dr-dispatch@localhost"}
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(cache),
        "LC_ALL": "C",
        "GIT_DIR": str(cache),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": "file:https:http:ssh",
        **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()},
    }
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK"):
        if name in os.environ:
            environ[name] = os.environ[name]
    if token and remote.startswith(("https://", "http://")):
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        environ |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}"}
    return environ
