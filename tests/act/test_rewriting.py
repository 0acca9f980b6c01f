"""act runs what is shipped: the list of differences is one line long, and complete."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from tests.act.rewriting import REPOSITORY, REWRITES, ROOT, copy_dispatch

SHA = "3f2a" + "0" * 36


def test_the_list_of_rewrites() -> None:
    assert [(rewrite.pattern, rewrite.instead) for rewrite in REWRITES] == [
        (r"(?m)(?<=uses: )\$/(actions/[a-z-]+|\.github/workflows/[a-z-]+\.yml)$", r"hybridops/dr-dispatch/\1@{sha}")
    ]


def test_nothing_else_differs(tmp_path: Path) -> None:
    copy = copy_dispatch(tmp_path, SHA)
    changed = []
    for path in sorted(each for each in copy.rglob("*") if each.is_file()):
        before, after = ((base / path.relative_to(copy)).read_bytes() for base in (ROOT, copy))
        if before != after:
            lines = difflib.ndiff(before.decode().splitlines(), after.decode().splitlines())
            changed += [(path.name, line[0], line[2:].strip()) for line in lines if line[0] in "+-"]
    assert {name for name, _, _ in changed} == {"dispatch.yml", "drill.yml", "readiness.yml", "runner.yml"}
    removed, added = ([line for _, sign, line in changed if sign == kind] for kind in "-+")
    assert added == [re.sub(r"\$/(.+)$", rf"{REPOSITORY}/\1@{SHA}", line) for line in removed]
    assert len(removed) == 20, "each job with its own action, which brings its setup, or with the whole run"


def test_the_root_action_needs_none() -> None:
    text = (ROOT / "action.yml").read_text()
    assert "$/" not in text
    assert "uses: " not in text.partition("\nruns:")[2], "an action that is used by others has no name for its own commit"


def test_act_needs_no_further_rewrite() -> None:
    text = (ROOT / ".github" / "workflows" / "dispatch.yml").read_text()
    assert "deployment:" not in text
    assert "queue:" not in text
