"""The folder of one run: what one stage leaves for the next, in the layout of the sealed bundle.

Between jobs it travels as one deterministic tar whose sha256 goes another way (a job output), so that a
swapped artifact is refused before anything in it is read. The check runs on a machine that could be a stranger's: what the plan
left must be in its handover unchanged, and beside that only what a check writes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from hyops_ci import archive
from hyops_ci.contracts.base import Model
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.ensured import DOCUMENT as ENSURED
from hyops_ci.contracts.github_facts import RunFact
from hyops_ci.contracts.readiness import READINESS
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.artifacts import artifact_files
from hyops_ci.parsing.documents import read_document, read_json
from hyops_ci.parsing.strict_json import JsonError

M = TypeVar("M", bound=Model)
MAX_HANDOVER_BYTES = 16 * 1024 * 1024
LOCAL = frozenset({"private"})
"""Folders of this host only: they neither travel nor enter the bundle."""
CHECKED: Final = "parts/check/events.jsonl"
"""What every check leaves, however it ended."""
OF_THE_CHECK: Final = frozenset({"gates-check.json", "runner.json", "check.json", "request.json", "refusal.json", READINESS, CHECKED})
"""What a check adds to the folder of the run. Everything else in its handover is what the plan left."""
OF_THE_RUNNER: Final = frozenset({ENSURED, "refusal.json", "parts/ensure-runner/events.jsonl"})
"""What ensure-runner adds to it, in a handover of its own: a check has no word in what was done about its runner."""


class RunDir:
    """Named documents and files of a run below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def private(self) -> Path:
        """Journals and work files that stay on this host."""
        path = self.root / "private"
        path.mkdir(exist_ok=True, mode=0o700)
        return path

    def write(self, name: str, content: bytes) -> None:
        """Write a file. Its content is final: stages add files, they do not change one another's."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(content)

    def write_model(self, name: str, model: Model) -> None:
        """Write a document as indented JSON."""
        self.write_json(name, model.document())

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON value."""
        self.write(name, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())

    def has(self, name: str) -> bool:
        """Return whether an earlier stage left this file."""
        return (self.root / name).is_file()

    def digests(self, *names: str) -> dict[str, str]:
        """Return the digests of those of these files that are there, for the event that says they were left."""
        return {name: digest_bytes(self.read(name)) for name in names if self.has(name)}

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises Refusal (exit 2) where the earlier stage did not leave it."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise Refusal(
                "handover.file",
                f"the stage before left no {name}",
                exit_code=Exit.USAGE,
                found=f"no {name} in the handover",
                expected="the handover of the stage before",
                fix="start a new run",
            ) from None

    def read_json(self, name: str) -> Any:
        """Return the JSON value of a file. Raises Refusal (exit 4) where it is not what the earlier stage wrote."""
        try:
            return read_json(self.read(name), most=MAX_HANDOVER_BYTES)
        except JsonError as error:
            raise _unreadable(name, error, "a JSON document of this release") from None

    def read_model(self, name: str, model: type[M]) -> M:
        """Return a document, read strictly. Raises Refusal (exit 4) where it is not what the earlier stage wrote."""
        try:
            return read_document(model, self.read(name), most=MAX_HANDOVER_BYTES)
        except JsonError as error:
            raise _unreadable(name, error, f"a {model.__name__} of this release") from None

    def pack(self, to: Path) -> str:
        """Write the folder as one deterministic tar. Return `sha256:<hex>` of its bytes."""
        buffer = io.BytesIO()
        names = ((path, path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        digest = _pack({name.as_posix(): path for path, name in names if name.parts[0] not in LOCAL and path != to}.items(), buffer)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(buffer.getvalue())
        return digest


def _pack(files: Iterable[tuple[str, Path | bytes]], to: io.BytesIO) -> str:
    """Write files as one deterministic tar. Return `sha256:<hex>` of its bytes."""
    hasher = hashlib.sha256()
    writer = archive.Writer(to, hasher.update)
    for name, content in sorted(files, key=lambda file: PurePosixPath(file[0])):
        writer.add(name, content)
    writer.close()
    return "sha256:" + hasher.hexdigest()


def _unreadable(name: str, error: JsonError, expected: str) -> Refusal:
    return Refusal(
        "handover.document",
        f"{name} cannot be read",
        exit_code=Exit.POLICY,
        found=str(error),
        expected=expected,
        fix="start a new run; mix no releases within one",
    )


def new_run(root: Path) -> RunDir:
    """Return a run's folder before its first stage. Raises Refusal (exit 2) where another run left something."""
    if root.is_symlink() or (root.is_dir() and any(root.iterdir())):
        raise Refusal(
            "run.folder",
            "another run lies here",
            exit_code=Exit.USAGE,
            found=f"{root} is {'a link' if root.is_symlink() else 'not empty'}",
            expected="a folder of this run alone",
            fix="name another --folder; on GitHub, plan once per job",
        )
    return RunDir(root)


def unpack(handover: Path, digest: str, root: Path, *, planned: str = "") -> RunDir:
    """Unpack the run folder of the earlier stage and return it. Raises Refusal (exit 4) where its digest differs.

    `planned` is the digest of the plan's handover, from the output of the plan's own job: then what the plan left must be there unchanged.
    """
    try:
        data = handover.read_bytes() if handover.stat().st_size <= MAX_HANDOVER_BYTES else b""
    except OSError:
        data = b""
    found = "sha256:" + hashlib.sha256(data).hexdigest() if data else "no readable file"
    if found != digest:
        raise Refusal(
            "handover.digest",
            "what arrived is not what the stage before handed over",
            exit_code=Exit.POLICY,
            found=found,
            expected=digest or "a digest in the job's outputs",
            fix="start a new run; if it happens again, artifacts of this repository are being replaced: see docs/threats.md",
        )
    files = contents(data)  # all of it judged before the first is written
    if planned not in ("", found):
        require_planned(files, planned)
    run = new_run(root)
    for name, content in files.items():
        run.write(name, content)
    return run


def require_planned(files: Mapping[str, bytes], planned: str) -> None:
    """Require that what the check handed over is what the plan left, and the check's own files. Raises Refusal (exit 4).

    The plan's tar is made again from the files: its digest is the word of a job that GitHub hosts, about which the check's machine has
    no say. So nobody who takes the check can change, drop or add who asked, what the approval gate was, a source, or a signed answer.
    """
    added = OF_THE_CHECK if CHECKED in files else OF_THE_RUNNER
    found = _pack(((name, content) for name, content in files.items() if name not in added), io.BytesIO())
    if found != planned:
        raise Refusal(
            "handover.plan",
            "what the check handed over is not what was planned",
            exit_code=Exit.POLICY,
            found=f"{found}, made of all but the check's own files",
            expected=f"{planned}, as the plan's job said",
            fix="approve nothing of this run; find out which machine took its check, then start a new run",
            docs="threats.md",
        )


def contents(handover: bytes) -> dict[str, bytes]:
    """Return the files of a handover by name. Raises Refusal (exit 4) for anything that `RunDir.pack` does not write.

    A forged job can supply the digest too, so the bytes are treated as untrusted. Plain files
    only, each once, none above the folder or in its private part.
    """
    files: dict[str, bytes] = {}
    try:
        for member in archive.read(io.BytesIO(handover), keep=MAX_HANDOVER_BYTES):
            problem = archive.misplaced(member.name, files) or ("is not of this run" if member.name.split("/")[0] in LOCAL else "")
            if problem or member.content is None or not member.name.isprintable():
                raise archive.BadMember(f"{member.name} {problem}")
            files[member.name] = member.content
    except archive.BadMember as error:
        raise Refusal(
            "handover.member",
            "the handover holds what is not a plain file of a run",
            exit_code=Exit.POLICY,
            found=str(error),
            expected="files as the stage before packed them",
            fix="start a new run; look who uploaded this artifact",
        ) from None
    except archive.BadArchive as error:
        raise Refusal(
            "handover.form",
            "the handover is no tar",
            exit_code=Exit.POLICY,
            found=str(error),
            expected="the file that the stage before packed",
            fix="start a new run",
        ) from None
    return files


def handover_of(client: Client, run: RunFact, names: tuple[str, ...], *, also: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return named documents that the check of a run handed over, and those of `also` that are there.

    Raises Refusal: exit 11 where a named one is missing, 4 for an unreadable tar.
    """
    name, files = newest(client, run)
    packed = next((data for path, data in files.items() if PurePosixPath(path).name == "handover.tar"), b"")
    known = contents(packed) if 0 < len(packed) <= MAX_HANDOVER_BYTES else {}
    found = {each: known[each] for each in names if each in known}
    if missing := sorted(set(names) - set(found)):
        raise Refusal(
            "handover.file",
            "the run left nothing that can be answered",
            exit_code=Exit.EVIDENCE,
            found=f"artifact {name} without {', '.join(missing)}",
            expected="a run whose check is done",
            fix="look at the run: only a run that ended UNSIGNED waits for an answer",
        )
    return found | {each: known[each] for each in also if each in known}


def newest(client: Client, run: RunFact) -> tuple[str, dict[str, bytes]]:
    """Return (name, files) of the last check of a run. Where only its report was made again, that is an earlier attempt's."""
    for attempt in range(run.attempt, 1, -1):
        name = f"dr-check-{run.run_id}-{attempt}"
        try:
            return name, artifact_files(client, run.run_id, name)
        except Refusal as error:
            if error.gate != "artifact.missing":
                raise
    name = f"dr-check-{run.run_id}-1"
    return name, artifact_files(client, run.run_id, name)
