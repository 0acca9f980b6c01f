"""The one sudo rule: what root writes is what sudo lists, and nothing wider passes for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.hyops_access.rule import ENTRY, as_listed, release_of, rules_of, start_text

LISTED = f'(hyops) NOPASSWD: NOLOG_INPUT: NOLOG_OUTPUT: {ENTRY} ""'


def test_the_rule_as_sudo_lists_it() -> None:
    """Debian 12 prints the tags that root wrote; others leave out those that are their default."""
    assert rules_of("gha-runner", "hyops").splitlines()[-1] == f"gha-runner ALL={LISTED}"
    assert as_listed(LISTED, "hyops")
    assert as_listed(f'(hyops) NOPASSWD: {ENTRY} ""', "hyops")


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "(ALL : ALL) ALL",
        f'(ALL) NOPASSWD: {ENTRY} ""',
        f'(hyops, root) NOPASSWD: {ENTRY} ""',
        f'(hyops : hyops) NOPASSWD: {ENTRY} ""',
        f"(hyops) NOPASSWD: {ENTRY}",
        f"(hyops) NOPASSWD: {ENTRY} *",
        f'(hyops) {ENTRY} ""',
        f'(hyops) NOPASSWD: SETENV: {ENTRY} ""',
        f'(hyops) NOPASSWD: LOG_INPUT: {ENTRY} ""',
        f'(hyops) NOPASSWD: {ENTRY} "", /bin/sh ""',
        f'(hyops) NOPASSWD: {ENTRY} "" ""',
        '(hyops) NOPASSWD: /opt/dr-dispatch/* ""',
    ],
)
def test_another_rule(rule: str) -> None:
    assert not as_listed(rule, "hyops")


def test_a_release_is_every_byte_of_its_library(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = release_of(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert release_of(tmp_path) == first
    (tmp_path / "b.json").write_text("{}")
    assert release_of(tmp_path) != first
    (tmp_path / "b.json").rename(tmp_path / "c.json")
    assert len({first, release_of(tmp_path)}) == 2
    assert f"/{first}'" in start_text(first, Path("/opt/dr-dispatch/x"))
