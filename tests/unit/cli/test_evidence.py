"""`hyops-ci evidence verify` as the root action calls it: digest, trust file, outputs."""

from __future__ import annotations

import json
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
