"""The files of a release, made from a commit: nothing of the machine that makes them gets in but the wheels that pip fetches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hyops_ci.errors import Exit, Fault
from tools.release.changelog import notes
from tools.release.checksums import NAME, checksums
from tools.release.pinned import Pin, pins
from tools.release.platforms import Platform, chosen, download
from tools.release.references import for_server
from tools.release.repository import Checkout
from tools.release.sbom import sbom
from tools.release.tarball import fill

INSTALLED: Final = ("runtime", "gcp", "proxmox")
"""The requirements files of what runs: of every command, and of each provider of machines."""


def packages(checkout: Checkout, folder: Path) -> None:
    """Make wheel and sdist: `python -m build`, from the files of the commit alone, with its time. Raises Fault `release.build`."""
    with TemporaryDirectory() as place:
        source = Path(place, "source")
        contents, executable = checkout.files()
        for path, content in contents.items():
            file = source / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o755 if path in executable else 0o644)
        command = ["-m", "build", "--no-isolation", "--outdir", str(folder.resolve()), str(source)]
        _python("release.build", command, Path(place), {"SOURCE_DATE_EPOCH": str(checkout.seconds())})


def documents(checkout: Checkout, folder: Path) -> None:
    """Write the bill of materials and the notes of the version. Raises Refusal `release.changelog`."""
    version, commit = checkout.version(), checkout.commit()
    changelog = (checkout.folder / "CHANGELOG.md").read_text("utf-8")
    (folder / f"hyops_ci-{version}.cdx.json").write_text(sbom(pinned(checkout, *INSTALLED), version, commit, checkout.seconds()), "utf-8")
    (folder / "RELEASE_NOTES.md").write_text(notes(changelog, version), "utf-8")


def server_tree(checkout: Checkout, folder: Path, repository: str, ref: str) -> Path:
    """Pack the tree for GitHub Enterprise Server: own references name `repository` there, and `ref`, the tag it is given."""
    contents, executable = checkout.files()
    name = f"dr-dispatch-{checkout.version()}-ghes"
    target = folder / f"{name}.tar"
    tree = {f"{name}/{path}": content for path, content in for_server(contents.items(), repository, ref).items()}
    with target.open("wb") as file:
        fill(file, tree, checkout.seconds(), frozenset(f"{name}/{path}" for path in executable))
    return target


def wheelhouse(checkout: Checkout, folder: Path, platform: Platform) -> Path:
    """Pack the wheels of a platform, for the command line and every lane. Raises Fault `release.wheels`: pip's own words are above it."""
    wanted = chosen(pinned(checkout, *INSTALLED), platform)
    name = f"hyops_ci-{checkout.version()}-wheelhouse-{platform}"
    with TemporaryDirectory() as place:
        requirements, wheels = Path(place, "requirements.txt"), Path(place, "wheels")
        requirements.write_text("".join(f"{pin.line()}\n" for pin in wanted), "utf-8")
        _python("release.wheels", ["-m", "pip", *download(platform, str(requirements), str(wheels)), "--quiet"], Path(place), {})
        entries = {f"{name}/{path.name}": path.read_bytes() for path in wheels.iterdir()}
    if len(entries) != len(wanted):
        raise Fault("release.wheels", "not one wheel for each pin", exit_code=Exit.USAGE, found=f"{len(entries)} for {len(wanted)} pins")
    target = folder / f"{name}.tar"
    with target.open("wb") as file:
        fill(file, entries, checkout.seconds())
    return target


def sums(folder: Path) -> None:
    """Write SHA256SUMS of everything in a folder."""
    (folder / NAME).write_text(checksums(folder), "utf-8")


def pinned(checkout: Checkout, *names: str) -> list[Pin]:
    """Return the pins of some files of `requirements/`, by name."""
    return pins((checkout.folder / "requirements" / f"{name}.txt").read_text("utf-8") for name in names)


def _python(gate: str, arguments: list[str], folder: Path, more: dict[str, str]) -> None:
    """Run a module of this environment's; what it says goes to stderr. Raises Fault."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=os.environ | more, stdout=sys.stderr.fileno(), check=False)
    if done.returncode:
        found = f"exit {done.returncode}"
        raise Fault(gate, f"{' '.join(arguments[:2])} failed", exit_code=Exit.USAGE, found=found, fix="read what it said above")
