"""Seal a run folder: list its files, state them in a signed manifest, write one container (docs/design/contracts.md 7).

Order: redact, write and list, state, sign, rename. Before the rename there is no bundle; after it, it is complete.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from hyops_ci import __version__, archive, files
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.manifest import PREDICATE, STATEMENT_PAYLOAD, Entry, Manifest
from hyops_ci.contracts.run import Result
from hyops_ci.dataclass import dataclass
from hyops_ci.evidence.recorder import GENESIS, read_chain
from hyops_ci.evidence.scrubbing import Scrub, scrub_run
from hyops_ci.signing.dsse import sign as sign_with

MANIFEST: Final = "manifest.json"
ENVELOPE: Final = "manifest.dsse.json"
LAST: Final = (MANIFEST, ENVELOPE)
NEVER: Final = frozenset({"private", *LAST})
"""Top-level names that are not part of a bundle's listed files."""
BUNDLE: Final = "evidence.tar"
"""The container beside a run's folder, and between the jobs of a run."""
_IN_ARTIFACT: Final = re.compile(r"dr-evidence-[0-9]+-[0-9]+\.tar")
Signer = Callable[[bytes, str], dict[str, Any]]


@dataclass(frozen=True)
class Sealed:
    """A sealed bundle."""

    path: Path
    sha256: str
    """`sha256:<hex>` of the container's bytes."""
    manifest: Manifest
    problems: tuple[str, ...] = ()
    """What the verifier says of it, once it was asked."""


def bundle_name(run_id: str) -> str:
    """Return the name of a run's bundle: out of GitHub's artifact it names the run, in a shell's folder it does not."""
    named = f"dr-evidence-{run_id}.tar"
    return named if _IN_ARTIFACT.fullmatch(named) else BUNDLE


def bundle_among(names: Iterable[str]) -> str | None:
    """Return which file of an artifact is the bundle; None where none is, or more than one."""
    found = [name for name in names if name == BUNDLE or _IN_ARTIFACT.fullmatch(name)]
    return found[0] if len(found) == 1 else None


def seal(
    run_dir: Path,
    result: Result,
    *,
    to: Path,
    clock: Clock,
    previous_bundle: str | None = None,
    scrub: Scrub | None = None,
    sign: Signer | None = None,
) -> Sealed:
    """Seal a run folder. If the process is killed at any point, calling it again gives the same complete bundle.

    Args:
        run_dir: The run folder; `result.json` is written into it first.
        result: How the run ended.
        to: The container's path; it is replaced atomically.
        clock: The time of `created_at`.
        previous_bundle: Digest of the service's previous bundle, if one is known.
        scrub: Removes secrets from bytes. A file that it changes is replaced and named in `redactions.json`.
        sign: Signs the manifest's statement; without it the envelope has no signatures.

    Returns:
        The container's path, digest and manifest.
    """
    files.write(run_dir / "result.json", (json.dumps(result.document(), indent=2, sort_keys=True) + "\n").encode())
    if scrub is not None:
        scrub_run(run_dir, bundled_files(run_dir), scrub)
    last = GENESIS
    for event in read_chain(run_dir):
        last = event.hash

    def close(entries: tuple[Entry, ...]) -> Manifest:
        return Manifest(
            run_id=result.run_id,
            service=result.service,
            outcome=result.outcome,
            created_at=stamp(clock.now()),
            tool_version=__version__,
            last_event=last,
            previous_bundle=previous_bundle,
            files=entries,
        )

    return _write_whole(run_dir, to, close, sign)


def bundled_files(run_dir: Path) -> list[str]:
    """Return the paths that a bundle lists, relative and sorted. Drafts left by a crash are skipped."""
    whole = (path for path in run_dir.rglob("*") if not path.name.startswith(files.DRAFT))
    found = (path.relative_to(run_dir) for path in whole if path.is_file() and not path.is_symlink())
    return sorted(path.as_posix() for path in found if path.parts[0] not in NEVER)


def statement(manifest_bytes: bytes, manifest: Manifest) -> bytes:
    """Return the in-toto Statement v1 about a manifest, in canonical bytes."""
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
    """Return the DSSE envelope of the statement. Without a signer its list of signatures is empty; `environment.json` says why."""
    payload = statement(manifest_bytes, manifest)
    return sign(payload, STATEMENT_PAYLOAD) if sign is not None else sign_with(payload, STATEMENT_PAYLOAD, ())


def _write_whole(run_dir: Path, to: Path, close: Callable[[tuple[Entry, ...]], Manifest], sign: Signer | None) -> Sealed:
    """Write the container. Each file is read once and hashed while it is written; the manifest follows the files it lists."""
    to.parent.mkdir(parents=True, exist_ok=True)
    files.remove_drafts(to)  # left by a process that was killed; they may be large
    whole = hashlib.sha256()
    with files.replacing(to, mode=0o644) as out:
        writer = archive.Writer(out, whole.update)
        written = [writer.add(path, run_dir / path) for path in bundled_files(run_dir)]
        manifest = close(tuple(Entry(path=each.name, bytes=each.size, sha256=each.sha256) for each in written))
        manifest_bytes = canonical(manifest.document())
        writer.add(MANIFEST, manifest_bytes)
        writer.add(ENVELOPE, canonical(envelope(manifest_bytes, manifest, sign)))
        writer.close()
    return Sealed(to, "sha256:" + whole.hexdigest(), manifest)
