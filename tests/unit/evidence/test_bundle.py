from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci import archive
from hyops_ci.archive import BadArchive
from hyops_ci.evidence.bundle import bundle_among, bundle_name, seal
from hyops_ci.evidence.verify import verify
from tests.unit.evidence import sample_run


def packed(files: list[tuple[str, Path | bytes]]) -> bytes:
    out = io.BytesIO()
    writer = archive.Writer(out, lambda data: None)
    for name, source in files:
        writer.add(name, source)
    writer.close()
    return out.getvalue()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first = sample_run.sealed(tmp_path / "a", tmp_path / "a.tar")
    second = sample_run.sealed(tmp_path / "b", tmp_path / "b.tar")
    assert first.sha256 == second.sha256 == "sha256:" + hashlib.sha256(first.path.read_bytes()).hexdigest()
    result = sample_run.result(*sample_run.recovered_run(tmp_path / "c"))
    again = sample_run.seal(tmp_path / "a", result, to=tmp_path / "again.tar", clock=sample_run.SetClock())
    assert again.sha256 == first.sha256


@pytest.mark.parametrize(
    ("run_id", "name"),
    [
        ("212-1", "dr-evidence-212-1.tar"),
        ("local-20261123T031000Z-0badcafe", "evidence.tar"),
        ("", "evidence.tar"),
        ("../212-1", "evidence.tar"),
    ],
)
def test_a_bundle_is_named_by_its_run(run_id: str, name: str) -> None:
    assert bundle_name(run_id) == name
    assert bundle_among([name, "github.json", "dr-evidence-212-1.html"]) == name


@pytest.mark.parametrize(
    "names", [[], ["handover.tar"], ["dr-evidence-212-1.tar", "evidence.tar"], ["dr-evidence-2-1.tar", "dr-evidence-3-1.tar"]]
)
def test_no_bundle_is_guessed(names: list[str]) -> None:
    assert bundle_among(names) is None


def test_an_ordinary_tar_reads_it(tmp_path: Path) -> None:
    path = sample_run.sealed(tmp_path / "run", tmp_path / "b.tar").path
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]  # it is a file
    assert [member.name for member in members[-2:]] == ["manifest.json", "manifest.dsse.json"]
    assert {(member.mode, member.uid, member.mtime, member.uname) for member in members} == {(0o644, 0, 0, "")}
    assert [entry["path"] for entry in manifest["files"]] == [member.name for member in members[:-2]]


def test_what_is_private_stays_here_and_links_are_not_followed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    sample_run.write(run, "private/key", b"canary")
    (run / "link").symlink_to("/etc/passwd")
    sealed = sample_run.sealed(run, tmp_path / "b.tar")
    assert b"canary" not in sealed.path.read_bytes()
    assert not {"link", "private/key"} & {entry.path for entry in sealed.manifest.files}


def test_a_secret_that_got_this_far_is_taken_out_and_said(tmp_path: Path) -> None:
    run = tmp_path / "run"
    of, seen = sample_run.recovered_run(run)
    sample_run.write(run, "hyops/log.txt", b"password canary-1\n")
    clean = lambda data: data.replace(b"canary-1", b"***")  # noqa: E731 - shorter than a function
    path = seal(run, sample_run.result(of, seen), to=tmp_path / "b.tar", clock=sample_run.SetClock(), scrub=clean).path
    assert b"canary" not in path.read_bytes()
    assert json.loads((run / "redactions.json").read_text()) == {"changed_at_sealing": ["hyops/log.txt"]}
    assert verify(path).ok


def test_a_failure_leaves_no_half_bundle(tmp_path: Path) -> None:
    of, seen = sample_run.recovered_run(tmp_path / "run")

    def broken(payload: bytes, kind: str) -> dict[str, object]:
        raise RuntimeError("no authority")

    to = tmp_path / "out" / "b.tar"
    with pytest.raises(RuntimeError):
        seal(tmp_path / "run", sample_run.result(of, seen), to=to, clock=sample_run.SetClock(), sign=broken)
    assert list(to.parent.iterdir()) == []
    assert verify(seal(tmp_path / "run", sample_run.result(of, seen), to=to, clock=sample_run.SetClock()).path).ok


def test_large_files_are_hashed_beside_the_writing(tmp_path: Path) -> None:
    data = bytes(range(251)) * 30_000
    (tmp_path / "large").write_bytes(data)
    (member,) = archive.read(io.BytesIO(packed([("large", tmp_path / "large")])))
    assert (member.size, member.sha256, member.content) == (len(data), "sha256:" + hashlib.sha256(data).hexdigest(), None)


def test_a_name_that_ustar_cannot_hold_is_refused() -> None:
    for name in ("x" * 300, "/".join(["d" * 99] * 4)):
        with pytest.raises(BadArchive):
            packed([(name, b"")])


NAMES = st.from_regex(r"[a-z0-9]{1,40}(/[a-z0-9._-]{1,40}){0,4}", fullmatch=True).filter(lambda name: not name.endswith("/"))


@given(files=st.dictionaries(NAMES, st.binary(max_size=1200), max_size=6))
def test_what_was_written_is_read(files: dict[str, bytes]) -> None:
    whole = packed(sorted(files.items()))
    assert len(whole) % tarfile.RECORDSIZE == 0
    assert {member.name: member.content for member in archive.read(io.BytesIO(whole))} == files
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert tar.getnames() == sorted(files)
