"""Verify a bundle offline, in one pass: every byte is as sealed, and the documents agree (docs/design/contracts.md 7).

Nothing is written, and nothing is trusted before it was compared. For any input the result is a list of problems.
"""

from __future__ import annotations

import hashlib
import os
import stat
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from hyops_ci import archive, portable
from hyops_ci.archive import BadArchive, Member
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.manifest import STATEMENT_PAYLOAD, Manifest
from hyops_ci.contracts.public_key import key_bytes
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.errors import Exit, shown
from hyops_ci.evidence.bundle import ENVELOPE, LAST, MANIFEST, statement
from hyops_ci.evidence.replay import Facts, readers, replay
from hyops_ci.evidence.scrubbing import REDACTIONS
from hyops_ci.parsing.documents import json_object, read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.signing.dsse import open_envelope

MAX_KEPT: Final = 64 << 20
MAX_MANIFEST: Final = 4 << 20
"""Bytes of documents that are held in memory at once."""
MAX_PROBLEMS: Final = 50
NOT_COMPARED: Final = "not compared with any key you trust"
_DOCUMENTS: Final = frozenset(
    {
        *LAST,
        REDACTIONS,
        *("result.json", "origin.json", "decision.json", "plan.json", "check.json", "claim.json"),
        *(
            "request.json",
            "runner.json",
            "secrets.json",
            "probes.json",
            "settlement.json",
            "objectives.json",
            "deviations.json",
            "cleanup.json",
        ),
    }
)
"""What is read; of the other files size and digest are compared."""


@dataclass(frozen=True)
class VerificationResult:
    """The problems of a bundle and facts about it. `ok` is true only if there is no problem."""

    ok: bool
    problems: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Label -> text, for display: run, service, outcome, files, signers and the like."""
    manifest: Manifest | None = None
    signers: tuple[str, ...] = ()
    """The keys whose signatures hold. Whose keys they are, only the caller knows."""
    trusted: bool | None = None
    """Whether one of the caller's keys signed it; None where it was compared with none."""

    @property
    def signed_by(self) -> str:
        """Who signed it and what that is worth, for display."""
        told = {None: NOT_COMPARED, True: "a key you trust", False: "no key you trust"}[self.trusted]
        return f"{', '.join(self.signers)} ({told})" if self.signers else f"nobody ({told})" if self.trusted is None else "nobody"

    @property
    def exit_code(self) -> int:
        """0 for a valid bundle, 11 otherwise."""
        return int(Exit.DONE if self.ok else Exit.EVIDENCE)


def verify(path: Path, *, trusted_keys: Sequence[str] = (), require_signature: bool = False) -> VerificationResult:
    """Verify the bundle in `path`, a container or the folder it was unpacked into. Raises nothing for bad input.

    Args:
        path: The bundle.
        trusted_keys: Public keys as `ed25519:<base64>`. Where there are any, one of them must have signed.
        require_signature: Whether one must have signed although none is given: then nothing is valid. A signature that is present must
            always be valid.

    Returns:
        The problems, at most `MAX_PROBLEMS`, and facts for display.
    """
    problems: list[str] = []
    facts: Facts = {}
    manifest = None
    signers: tuple[str, ...] = ()
    compared = require_signature or bool(trusted_keys)
    try:
        parts = readers()
        order, members = _members(_open(path, lambda name: parts[name].feed if name in parts else None))
        manifest = _manifest(members, problems)
        if manifest is not None:
            problems += _inventory(manifest, order, members, in_order=not path.is_dir())
            signers = _signers(members, manifest, problems)
            if compared and (problem := _trust(signers, trusted_keys)):
                problems.insert(0, problem)
            facts |= _facts(manifest)
            problems += replay(manifest, {name: member.content for name, member in members.items()}, parts, facts)
    except BadArchive as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{path}: {error.strerror or 'cannot be read'}")
    found = tuple(shown(problem) for problem in dict.fromkeys(problems))
    trusted = bool(set(signers) & set(trusted_keys)) if compared else None
    verdict = VerificationResult(not found, found[:MAX_PROBLEMS], facts, manifest, signers, trusted)
    facts |= {"signed": verdict.signed_by} if manifest is not None else {}
    return replace(verdict, facts={label: shown(text) for label, text in facts.items()})


def _open(path: Path, watch: archive.Watch) -> Iterator[Member]:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        yield from _walk(path, watch)
    elif stat.S_ISREG(mode):
        with path.open("rb") as file:
            yield from archive.read(file, watch=watch)
    else:
        raise BadArchive(f"{path} is neither a file nor a folder")


def _walk(root: Path, watch: archive.Watch) -> Iterator[Member]:
    """Yield the files of an unpacked bundle. Raises BadArchive for a link or special file."""
    for folder, folders, files in os.walk(root, onerror=_raise):
        folders.sort()
        for name in sorted([*files, *(each for each in folders if (Path(folder) / each).is_symlink())]):
            path = Path(folder) / name
            label = path.relative_to(root).as_posix()
            if not stat.S_ISREG(path.lstat().st_mode):
                raise BadArchive(f"{label} is not a plain file")
            yield _read_plain(path, label, watch(label))


def _read_plain(path: Path, name: str, watcher: archive.Watcher | None) -> Member:
    with os.fdopen(portable.open_plain(path), "rb") as file:
        hexdigest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        file.seek(0)
        if watcher is not None:
            for chunk in iter(lambda: file.read(archive.CHUNK), b""):
                watcher(chunk)
        file.seek(0)
        content = file.read() if size <= archive.KEPT else None
    return Member(name, size, "sha256:" + hexdigest, content)


def _raise(error: OSError) -> None:
    raise error


def _members(stream: Iterator[Member]) -> tuple[list[str], dict[str, Member]]:
    """Return the names in order, and the files; only documents keep their bytes."""
    order: list[str] = []
    members: dict[str, Member] = {}
    kept = 0
    for member in stream:
        if problem := archive.misplaced(member.name, members):
            raise BadArchive(f"{member.name} {problem}")
        if len(members) > archive.MAX_FILES:
            raise BadArchive("too many files")
        needed = member.name in _DOCUMENTS or member.name.startswith("approvals/")
        kept += len(member.content or b"") if needed else 0
        if kept > MAX_KEPT:
            raise BadArchive("more documents than a run can have")
        order.append(member.name)
        members[member.name] = member if needed else Member(member.name, member.size, member.sha256, None)
    return order, members


def _manifest(members: Mapping[str, Member], problems: list[str]) -> Manifest | None:
    content = members[MANIFEST].content if MANIFEST in members else None
    if content is None:
        problems.append(f"no {MANIFEST}")
        return None
    try:
        manifest = read_document(Manifest, content, most=MAX_MANIFEST)
    except JsonError as error:
        problems.append(f"{MANIFEST} is no manifest: {error}")
        return None
    if canonical(manifest.document()) != content:
        problems.append(f"{MANIFEST} is not written as it was sealed")
    return manifest


def _inventory(manifest: Manifest, order: list[str], members: Mapping[str, Member], *, in_order: bool) -> Iterator[str]:
    """Yield files that are missing, added, changed or out of order, compared with the manifest."""
    listed = {entry.path: entry for entry in manifest.files}
    if [entry.path for entry in manifest.files] != sorted(listed) or listed.keys() & set(LAST):
        yield f"{MANIFEST} lists files out of order, twice, or itself"
    for path, entry in listed.items():
        member = members.get(path)
        if member is None:
            yield f"{path} is missing"
        elif member.size != entry.bytes:
            yield f"{path} has {member.size} bytes, not {entry.bytes}"
        elif member.sha256 != entry.sha256:
            yield f"{path} was changed"
    for path in members:
        if path not in listed and path not in LAST:
            yield f"{path} was added"
    if in_order and sorted(order[:-2]) + list(LAST) != order:
        yield "the files are not in the order of a bundle"


def _signers(members: Mapping[str, Member], manifest: Manifest, problems: list[str]) -> tuple[str, ...]:
    """Return the keys whose signatures are valid; each signature is verified with the key that it names."""
    content = members[ENVELOPE].content if ENVELOPE in members else None
    envelope = json_object(content)
    manifest_bytes = members[MANIFEST].content or b""
    if envelope is None or canonical(envelope) != content or envelope.keys() != {"payloadType", "payload", "signatures"}:
        problems.append(f"{ENVELOPE} is not written as it was sealed" if content else f"no {ENVELOPE}")
        return ()
    if envelope["payload"] != b64encode(statement(manifest_bytes, manifest)).decode():
        problems.append(f"{ENVELOPE} states something else than {MANIFEST}")
    signers: list[str] = []
    try:
        for signature in envelope["signatures"] if isinstance(envelope["signatures"], list) else [None]:
            signers += _checked(envelope, signature)
        open_envelope(envelope, STATEMENT_PAYLOAD, ())
    except ValueError as error:
        problems.append(f"{ENVELOPE}: {error}")
        return ()
    if len(set(signers)) != len(signers):
        problems.append(f"{ENVELOPE} holds one signature twice")
    return tuple(signers)


def _checked(envelope: Mapping[str, object], signature: object) -> tuple[str, ...]:
    if not isinstance(signature, dict) or signature.keys() != {"keyid", "sig"} or not isinstance(signature["keyid"], str):
        raise ValueError("holds what is no signature")
    keyid = signature["keyid"]
    try:
        key_bytes(keyid)
    except ValueError as error:
        raise ValueError(f"names a key that {error}") from None
    found = open_envelope({**envelope, "signatures": [signature]}, STATEMENT_PAYLOAD, (keyid,)).signers
    if not found:
        raise ValueError(f"the signature of {keyid} does not hold")
    return found


def _trust(signers: Sequence[str], trusted: Sequence[str]) -> str:
    """Return why the signatures are by no trusted key, empty where one is."""
    if set(signers) & set(trusted):
        return ""
    if not trusted:
        return "a signature was asked for, and no key is trusted"
    return f"signed by {', '.join(signers)}, which is no trusted key" if signers else "not signed, and a signature was asked for"


def _facts(manifest: Manifest) -> Facts:
    size = sum(entry.bytes for entry in manifest.files)
    return {
        "run": manifest.run_id,
        "service": manifest.service or "none",
        "outcome": manifest.outcome.value,
        "sealed": f"{manifest.created_at} by hyops-ci {manifest.tool_version}",
        "files": f"{len(manifest.files)} files, {size} bytes",
        "previous": manifest.previous_bundle or "none known",
    }
