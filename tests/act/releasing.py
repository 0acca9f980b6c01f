"""Pushes a version tag of this repository as it stands, and carries out release.yml for it, by act, as it stands.

GitHub is the fake, asked by GitHub's own `gh`; Git is a bare repository; what signs is a stand-in, which looks at what it is given. Of the
wheelhouses only that of this machine is made: pip takes its wheels from a folder that is kept between sessions.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hyops_ci.files import locked
from tests.act import shim
from tests.act.rewriting import ROOT, pinned
from tests.act.running import HOST, ActRun, run_act
from tests.support.github.cli import gh_speaks_to
from tests.support.github.releases import releases_of
from tests.support.github.server import FakeGitHub, start_github
from tests.support.released import TAG, git, release_candidate
from tools.release import assets
from tools.release.platforms import Platform, chosen, download
from tools.release.references import REPOSITORY
from tools.release.repository import Checkout

HERE: Final = Platform(platform.machine(), f"{sys.version_info.major}.{sys.version_info.minor}")
NUMBER: Final = "81001"
WORKFLOW: Final = ".github/workflows/release.yml"
SIGNS: Final = """
name: Attest (stand-in)
description: Looks at the files that it is to vouch for, and writes down what they are.
inputs:
  subject-checksums: {description: A list of sums., default: ""}
  subject-path: {description: Files., default: ""}
  sbom-path: {description: A bill of materials., default: ""}
runs:
  using: composite
  steps:
    - shell: bash
      env: {SUMS: "${{ inputs.subject-checksums }}", FILES: "${{ inputs.subject-path }}", SBOM: "${{ inputs.sbom-path }}"}
      run: |
        if [ -n "$SUMS" ]; then sed 's/^/provenance /' "$SUMS" >>"$ATTESTED"; fi
        if [ -n "$SBOM" ]; then sha256sum $FILES "$SBOM" | sed 's/^/sbom /' >>"$ATTESTED"; fi
"""


@dataclass(frozen=True)
class Released:
    """What one run of the workflow left."""

    root: Path
    commit: str
    jobs: dict[str, str]
    """Job -> success, failure or skipped."""
    log: str
    releases: list[tuple[str, str, bool, str]]
    """Tag, title, whether it is a draft, notes."""
    tags: dict[str, str]

    @property
    def assets(self) -> Path:
        """The files of the release, as somebody downloads them."""
        return self.root / "downloaded"

    @property
    def attested(self) -> list[str]:
        """What was vouched for: its kind, a sum, a name."""
        return (self.root / "attested").read_text().splitlines()


def released_once(root: Path) -> Released:
    """The release below `root`; made by the process that asks first, looked at by all."""
    root.mkdir(exist_ok=True)
    kept = root / "released.json"
    with locked(root / "lock", wait=None):
        if not kept.exists():
            kept.write_text(json.dumps(asdict(_release(root)), default=str))
    told = json.loads(kept.read_text())
    return Released(**told | {"root": root, "releases": [tuple(each) for each in told["releases"]]})


def _release(root: Path) -> Released:
    clone = release_candidate(root)
    git(clone, "tag", TAG)
    git(clone, "push", "--quiet", "origin", TAG)
    commit = git(clone, "rev-parse", "HEAD")
    with start_github() as fake:
        repository = fake.add_repository(REPOSITORY, number=4711)
        checks = repository.add_workflow(".github/workflows/ci.yml", (clone / ".github/workflows/ci.yml").read_text())
        repository.trees[commit] = {}
        repository.tags[TAG] = commit
        repository.add_run(checks, event="push", branch="main", sha=commit).finish("success")
        run = _carry_out(fake, root, clone)
        assert fake.violations == []
    (root / "downloaded").mkdir()
    made = releases_of(repository)
    for each in made:
        for name, content in each.assets.items():
            (root / "downloaded" / name).write_bytes(content)
    shown = [(each.tag, each.title, each.draft, each.notes) for each in made]
    return Released(root, commit, run.jobs, run.log(), shown, repository.tags)


def _carry_out(fake: FakeGitHub, root: Path, clone: Path) -> ActRun:
    signs, programs = root / "attest", root / "programs"
    for folder in (signs, programs):
        folder.mkdir()
    (signs / "action.yml").write_text(SIGNS)
    (programs / "gh").symlink_to(Path(sys.executable).with_name("gh"))
    token = fake.add_token("contents: write", "actions: read")
    with gh_speaks_to(fake, root) as speaks:
        return run_act(
            clone,
            root / "run",
            local=_actions(signs),
            event_name="push",
            event={"ref": f"refs/tags/{TAG}", "repository": {"full_name": REPOSITORY, "id": 4711, "default_branch": "main"}},
            environment={
                **speaks,
                "GITHUB_RUN_ID": NUMBER,
                "GITHUB_REPOSITORY": REPOSITORY,
                "ATTESTED": str(root / "attested"),
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(_kept_wheels()),
                "UV_CACHE_DIR": subprocess.run(["uv", "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip(),
            },
            home=root / "home",
            workflow=WORKFLOW,
            arguments=["--matrix", f"machine:{HERE.machine}", "--matrix", f"python:{HERE.python}", "-s", f"GITHUB_TOKEN={token}"],
            labels=("ubuntu-24.04",),
            programs=[programs],
        )


def _actions(signs: Path) -> dict[str, Path]:
    pins = pinned((ROOT / WORKFLOW).read_text())
    stand_ins = {"upload-artifact": shim.build() / "upload", "download-artifact": shim.build() / "download", "attest": signs}
    return {f"actions/{name}@{pins[f'actions/{name}']}": folder for name, folder in stand_ins.items()}


def _kept_wheels() -> Path:
    """Wheels of this machine's wheelhouse, and of uv: fetched once, kept between sessions; pip looks nowhere else."""
    folder = HOST / "release-wheels"
    wanted = HOST / "release-wheels.txt"
    checkout = Checkout(ROOT)
    lines = [pin.line() for pin in chosen(assets.pinned(checkout, *assets.INSTALLED, "uv"), HERE)]
    text = "".join(f"{line}\n" for line in lines)
    HOST.mkdir(parents=True, exist_ok=True)
    with locked(HOST / "release-wheels.lock", wait=None):
        if not wanted.exists() or wanted.read_text() != text:
            shutil.rmtree(folder, ignore_errors=True)
            (HOST / "release-pins.txt").write_text(text)
            pip = [sys.executable, "-m", "pip", *download(HERE, str(HOST / "release-pins.txt"), str(folder)), "--quiet"]
            subprocess.run(pip, check=True)
            wanted.write_text(text)
    return folder
