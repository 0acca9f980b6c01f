from __future__ import annotations

import os
import signal
import subprocess
import sys

from hyops_ci.execution import processes

TREE = "import subprocess, sys; p = subprocess.Popen(['/bin/sleep', '60'], start_new_session=True); print(p.pid, flush=True); p.wait()"


def test_descendants_of_any_session_are_found_and_can_be_ended() -> None:
    parent = subprocess.Popen([sys.executable, "-I", "-c", TREE], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    grandchild = int(parent.stdout.readline())
    parent.stdout.close()
    below = {process.pid: process for process in processes.descendants(os.getpid())}
    assert {parent.pid, grandchild} <= below.keys()
    assert (below[grandchild].name, below[grandchild].parent, below[grandchild].session) == ("sleep", parent.pid, grandchild)
    assert processes.send(grandchild, signal.SIGKILL)
    assert parent.wait(10) == 0
    assert grandchild not in {process.pid for process in processes.descendants(os.getpid())}
    assert not processes.send(grandchild, signal.SIGKILL)


def test_a_process_is_told_apart_by_its_start() -> None:
    me = processes.read_process(os.getpid())
    assert me is not None
    assert me.start > 0
    assert processes.read_process(2**22 + 1) is None


def test_a_zombie_is_no_living_descendant() -> None:
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.pid not in {process.pid for process in processes.descendants(os.getpid())}
    assert child.wait() == 0
