"""release.yml from end to end: a tag of a commit on main ends in a release, and what it holds is whole, and installs offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from tests.act.hosting import ways
from tests.act.releasing import HERE, Released, released_once
from tests.act.running import host_environment
from tests.support.released import TAG, VERSION, git
from tests.support.tars import unpack
from tools.release import assets
from tools.release.checksums import NAME, checksums
from tools.release.references import REPOSITORY, unnamed
from tools.release.repository import Checkout

pytestmark = [pytest.mark.act, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

WHEELHOUSE: Final = f"hyops_ci-{VERSION}-wheelhouse-{HERE}"
PACKAGES: Final = [
    "RELEASE_NOTES.md",
    f"dr-dispatch-{VERSION}-ghes.tar",
    f"hyops_ci-{VERSION}-py3-none-any.whl",
    f"hyops_ci-{VERSION}.cdx.json",
    f"hyops_ci-{VERSION}.tar.gz",
]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """One release for all processes of the suite."""
    base = tmp_path_factory.getbasetemp()
    return released_once((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "release")


def test_a_pushed_tag_ends_in_a_release(released: Released) -> None:
    assert set(released.jobs.values()) == {"success"}, released.log
    assert set(released.jobs) == {"verify", "packages", "wheelhouse", "assets", "attest", "publish"}
    [(tag, title, draft, notes)] = released.releases
    assert (tag, title, draft, notes[:9]) == (TAG, TAG, False, "### Added")
    assert sorted(path.name for path in released.assets.iterdir()) == sorted([*PACKAGES, NAME, f"{WHEELHOUSE}.tar"])
    assert released.tags == {TAG: released.commit, "v1": released.commit}


def test_its_sums_are_those_of_its_files(released: Released) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", NAME]
    assert subprocess.run(command, cwd=released.assets, capture_output=True, check=False).returncode == 0
    assert (released.assets / NAME).read_text() == checksums(released.assets)


def test_every_file_is_attested(released: Released) -> None:
    sums = (released.assets / NAME).read_text().splitlines()
    assert [line.removeprefix("provenance ") for line in released.attested if line.startswith("provenance ")] == sums
    described = [line.split()[-1].removeprefix("dist/") for line in released.attested if line.startswith("sbom ")]
    assert described == [PACKAGES[2], PACKAGES[3]]


def test_made_again_it_is_the_same(released: Released, tmp_path: Path) -> None:
    """From another clone, at another path and time."""
    git(released.root, "clone", "--quiet", "origin.git", str(tmp_path / "again"))
    again, made = Checkout(tmp_path / "again"), tmp_path / "made"
    made.mkdir()
    assets.packages(again, made)
    assets.documents(again, made)
    assets.server_tree(again, made, REPOSITORY, TAG)
    sums = (released.assets / NAME).read_text().splitlines(keepends=True)
    assert checksums(made) == "".join(line for line in sums if "wheelhouse" not in line)
    assert [path.name for path in sorted(made.iterdir())] == PACKAGES


def test_they_hold_what_the_product_is(released: Released) -> None:
    with ZipFile(released.assets / PACKAGES[2]) as wheel:
        inside = set(wheel.namelist())
    licence = f"hyops_ci-{VERSION}.dist-info/licenses/LICENSE"
    assert {"hyops_ci/templates/dr-manual.yml", "hyops_ci/docs/install.md", "hyops_ci/schemas/decision.v1.schema.json", licence} <= inside
    assert {path.partition("/")[0] for path in inside} == {"hyops_ci", f"hyops_ci-{VERSION}.dist-info"}
    with tarfile.open(released.assets / PACKAGES[1]) as tar:
        top = f"dr-dispatch-{VERSION}-ghes"
        tree = {entry.name.removeprefix(f"{top}/"): entry for entry in tar}
        workflow = tar.extractfile(f"{top}/.github/workflows/dispatch.yml")
        assert workflow is not None
        text = workflow.read().decode()
    assert set(tree) == set(git(released.root / "clone", "ls-files").splitlines())
    assert (tree["dev"].mode, tree["README.md"].mode) == (0o755, 0o644)
    assert unnamed(text) == []
    assert f"uses: {REPOSITORY}/actions/plan@{TAG}" in text


def test_a_host_without_a_network_installs_and_recovers(released: Released, tmp_path: Path) -> None:
    """From the wheelhouse and the tree for a server alone, in a network that leads nowhere: an example recovery ends in sealed evidence."""
    for name in (f"{WHEELHOUSE}.tar", PACKAGES[1]):
        unpack(released.assets / name, tmp_path)
    tree, home = tmp_path / f"dr-dispatch-{VERSION}-ghes", tmp_path / "home"
    home.mkdir()
    host = {name: value for name, value in host_environment(home).items() if not name.startswith("PIP_")}
    host |= {"RUNNER_TOOL_CACHE": str(tmp_path / "tools"), "RUNNER_TEMP": str(tmp_path), "DR_INDEX": "never"}
    script = ["bash", str(tree / "actions/setup/setup.sh"), "rehearse", "--stand-in", "--format", "json", "--folder", str(tmp_path / "run")]
    refused = _offline(script, tmp_path, host)
    assert (refused.returncode, "no wheelhouse, no index allowed" in refused.stdout) == (7, True), refused.stderr
    done = _offline(script, tmp_path, host | {"DR_WHEELHOUSE": str(tmp_path / WHEELHOUSE)})
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["evidence_valid"], told["exit_code"]) == (True, 0), told
    words = ["evidence", "verify", told["bundle"], "--digest", told["bundle_sha256"]]
    verified = _offline([*script[:2], *words], tmp_path, host)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_wheel_installs_from_the_wheelhouse(released: Released, tmp_path: Path) -> None:
    unpack(released.assets / f"{WHEELHOUSE}.tar", tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "own")], check=True)
    python = tmp_path / "own" / "bin" / "python"
    flags = ["--offline", "--no-index", "--find-links", str(tmp_path / WHEELHOUSE), "--python", str(python), "--quiet"]
    subprocess.run(["uv", "--no-config", "pip", "install", *flags, str(released.assets / PACKAGES[2])], check=True)
    said = subprocess.run(
        [python.with_name("hyops-ci"), "--version"], capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)}
    )
    assert said.stdout == f"hyops-ci, version {VERSION}\n"


def _offline(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run it in a network of its own with nothing but a loopback; first it is shown that no way leads out."""
    reach = "import socket; socket.create_connection(('192.0.2.1', 443), 5)"
    shell = f'ip link set lo up || exit 97; if python3 -c "{reach}" 2>/dev/null; then exit 98; fi; exec "$@"'
    inside = [*ways()[0], "--net", "sh", "-c", shell, "offline", *command]
    return subprocess.run(inside, cwd=folder, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
