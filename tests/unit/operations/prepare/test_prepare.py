"""What root puts on a host: once made it is kept, keys are never replaced, and nothing is put where somebody else can write.

Root and its ownership are played: tests/security/test_runner_host.py has the real ones.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.errors import Exit, Refusal
from hyops_ci.files import only_root_writes
from hyops_ci.operations.prepare import environment, prepare
from hyops_ci.operations.prepare.prepare import HOOK_TEXT, HostOrder, prepare_host
from hyops_ci.signing import dsse
from hyops_ci.signing.dsse import load_host_key, public_of
from tests.unit.evidence.sample_run import JONAS

TRUST: dict[str, Any] = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 4242,
    "repository_owner_id": 77,
    "ref": "refs/heads/main",
    "workflow_shas": ["3f2a" + 36 * "0"],
    "runner_refs": ["gcp-ops-runner", "gcp-drill-runner"],
    "approvers": [],
}


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostOrder:
    """Of somebody who is taken for root, on a host with an empty disk; the environment is made elsewhere."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(dsse, "ROOT", os.getuid())
    monkeypatch.setattr(pwd, "getpwall", list)
    monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group(("gha-runner", "x", os.getgid(), ["gha-runner"])))
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr("hyops_ci.files.only_root_writes", lambda _: True)
    monkeypatch.setattr(environment, "packages_of", lambda *_: {"one.py": None})
    monkeypatch.setattr(environment, "make", lambda requirements, _: requirements.home.mkdir(exist_ok=True))
    return HostOrder("gha-runner", os.getuid(), os.getgid(), json.dumps(TRUST).encode(), root=tmp_path)


def written(order: HostOrder) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(order.trust_file.read_bytes())
    return document


def test_everything_is_made_and_then_kept(order: HostOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    done = prepare_host(order)
    assert [how for how, _ in done.steps] == ["made"] * 4
    assert (done.runner_refs, done.public_key) == (("gcp-ops-runner", "gcp-drill-runner"), public_of(load_host_key(order.key)))
    assert done.environment_line == "ACTIONS_RUNNER_HOOK_JOB_STARTED=/opt/dr-dispatch/job-started.sh"
    assert {path: path.stat().st_mode & 0o777 for path in (order.key, order.trust_file, order.hook)} == {
        order.key: 0o440,
        order.trust_file: 0o644,
        order.hook: 0o755,
    }
    assert written(order) == {**TRUST, "evidence_keys": [done.public_key]}
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (order.key, order.trust_file, order.hook)}
    monkeypatch.setattr(prepare, "ROOT", os.getuid())
    again = prepare_host(replace(order, trust=b""))
    assert [how for how, _ in again.steps][:3] == ["kept"] * 3
    assert again.public_key == done.public_key
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before


def test_a_group_that_others_are_in_is_refused_before_anything_is_made(order: HostOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may read the host's key."""
    monkeypatch.setattr(pwd, "getpwall", lambda: [pwd.struct_passwd(("mallory", "x", 4242, 777, "", "/", "/bin/sh"))])
    monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group(("users", "x", 777, ["gha-runner", "eve"])))
    with pytest.raises(Refusal, match=r"runner\.prepare") as refused:
        prepare_host(replace(order, uid=4711, gid=777))
    assert refused.value.found == "group 777 of gha-runner has eve, mallory, too"
    assert not order.key.exists()


def test_another_trust_replaces_the_old_one_and_keeps_the_keys_of_hosts(order: HostOrder) -> None:
    own = prepare_host(order).public_key
    given = {**TRUST, "evidence_keys": [public_of(JONAS)], "ref": "refs/heads/trunk"}
    prepare_host(replace(order, trust=json.dumps(given).encode()))
    assert written(order) == {**given, "evidence_keys": [public_of(JONAS), own]}
    prepare_host(order)
    assert written(order) == {**TRUST, "evidence_keys": [public_of(JONAS), own]}


def test_a_file_as_somebody_wrote_it_is_left_where_it_says_the_same(order: HostOrder) -> None:
    prepare_host(order)
    by_hand = json.dumps(written(order)).encode()
    order.trust_file.write_bytes(by_hand)
    prepare_host(replace(order, trust=b""))
    assert order.trust_file.read_bytes() == by_hand


def test_the_agents_file_names_the_hook_once(order: HostOrder, tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "config.sh").touch()
    (agent / ".env").write_text("LANG=C.UTF-8\nACTIONS_RUNNER_HOOK_JOB_STARTED=/tmp/mine.sh\n")
    for _ in range(2):
        done = prepare_host(replace(order, agent=agent))
        assert (agent / ".env").read_text() == f"LANG=C.UTF-8\n{done.environment_line}\n"
    assert agent.stat().st_mode & 0o7777 == 0o1775


def test_a_look_changes_nothing(order: HostOrder) -> None:
    done = prepare_host(replace(order, only_say=True))
    assert [how for how, _ in done.steps] == ["made"] * 4
    assert done.public_key == ""
    assert list(order.root.iterdir()) == []


def somebody(order: HostOrder, monkeypatch: pytest.MonkeyPatch) -> HostOrder:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return order


def open_folder(order: HostOrder, monkeypatch: pytest.MonkeyPatch) -> HostOrder:
    monkeypatch.setattr("hyops_ci.files.only_root_writes", lambda _: False)
    return order


def no_trust(order: HostOrder, _: pytest.MonkeyPatch) -> HostOrder:
    return replace(order, trust=b"")


def no_agent(order: HostOrder, _: pytest.MonkeyPatch) -> HostOrder:
    return replace(order, agent=order.root)


def python_of_root(order: HostOrder, monkeypatch: pytest.MonkeyPatch) -> HostOrder:
    (home := order.root / "home").mkdir(mode=0o700)
    (home / "python3").touch()
    monkeypatch.setattr(environment, "interpreter", lambda: home / "python3")
    return replace(order, uid=os.getuid() + 1)


def python_of_the_agents_user(order: HostOrder, monkeypatch: pytest.MonkeyPatch) -> HostOrder:
    monkeypatch.setattr("hyops_ci.files.only_root_writes", lambda path: path != environment.interpreter().resolve())
    return order


def no_place(order: HostOrder, _: pytest.MonkeyPatch) -> HostOrder:
    (order.root / "etc").touch()
    return order


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (somebody, "user id 1000"),
        (open_folder, "is not root's alone to write"),
        (no_trust, "no .*/etc/dr-dispatch/trust.json"),
        (no_agent, "holds no config.sh"),
        (python_of_root, "where gha-runner may not pass "),
        (python_of_the_agents_user, "which somebody else than root can change"),
        (no_place, "etc"),
    ],
)
def test_what_stands_in_the_way_is_said(
    spoil: Callable[[HostOrder, pytest.MonkeyPatch], HostOrder], found: str, order: HostOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refusal) as refused:
        prepare_host(spoil(order, monkeypatch))
    assert (refused.value.gate, refused.value.exit_code) == ("runner.prepare", Exit.USAGE)
    assert re.search(found, refused.value.found)


def test_a_trust_that_is_none_is_refused_before_anything_is_made(order: HostOrder) -> None:
    with pytest.raises(Refusal, match="not valid"):
        prepare_host(replace(order, trust=b'{"kind": "HostTrust"}'))
    assert list(order.root.iterdir()) == []


def test_without_wheels_nothing_is_made_and_what_would_help_is_said(order: HostOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(dsse, "ROOT", os.getuid())
    monkeypatch.setattr(pwd, "getpwall", list)
    monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group(("gha-runner", "x", os.getgid(), ["gha-runner"])))
    monkeypatch.setattr("hyops_ci.files.only_root_writes", lambda _: True)
    with pytest.raises(Refusal) as refused:
        prepare_host(order)
    assert refused.value.gate == "runner.environment"
    assert "setup.sh runner prepare" in refused.value.fix
    assert list(order.root.iterdir()) == []


def test_what_root_prepared_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = environment.prepared_state(tmp_path)
    assert (state.hook, state.environment) == (False, False)
    monkeypatch.setattr(environment, "only_root_writes", Path.exists)
    state.home.mkdir(parents=True)
    (state.home / "complete").touch()
    state.hook_path.touch()
    assert (environment.prepared_state(tmp_path).hook, environment.prepared_state(tmp_path).environment) == (True, True)


def test_the_hook_reads_fields_of_the_trust_and_has_its_defaults() -> None:
    text = HOOK_TEXT.read_text(encoding="utf-8")
    read = set(re.findall(r'trust(?:\.get\(|\[)"([a-z_]+)"', text))
    assert read == {"repository_id", "repository_owner_id", "ref", "events", "caller_workflows", "apps"}
    assert read <= set(HostTrust.model_fields)
    assert json.dumps(list(HostTrust.model_fields["events"].default)) in text
    assert str(HostOrder("", 0, 0).trust_file) in text


@pytest.mark.parametrize(("path", "fine"), [("/bin/sh", True), ("/tmp", True), ("/", True), ("/nowhere/at/all", False)])
def test_roots_own(path: str, fine: bool) -> None:
    assert only_root_writes(Path(path)) is fine


def test_a_file_in_a_folder_that_others_can_write_is_not_roots_alone(tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    (file := folder / "file").touch()
    (link := tmp_path / "link").symlink_to("/bin/sh")
    folder.chmod(0o777)
    assert not only_root_writes(file)
    file.chmod(0o666)
    folder.chmod(0o755)
    assert not only_root_writes(file)
    tmp_path.chmod(0o777)
    assert not only_root_writes(link), "the link could be another tomorrow"
