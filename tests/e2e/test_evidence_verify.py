"""`hyops-ci evidence verify` as a process: exit code, and the reason as the first line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from hyops_ci.signing.dsse import public_of, sign
from tests.e2e.rehearsal import hyops_ci
from tests.unit.evidence import sample_run

pytestmark = pytest.mark.e2e
HOST, OTHER = sample_run.PRIYA, sample_run.JONAS


def sealed(root: Path, *, signed: bool) -> Path:
    root.mkdir()
    signer = (lambda payload, kind: sign(payload, kind, [HOST])) if signed else None
    return sample_run.sealed(root / "run", root / "evidence.tar", sign=signer).path


def test_an_unsigned_bundle_with_a_key_ends_in_11(tmp_path: Path) -> None:
    unsigned, signed = sealed(tmp_path / "unsigned", signed=False), sealed(tmp_path / "signed", signed=True)
    ended = hyops_ci("evidence", "verify", unsigned, "--key", public_of(HOST))
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (11, "INVALID: not signed, and a signature was asked for")
    ended = hyops_ci("evidence", "verify", signed, "--key", public_of(HOST))
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "VALID")
    ended = hyops_ci("evidence", "verify", signed, "--key", public_of(OTHER))
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (11, f"INVALID: signed by {public_of(HOST)}, which is no trusted key")


def test_without_a_key_it_says_what_is_missing(tmp_path: Path) -> None:
    for signed, who in ((False, "nobody"), (True, public_of(HOST))):
        ended = hyops_ci("evidence", "verify", sealed(tmp_path / f"signed-{signed}", signed=signed))
        assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "VALID")
        assert f"{who} (not compared with any key you trust)" in ended.stdout


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("absent.tar",), "REFUSED evidence.file (exit 2): absent.tar: No such file or directory"),
        (
            ("run", "--key", "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            "REFUSED evidence.key (exit 2): what --key gives is a public key",
        ),
        (
            ("run", "--key", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"),
            "REFUSED evidence.key (exit 2): what --key gives has another form",
        ),
        (("run", "--trust", "trust.json"), "REFUSED config.schema (exit 2): "),
    ],
    ids=["no file", "weak key", "no key", "no trust file"],
)
def test_what_cannot_be_asked_ends_in_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], first: str) -> None:
    sealed(tmp_path / "there", signed=True)
    (tmp_path / "there" / "trust.json").write_text("{}")
    named = [str(tmp_path / "there" / word) if word in ("run", "trust.json") else word for word in words]
    ended = hyops_ci("evidence", "verify", *named)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0].startswith(first)


@pytest.mark.parametrize("name", ["evidence.tar", "dr-evidence-212-1.tar"])
def test_the_artifacts_zip_is_taken_as_it_was_downloaded(name: str, tmp_path: Path) -> None:
    bundle = sealed(tmp_path / "run", signed=True)
    packed = tmp_path / "dr-evidence-212-1.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        out.write(bundle, name)
        out.writestr("evidence.html", "<!doctype html>")
        out.writestr("github.json", "{}")
    told = [
        json.loads(hyops_ci("evidence", "verify", path, "--key", public_of(HOST), "--format", "json").stdout) for path in (bundle, packed)
    ]
    assert told[0] == told[1]
    assert told[0]["trusted"] is True
    assert hyops_ci("evidence", "report", packed).returncode == 0
    assert f"{public_of(HOST)} (not compared with any key you trust)" in packed.with_suffix(".html").read_text()
