"""Names of an archive that may not become files, and bytes that another tar program would take."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from hyops_ci.archive import BadArchive, BadMember, Writer, misplaced, read
from hyops_ci.cli.approve import _request_bytes


@pytest.mark.parametrize("name", ["a", "a/b", "a.b/c d", "ü", ".hidden"])
def test_a_name_below_the_folder(name: str) -> None:
    assert misplaced(name, ()) == ""


@pytest.mark.parametrize("name", ["", ".", "..", "/", "/a", "//a", "../a", "a/../b", "./a", "a/./b", "a//b", "a/"])
def test_a_name_that_leads_elsewhere_or_is_not_as_written(name: str) -> None:
    assert misplaced(name, ()) == "leads out of it"


def test_a_name_that_is_taken() -> None:
    assert misplaced("a", {"a"}) == "is there twice"
    assert misplaced("a/b/c", {"a"}) == "lies below a file"
    assert misplaced("ab", {"a"}) == ""


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    writer = Writer(out, lambda _: None)
    for name, content in files.items():
        writer.add(name, content)
    writer.close()
    return out.getvalue()


def test_files_come_back_with_their_bytes_up_to_a_size() -> None:
    members = list(read(io.BytesIO(packed(a=b"12345", b=b"123456")), keep=5))
    assert [(member.name, member.size, member.content) for member in members] == [("a", 5, b"12345"), ("b", 6, None)]


@pytest.mark.parametrize(
    "kind", [tarfile.GNUTYPE_SPARSE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
def test_only_plain_files(kind: bytes) -> None:
    info = tarfile.TarInfo("a")
    info.type = kind
    with pytest.raises(BadMember):
        list(read(io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))))


def sparse() -> bytes:
    """10 KiB that other programs make 8 GiB of."""
    header = bytearray(packed(a=b"")[:512])
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[257:265] = b"ustar  \0"
    header[483:495] = b"%011o\0" % ((8 << 30) - 1)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(10240)


def test_a_sparse_file_that_says_it_is_huge_is_not_unpacked() -> None:
    with pytest.raises(BadMember, match="the header of a is not ours"):
        list(read(io.BytesIO(sparse())))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_in_an_extension_is_not_taken(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        tar.addfile(tarfile.TarInfo("a" * 150))
    with pytest.raises(BadArchive):
        list(read(io.BytesIO(out.getvalue())))


def test_a_request_in_a_tar_is_read_as_strictly(tmp_path: Path) -> None:
    """`approve --request` takes a file from a stranger's run: a sparse member of 10 KiB was a MemoryError there."""
    path = tmp_path / "handover.tar"
    path.write_bytes(packed(**{"request.json": b"{}"}))
    assert _request_bytes(path) == b"{}"
    for data in (sparse(), b"\x1f\x8b" + bytes(600), b""):
        path.write_bytes(data)
        assert _request_bytes(path) == b"", "an empty request is refused with its reason"
