"""A user of HyOps' own, only where it is a wall. Root, sudo and their files are real in tests/security/test_hyops_user.py."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hyops_ci.operations.prepare import hyops_user
from hyops_ci.operations.prepare.hyops_user import Unfit

USERS = {"gha-runner": (990, 990), "hyops": (991, 991), "root": (0, 0), "twin": (990, 992)}
GROUPS = {"gha-runner": [990], "hyops": [991], "root": [0], "twin": [992]}


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a host that has sudo, and whose visudo takes what it is given."""

    def known(name: str) -> SimpleNamespace:
        uid, gid = USERS[name]
        return SimpleNamespace(pw_uid=uid, pw_gid=gid)

    (tmp_path / "visudo").touch()
    monkeypatch.setattr(pwd, "getpwnam", known)
    monkeypatch.setattr(os, "getgrouplist", lambda name, _: GROUPS[name])
    monkeypatch.setattr(hyops_user, "VISUDO", str(tmp_path / "visudo"))
    monkeypatch.setattr(hyops_user, "wrong_rule", lambda _: "")


def test_two_users(users: None, tmp_path: Path) -> None:
    side = hyops_user.hyops_user("hyops", "gha-runner", 990, tmp_path)
    [(entry, program, mode), (rules, text, rules_mode)] = side.files
    assert (entry, mode) == (tmp_path / "opt/dr-dispatch/as-hyops", 0o755)
    assert (rules, rules_mode) == (tmp_path / "etc/sudoers.d/dr-dispatch", 0o440)
    assert program.startswith(b"#!/bin/sh\n")
    assert text.endswith(b'gha-runner ALL=(hyops) NOPASSWD: NOLOG_INPUT: NOLOG_OUTPUT: /opt/dr-dispatch/as-hyops ""\n')


def shared_group(_: pytest.MonkeyPatch) -> None:
    GROUPS["hyops"].append(990)


def no_sudo(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hyops_user, "VISUDO", "/nonexistent/visudo")


def refused_rule(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hyops_user, "wrong_rule", lambda _: "stdin:3: syntax error")


@pytest.mark.parametrize(
    ("name", "change", "found", "fix"),
    [
        ("absent", None, "no user absent", "useradd --system --create-home absent"),
        ("gha-runner", None, "agent gha-runner, HyOps gha-runner", "useradd"),
        ("twin", None, "agent gha-runner, HyOps twin", "useradd"),
        ("root", None, "agent gha-runner, HyOps root", "useradd"),
        ("hyops", shared_group, "gha-runner and hyops are both in group 990", "gpasswd --delete hyops"),
        ("hyops", no_sudo, "no /nonexistent/visudo", "apt-get install sudo"),
        ("hyops", refused_rule, "stdin:3: syntax error", "report this"),
    ],
)
def test_no_wall(
    users: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    change: Callable[[pytest.MonkeyPatch], None] | None,
    found: str,
    fix: str,
) -> None:
    monkeypatch.setitem(GROUPS, "hyops", [991])
    if change is not None:
        change(monkeypatch)
    with pytest.raises(Unfit) as unfit:
        hyops_user.hyops_user(name, "gha-runner", 990, tmp_path)
    assert unfit.value.found == found
    assert fix in unfit.value.fix
    assert unfit.value.expected
    assert not list(tmp_path.glob("opt"))


def test_journals_are_read_by_the_group_of_the_agent(users: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side = hyops_user.hyops_user("hyops", "gha-runner", os.getgid(), tmp_path)
    own = hyops_user.HyOpsUser(side.user, side.group, side.name, os.getuid(), tmp_path)
    assert hyops_user.put_journals(own)
    assert own.journals.stat().st_mode & 0o7777 == 0o2750
    assert not hyops_user.put_journals(own)
