"""Artifacts: the right one, as GitHub stored it, and a zip that cannot harm whoever opens it."""

from __future__ import annotations

import hashlib
import io
import stat
import time
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github import artifacts
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import ARTIFACT, ARTIFACTS, Endpoint
from hyops_ci.github.artifacts import BadZip, artifact_files, unzip

NAME = "dr-evidence-212-1"


def packed(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip as the upload action writes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> bytes:
    """A zip with one entry, whatever its name and mode."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename, info.external_attr = name, mode << 16
        archive.writestr(info, b"x")
    return made.getvalue()


class Stored(Client):
    """GitHub's store with these artifacts of run 212."""

    def __init__(self, *items: dict[str, Any], data: bytes = b"") -> None:
        self.items, self.data = items, data

    def pages(self, endpoint: Endpoint, key: str, **asked: Any) -> Iterator[dict[str, Any]]:
        assert (endpoint, key, asked["run_id"]) == (ARTIFACTS, "artifacts", 212)
        return iter(self.items)

    def download(self, endpoint: Endpoint, *, most_bytes: int, **path: object) -> bytes:
        assert (endpoint, most_bytes, path) == (ARTIFACT, artifacts.MOST_PACKED, {"artifact_id": max(i["id"] for i in self.items)})
        return self.data


def item(data: bytes, **changes: Any) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"id": 11, "name": NAME, "size_in_bytes": len(data), "digest": digest, "expired": False, **changes}


def refused(client: Client) -> Refusal:
    with pytest.raises(Refusal) as caught:
        artifact_files(client, 212, NAME)
    assert caught.value.exit_code is Exit.EVIDENCE
    return caught.value


def test_the_files_of_an_artifact() -> None:
    files = {"evidence.tar": b"t" * 3_000_000, "report.html": b"<html>", "hyops/a.log": b""}
    data = packed(files)
    assert artifact_files(Stored(item(data), data=data), 212, NAME) == files


def test_an_older_server_gives_no_digest() -> None:
    data = packed({"a": b"1"}, zipfile.ZIP_STORED)
    assert artifact_files(Stored(item(data, digest=None), data=data), 212, NAME) == {"a": b"1"}


def test_only_the_exact_name_counts_and_the_newest_of_it() -> None:
    data = packed({"a": b"1"})
    assert artifact_files(Stored(item(b"other", id=9), item(data, id=12), data=data), 212, NAME) == {"a": b"1"}
    assert refused(Stored(item(data, name=NAME + "0"))).gate == "artifact.missing"
    assert refused(Stored()).gate == "artifact.missing"


def test_what_is_gone_or_was_changed_is_said() -> None:
    data = packed({"a": b"1"})
    assert refused(Stored(item(data, expired=True))).gate == "artifact.expired"
    changed = refused(Stored(item(data), data=data + b" "))
    assert changed.gate == "artifact.digest"
    assert hashlib.sha256(data).hexdigest() in changed.expected
    assert refused(Stored(item(b"no zip"), data=b"no zip")).gate == "artifact.zip"


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "a/../../b", "a\\..\\b", "C:/x", "a//b", "./a", "a\x1b[2J", "..", "a/./b", ".", "", "/"],
)
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(BadZip, match="leads out"):
        unzip(entry(name))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_what_is_no_plain_file_is_refused(kind: int) -> None:
    with pytest.raises(BadZip, match="not a plain file"):
        unzip(entry("a", kind | 0o777))


def test_bombs_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MOST_UNPACKED", 5_000_000)
    bomb = packed({"a": bytes(4_000_000), "b": bytes(4_000_000)})
    assert len(bomb) < 20_000
    with pytest.raises(BadZip, match="5000000 bytes"):
        unzip(bomb)
    monkeypatch.setattr(artifacts, "MOST_FILES", 3)
    with pytest.raises(BadZip, match="4 files"):
        unzip(packed({str(n): b"" for n in range(4)}))


def many(entries: int) -> bytes:
    """A zip of empty files, whose list alone is long."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(entries):
            archive.writestr(f"{number}", b"")
    return made.getvalue()


def test_a_long_list_of_files_is_not_read() -> None:
    """400,000 entries took eleven seconds to be counted; the end of the zip says how many there are."""
    data = many(20_000)
    began = time.process_time()  # what others do on this machine meanwhile is no work of it
    with pytest.raises(BadZip, match="a list of files of"):
        unzip(data)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("said", [0, 1, 3])
def test_an_end_that_says_another_number_than_there_are(said: int) -> None:
    data = many(2)
    lying = data[:-14] + said.to_bytes(2, "little") * 2 + data[-10:]
    with pytest.raises(BadZip, match=f"2 files, and its end says {said}"):
        unzip(lying)


def test_an_end_that_readers_look_for_elsewhere() -> None:
    data = many(2)
    commented = data[:-2] + (5).to_bytes(2, "little") + b"hello"
    located = data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:]
    for each in (commented, located, data[:-1], data + b"x", b"", b"PK"):
        with pytest.raises(BadZip):
            unzip(each)


def test_a_size_in_the_header_is_only_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MOST_UNPACKED", 1000)
    data = packed({"a": bytes(100_000)})
    lying = data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != data
    with pytest.raises(BadZip):
        unzip(lying)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_way_of_packing_is_refused(method: int) -> None:
    with pytest.raises(BadZip, match="of its own"):
        unzip(packed({"a": b"x" * 100}, method))


def test_a_name_twice_is_refused() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(BadZip, match="twice"):
        unzip(made.getvalue())


def test_folders_hold_nothing() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.mkdir("logs")
        archive.writestr("logs/a", b"1")
    assert unzip(made.getvalue()) == {"logs/a": b"1"}


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(1, 255))
def test_any_bytes_are_files_or_a_bad_zip(noise: bytes, at: int, flip: int) -> None:
    whole = bytearray(packed({"evidence.tar": b"contents " * 20, "report.html": b"<p>"}))
    whole[at % len(whole)] ^= flip
    for data in (noise, bytes(whole), bytes(whole[:at])):
        try:
            files = unzip(data)
        except BadZip:
            continue
        assert all(isinstance(content, bytes) for content in files.values())
