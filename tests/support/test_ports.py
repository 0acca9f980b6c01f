from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ports

ROOT = Path(__file__).parents[2]
ASK = "from tests.support.ports import free_port\nprint(*(free_port() for _ in range(20)))"


def test_a_port_is_dealt_once_among_processes_and_so_is_the_one_behind_it() -> None:
    asking = [subprocess.Popen([sys.executable, "-c", ASK], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    dealt = [int(port) for each in asking for port in each.communicate(timeout=120)[0].split()]
    assert len({port + behind for port in dealt for behind in (0, 1)}) == 160


@pytest.mark.parametrize("behind", [0, 1])
def test_one_that_is_taken_is_passed_over(behind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1] - behind
        monkeypatch.setattr(ports, "_CACHE", tmp_path)
        monkeypatch.setattr(ports, "_dealt", lambda: range(first, first + 40, 2))
        (tmp_path / "port").write_text("19")
        assert ports.free_port() > first


@pytest.mark.parametrize(("said", "last"), [("32768 60999", 32_766), ("49152\t65535\n", 49_150), ("1024\t65535\n", 32_766), (None, 32_766)])
def test_the_system_deals_other_ones_where_it_leaves_room(
    said: str | None, last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is not None:
        (tmp_path / "range").write_text(said)
    monkeypatch.setattr(ports, "_SYSTEM", tmp_path / "range")
    assert ports._dealt()[-1] == last
