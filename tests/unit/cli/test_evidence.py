"""`hyops-ci evidence verify` as the root action calls it: digest, trust file, outputs."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.signing.dsse import public_of, sign
from tests.unit.cli.test_dispatch import Said, outputs_in
from tests.unit.evidence import sample_run

TRUST = Path(__file__).parents[2] / "cases" / "contracts" / "accept" / "host-trust" / "full.json"
KEY = sample_run.JONAS
Call = Callable[..., Said]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    to = tmp_path / "evidence.tar"
    sample_run.sealed(tmp_path / "run", to, sign=lambda payload, kind: sign(payload, kind, [KEY]))
    return to


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    output = tmp_path / "output"
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))

    def run(*words: str | Path) -> Said:
        output.write_text("")
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in ("evidence", "verify", *words)])
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err, outputs_in(output), "")

    return run


def trust(tmp_path: Path, *keys: str) -> Path:
    path = tmp_path / "trust.json"
    path.write_text(json.dumps({**json.loads(TRUST.read_text()), "evidence_keys": list(keys)}))
    return path


def test_what_holds_is_an_output(call: Call, bundle: Path) -> None:
    digest = digest_bytes(bundle.read_bytes())
    said = call(bundle, "--digest", digest)
    assert (said.code, said.outputs) == (0, {"outcome": "COMPLETED_WITH_EXCEPTIONS", "evidence_digest": digest, "exit_code": "0"})
    assert call(bundle, "--digest", digest.removeprefix("sha256:")).code == 0


def test_another_digest_is_no_bundle_of_this_run(call: Call, bundle: Path) -> None:
    said = call(bundle, "--digest", "sha256:" + "0" * 64, "--format", "json")
    assert (said.code, said.outputs) == (11, {"exit_code": "11"})
    assert said.document["valid"] is False
    assert digest_bytes(bundle.read_bytes()) in said.document["problems"][0]


def test_a_folder_has_no_digest_of_its_own(call: Call, bundle: Path) -> None:
    said = call(bundle.parent / "run", "--digest", "sha256:" + "0" * 64)
    assert (said.code, "it is not a file" in said.out) == (11, True)


def test_a_changed_byte_says_nothing_about_the_outcome(call: Call, bundle: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    said = call(bundle)
    assert (said.code, said.outputs) == (11, {"exit_code": "11"})


def test_a_trust_file_names_the_keys_that_count(call: Call, bundle: Path, tmp_path: Path) -> None:
    assert call(bundle, "--require-signature").code == 11
    assert call(bundle, "--require-signature", "--trust", trust(tmp_path, public_of(sample_run.PRIYA))).code == 11
    assert call(bundle, "--require-signature", "--trust", trust(tmp_path, public_of(KEY))).code == 0
    (tmp_path / "none.json").write_text("{}")
    assert call(bundle, "--trust", tmp_path / "none.json").code == 2


def test_inputs_of_the_action_arrive_by_the_environment(call: Call, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"EVIDENCE": str(bundle), "DIGEST": digest_bytes(bundle.read_bytes()), "REQUIRE_SIGNATURE": "true"}
    for name, value in {**values, "TRUST": ""}.items():
        monkeypatch.setenv(f"DR_{name}", value)
    assert call().code == 11
    monkeypatch.setenv("DR_TRUST", str(trust(tmp_path, public_of(KEY))))
    assert call().code == 0
    monkeypatch.setenv("DR_EVIDENCE", "")
    assert call().code == 2


def test_a_key_that_is_given_must_have_signed(call: Call, bundle: Path, tmp_path: Path) -> None:
    """Also without `--require-signature`; by one of several."""
    key, other = public_of(KEY), public_of(sample_run.PRIYA)
    assert call(bundle, "--key", key).code == 0
    assert call(bundle, "--key", other, "--key", key).code == 0
    assert call(bundle, "--key", other, "--trust", trust(tmp_path, key)).code == 0
    said = call(bundle, "--key", other, "--format", "json")
    assert (said.code, said.outputs) == (11, {"exit_code": "11"})
    assert (said.document["trusted"], said.document["signers"]) == (False, [key])
    assert said.document["facts"]["signed"] == f"{key} (no key you trust)"


def test_a_trust_file_without_keys_vouches_for_nothing(call: Call, bundle: Path, tmp_path: Path) -> None:
    said = call(bundle, "--trust", trust(tmp_path))
    assert (said.code, said.out.splitlines()[0]) == (11, "INVALID: a signature was asked for, and no key is trusted")


def test_without_a_key_nothing_was_compared(call: Call, bundle: Path) -> None:
    said = call(bundle, "--format", "json")
    assert (said.code, said.document["valid"], said.document["trusted"]) == (0, True, None)
    assert said.document["facts"]["signed"] == f"{public_of(KEY)} (not compared with any key you trust)"


def test_the_reason_is_the_first_line(call: Call, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    assert call(tmp_path / "note.txt").out.splitlines()[0] == "INVALID: byte 0: no header, so this is no tar"
    data = bundle.read_bytes()
    bundle.write_bytes(data[:-1])
    said = call(bundle)
    assert said.code == 11
    assert re.match("INVALID: byte [0-9]+: the end is not the end of an archive\n", said.out)


@pytest.mark.parametrize("key", ["", "x", "ed25519:AAAA", "ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "RWQf6LRC"])
def test_what_is_no_key_is_a_mistake_of_the_caller(call: Call, bundle: Path, key: str) -> None:
    said = call(bundle, "--key", key)
    assert (said.code, said.err.partition(":")[0]) == (2, "REFUSED evidence.key (exit 2)")


def test_a_file_that_is_not_there_is_a_mistake_of_the_caller(call: Call, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.tar", tmp_path / "a" / "b", tmp_path / ("x" * 300)):
        said = call(path)
        assert (said.code, said.outputs) == (2, {})
        assert said.err.startswith(f"REFUSED evidence.file (exit 2): {path}: ")


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name.replace("_", "."), content)
    return path


def test_the_zip_of_the_artifact_is_the_bundle_in_it(call: Call, bundle: Path, tmp_path: Path) -> None:
    content = bundle.read_bytes()
    packed = zipped(tmp_path / "artifact.zip", evidence_tar=content, evidence_html=b"<p>", github_json=b"{}")
    said = call(packed, "--digest", digest_bytes(content), "--key", public_of(KEY))
    assert (said.code, said.outputs["evidence_digest"]) == (0, digest_bytes(content))
    said = call(zipped(tmp_path / "other.zip", evidence_tar=content[:-512] + bytes(512)[1:] + b"x"))
    assert (said.code, said.out.splitlines()[0][:8]) == (11, "INVALID:")


def test_the_bundle_in_a_zip_has_the_name_of_its_run(call: Call, bundle: Path, tmp_path: Path) -> None:
    content, packed = bundle.read_bytes(), tmp_path / "artifact.zip"
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("dr-evidence-212-1.tar", content)
        out.writestr("dr-evidence-212-1.html", b"<p>")
    assert call(packed, "--key", public_of(KEY)).code == 0
    with zipfile.ZipFile(packed, "a") as out:
        out.writestr("evidence.tar", content)
    assert call(packed, "--key", public_of(KEY)).code == 11, "which of the two is meant is not guessed"


def test_a_zip_without_a_bundle_is_none(call: Call, tmp_path: Path) -> None:
    said = call(zipped(tmp_path / "plan.zip", handover_tar=b""))
    assert (said.code, said.out.splitlines()[0].partition(": ")[2].partition(": ")[2]) == (
        11,
        "a zip without one dr-evidence-<run>-<attempt>.tar: it holds handover.tar",
    )
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert call(tmp_path / "cut.zip").code == 11


def test_a_file_that_the_bundle_does_not_hold_is_named(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evidence", "show", str(bundle), "--file", "nope"])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert "found    nope" in said.err
    with pytest.raises(SystemExit) as ended:
        main(["evidence", "show", str(bundle), "--file", "result.json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["kind"] == "Result"
