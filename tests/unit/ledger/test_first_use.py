"""A state folder used for the first time, by many at once, and paths that are not absolute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.host_lock import host_lock
from hyops_ci.ledger.ledger import Ledger

AT = "2026-11-23T03:04:31Z"
READ = """
import sys
from pathlib import Path
from hyops_ci.ledger.ledger import Ledger
print(Ledger.over_git(sys.argv[1], "pg/lab", state_dir=Path(sys.argv[2])).tip().serves)
"""


def test_many_processes_may_use_a_state_folder_for_the_first_time_at_once(tmp_path: Path) -> None:
    remote = tmp_path / "ledger.git"
    create_repository(remote)
    Ledger.over_git(str(remote), "pg/lab", state_dir=tmp_path / "maker").init("onprem", AT)
    command = [sys.executable, "-c", READ, str(remote), str(tmp_path / "shared")]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    answers = [reader.communicate(timeout=120) for reader in readers]
    assert [out.strip() for out, _ in answers] == ["onprem"] * 6, [err[-300:] for _, err in answers]


def test_a_relative_state_folder_is_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_repository(tmp_path / "ledger.git")
    monkeypatch.chdir(tmp_path)
    ledger = Ledger.over_git("ledger.git", "pg/lab", state_dir=Path("state"))
    assert ledger.init("onprem", AT).serves == ledger.tip().serves == "onprem"


def test_an_env_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"lock\.host") as refused, host_lock(tmp_path / "absent"):
        pass
    assert refused.value.exit_code is Exit.CONFLICT
