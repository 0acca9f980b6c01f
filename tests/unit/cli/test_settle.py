"""Only a site of the config can be said to serve, and only by an approver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hyops_ci.signing.dsse import new_key

CONFIG = """
services:
  pg/lab:
    failover: {lane: gcp, blueprint: dr/x@v1}
approvals: {channels: [signed], approvers: {jonas: "%s"}}
"""


def settle(tmp_path: Path, serves: str, key: str) -> subprocess.CompletedProcess[str]:
    words = ["--remote", str(tmp_path / "none.git"), "--service", "pg/lab", "--serves", serves, "--reason", "dig"]
    command = [
        sys.executable,
        "-m",
        "hyops_ci",
        "ledger",
        "settle",
        *words,
        "--config",
        str(tmp_path / "c.yml"),
        "--key",
        str(tmp_path / key),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("serves", "key", "code", "gate"),
    [("gpc", "jonas.pem", 2, "lock.site"), ("gcp", "stranger.pem", 6, "approval.key"), ("gcp", "jonas.pem", 5, "ledger.missing")],
)
def test_what_is_refused(tmp_path: Path, serves: str, key: str, code: int, gate: str) -> None:
    (tmp_path / "c.yml").write_text(CONFIG % new_key(tmp_path / "jonas.pem"))
    new_key(tmp_path / "stranger.pem")
    done = settle(tmp_path, serves, key)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert gate in done.stderr
    assert "Traceback" not in done.stderr
