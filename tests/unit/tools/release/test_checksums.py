"""SHA256SUMS is what `sha256sum --check` reads, and sees a file that changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.release.checksums import NAME, checksums


def test_sha256sum_reads_it(tmp_path: Path) -> None:
    for name, content in (("b.whl", b"b"), ("a.tar", b"a" * 1_000_000)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / NAME).write_text(checksums(tmp_path))
    assert checksums(tmp_path) == (tmp_path / NAME).read_text(), "it does not list itself"
    command = ["sha256sum", "--check", "--strict", NAME]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a.tar: OK\nb.whl: OK\n"
    (tmp_path / "a.tar").write_bytes(b"c")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1
