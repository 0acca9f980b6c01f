"""What git knows of the checkout and its remote, and the files of its commit. The only module here that runs git."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from hyops_ci.errors import Exit, Fault
from tools.release.readiness import Facts


@dataclass(frozen=True)
class Checkout:
    """A checkout of this repository, with a remote `origin`."""

    folder: Path

    def git(self, *words: str) -> str:
        """Return what git prints. Raises Fault `release.git` with its own words."""
        return self._run(*words).decode().strip()

    def _run(self, *words: str) -> bytes:
        done = subprocess.run(["git", *words], cwd=self.folder, capture_output=True, check=False)  # noqa: S607 - git is found on the PATH
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
        with tarfile.open(fileobj=BytesIO(self._run("archive", "--format=tar", "HEAD"))) as tar:
            entries = [entry for entry in tar if entry.isfile()]
            contents = {entry.name: file.read() for entry in entries if (file := tar.extractfile(entry)) is not None}
        return contents, frozenset(entry.name for entry in entries if entry.mode & 0o100)

    def _remote(self, tag: str) -> tuple[str, str]:
        """Return the commits of main and of the tag; an annotated tag's own commit is the line that ends in ^{}."""
        wanted = ("refs/heads/main", f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}")
        lines = [line.split("\t") for line in self.git("ls-remote", "origin", *wanted).splitlines()]
        found = {name: commit for commit, name in lines}
        return found.get(wanted[0], ""), found.get(wanted[2], found.get(wanted[1], ""))
