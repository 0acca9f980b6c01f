"""Searches everything that a run left behind for the values that must be nowhere."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path


def forms(value: str) -> set[bytes]:
    """A value as it is, and as logs, JSON, addresses and headers would carry it."""
    raw = value.encode()
    found = {raw, json.dumps(value)[1:-1].encode(), urllib.parse.quote(value, safe="").encode()}
    for shift in range(3):
        # At each alignment base64 is the same but for the characters that its neighbours share.
        text = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        found.add(text[4 if shift else 0 : -1])
    return found


def leaks(values: dict[str, str], places: Iterator[tuple[str, bytes]]) -> list[str]:
    """`name in place` for each planted value that is somewhere; contents of zip and tar archives are places too."""
    wanted = {name: forms(value) for name, value in values.items()}
    found = []
    for place, content in places:
        for inner, data in open_guards(place, content):
            found += [f"{name} in {inner}" for name, shapes in wanted.items() if any(shape in data for shape in shapes)]
    return found


def open_guards(place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The content itself, and what is in it when it is an archive."""
    yield place, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from open_guards(f"{place}!{name}", archive.read(name))
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None:
                    yield from open_guards(f"{place}!{member.name}", file.read())


def files_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), path.read_bytes()
