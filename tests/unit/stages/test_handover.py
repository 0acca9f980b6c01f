"""The run folder travels whole, and a swapped or hostile handover is refused before it is used."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from hyops_ci.contracts.run import RefusalRecord
from hyops_ci.errors import Exit, Refusal
from hyops_ci.stages.handover import RunDir, unpack


def filled(root: Path) -> RunDir:
    run = RunDir(root)
    run.write("decision.raw", b"{}")
    run.write("parts/plan/events.jsonl", b"one\n")
    (run.private / "journal").write_bytes(b"stays here")
    return run


def test_handover_is_deterministic_and_leaves_private_files_behind(tmp_path: Path) -> None:
    digest = filled(tmp_path / "a").pack(tmp_path / "a.tar")
    assert filled(tmp_path / "b").pack(tmp_path / "b.tar") == digest
    run = unpack(tmp_path / "a.tar", digest, tmp_path / "c")
    assert run.read("parts/plan/events.jsonl") == b"one\n"
    assert not run.has("private/journal")


def test_a_swapped_handover_is_refused(tmp_path: Path) -> None:
    digest = filled(tmp_path / "a").pack(tmp_path / "a.tar")
    data = bytearray((tmp_path / "a.tar").read_bytes())
    data[700] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(Refusal) as refused:
        unpack(tmp_path / "a.tar", digest, tmp_path / "c")
    assert (refused.value.gate, refused.value.exit_code) == ("handover.digest", Exit.POLICY)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("missing", ["no file", "no digest"])
def test_an_absent_handover_is_refused(tmp_path: Path, missing: str) -> None:
    filled(tmp_path / "a").pack(tmp_path / "a.tar")
    path, digest = (tmp_path / "none.tar", "sha256:" + "0" * 64) if missing == "no file" else (tmp_path / "a.tar", "")
    with pytest.raises(Refusal, match=r"handover\.digest"):
        unpack(path, digest, tmp_path / "c")


@pytest.mark.parametrize("name", ["../outside", "/outside", "link"])
def test_members_that_are_no_plain_files_inside_are_refused(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        if name == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info, io.BytesIO(b""))
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with pytest.raises(Refusal, match=r"handover\.member"):
        unpack(tmp_path / "a.tar", "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest(), tmp_path / "c")
    assert not (tmp_path / "outside").exists()


def test_documents_are_read_strictly(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.write_json("refusal.json", {"gate": "a", "reason": "b", "exit_code": 4, "more": 1})
    with pytest.raises(Refusal, match=r"handover\.document"):
        run.read_model("refusal.json", RefusalRecord)
    with pytest.raises(Refusal, match=r"handover\.file"):
        run.read("plan.json")
