from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci import archive
from hyops_ci.contracts.run import State
from hyops_ci.evidence.bundle import seal
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from hyops_ci.signing.dsse import public_of, sign
from tests.unit.evidence import sample_run


def by_jonas(payload: bytes, kind: str) -> dict[str, object]:
    return sign(payload, kind, [sample_run.JONAS])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return sample_run.sealed(tmp_path / "run", tmp_path / "b.tar", by_jonas).path


def unpacked(bundle: Path) -> Path:
    to = bundle.with_suffix("")
    with tarfile.open(bundle) as tar:
        for member in tar:  # written by ourselves, and Debian 12's tarfile has no filters
            path, content = to / member.name, tar.extractfile(member)
            assert content is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
    return to


def test_a_bundle_holds(bundle: Path) -> None:
    verdict = verify(bundle)
    assert verdict.problems == ()
    assert verdict.exit_code == 0
    assert verdict.facts["approved"] == "jonas (signed)"
    assert verdict.facts["outcome"] == "COMPLETED_WITH_EXCEPTIONS"
    assert verify(unpacked(bundle)) == verdict


def test_what_the_runner_cost_is_what_the_check_noted(tmp_path: Path) -> None:
    """A recovery whose runner was made for it verifies, and no other cost does."""
    root = tmp_path / "run"
    ended = sample_run.result(*sample_run.recovered_run(root, waited=13))
    kept = json.loads((root / "objectives.json").read_text())
    assert kept["figures"]["runner_made"] == {"seconds": 13}
    assert verify(seal(root, ended, to=tmp_path / "b.tar", clock=sample_run.SetClock()).path).problems == ()
    kept["figures"]["runner_made"] = {"seconds": 1}
    sample_run.write(root, "objectives.json", kept)
    lied = verify(seal(root, ended, to=tmp_path / "lied.tar", clock=sample_run.SetClock()).path)
    assert lied.problems == ("objectives.json has other figures than the events",)


def test_a_signature_is_asked_for(bundle: Path, tmp_path: Path) -> None:
    key = public_of(sample_run.JONAS)
    assert verify(bundle, trusted_keys=[key], require_signature=True).ok
    assert "no trusted key" in verify(bundle, trusted_keys=[public_of(sample_run.PRIYA)], require_signature=True).problems[0]
    unsigned = sample_run.small(tmp_path / "small", tmp_path / "s.tar").path
    assert verify(unsigned).ok
    assert verify(unsigned, trusted_keys=[key], require_signature=True).exit_code == 11


@pytest.mark.slow  # in the quick tests, tests/e2e/test_rehearsal.py changes some
@pytest.mark.parametrize("signer", [None, by_jonas], ids=["unsigned", "signed"])
def test_every_single_changed_byte_is_seen(tmp_path: Path, signer: Callable[[bytes, str], dict[str, object]] | None) -> None:
    path = sample_run.small(tmp_path / "run", tmp_path / "b.tar", signer).path
    whole = bytearray(path.read_bytes())
    assert verify(path).ok
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(whole):
            other = byte ^ 1 << at % 8
            os.pwrite(file.fileno(), bytes([other]), at)
            assert not verify(path).ok, f"byte {at}: {byte} -> {other}"
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert verify(path).ok


def test_every_change_of_length_is_seen(tmp_path: Path) -> None:
    path = sample_run.small(tmp_path / "run", tmp_path / "b.tar").path
    whole = path.read_bytes()
    for changed in (whole + b"\0", whole + bytes(512), whole[:-512], whole[:-1], whole[512:], b"", whole * 2):
        path.write_bytes(changed)
        assert not verify(path).ok


def repacked(bundle: Path, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> Path:
    with tarfile.open(bundle) as tar:
        files = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]  # each is a file
    to = bundle.with_name("again.tar")
    with to.open("wb") as out:
        writer = archive.Writer(out, lambda data: None)
        for name, content in change(files):
            writer.add(name, content)
        writer.close()
    return to


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda files: [*files, ("extra.txt", b"")], "extra.txt was added"),
        (lambda files: files[1:], "is missing"),
        (lambda files: files[::-1], "order"),
        (lambda files: [*files, files[0]], "twice"),
        (lambda files: [("../evil", b""), *files], "leads out of it"),
        (lambda files: [("/etc/evil", b""), *files], "leads out of it"),
        (lambda files: files[:-1], "no manifest.dsse.json"),
        (lambda files: [f for f in files if f[0] != "manifest.json"], "no manifest.json"),
        (lambda files: [(n, b"[" * 100_000 if n == "manifest.json" else c) for n, c in files], "no manifest"),
        (lambda files: [(n, b"[" * 100_000 if n == "manifest.dsse.json" else c) for n, c in files], "not written as it was sealed"),
        (lambda files: [(n, c.replace(b'"keyid":"ed25519:', b'"keyid":"rsa:')) for n, c in files], "another form"),
    ],
)
def test_a_repacked_bundle_is_seen(bundle: Path, change: Callable[[object], object], problem: str) -> None:
    verdict = verify(repacked(bundle, change))  # type: ignore[arg-type]  # changes of several forms
    assert not verdict.ok
    assert problem in "\n".join(verdict.problems)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("check.json", lambda d: d | {"plan_digest": sample_run.ZERO}, "check.json looked at another plan"),
        ("decision.json", lambda d: d | {"rationale": "other"}, "not the decision that was planned"),
        ("claim.json", lambda d: d | {"epoch": 6}, "later epoch"),
        ("claim.json", lambda d: d | {"nonces": []}, "nonce"),
        ("claim.json", lambda d: d | {"plan_digest": sample_run.ZERO}, "claim.json: plan_digest"),
        ("plan.json", lambda d: d | {"lane": "azure"}, "plan_digest is not that of the bundle"),
        ("claim.json", lambda d: d | {"approvals": []}, "cites other approvals"),
        ("approvals/envelopes.json", lambda d: [], "holds no signature of jonas's key"),
        ("approvals/envelopes.json", lambda d: [None, d[0] | {"signatures": []}], "holds no signature of jonas's key"),
        ("approvals/jonas.json", lambda d: d | {"comment": "other"}, "holds no signature of jonas's key"),
        ("approvals/jonas.json", lambda d: d | {"verdict": "deny"}, "is no yes"),
        ("approvals/jonas.json", lambda d: "yes", "is no Approval"),
        ("plan.json", lambda d: d | {"approval": d["approval"] | {"quorum": 2}}, "a claim with 1 of 2 approvals"),
        ("sources/config", lambda d: d, "sources/config is not what the plan was made of"),
        ("plan.json", lambda d: [], "plan.json is no Plan"),
    ],
)
def test_documents_that_contradict_each_other(tmp_path: Path, name: str, change: Callable[[object], object], problem: str) -> None:
    run = tmp_path / "run"
    of, seen = sample_run.recovered_run(run)
    sample_run.write(run, name, change(json.loads((run / name).read_text() if (run / name).exists() else "{}")))
    seal(run, sample_run.result(of, seen), to=tmp_path / "b.tar", clock=sample_run.SetClock())
    assert problem in "\n".join(verify(tmp_path / "b.tar").problems)


def test_a_result_that_the_events_do_not_tell(tmp_path: Path) -> None:
    sealed = sample_run.sealed(tmp_path / "run", tmp_path / "b.tar", outcome="COMPLETED")
    assert "the events end in COMPLETED_WITH_EXCEPTIONS, the manifest says COMPLETED" in verify(sealed.path).problems


def test_events_that_were_shortened(tmp_path: Path) -> None:
    root, clock = tmp_path / "run", sample_run.SetClock()
    of, seen = sample_run.recovered_run(root)
    seal(root, sample_run.result(of, seen), to=tmp_path / "b.tar", clock=clock)
    events = unpacked(tmp_path / "b.tar") / "parts/execute/events.jsonl"
    events.write_bytes(b"\n".join(events.read_bytes().splitlines()[:-1]) + b"\n")
    assert "the events do not end where the manifest says" in verify(tmp_path / "b").problems


def test_moves_off_the_table_are_seen(tmp_path: Path) -> None:
    root, clock = tmp_path / "run", sample_run.SetClock()
    sample_run.record(root, clock, (("plan", "03:04:31", State.RECEIVED),))
    with sample_run.PartRecorder(root, "execute", clock) as recorder:
        recorder._write("transition", "COMPLETED", {})
    when = "2026-11-23T03:04:31Z"
    done = sample_run.Result(run_id=sample_run.RUN, outcome=State.COMPLETED, exit_code=0, headline="x", started_at=when, ended_at=when)
    path = seal(root, done, to=tmp_path / "b.tar", clock=clock).path
    assert "event 1: a run does not go from RECEIVED to COMPLETED" in verify(path).problems


def test_folders_with_links_or_pipes(bundle: Path) -> None:
    folder = unpacked(bundle)
    (folder / "link").symlink_to("/etc/passwd")
    assert verify(folder).problems == ("link is not a plain file",)
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    assert verify(folder).problems == ("pipe is not a plain file",)


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, Path(os.devnull)):
        assert verify(path).exit_code == 11
    tar = tmp_path / "link.tar"
    with tarfile.open(tar, "w") as out:
        info = tarfile.TarInfo("x")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(info, io.BytesIO())
    assert "not a plain file" in verify(tar).problems[0]
    big = tarfile.TarInfo("x")
    big.size = 1 << 60
    tar.write_bytes(big.tobuf(tarfile.GNU_FORMAT))
    assert not verify(tar).ok


@given(data=st.binary(max_size=3000))
def test_nothing_raises(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tar"
    path.write_bytes(data)
    assert not verify(path).ok


@given(at=st.integers(0, 40_000), data=st.binary(min_size=1, max_size=600))
def test_nothing_raises_near_a_bundle(at: int, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    if not (base / "near.tar").exists():
        sample_run.sealed(base / "near", base / "near.tar")
    whole = (base / "near.tar").read_bytes()
    changed = whole[:at] + data + whole[at + len(data) :]
    (base / "changed.tar").write_bytes(changed)
    assert verify(base / "changed.tar").ok == (changed == whole)


def noisy(root: Path, to: Path, lines: int) -> Path:
    """A run with many notes, such as HyOps' own lines make."""
    clock = sample_run.SetClock()
    sample_run.record(root, clock, (("plan", "03:04:31", State.RECEIVED),))
    with sample_run.PartRecorder(root, "check", clock) as recorder:
        for number in range(lines):
            recorder.note("step", step="gcp_pg_vms", status="running", reason="x" * 100_000, seconds=number)
    return seal(root, sample_run.refuse(root, clock, "check"), to=to, clock=clock).path


def test_events_of_any_length_are_read_to_their_end(tmp_path: Path) -> None:
    """More of them than a reader holds in memory, in the container and unpacked."""
    path = noisy(tmp_path / "run", tmp_path / "b.tar", 60)
    events = unpacked(path) / "parts/check/events.jsonl"
    assert events.stat().st_size > archive.KEPT
    assert verify(path).problems == ()
    assert verify(tmp_path / "b").problems == ()
    assert read_files(path)["parts/check/events.jsonl"] == events.read_bytes()
    data = events.read_bytes()
    at = data.index(b'"seconds":58')
    for changed, problem in (
        (data.replace(b'"seconds":58', b'"seconds":59', 1), "events.jsonl:59 is not what was written"),
        (data[:-1], "parts/check/events.jsonl ends inside a line"),
        (data[: data.index(b"\n", at) + 1], "the events end in RECEIVED"),
        (data + b"x" * (2 << 20), "parts/check/events.jsonl holds a line without end"),
    ):
        events.write_bytes(changed)
        assert any(problem in each for each in verify(tmp_path / "b").problems)


def test_the_order_of_parts_in_the_container_is_not_that_of_the_stages(tmp_path: Path) -> None:
    path = sample_run.sealed(tmp_path / "run", tmp_path / "b.tar").path
    folder = unpacked(path)
    plan, check = folder / "parts/plan/events.jsonl", folder / "parts/check/events.jsonl"
    (kept := plan.read_bytes(), plan.write_bytes(check.read_bytes()), check.write_bytes(kept))
    assert any("does not follow" in each for each in verify(folder).problems)


def test_a_good_end_is_only_ever_that_of_execute(tmp_path: Path) -> None:
    """The part of execute is left out, and conclude is made to say that all went well."""
    root, clock = tmp_path / "run", sample_run.SetClock()
    for _, _, state in sample_run._TRANSITIONS:
        sample_run.leave(root, state)
    moves = tuple(("conclude" if stage == "execute" else stage, at, state) for stage, at, state in sample_run._TRANSITIONS)
    sample_run.record(root, clock, moves)
    ended = sample_run.result(*sample_run.planned())
    sample_run.close(root, ended)
    path = seal(root, ended, to=tmp_path / "b.tar", clock=clock).path
    assert verify(path).problems == ("COMPLETED_WITH_EXCEPTIONS is no word of execute: a good end is only ever its own",)
