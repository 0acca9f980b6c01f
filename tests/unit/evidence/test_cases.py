"""What somebody can make of an unsigned bundle: whole in every byte, and its documents one story or not (`tests/cases/evidence`)."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hyops_ci import archive
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.manifest import Entry, Manifest
from hyops_ci.evidence.bundle import ENVELOPE, MANIFEST, envelope
from hyops_ci.evidence.verify import VerificationResult, verify
from tests.unit.evidence import sample_run

CASES = Path(__file__).parents[2] / "cases" / "evidence"


def cases(folder: str) -> list[Any]:
    paths = sorted((CASES / folder).glob("*.json"))
    assert paths
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in paths]


def merged(document: Any, patch: Any) -> Any:
    """RFC 7396, as far as the cases need it."""
    if not isinstance(document, dict) or not isinstance(patch, dict):
        return patch
    return document | {key: merged(document.get(key), value) for key, value in patch.items()}


def changed(content: bytes, change: dict[str, Any]) -> bytes:
    if "text" in change:
        return str(change["text"]).encode()
    if "append" in change:
        return content + str(change["append"]).encode()
    value = json.loads(content)
    value = [*value, change["json_append"]] if "json_append" in change else merged(value, change["merge"])
    return json.dumps(value, indent=2, sort_keys=True).encode()


def forged(bundle: Path, changes: list[dict[str, Any]]) -> Path:
    """Change files of a bundle and seal it again, with a manifest and a statement that fit."""
    with tarfile.open(bundle) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]  # each is a file
    manifest = json.loads(files.pop(MANIFEST))
    del files[ENVELOPE]
    for change in changes:
        content = files.pop(change["file"], b"")
        if not change.get("remove"):
            files[change["file"]] = changed(content, change)
    entries = [
        Entry(path=name, bytes=len(content), sha256="sha256:" + hashlib.sha256(content).hexdigest()) for name, content in files.items()
    ]
    listed = sorted((entry.document() for entry in entries), key=lambda entry: str(entry["path"]))
    fitting = Manifest.model_validate_json(json.dumps(manifest | {"files": listed}))
    manifest_bytes = canonical(fitting.document())
    to = bundle.with_name("forged.tar")
    with to.open("wb") as out:
        writer = archive.Writer(out, lambda data: None)
        for name in sorted(files):
            writer.add(name, files[name])
        writer.add(MANIFEST, manifest_bytes)
        writer.add(ENVELOPE, canonical(envelope(manifest_bytes, fitting, None)))
        writer.close()
    return to


def looked_at(root: Path, case: dict[str, Any]) -> VerificationResult:
    return verify(forged(sample_run.sealed(root / "run", root / "b.tar").path, case["changes"]))


@pytest.mark.parametrize("case", cases("accept"))
def test_accepted(tmp_path: Path, case: dict[str, Any]) -> None:
    verdict = looked_at(tmp_path, case)
    assert verdict.problems == ()
    assert verdict.exit_code == 0


@pytest.mark.parametrize("case", cases("refuse"))
def test_refused(tmp_path: Path, case: dict[str, Any]) -> None:
    verdict = looked_at(tmp_path, case)
    assert verdict.exit_code == 11
    assert case["problem"] in "\n".join(verdict.problems)
