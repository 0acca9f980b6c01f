"""People at a command line: `hyops-ci` in a checkout of the caller's repository, with a token of their own and nothing else."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from tests.act.site import Site

_PROGRAM: Final = """
from hyops_ci.operations.dispatch import follow
follow.PACE = 1.0  # this GitHub has no calls an hour to spare
from hyops_ci.cli.app import main
main()
"""


@dataclass
class Person:
    """Somebody with a shell."""

    site: Site
    login: str
    token: str = ""

    def __post_init__(self) -> None:
        """They get a token from GitHub, for its API and its Git."""
        self.token = self.site.control.fake.add_token("actions: write", "contents: write", actor=self.login)
        self.site.git.also.add(self.token)

    def begins(self, line: str) -> subprocess.Popen[str]:
        """Start a printed command; it is a process of its own, which can be killed."""
        name, *words = shlex.split(line)
        assert name == "hyops-ci", line
        home = self.site.root / "people" / self.login
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "GH_TOKEN": self.token,
            "GH_REPO": self.site.control.repository.full_name,
            "GITHUB_API_URL": self.site.control.fake.url,
            "GITHUB_SERVER_URL": self.site.git.origin,
            "GIT_SSL_CAINFO": str(self.site.git.ca),
        }
        command = [sys.executable, "-c", _PROGRAM, *words]
        return subprocess.Popen(
            command,
            cwd=self.site.repository,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self, line: str) -> tuple[int, str, str]:
        """Return a printed command's exit code, its answer, and what it said meanwhile. No token is in any of it."""
        process = self.begins(line)
        out, said = process.communicate(timeout=600)
        assert self.token not in out + said
        return process.returncode, out, said
