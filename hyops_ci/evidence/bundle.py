"""Sealing: the files of a run, listed, stated and put into one container (contracts, section 7).

Order: redact, list, state, sign, write, rename. Until the rename there is no bundle; after it, there is a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hyops_ci import __version__
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.manifest import PREDICATE, STATEMENT_PAYLOAD, Entry, Manifest
from hyops_ci.contracts.ports import Clock
from hyops_ci.contracts.run import Result
from hyops_ci.evidence import container
from hyops_ci.evidence.recorder import GENESIS, read_chain

MANIFEST: Final = "manifest.json"
ENVELOPE: Final = "manifest.dsse.json"
LAST: Final = (MANIFEST, ENVELOPE)
NEVER: Final = frozenset({"private", *LAST})
"""Top-level names that are not part of a bundle's listed files."""
Signer = Callable[[bytes, str], dict[str, Any]]


@dataclass(frozen=True)
class Sealed:
    """A sealed bundle."""

    path: Path
    sha256: str
    """`sha256:<hex>` of the container's bytes."""
    manifest: Manifest


def seal(
    run_dir: Path,
    result: Result,
    *,
    to: Path,
    clock: Clock,
    previous_bundle: str | None = None,
    scrub: Callable[[bytes], bytes] | None = None,
    sign: Signer | None = None,
) -> Sealed:
    """Seal the run's folder into `to`. Sealing again after a crash gives a whole bundle again.

    `scrub` takes secrets out of bytes: a file it changes is replaced by the clean one and named in `redactions.json`.
    """
    _write_json(run_dir / "result.json", result.document())
    _scrub(run_dir, scrub)
    paths = listed(run_dir)
    entries = tuple(_entry(run_dir, path) for path in paths)
    last = next((event.hash for event in reversed(list(read_chain(run_dir)))), GENESIS)
    manifest = Manifest(
        run_id=result.run_id,
        service=result.service,
        outcome=result.outcome,
        created_at=stamp(clock.now()),
        tool_version=__version__,
        last_event=last,
        previous_bundle=previous_bundle,
        files=entries,
    )
    manifest_bytes = canonical(manifest.document())
    envelope_bytes = canonical(envelope(manifest_bytes, manifest, sign))
    files: list[tuple[str, Path | bytes]] = [(path, run_dir / path) for path in paths]
    digest = _write_whole(to, [*files, (MANIFEST, manifest_bytes), (ENVELOPE, envelope_bytes)])
    return Sealed(to, digest, manifest)


def listed(run_dir: Path) -> list[str]:
    """The files of a run that a bundle lists, sorted."""
    found = (path.relative_to(run_dir) for path in run_dir.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path.as_posix() for path in found if path.parts[0] not in NEVER)


def statement(manifest_bytes: bytes, manifest: Manifest) -> bytes:
    """The in-toto Statement v1 about a manifest, in canonical bytes."""
    subjects = {MANIFEST: hashlib.sha256(manifest_bytes).hexdigest()}
    subjects |= {
        e.path: e.sha256.removeprefix("sha256:") for e in manifest.files if e.path in ("decision.json", "plan.json", "result.json")
    }
    return canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": value}} for name, value in subjects.items()],
            "predicateType": PREDICATE,
            "predicate": {
                "run_id": manifest.run_id,
                "service": manifest.service or "",
                "outcome": manifest.outcome.value,
                "previous_bundle": manifest.previous_bundle or "",
            },
        }
    )


def envelope(manifest_bytes: bytes, manifest: Manifest, sign: Signer | None) -> dict[str, Any]:
    """The DSSE envelope of the statement; without a signer its list of signatures is empty, and the result says why."""
    payload = statement(manifest_bytes, manifest)
    if sign is not None:
        return sign(payload, STATEMENT_PAYLOAD)
    from base64 import b64encode

    return {"payloadType": STATEMENT_PAYLOAD, "payload": b64encode(payload).decode(), "signatures": []}


def _entry(run_dir: Path, path: str) -> Entry:
    with (run_dir / path).open("rb") as file:
        hexdigest = hashlib.file_digest(file, "sha256").hexdigest()
        return Entry(path=path, bytes=file.tell(), sha256="sha256:" + hexdigest)


def _scrub(run_dir: Path, scrub: Callable[[bytes], bytes] | None) -> None:
    """A secret that got this far is taken out, and that it was here is said."""
    if scrub is None:
        return
    leaked = []
    for path in listed(run_dir):
        data = (run_dir / path).read_bytes()
        clean = scrub(data)
        if clean != data:
            (run_dir / path).write_bytes(clean)
            leaked.append(path)
    if leaked:
        _write_json(run_dir / "redactions.json", {"changed_at_sealing": leaked})


def _write_whole(to: Path, files: list[tuple[str, Path | bytes]]) -> str:
    to.parent.mkdir(parents=True, exist_ok=True)
    draft = to.with_name(f".{to.name}.{secrets.token_hex(8)}.tmp")
    hasher = hashlib.sha256()
    try:
        with draft.open("xb") as out:
            container.write(files, out, hasher.update)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(to)
    finally:
        draft.unlink(missing_ok=True)
    return "sha256:" + hasher.hexdigest()


def _write_json(path: Path, value: Any) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(path)
