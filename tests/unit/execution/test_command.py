from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.child_names import SETTINGS, takes
from hyops_ci.contracts.plan import Command
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.execution.command import Runtime, child_environment, command_line, hyops_version, require_env

RUNNER = {
    "PATH": "/usr/bin",
    "HOME": "/home/hyops",
    "LANG": "C.UTF-8",
    "TMPDIR": "/var/tmp",
    "ANSIBLE_COLLECTIONS_PATH": "/col",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x",
    "GITHUB_TOKEN": "x",
    "RUNNER_TRACKING_ID": "x",
    "VAULT_TOKEN": "x",
    "HYOPS_INPUT_restore_confirm": "true",
    "HYOPS_INPUTS_JSON": "{}",
    "HYOPS_ENV": "other",
    "HYOPS_VAULT_PASSWORD_COMMAND": "cat /x",
    "LD_PRELOAD": "/x.so",
    "PYTHONPATH": "/x",
    "HTTPS_PROXY": "http://proxy",
    "SSH_AUTH_SOCK": "/x",
}


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    (tmp_path / "envs" / "prod").mkdir(parents=True)
    return Runtime(
        hyops=Path("/opt/hybridops/core/venv/bin/hyops"),
        core_root=Path("/opt/hybridops/core/app"),
        envs_base=tmp_path / "envs",
        env="prod",
        vault_password_file=Path("/etc/hyops/vault.pass"),
    )


def test_the_environment_is_exactly_the_allow_list(runtime: Runtime) -> None:
    found = child_environment(runtime, base=RUNNER, secrets={"PATRONI_SUPERUSER_PASSWORD": "s"}, env_pass=["HTTPS_PROXY", "ABSENT"])
    assert found == {
        "PATH": "/usr/bin",
        "HOME": "/home/hyops",
        "LANG": "C.UTF-8",
        "TMPDIR": "/var/tmp",
        "ANSIBLE_COLLECTIONS_PATH": "/col",
        "HTTPS_PROXY": "http://proxy",
        "HYOPS_RUNTIME_ROOT": str(runtime.root),
        "HYOPS_ENV": "prod",
        "HYOPS_CORE_ROOT": "/opt/hybridops/core/app",
        "HYOPS_PACKS_ROOT": "/opt/hybridops/core/app/packs",
        "HYOPS_VAULT_PASSWORD_FILE": "/etc/hyops/vault.pass",
        "HYOPS_NO_PLUGINS": "1",
        "HYOPS_UPDATE_CHECK": "0",
        "HYOPS_UPDATE_POLICY_URL": "http://127.0.0.1:9/",
        "PATRONI_SUPERUSER_PASSWORD": "s",
    }


@pytest.mark.parametrize("name", sorted(RUNNER.keys() - {"HTTPS_PROXY", "SSH_AUTH_SOCK"}))
@pytest.mark.parametrize("how", ["env_pass", "secret"])
def test_no_name_that_steers_something_may_be_added(runtime: Runtime, name: str, how: str) -> None:
    added = {"secrets": {name: "c4n4ry-value"}} if how == "secret" else {"env_pass": [name]}
    with pytest.raises(Refusal) as refused:
        child_environment(runtime, base=RUNNER, **added)  # type: ignore[arg-type]  # keywords of several types
    assert (refused.value.gate, refused.value.exit_code, refused.value.found) == ("hyops.environment", Exit.POLICY, name)
    assert "c4n4ry-value" not in "\n".join(refused.value.lines())


def test_a_setting_of_the_config_reaches_hyops(runtime: Runtime) -> None:
    made = child_environment(replace(runtime, settings=(("HYOPS_TERRAFORM_BACKEND_MODE", "local"),)), base={})
    assert made["HYOPS_TERRAFORM_BACKEND_MODE"] == "local"


@pytest.mark.parametrize(
    "setting",
    [("HYOPS_TERRAFORM_BACKEND_MODE", "elsewhere"), ("HYOPS_INPUT_restore_confirm", "true"), ("HYOPS_ENV", "prod"), ("PATH", "/tmp")],
)
def test_no_other_setting_does(setting: tuple[str, str], runtime: Runtime) -> None:
    with pytest.raises(Refusal) as caught:
        child_environment(replace(runtime, settings=(setting,)), base={})
    assert (caught.value.gate, caught.value.found) == ("hyops.environment", setting[0])


@given(st.sampled_from(sorted(SETTINGS)), st.text(max_size=8))
def test_a_setting_takes_whole_values_only(name: str, text: str) -> None:
    """No value with something before or behind it."""
    for good in ("local", "true", "shared", "30"):
        if takes(name, good):
            assert not takes(name, f"{good} {text}")
            assert not takes(name, f"{good}\n{text}")


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ({"LANG": "en_US.ISO-8859-1"}, {"LANG": "en_US.ISO-8859-1", "LC_ALL": "C.UTF-8"}),
        ({"LANG": "C.UTF-8", "LC_ALL": "de_DE"}, {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}),
        ({"LANG": "en_US", "LC_ALL": "de_DE.utf8"}, {"LANG": "en_US", "LC_ALL": "de_DE.utf8"}),
        ({"LANG": "en_US", "LC_CTYPE": "C.UTF-8"}, {"LANG": "en_US", "LC_CTYPE": "C.UTF-8"}),
        ({"LANG": "en_US.UTF-8@euro"}, {"LANG": "en_US.UTF-8@euro"}),
        ({}, {}),
    ],
)
def test_a_locale_of_utf_8_reaches_hyops(runtime: Runtime, said: dict[str, str], given: dict[str, str]) -> None:
    found = child_environment(runtime, base={"LC_MESSAGES": "x", **said})
    assert {name: value for name, value in found.items() if name == "LANG" or name.startswith("LC_")} == given


def test_a_bare_runner_gets_a_path(runtime: Runtime) -> None:
    assert "/usr/bin" in child_environment(runtime, base={})["PATH"]


def overlay(runtime: Runtime) -> Path:
    return runtime.root / "config" / "blueprints" / "dr-dispatch-212-1.yml"


def argv(runtime: Runtime, *words: str) -> list[str]:
    return command_line(Command(name="deploy", argv=words, timeout="PT1H"), runtime, overlay(runtime))


def test_places_are_filled(runtime: Runtime) -> None:
    words = ("{hyops}", "blueprint", "deploy", "--env", "prod", "--file", "{overlay}", "--execute", "--yes")
    assert argv(runtime, *words) == [
        str(runtime.hyops),
        "blueprint",
        "deploy",
        "--env",
        "prod",
        "--file",
        str(overlay(runtime)),
        "--execute",
        "--yes",
    ]
    assert argv(runtime, "{hyops}", "--env={env}", "--file={overlay}")[1:] == ["--env=prod", f"--file={overlay(runtime)}"]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("hyops", "--env", "prod", "--file", "{overlay}"),
        ("{hyops}", "--env", "dev", "--file", "{overlay}"),
        ("{hyops}", "--env", "prod", "--env", "prod", "--file", "{overlay}"),
        ("{hyops}", "--env", "prod", "--env=dev", "--file", "{overlay}"),
        ("{hyops}", "--file", "{overlay}", "--env"),
        ("{hyops}", "--file", "{overlay}"),
        ("{hyops}", "--env", "prod"),
        ("{hyops}", "--env", "prod", "--file", "/etc/passwd"),
        ("{hyops}", "--env", "prod", "--file", "{overlay}", "--root", "/x"),
        ("{hyops}", "--env", "prod", "--file", "{overlay}", "--root=/x"),
        ("{hyops}", "--env", "prod", "--file", "{overlay}", "{secret}"),
    ],
)
def test_commands_that_do_not_name_one_env_three_times(runtime: Runtime, words: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as refused:
        argv(runtime, *words)
    assert (refused.value.gate, refused.value.exit_code) == ("hyops.command", Exit.POLICY)
    assert refused.value.found
    assert refused.value.expected


def test_a_file_of_another_env_is_refused(runtime: Runtime) -> None:
    other = runtime.envs_base / "dev" / "config" / "blueprints" / "x.yml"
    with pytest.raises(Refusal, match="one env"):
        command_line(Command(name="deploy", argv=("{hyops}", "--env", "prod", "--file", "{overlay}"), timeout="PT1H"), runtime, other)


def test_the_env_must_exist(runtime: Runtime) -> None:
    assert require_env(runtime) == runtime.root
    for env in ("typo", "../prod", "", "prod/../prod"):
        with pytest.raises(Refusal) as refused:
            require_env(Runtime(runtime.hyops, runtime.core_root, runtime.envs_base, env))
        assert (refused.value.gate, refused.value.exit_code) == ("hyops.env-dir", Exit.RUNNER)
    assert sorted(path.name for path in runtime.envs_base.iterdir()) == ["prod"], "nothing was made"


@pytest.mark.parametrize("place", ["", "state"])
def test_an_env_that_is_another_one_too_is_not_one_to_destroy_in(place: str, runtime: Runtime, tmp_path: Path) -> None:
    """By a link to production's folder or states, or where both lead to one folder elsewhere."""
    drill = Runtime(runtime.hyops, runtime.core_root, runtime.envs_base, "drill")
    (runtime.root / "state").mkdir(exist_ok=True)
    drill.root.mkdir()
    (drill.root / "state").mkdir()
    (runtime.envs_base / "loop").symlink_to("loop")
    assert require_env(drill, alone=True) == drill.root
    for moved in (False, True):
        (drill.root / "state").rmdir()
        if not place:
            drill.root.rmdir()
        if moved:
            (runtime.root / place).rename(tmp_path / "elsewhere")
            (runtime.root / place).symlink_to(tmp_path / "elsewhere")
        (drill.root / place).symlink_to(runtime.root / place)
        with pytest.raises(Refusal, match="is another env, too") as refused:
            require_env(drill, alone=True)
        assert (refused.value.gate, refused.value.exit_code) == ("hyops.env-dir", Exit.RUNNER)
        assert refused.value.found == f"{drill.root} and {runtime.root} lead to the same folder"
        assert require_env(drill) == drill.root, "what destroys nothing is not kept from a recovery"
        (drill.root / place).unlink()
        drill.root.mkdir(exist_ok=True)
        (drill.root / "state").mkdir()
    (tmp_path / "own").mkdir()
    (drill.root / "state").rmdir()
    (drill.root / "state").symlink_to(tmp_path / "own")
    assert require_env(drill, alone=True) == drill.root, "a link to a disk of its own"


def program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hyops"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "said,version", [("0.1.4", "0.1.4"), ("hyops 0.2.0rc1", "0.2.0rc1"), ("hybridops-core 1.0.0+local", "1.0.0+local")]
)
def test_the_version_is_read(tmp_path: Path, said: str, version: str) -> None:
    assert hyops_version(program(tmp_path, f"echo {said}"), {}) == version


@pytest.mark.parametrize("text", ["exit 0", "echo 0.1.4; exit 3", "echo usage: hyops", "sleep 5", "kill -9 $$"])
def test_no_version_is_a_fault(tmp_path: Path, text: str) -> None:
    with pytest.raises(Fault) as fault:
        hyops_version(program(tmp_path, text), {"PATH": "/usr/bin:/bin"}, timeout=0.5)
    assert fault.value.exit_code is Exit.HYOPS


def test_a_missing_program_is_the_wrong_runner(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(Refusal) as refused:
            hyops_version(path, {})
        assert (refused.value.gate, refused.value.exit_code) == ("hyops.missing", Exit.RUNNER)
