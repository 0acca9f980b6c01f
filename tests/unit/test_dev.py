"""The set-up script: an environment that is not whole is never used, and what is missing is said in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "dev", tmp_path / "dev")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def fake_python(folder: Path, venv: str) -> Path:
    """An interpreter that is fine but for `-m venv`, which runs the line of bash given, with the folder to make as $3."""
    program = folder / "bin" / "python3"
    program.parent.mkdir()
    program.write_text(f'#!/bin/bash\nif [ "$1" = -m ]; then {venv}\nelse exec {sys.executable} "$@"; fi\n')
    program.chmod(0o755)
    return program


def dev(checkout: Path, *arguments: str, python: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "HOME": str(checkout), "PYTHON": python}
    return subprocess.run(["bash", "dev", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_a_build_that_fails_is_not_used(checkout: Path) -> None:
    broken = fake_python(checkout, "exit 7")
    for _ in range(2):
        done = dev(checkout, "run", "echo", "went-on", python=str(broken))
        assert done.returncode != 0
        assert "went-on" not in done.stdout
        assert not list(checkout.glob(".venv/*/complete"))


def test_packages_that_cannot_be_had_stop_the_set_up(checkout: Path) -> None:
    empty = fake_python(checkout, 'mkdir -p "$3/bin"; printf "#!/bin/bash\\nexit 1\\n" >"$3/bin/python"; chmod 755 "$3/bin/python"')
    done = dev(checkout, "rehearse", python=str(empty))
    assert done.returncode != 0
    assert "trying pip" in done.stderr
    assert not list(checkout.glob(".venv/*/complete"))


def test_no_python_is_said_in_one_line(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    for name in ("dirname", "sed"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [str(shutil.which("bash")), "dev", "run", "true"],
        cwd=checkout,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["dev: no Python 3.11 or newer with venv on the PATH (Debian: apt-get install python3 python3-venv)"]


def test_a_python_that_was_named_is_the_one_or_none(checkout: Path) -> None:
    done = dev(checkout, "run", "true", python="python3.2")
    assert done.returncode == 2
    assert done.stderr == "dev: PYTHON=python3.2 cannot be used: Python 3.11 or newer with venv is needed\n"


@pytest.mark.parametrize(("arguments", "code"), [(["help"], 0), ([], 2), (["no-such"], 2)])
def test_the_commands_are_listed(checkout: Path, arguments: list[str], code: int) -> None:
    done = dev(checkout, *arguments)
    assert done.returncode == code
    assert all(f"./dev {name}" in done.stdout for name in ("rehearse", "test", "lint", "bench", "release", "run"))


@pytest.fixture
def stub(checkout: Path) -> Path:
    """An interpreter whose environments are made in no time, and hold nothing."""
    stub = checkout / "stub"
    for folder in (stub / "bin", stub / "lib"):
        folder.mkdir(parents=True)
    (stub / "bin" / "python").write_text('#!/bin/bash\nif [ "$1" = -m ]; then exit 0; fi\ncd "${0%/*}/../lib" && pwd\n')
    (stub / "bin" / "uv").write_text("#!/bin/bash\n")
    for tool in (stub / "bin").iterdir():
        tool.chmod(0o755)
    return fake_python(checkout, f'cp -r {stub} "$3"')


def test_a_command_runs_in_the_folder_that_it_was_called_from(checkout: Path, stub: Path) -> None:
    """Such as `hyops-ci init`: its files belong into the repository of who calls it."""
    elsewhere = checkout / "elsewhere"
    elsewhere.mkdir()
    environment = {"PATH": os.defpath, "HOME": str(checkout), "PYTHON": str(stub)}
    command = ["bash", "../dev", "run", "pwd"]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(elsewhere)), done.stderr


def test_what_python_compiles_is_kept_beside_the_environment(checkout: Path, stub: Path) -> None:
    """Also for somebody who wants none of it among the sources."""
    environment = {"PATH": os.defpath, "HOME": str(checkout), "PYTHON": str(stub), "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["bash", "dev", "run", sys.executable, "-c", "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"False {checkout}/.venv/compiled"), done.stderr


def test_a_folder_of_that_name_elsewhere_is_not_entered(tmp_path: Path) -> None:
    for name in ("here/own", "here/-own", "elsewhere/own"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(ROOT / "dev", tmp_path / "here/own/dev")
    shutil.copy(ROOT / "dev", tmp_path / "here/-own/dev")

    def listed(place: str, **more: str) -> str:
        environment = {"PATH": os.defpath, **more}
        command = ["bash", "--", f"{place}/dev", "help"]
        done = subprocess.run(command, cwd=tmp_path / "here", env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    whole = listed("own")
    assert "./dev rehearse" in whole
    assert listed("own", CDPATH=str(tmp_path / "elsewhere")) == whole
    assert listed("own", CDPATH=f".:{tmp_path}") == whole
    assert listed("-own") == whole


def test_where_packages_go_is_not_a_setting_of_the_user(checkout: Path) -> None:
    said = checkout / "said"
    pip = f'mkdir -p "$3/bin"; printf "#!/bin/bash\\nenv >>{said}; exit 1\\n" >"$3/bin/python"; chmod 755 "$3/bin/python"'
    theirs = {"PIP_TARGET": "/elsewhere", "PIP_PREFIX": "/elsewhere", "PIP_DRY_RUN": "1", "PIP_USER": "1", "PIP_CONSTRAINT": "/none"}
    places = {"PIP_INDEX_URL": "https://index.example.net/simple", "PIP_CERT": "/etc/ssl/ca.pem"}
    environment = {"PATH": os.defpath, "HOME": str(checkout), "PYTHON": str(fake_python(checkout, pip)), **theirs, **places}
    done = subprocess.run(["bash", "dev", "rehearse"], cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    seen = {line for line in said.read_text().splitlines() if line.startswith("PIP_")}
    assert seen == {"PIP_USER=0", *(f"{name}={value}" for name, value in places.items())}
