"""Artifacts of a run: found, compared with the digest that GitHub gives them, and unzipped in memory.

Anyone who can push a branch can upload an artifact, so a zip is checked before it is used: its size packed and
unpacked, the number of its files, and each name. Nothing is written to disk.
"""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
import zlib
from typing import Final

from hyops_ci.archive import BadArchive, misplaced, zip_entries
from hyops_ci.contracts.github_facts import ArtifactFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import ARTIFACT, ARTIFACTS

MOST_PACKED: Final = 128 << 20
"""Bytes of a zip."""
MOST_UNPACKED: Final = 256 << 20
"""Bytes of all its files together; they are held in memory."""
MOST_FILES: Final = 1000
_CHUNK: Final = 1 << 20
_PLAIN: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED: Final = 0x1


class BadZip(ValueError):
    """A zip that dr-dispatch did not upload; the text says why."""


def artifact_files(client: Client, run_id: int, name: str) -> dict[str, bytes]:
    """Return the files of one artifact of a run, by name.

    Raises Refusal (exit 11): `artifact.missing`, `artifact.expired`, `artifact.digest`, `artifact.zip`, `github.size`.
    """
    fact = find_artifact(client, run_id, name)
    data = client.download(ARTIFACT, most_bytes=MOST_PACKED, artifact_id=fact.id)
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if fact.sha256 and found != fact.sha256:
        raise _refusal("digest", "what was downloaded is not what GitHub stored", name, found, fact.sha256, "download it again")
    try:
        return unzip(data)
    except BadZip as error:
        raise _refusal("zip", "no step of dr-dispatch uploaded this", name, str(error), "a plain zip of files", "look who did") from None


def find_artifact(client: Client, run_id: int, name: str) -> ArtifactFact:
    """Return the artifact of a run with exactly this name. Raises Refusal (exit 11) `artifact.missing` or `artifact.expired`."""
    found = [_fact(each) for each in client.pages(ARTIFACTS, "artifacts", params={"name": name}, most=1, run_id=run_id)]
    # GitHub keeps one of a name per run. Of several, as over attempts of other tools, the newest counts.
    fits = sorted((each for each in found if each.name == name), key=lambda each: each.id)
    if not fits:
        raise _refusal("missing", "the run did not upload this", name, f"run {run_id} has none of the name", "one artifact", "see its log")
    if fits[-1].expired:
        raise _refusal("expired", "GitHub has deleted this", name, "expired", "an artifact that is kept", "its digest is in the ledger")
    return fits[-1]


def unzip(data: bytes) -> dict[str, bytes]:
    """Return the files of a zip by name. Raises BadZip for a name outside, too many bytes or files, or bytes that are not a zip."""
    files: dict[str, bytes] = {}
    left = MOST_UNPACKED
    try:
        listed = zip_entries(data)
        if listed > MOST_FILES:
            raise BadZip(f"{listed} files, more than {MOST_FILES}")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) != listed:
                raise BadZip(f"{len(entries)} files, and its end says {listed}")
            for entry in entries:
                _check_entry(entry, files)
                if not entry.filename.endswith("/"):
                    files[entry.filename] = _content(archive, entry, left)
                    left -= len(files[entry.filename])
    except BadArchive as error:
        raise BadZip(str(error)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, UnicodeError) as error:
        raise BadZip(f"no zip that can be read ({type(error).__name__})") from None
    return files


def _check_entry(entry: zipfile.ZipInfo, files: dict[str, bytes]) -> None:
    name = entry.filename
    elsewhere = "leads out of it" if set(name) & set("\\:") or not name.isprintable() else ""
    if problem := elsewhere or misplaced(name.removesuffix("/"), files):
        raise BadZip(f"{name[:100]!r} {problem}")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadZip(f"{name[:100]} is not a plain file")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _PLAIN:
        raise BadZip(f"{name[:100]} is encrypted, or packed in a way of its own")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """Return the bytes of a file, counted while reading: the size in the header is not trusted."""
    chunks: list[bytes] = []
    had = 0
    with archive.open(entry) as file:
        while chunk := file.read(_CHUNK):
            had += len(chunk)
            if had > most:
                raise BadZip(f"more than {MOST_UNPACKED} bytes unpacked")
            chunks.append(chunk)
    return b"".join(chunks)


def _fact(item: dict[str, object]) -> ArtifactFact:
    return ArtifactFact(
        id=int(str(item["id"])),
        name=str(item["name"]),
        size=int(str(item["size_in_bytes"])),
        sha256=str(item.get("digest") or ""),
        expired=bool(item.get("expired")),
    )


def _refusal(rule: str, reason: str, name: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal(
        f"artifact.{rule}",
        reason,
        exit_code=Exit.EVIDENCE,
        found=f"artifact {name}: {found}",
        expected=expected,
        fix=fix,
        docs="dispatch.md",
    )
