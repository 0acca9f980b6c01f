"""What a job can leave on a runner's host for the next one, and what the host does about it."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.act.setting_up import setup, wheels

RAN = "code of somebody else ran"


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels(tmp_path_factory.mktemp("wheelhouse") / "job")


@pytest.fixture
def tools(tmp_path: Path, wheelhouse: Path) -> Path:
    """The tool cache of a host where hyops-ci ran before."""
    done = setup(tmp_path / "before", tmp_path / "tools", DR_WHEELHOUSE=str(wheelhouse))
    assert done.rc == 0, done.said
    return tmp_path / "tools"


def environment(tools: Path) -> Path:
    return next((tools / "hyops-ci").glob("*/environment"))


def packages(tools: Path) -> Path:
    return next(environment(tools).glob("lib/python3.*/site-packages"))


def the_whole_environment(tools: Path) -> None:
    """As it was marked complete once: a program of any kind that is called python."""
    shutil.rmtree(environment(tools))
    (environment_bin := next((tools / "hyops-ci").glob("*-*")) / "environment" / "bin").mkdir(parents=True)
    python = environment_bin / "python"
    python.write_text(f"#!/bin/sh\necho {RAN}\n")
    python.chmod(0o755)
    (python.parents[1] / "complete").write_text(sys.version)


def the_environment_of_another_time(tools: Path) -> None:
    """In every folder that a release has looked into."""
    for name in {path.name.partition("-")[0] for path in (tools / "hyops-ci").glob("*-*")}:
        (tools / "hyops-ci" / name / "bin").mkdir(parents=True)
        python = tools / "hyops-ci" / name / "bin" / "python"
        python.write_text(f"#!/bin/sh\necho {RAN}\n")
        python.chmod(0o755)
        for marker in ("complete", "bin/complete"):
            (tools / "hyops-ci" / name / marker).write_text(sys.version)


def a_package(tools: Path) -> None:
    """With a record that says that it is right."""
    path = packages(tools) / "click" / "__init__.py"
    path.write_text(f"print({RAN!r})\n" + path.read_text())
    digest = base64.urlsafe_b64encode(sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
    record = next(packages(tools).glob("click-*.dist-info/RECORD"))
    lines = [
        f"click/__init__.py,sha256={digest},{path.stat().st_size}" if "click/__init__" in x else x for x in record.read_text().splitlines()
    ]
    record.write_text("\n".join(lines) + "\n")


def one_letter_of_a_package(tools: Path) -> None:
    """As long as before."""
    path = packages(tools) / "click" / "__init__.py"
    path.write_text("1/0" + path.read_text()[3:])


def compiled_code(tools: Path) -> None:
    """Of the same time and size as its source, so that Python believes it."""
    import importlib._bootstrap_external as external  # the form of compiled files, for both kinds

    source = packages(tools) / "click" / "__init__.py"
    code = compile(f"print({RAN!r})", str(source), "exec")
    target = source.parent / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc"
    target.parent.mkdir(exist_ok=True)
    facts = source.stat()
    target.write_bytes(external._code_to_timestamp_pyc(code, int(facts.st_mtime), facts.st_size))  # type: ignore[attr-defined]


def compiled_code_of_the_library(tools: Path) -> None:
    """Where the start looks for it, with the hash of its source."""
    import importlib._bootstrap_external as external
    from importlib.util import source_hash

    from tests.act.rewriting import ROOT

    source = ROOT / "hyops_ci" / "cli" / "app.py"
    code = compile(f"print({RAN!r})", str(source), "exec")
    target = environment(tools) / "compiled" / "hyops_ci" / "cli" / "__pycache__" / f"app.{sys.implementation.cache_tag}.pyc"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(external._code_to_hash_pyc(code, source_hash(source.read_bytes()), checked=True))  # type: ignore[attr-defined]


def a_path_file(tools: Path) -> None:
    (packages(tools) / "zz.pth").write_text(f"import sys; print({RAN!r})\n")


def a_site_module(tools: Path) -> None:
    (packages(tools) / "sitecustomize.py").write_text(f"print({RAN!r})\n")


def another_interpreter(tools: Path) -> None:
    python = environment(tools) / "bin" / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\necho {RAN}\n")
    python.chmod(0o755)


def another_home(tools: Path) -> None:
    """A file that says where the standard library is."""
    home = tools / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    settings = environment(tools) / "pyvenv.cfg"
    settings.write_text(f"home = {home / 'bin'}\ninclude-system-site-packages = true\n")


def a_link_to_packages_elsewhere(tools: Path) -> None:
    elsewhere = tools / "elsewhere"
    shutil.copytree(packages(tools), elsewhere)
    (elsewhere / "sitecustomize.py").write_text(f"print({RAN!r})\n")
    where = packages(tools)
    shutil.rmtree(where)
    where.symlink_to(elsewhere)


def a_wheel(tools: Path) -> None:
    """Which is what the rest is compared with."""
    a_package(tools)
    wheel = next((tools / "hyops-ci").glob("*/wheels/click-*.whl"))
    folder = tools / "unpacked"
    shutil.unpack_archive(wheel, folder, "zip")
    shutil.copy(packages(tools) / "click" / "__init__.py", folder / "click" / "__init__.py")
    shutil.copy(next(packages(tools).glob("click-*.dist-info/RECORD")), next(folder.glob("click-*.dist-info/RECORD")))
    shutil.make_archive(str(wheel), "zip", folder)
    Path(f"{wheel}.zip").replace(wheel)


@pytest.mark.slow
@pytest.mark.parametrize(
    "plant",
    [
        the_whole_environment,
        the_environment_of_another_time,
        a_package,
        one_letter_of_a_package,
        compiled_code,
        compiled_code_of_the_library,
        a_path_file,
        a_site_module,
        another_interpreter,
        another_home,
        a_link_to_packages_elsewhere,
        a_wheel,
    ],
)
def test_an_environment_that_a_job_left(plant: Callable[[Path], None], tmp_path: Path, tools: Path, wheelhouse: Path) -> None:
    plant(tools)
    done = setup(tmp_path / "job", tools, DR_WHEELHOUSE=str(wheelhouse))
    assert done.rc == 0, done.said
    assert RAN not in done.said
    said = subprocess.run([Path(done.path) / "hyops-ci", "--version"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("hyops-ci, version ")
    assert RAN not in said.stdout


@pytest.mark.slow
def test_an_environment_as_it_was_left_by_its_own(tmp_path: Path, tools: Path) -> None:
    """Neither wheelhouse nor index: there is nothing to make anew."""
    done = setup(tmp_path / "job", tools, DR_INDEX="never")
    assert done.rc == 0, done.said
    said = subprocess.run([Path(done.path) / "hyops-ci", "--version"], capture_output=True, text=True, check=False)
    assert said.stdout.startswith("hyops-ci, version ")


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["python", "target", "user"])
@pytest.mark.parametrize("by_file", [True, False], ids=["pip.conf", "variable"])
def test_settings_of_the_user_for_pip(setting: str, by_file: bool, tmp_path: Path, wheelhouse: Path) -> None:
    """`python` names the program that pip runs as, `target` where it puts what it installs."""
    fake = tmp_path / "fake"
    fake.write_text(f"#!/bin/sh\necho {RAN} >{tmp_path}/ran\n")
    fake.chmod(0o755)
    value = {"python": str(fake), "target": str(tmp_path / "target")}.get(setting, "true")
    variables = {}
    if by_file:
        for folder in (tmp_path / "job" / ".config" / "pip", tmp_path / "job" / ".pip", tmp_path / "config" / "pip"):
            folder.mkdir(parents=True)
            (folder / "pip.conf").write_text(f"[global]\n{setting} = {value}\n")
        variables = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    else:
        variables = {f"PIP_{setting.upper().replace('-', '_')}": value, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
        (tmp_path / "pip.conf").write_text(f"[global]\n{setting} = {value}\n")
    done = setup(tmp_path / "job", tmp_path / "tools", DR_WHEELHOUSE=str(wheelhouse), **variables)
    assert done.rc == 0, done.said
    assert not (tmp_path / "ran").exists()
    said = subprocess.run([Path(done.path) / "hyops-ci", "--version"], capture_output=True, text=True, check=False)
    assert said.stdout.startswith("hyops-ci, version ")
