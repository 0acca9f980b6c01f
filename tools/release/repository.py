"""What git knows of the checkout and its remote, and the files of its commit. The only module here that runs git."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hyops_ci.errors import Exit, Fault
from hyops_ci.ledger.git_objects import answers
from tools.release.readiness import Facts

FILE: Final = "100644"
PROGRAM: Final = "100755"


@dataclass(frozen=True)
class Checkout:
    """A checkout of this repository, with a remote `origin`."""

    folder: Path

    def git(self, *words: str) -> str:
        """Return what git prints. Raises Fault `release.git` with its own words."""
        return self._run(*words).decode().strip()

    def _run(self, *words: str, asked: str = "") -> bytes:
        command = ["git", *words]
        done = subprocess.run(command, cwd=self.folder, input=asked.encode(), capture_output=True, check=False)
        if done.returncode:
            said = "; ".join(line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip())
            raise Fault("release.git", f"git {words[0]} failed", exit_code=Exit.USAGE, found=said, fix=f"git {' '.join(words)}")
        return done.stdout

    def commit(self) -> str:
        """Return the commit that is checked out, 40 digits."""
        return self.git("rev-parse", "HEAD")

    def seconds(self) -> int:
        """Return the time of the commit, since 1970: every file of a release has it."""
        return int(self.git("show", "--no-patch", "--format=%ct", "HEAD"))

    def facts(self, tag: str) -> Facts:
        """Return what decides whether the commit may be released, the remote asked for its main and the tag."""
        commit = self.commit()
        main, tagged = self._remote(tag)
        on_main = False
        if main:
            self.git("fetch", "--quiet", "--no-tags", "origin", main)
            on_main = commit in self.git("rev-list", main).split()
        changed = self._run("status", "--porcelain", "-z", "--no-renames").decode().split("\0")
        return Facts(
            commit=commit,
            version=self.version(),
            changelog=(self.folder / "CHANGELOG.md").read_text("utf-8"),
            changed=tuple(each[3:] for each in changed if each),
            main=main,
            on_main=on_main,
            tagged=tagged,
        )

    def version(self) -> str:
        """Return `__version__` of the package in this checkout."""
        text = (self.folder / "hyops_ci" / "__init__.py").read_text("utf-8")
        return text.partition('__version__ = "')[2].partition('"')[0]

    def files(self) -> tuple[dict[str, bytes], frozenset[str]]:
        """Return the files of the commit, path to content, and which of them are executable."""
        listed = self._run("ls-tree", "-r", "-z", "--full-tree", "HEAD").decode().rstrip("\0").split("\0")
        modes, names, paths = zip(*((*said.split()[::2], path) for said, _, path in (each.partition("\t") for each in listed)), strict=True)
        # Not `git archive`: it leaves out what a job need not download (.gitattributes).
        contents = answers(self._run("cat-file", "--batch", "--buffer", asked="".join(f"{name}\n" for name in names)))
        found = {path: content for path, mode, content in zip(paths, modes, contents, strict=True) if mode in (FILE, PROGRAM)}
        return found, frozenset(path for path, mode in zip(paths, modes, strict=True) if mode == PROGRAM)

    def _remote(self, tag: str) -> tuple[str, str]:
        """Return the commits of main and of the tag; an annotated tag's own commit is the line that ends in ^{}."""
        wanted = ("refs/heads/main", f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}")
        lines = [line.split("\t") for line in self.git("ls-remote", "origin", *wanted).splitlines()]
        found = {name: commit for commit, name in lines}
        return found.get(wanted[0], ""), found.get(wanted[2], found.get(wanted[1], ""))
