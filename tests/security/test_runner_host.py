"""What a job can leave on a runner's host for the next one, and what the host does about it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.act.hosting import on_bare_host, on_pinned_host
from tests.act.running import host_environment
from tests.act.setting_up import SCRIPT, setup, wheels
from tests.security import agent_stand_in

RAN = "code of somebody else ran"


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels(tmp_path_factory.mktemp("wheelhouse") / "job")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Path:
    folder = tmp_path_factory.mktemp("used")
    done = setup(folder / "before", folder / "tools", DR_WHEELHOUSE=str(wheelhouse))
    assert done.rc == 0, done.said
    return folder / "tools"


@pytest.fixture
def tools(tmp_path: Path, used: Path) -> Path:
    """The tool cache of a host where hyops-ci ran before."""
    return shutil.copytree(used, tmp_path / "tools", symlinks=True)


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
    target.write_bytes(external._code_to_timestamp_pyc(code, int(facts.st_mtime), facts.st_size))  # type: ignore[attr-defined]  # Python's own, which has no types


def compiled_code_of_the_library(tools: Path) -> None:
    """Where the start looks for it, with the hash of its source."""
    import importlib._bootstrap_external as external
    from importlib.util import source_hash

    from tests.act.rewriting import ROOT

    source = ROOT / "hyops_ci" / "cli" / "app.py"
    code = compile(f"print({RAN!r})", str(source), "exec")
    target = environment(tools) / "compiled" / "hyops_ci" / "cli" / "__pycache__" / f"app.{sys.implementation.cache_tag}.pyc"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(external._code_to_hash_pyc(code, source_hash(source.read_bytes()), checked=True))  # type: ignore[attr-defined]  # Python's own, which has no types


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
    (home / "bin" / "python").symlink_to(sys._base_executable)  # type: ignore[attr-defined]  # Python's own, which has no types
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


def a_lock_for_everybody(lock: Path) -> None:
    lock.chmod(0o644)


def a_lock_that_leads_elsewhere(lock: Path) -> None:
    (elsewhere := lock.with_name("elsewhere")).write_text("of somebody else")
    lock.unlink()
    lock.symlink_to(elsewhere)


def a_lock_that_is_a_pipe(lock: Path) -> None:
    lock.unlink()
    os.mkfifo(lock)


@pytest.mark.slow
@pytest.mark.parametrize("plant", [a_lock_for_everybody, a_lock_that_leads_elsewhere, a_lock_that_is_a_pipe])
def test_a_lock_that_keeps_every_job_waiting(plant: Callable[[Path], None], tmp_path: Path, tools: Path) -> None:
    """Whoever can open a lock can hold it, and nobody opens a pipe that nobody reads."""
    [lock] = (tools / "hyops-ci").glob("*.lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600, "no other user of the host opens it"
    plant(lock)
    done = setup(tmp_path / "job", tools, DR_INDEX="never")
    assert done.rc == 0, done.said
    assert stat.S_ISREG(lock.lstat().st_mode)
    assert stat.S_IMODE(lock.lstat().st_mode) == 0o600
    assert {path.read_text() for path in lock.parent.glob("elsewhere")} <= {"of somebody else"}


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


# ------------------------------------------------------------------------------------------------- a stranger's job on the host

TRUST = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 4242,
    "repository_owner_id": 77,
    "ref": "refs/heads/main",
    "workflow_shas": ["3f2a" + 36 * "0"],
    "caller_workflows": ["acme/recovery/.github/workflows/dr.yml"],
    "runner_refs": ["gcp-ops-runner"],
    "apps": [777],
    "approvers": [],
}
TRUE_JOB = {
    "GITHUB_REPOSITORY": "acme/recovery",
    "GITHUB_REPOSITORY_ID": "4242",
    "GITHUB_REPOSITORY_OWNER_ID": "77",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_PROTECTED": "true",
    "GITHUB_EVENT_NAME": "workflow_dispatch",
    "GITHUB_WORKFLOW_REF": "acme/recovery/.github/workflows/dr.yml@refs/heads/main",
    "GITHUB_ACTOR": "maria",
    "GITHUB_ACTOR_ID": "1001",
    "GITHUB_RUN_ID": "9001",
}
BRANCH = {"GITHUB_REF": "refs/heads/let-me-in", "GITHUB_WORKFLOW_REF": "acme/recovery/.github/workflows/dr.yml@refs/heads/let-me-in"}
STRANGERS: dict[str, dict[str, str]] = {
    "GITHUB_REF": BRANCH | {"GITHUB_REF_PROTECTED": "false"},
    "GITHUB_REF_PROTECTED": {"GITHUB_REF_PROTECTED": "false"},
    "GITHUB_REPOSITORY_ID": {"GITHUB_REPOSITORY_ID": "4243"},
    "GITHUB_REPOSITORY_OWNER_ID": {"GITHUB_REPOSITORY_OWNER_ID": "78"},
    "GITHUB_EVENT_NAME": {"GITHUB_EVENT_NAME": "pull_request_target"},
    "GITHUB_WORKFLOW_REF": {"GITHUB_WORKFLOW_REF": "acme/recovery/.github/workflows/ci.yml@refs/heads/main"},
    "GITHUB_ACTOR_ID": {"GITHUB_ACTOR": "renovate[bot]", "GITHUB_ACTOR_ID": "29139614"},
    "GITHUB_ACTOR_ID is 777 github-actions": {"GITHUB_ACTOR": "github-actions[bot]", "GITHUB_ACTOR_ID": "777"},
    "GITHUB_REPOSITORY_ID is nothing": dict.fromkeys(TRUE_JOB, ""),
}
HOOKED = "/opt/dr-dispatch/job-started.sh"


def ends_of(folder: Path, jobs: list[dict[str, str]], *, trust: dict[str, Any] | None = None, hook: str = HOOKED) -> list[dict[str, Any]]:
    """How the jobs ended on a prepared host, and whether a step of each ran. Every job says `if: always()`, and looks for secrets."""
    (folder / "secrets").write_text("c4n4ry of the last run")
    given = []
    for number, variables in enumerate(jobs):
        (workspace := folder / f"job-{number}").mkdir(parents=True)
        steps = [{"run": "cat ../secrets >first"}, {"if": "always()", "run": "cat ../secrets >always"}]
        given.append({"variables": variables, "workspace": str(workspace), "steps": steps})
    agent = [sys.executable, str(Path(agent_stand_in.__file__))]
    command = [
        *on_pinned_host(TRUST if trust is None else trust, folder / "host"),
        "env",
        *([f"{agent_stand_in.HOOK}={hook}"] if hook else []),
    ]
    done = subprocess.run([*command, *agent], input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ends: list[dict[str, Any]] = json.loads(done.stdout)
    return [end | {"ran": sorted(path.name for path in Path(job["workspace"]).iterdir())} for end, job in zip(ends, given, strict=True)]


@pytest.mark.slow
def test_a_strangers_job_is_ended_before_its_first_step(tmp_path: Path) -> None:
    """The job of a branch needs no part of hyops-ci to read what past runs left, and `if: always()` runs after a hook that only failed."""
    ends = ends_of(tmp_path, [TRUE_JOB | each for each in STRANGERS.values()])
    for name, end in zip(STRANGERS, ends, strict=True):
        assert end["ran"] == [], name
        assert end["rc"] == -signal.SIGKILL, "the worker is gone, and with it every step"
        assert end["said"].startswith("REFUSED host.caller (exit 7): this host does not accept this job: "), end["said"]
        assert name in end["said"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "trust", [{}, {**TRUST, "ref": None}, {**TRUST, "repository_id": "4242 "}, [1]], ids=["empty", "no ref", "another id", "no object"]
)
def test_a_trust_file_that_says_nothing_ends_every_job(trust: Any, tmp_path: Path) -> None:
    [end] = ends_of(tmp_path, [TRUE_JOB], trust=trust)
    assert (end["ran"], end["rc"]) == ([], -signal.SIGKILL)
    assert "REFUSED host.caller" in end["said"]


@pytest.mark.slow
def test_the_job_of_the_pinned_caller_begins(tmp_path: Path) -> None:
    scheduled = {"GITHUB_EVENT_NAME": "schedule", "GITHUB_ACTOR": "renovate[bot]", "GITHUB_ACTOR_ID": "29139614"}
    app = {"GITHUB_EVENT_NAME": "repository_dispatch", "GITHUB_ACTOR": "escalate[bot]", "GITHUB_ACTOR_ID": "777"}
    ends = ends_of(tmp_path, [TRUE_JOB, TRUE_JOB | scheduled, TRUE_JOB | app])
    assert [(end["rc"], end["ran"]) for end in ends] == [(0, ["always", "first"])] * 3, ends


@pytest.mark.slow
def test_without_the_hook_a_strangers_job_reads_what_it_likes(tmp_path: Path) -> None:
    """Why there is a hook: what hyops-ci compares, it compares in jobs that run hyops-ci."""
    [end] = ends_of(tmp_path, [TRUE_JOB | BRANCH], hook="")
    assert (end["rc"], end["ran"]) == (0, ["always", "first"])


@pytest.mark.slow
def test_a_host_that_pins_its_callers_takes_no_environment_of_a_job(tmp_path: Path, tools: Path, wheelhouse: Path) -> None:
    """However good it is. Root's is used instead; where that is not root's alone any more, nothing is."""
    the_whole_environment(tools)
    inside = on_pinned_host(TRUST, tmp_path / "host")
    done = setup(tmp_path / "job", tools, inside=inside, DR_WHEELHOUSE=str(wheelhouse))
    assert done.rc == 0, done.said
    assert done.outputs["python"].startswith("/opt/dr-dispatch/")
    spoilt = [*on_pinned_host(TRUST, tmp_path / "spoilt"), "sh", "-c", 'chmod 777 /opt/dr-dispatch; exec "$@"', "spoil"]
    refused = setup(tmp_path / "other", tools, inside=spoilt, DR_WHEELHOUSE=str(wheelhouse))
    assert refused.rc == 7, refused.said
    assert "REFUSED setup.host (exit 7)" in refused.said
    assert RAN not in done.said + refused.said


@pytest.mark.slow
def test_what_root_prepares_is_what_jobs_use(tmp_path: Path, wheelhouse: Path) -> None:
    """`hyops-ci runner prepare` on a host where nothing is; the agent's user reads the key, and root alone writes."""
    (tmp_path / "trust.json").write_text(json.dumps(TRUST))
    (agent := tmp_path / "agent").mkdir()
    (agent / "config.sh").touch()
    (agent / ".env").write_text("LANG=C.UTF-8\n")
    find = "find /etc/dr-dispatch /opt/dr-dispatch -maxdepth 1 -printf '%U %m %P\\n'"
    script = f"""
        [ -w ~root ] || mount -t tmpfs tmpfs ~root
        mkdir -p ~root/.cache && mount -t tmpfs tmpfs ~root/.cache
        setup={SCRIPT}
        prepare() {{ bash $setup runner prepare --user root --agent {agent} --wheelhouse {wheelhouse} "$@"; }}
        prepare --trust {tmp_path}/trust.json --dry-run; test ! -e /etc/dr-dispatch -a ! -e /opt/dr-dispatch; echo -- nothing yet
        prepare --trust - <{tmp_path}/trust.json; echo -- made
        prepare; echo -- again
        {find}; stat -c '%u %a %n' {agent} {agent}/.env; cat {agent}/.env; echo -- there
        cat /etc/dr-dispatch/trust.json; echo -- trust
        bash $setup --version; echo -- job
        chmod 666 /opt/dr-dispatch/*/lib/python3.*/site-packages/click/core.py
        bash $setup --version; echo -- spoilt $?
    """
    inside = [*on_bare_host(tmp_path / "host"), "bash", "-uc", script]
    environment = {"PATH": host_environment(tmp_path)["PATH"], "HOME": str(tmp_path), "RUNNER_TOOL_CACHE": str(tmp_path / "tools")}
    done = subprocess.run(inside, env=environment, capture_output=True, text=True, check=False)
    parts = done.stdout.split("-- ")
    assert len(parts) == 8, done.stdout + done.stderr
    dry, made, again, there, trust, job, spoilt, end = parts
    assert dry.count("would make") == 4, done.stdout + done.stderr
    assert made.count("made ") == 4, done.stdout + done.stderr
    assert [line.split()[0] for line in made.splitlines()[1:6]] == ["made", "made", "made", "made", "changed"]
    assert [line.split()[0] for line in again.splitlines()[1:6]] == ["kept"] * 5
    [key] = set(re.findall(r'"(ed25519:[^"]+)"', made)) & set(re.findall(r'"(ed25519:[^"]+)"', again))
    assert f'host_keys:\n  gcp-ops-runner: "{key}"\n' in made
    assert json.loads(trust.partition("\n")[2]) == {**TRUST, "evidence_keys": [key]}
    assert {"0 440 host.key", "0 644 trust.json", "0 755 job-started.sh", f"0 1775 {agent}", f"0 644 {agent}/.env"} <= set(
        there.splitlines()
    )
    assert f"LANG=C.UTF-8\n{agent_stand_in.HOOK}={HOOKED}\n" in there
    assert "hyops-ci, version " in job
    assert "REFUSED setup.host (exit 7)" in spoilt, "somebody else can write into it"
    assert end == "spoilt 7\n"
