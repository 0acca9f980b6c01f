"""`actions/setup`: built once per host and requirements, then there at once; isolated from the workspace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.act.hosting import ways
from tests.act.rewriting import ROOT
from tests.act.running import TOOLS, host_environment
from tests.act.setting_up import SCRIPT, Done, setup, wheels

pytestmark = [pytest.mark.act, pytest.mark.slow]


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels(tmp_path_factory.mktemp("wheelhouse") / "job")


def test_the_second_job_finds_it_at_once(tmp_path: Path) -> None:
    first = setup(tmp_path / "first")
    assert first.rc == 0, first.said
    built = files_of(first)
    second = setup(tmp_path / "second", DR_INDEX="never")
    assert (second.rc, second.outputs["python"]) == (0, first.outputs["python"]), second.said
    assert files_of(second) == built, "built once"
    assert second.seconds < 5, "0.2 s on an idle machine, where building takes seconds"


def files_of(done: Done) -> dict[Path, tuple[int, int]]:
    """Every file of the environment, wheels included, with what tells a new one from an old one."""
    home = Path(done.outputs["python"]).parents[2]
    return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in home.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_the_command_is_this_commit_and_nothing_of_the_workspace(tmp_path: Path) -> None:
    done = setup(tmp_path / "job")
    workspace = tmp_path / "job" / "workspace"
    environment = {"PATH": f"{done.path}{os.pathsep}{os.defpath}", "PYTHONPATH": str(workspace), "HOME": str(tmp_path)}
    said = subprocess.run(["hyops-ci", "--version"], cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert re.match(r"hyops-ci, version \d+\.", said.stdout)


def test_what_one_job_compiled_is_used_by_the_next_unless_the_source_is_another(tmp_path: Path) -> None:
    """Each job has its action downloaded anew, into a folder of its own."""
    python = setup(tmp_path / "job").outputs["python"]
    environment = tmp_path / "environment"
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", "--symlinks", str(environment)], check=True)
    packages = next((environment / "lib").glob("python3.*/site-packages"))
    (packages / "all.pth").write_text(str(next((Path(python).parents[1] / "lib").glob("python3.*/site-packages"))))

    def start(checkout: Path) -> str:
        shutil.copytree(ROOT / "hyops_ci", checkout / "hyops_ci", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        program = [environment / "bin" / "python", "-I", checkout / "hyops_ci/start.py"]
        subprocess.run([*program, "hyops_ci.execution.supervisor"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return said_by([*program, "hyops_ci.cli.app", "--version"])

    first, second = tmp_path / "first", tmp_path / "second"
    assert re.match(r"hyops-ci, version \d+\.", start(first))
    compiled = {path: path.stat().st_mtime_ns for path in (environment / "compiled").rglob("*.pyc")}
    assert {path.name.partition(".")[0] for path in compiled} >= {"__init__", "app", "errors", "supervisor"}
    start(second)
    assert {path: path.stat().st_mtime_ns for path in (environment / "compiled").rglob("*.pyc")} == compiled
    assert not [*first.rglob("*.pyc"), *second.rglob("*.pyc")]

    version = second / "hyops_ci" / "__init__.py"
    version.write_text(version.read_text().replace('__version__ = "', '__version__ = "77.'))
    os.utime(version, ns=(compiled_at := next(iter(compiled.values())), compiled_at))
    command = [environment / "bin" / "python", "-I", second / "hyops_ci/start.py", "hyops_ci.cli.app", "--version"]
    assert said_by(command).startswith("hyops-ci, version 77."), "another source of the same age"


def said_by(command: Sequence[str | Path]) -> str:
    """What a command printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_providers_packages_are_an_environment_of_their_own(tmp_path: Path) -> None:
    """With all of the usual ones; the usual environment has none of theirs, and is not touched."""
    usual = setup(tmp_path / "usual")
    done = setup(tmp_path / "job", DR_REQUIREMENTS="proxmox")
    assert done.rc == 0, done.said
    again = setup(tmp_path / "again", DR_REQUIREMENTS="proxmox", DR_INDEX="never")
    assert (again.rc, again.outputs["python"]) == (0, done.outputs["python"]), again.said
    assert done.outputs["python"] != usual.outputs["python"]
    code = "import importlib.util as u; print(*(bool(u.find_spec(name)) for name in ('click', 'proxmoxer', 'grpc')))"
    assert said_by([done.outputs["python"], "-I", "-c", code]) == "True True False\n"
    assert said_by([usual.outputs["python"], "-I", "-c", code]) == "True False False\n"


@pytest.mark.parametrize("name", ["../../tmp/mine", "test", "gcp proxmox"])
def test_other_requirements_are_refused_before_anything(name: str, tmp_path: Path) -> None:
    done = setup(tmp_path / "job", tmp_path / "tools", DR_REQUIREMENTS=name)
    assert (done.rc, done.path) == (7, "")
    assert "REFUSED setup.requirements (exit 7)" in done.said
    assert not (tmp_path / "tools").exists()


def test_text_is_utf_8_whatever_the_locale_of_the_agent(tmp_path: Path) -> None:
    """Isolated Python reads no PYTHONUTF8, and a reason of the form would be read as Latin-1 where the agent's locale is that."""
    launcher = (Path(setup(tmp_path / "job").path) / "hyops-ci").read_text("utf-8")
    python, *flags, _start, _module, _arguments = launcher.splitlines()[1].removeprefix("exec ").split(" ")
    code = "import sys; print(sys.flags.utf8_mode, sys.argv[1])"
    environment = {"LC_ALL": "en_US.ISO-8859-1", "PYTHONCOERCECLOCALE": "0"}
    said = subprocess.run([python, *flags, "-c", code, "S\u00fcd"], env=environment, capture_output=True, check=True).stdout
    assert said.decode() == "1 S\u00fcd\n"


def test_without_index_and_wheelhouse_it_says_what_is_missing(tmp_path: Path) -> None:
    done = setup(tmp_path / "job", tmp_path / "tools", DR_INDEX="never")
    assert done.rc == 7
    assert "REFUSED setup.packages (exit 7)" in done.said
    assert "no wheelhouse" in done.said
    assert done.path == ""


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "chmod", "uname", "cat", "sha256sum", "mkdir", "flock", "rm"):
        (programs / name).symlink_to(Path("/usr/bin") / name)
    (programs / "python3").write_text("#!/bin/sh\nexit 1\n")
    (programs / "python3").chmod(0o755)
    done = setup(tmp_path / "job", tmp_path / "tools", PATH=str(programs))
    assert done.rc == 7
    assert "REFUSED setup.python (exit 7)" in done.said


def test_with_arguments_it_becomes_the_command(tmp_path: Path) -> None:
    setup(tmp_path / "job")
    files = {"RUNNER_TOOL_CACHE": str(TOOLS), "RUNNER_TEMP": str(tmp_path)}
    command = ["bash", str(SCRIPT), "plan", "--at", "no time"]
    environment = host_environment(tmp_path) | files
    said = subprocess.run(command, cwd=tmp_path / "job" / "workspace", env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (2, "")
    assert "Invalid value for '--at': 'no time' must be an RFC 3339 time in UTC" in said.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job"], "nothing is written for later steps"


def test_it_finds_its_own_checkout_by_a_relative_path(tmp_path: Path) -> None:
    """With CDPATH, bash looks elsewhere for the folder of a relative path, and prints where it went."""
    setup(tmp_path / "job")
    environment = host_environment(tmp_path) | {"RUNNER_TOOL_CACHE": str(TOOLS), "RUNNER_TEMP": str(tmp_path), "CDPATH": f".:{tmp_path}"}
    command = ["bash", "actions/setup/setup.sh", "--version"]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert re.match(r"hyops-ci, version \d+\.", said.stdout)


def test_a_folder_of_apostrophes_and_spaces_will_do(tmp_path: Path) -> None:
    checkout = tmp_path / "o'brien's actions"
    for part in ("actions/setup", "hyops_ci", "requirements"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    done = setup(tmp_path / "it's a job", script=checkout / "actions/setup/setup.sh")
    assert done.rc == 0, done.said
    assert re.match(r"hyops-ci, version \d+\.", said_by([Path(done.path) / "hyops-ci", "--version"]))


def test_settings_of_the_users_pip_change_nothing(tmp_path: Path, wheelhouse: Path) -> None:
    """They would put the packages elsewhere, or into the home of whoever runs the agent."""
    (tmp_path / "pip.conf").write_text("[global]\nuser = true\n")
    theirs = {name: str(tmp_path / "elsewhere") for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    theirs |= {"PIP_USER": "1", "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    done = setup(tmp_path / "job", tmp_path / "tools", DR_WHEELHOUSE=str(wheelhouse), **theirs)
    assert done.rc == 0, done.said
    assert re.match(r"hyops-ci, version \d+\.", said_by([Path(done.path) / "hyops-ci", "--version"]))
    assert not (tmp_path / "elsewhere").exists()


def test_nothing_that_it_makes_can_be_written_by_others(tmp_path: Path, wheelhouse: Path) -> None:
    before = os.umask(0)
    try:
        done = setup(tmp_path / "job", tmp_path / "tools", DR_WHEELHOUSE=str(wheelhouse))
    finally:
        os.umask(before)
    assert done.rc == 0, done.said
    made = [*(tmp_path / "tools").rglob("*"), *Path(done.path).rglob("*")]
    assert [path for path in made if not path.is_symlink() and path.stat().st_mode & 0o022] == []


def test_a_work_folder_from_which_nothing_can_be_started(tmp_path: Path, wheelhouse: Path) -> None:
    """As `docker --tmpfs` mounts one. The command is put elsewhere; the packages cannot be, and that is said."""
    (tmp_path / "noexec").mkdir()
    mount = 'mount -t tmpfs -o noexec tmpfs "$1"; shift; exec "$@"'
    inside = (*ways()[0], "sh", "-euc", mount, "noexec", str(tmp_path / "noexec"))
    refused = setup(tmp_path / "job", tmp_path / "noexec", inside=inside, DR_WHEELHOUSE=str(wheelhouse))
    assert (refused.rc, refused.path) == (7, "")
    assert "REFUSED setup.noexec (exit 7)" in refused.said
    temp = str(tmp_path / "noexec")
    done = setup(tmp_path / "other", tmp_path / "tools", inside=inside, DR_WHEELHOUSE=str(wheelhouse), RUNNER_TEMP=temp)
    assert done.rc == 0, done.said
    assert re.match(r"hyops-ci, version \d+\.", said_by([*inside, Path(done.path) / "hyops-ci", "--version"]))
