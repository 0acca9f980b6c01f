"""Attack: a bundle that somebody else made, or made again, is shown as the host's (docs/design/contracts.md 7)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.archive import Writer, read
from hyops_ci.cli.app import main
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.evidence.bundle import ENVELOPE
from hyops_ci.github.runs import run as look
from hyops_ci.operations.dispatch.follow import fetch
from hyops_ci.signing.dsse import public_of, sign
from tests.support.github.fixture import github_fake
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.evidence import sample_run
from tests.unit.evidence.test_cases import forged
from tests.unit.operations.dispatch.dispatching import RUN, Caller, caller

__all__ = ["github_fake"]

HOST, MALLORY = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (31, 32))
TRUST = Path(__file__).parents[1] / "cases" / "contracts" / "accept" / "host-trust" / "full.json"
Forgery = Callable[[Path], Path]


def bundle(folder: Path, *keys: Ed25519PrivateKey) -> Path:
    """A whole bundle, sealed by whoever has these keys."""
    signer = (lambda payload, kind: sign(payload, kind, keys)) if keys else None
    return sample_run.sealed(folder / "run", folder / "evidence.tar", sign=signer).path


def unsigned(folder: Path) -> Path:
    return bundle(folder)


def signed_by_the_attacker(folder: Path) -> Path:
    return bundle(folder, MALLORY)


def naming_the_host(folder: Path) -> Path:
    """The attacker's signature under the host's key id."""
    return renamed(bundle(folder, MALLORY))


def renamed(path: Path) -> Path:
    with path.open("rb") as file:
        members = [(member.name, member.content or b"") for member in read(file)]
    with path.open("wb") as out:
        writer = Writer(out, lambda data: None)
        for name, content in members:
            writer.add(name, canonical(naming(json.loads(content))) if name == ENVELOPE else content)
        writer.close()
    return path


def naming(envelope: dict[str, Any]) -> dict[str, Any]:
    envelope["signatures"][0]["keyid"] = public_of(HOST)
    return envelope


def verified(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["evidence", *map(str, words)])
    return int(ended.value.code or 0), capsys.readouterr().out


@pytest.mark.parametrize("by", ["--key", "--trust"])
@pytest.mark.parametrize("forgery", [unsigned, signed_by_the_attacker, naming_the_host], ids=lambda forgery: forgery.__name__)
def test_a_bundle_that_the_host_did_not_sign(tmp_path: Path, capsys: pytest.CaptureFixture[str], forgery: Forgery, by: str) -> None:
    code, said = verified(capsys, "verify", forgery(tmp_path), by, public_of(HOST) if by == "--key" else trust(tmp_path))
    assert code == 11
    assert re.match(r"INVALID: (not signed|signed by .*no trusted key)", said)


def trust(folder: Path) -> Path:
    """The host's own trust file."""
    path = folder / "trust.json"
    path.write_text(json.dumps(json.loads(TRUST.read_text()) | {"evidence_keys": [public_of(HOST)]}))
    return path


def test_a_report_of_a_bundle_that_names_the_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = reported(tmp_path, capsys, naming_the_host(tmp_path))
    assert f"names {public_of(HOST)}, not verified" in page


def reported(folder: Path, capsys: pytest.CaptureFixture[str], path: Path) -> str:
    """What the report says of the signature."""
    assert verified(capsys, "report", path, "--out", folder / "page.html")[0] == 0
    found = re.search(r"Signed by</dt>\s*<dd[^>]*>(.*?)</dd>", (folder / "page.html").read_text(), re.DOTALL)
    assert found
    return found[1]


LEFT_OUT = [
    ["decision.json"],
    ["claim.json"],
    ["claim.json", "approvals/jonas.json", "approvals/envelopes.json"],
    ["decision.json", "plan.json", "check.json", "claim.json"],
    ["sources/config"],
    ["gates.json"],
    ["steps.jsonl"],
    ["probes.json"],
]
TOLD_OTHERWISE = [
    {"exit_code": 9},
    {"deviations": []},
    {"deviations": ["nothing"]},
    {"proven": ["pg.prod.example.net = 10.20.4.11 on 2 resolvers"]},
    {"proven": ["everything"]},
    {"stand_in": True},
    {"epoch": 8},
    {"decision_id": "another"},
    {"refusal": {"gate": "a.b", "reason": "no", "exit_code": 4}},
    {"headline": "RECOVERED  pg-ha/prod serves from gcp since 03:31:58Z"},
    {"headline": "RECOVERED, 1 deviation  pg-ha/prod serves from onprem since 03:31:58Z"},
    {"not_proven": []},
    {"not_proven": ["old side off (not confirmed by maria)"]},
    {"not_proven": ["data loss (no probe asks for the newest data (verification: login.freshness))"]},
]


TOLD_OF_PEOPLE = [
    [{"file": "origin.json", "merge": {"requesters": [{"login": "Jonas", "id": 0}]}}],
]


@pytest.mark.parametrize(
    "changes",
    [
        *TOLD_OF_PEOPLE,
        *([{"file": name, "remove": True} for name in names] for names in LEFT_OUT),
        *([{"file": "result.json", "merge": merge}] for merge in TOLD_OTHERWISE),
    ],
    ids=lambda changes: "-".join(str(each.get("merge", each["file"])) for each in changes),
)
def test_a_bundle_that_was_sealed_again_with_another_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[dict[str, Any]]
) -> None:
    """Every byte fits the manifest again; what is left out, or said otherwise, does not fit the rest."""
    code, said = verified(capsys, "verify", forged(bundle(tmp_path), changes))
    assert (code, said.partition(":")[0]) == (11, "INVALID")


def test_a_bundle_that_was_sealed_again_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The twin: the same story, whole; it says that nobody vouches for it."""
    code, said = verified(capsys, "verify", forged(bundle(tmp_path), []))
    assert (code, "nobody (not compared with any key you trust)" in said) == (0, True)


@pytest.mark.parametrize("by", ["--key", "--trust"])
def test_the_bundle_that_the_host_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str) -> None:
    """The twin: the same questions about the host's own."""
    path = bundle(tmp_path, HOST)
    code, said = verified(capsys, "verify", path, by, public_of(HOST) if by == "--key" else trust(tmp_path))
    assert (code, said.splitlines()[0]) == (0, "VALID")
    assert f"{public_of(HOST)} (a key you trust)" in said
    assert f"{public_of(HOST)} (not compared with any key you trust)" in reported(tmp_path, capsys, path)


def uploaded_before_the_report(here: Caller, content: bytes) -> Run:
    """A stranger's machine took the check, the watch cancelled the run, and the name of its evidence was taken when the report came."""
    run = here.repository.add_run(number=RUN)
    run.add_job("dr / Check gcp-ops-runner (changes nothing)", ("self-hosted", "gcp-ops-runner")).finish("cancelled")
    run.add_artifact(f"dr-evidence-{RUN}-1", {f"dr-evidence-{RUN}-1.tar": content})
    return run


def test_evidence_that_was_uploaded_before_the_report_of_its_run(github_fake: FakeGitHub, tmp_path: Path) -> None:
    """Whoever follows the run is not told that the service was recovered."""
    here = caller(github_fake)
    run = uploaded_before_the_report(here, bundle(tmp_path).read_bytes())
    run.add_job("dr / Report", ("ubuntu-latest",)).finish("failure")
    run.finish("cancelled")
    with pytest.raises(Refusal) as refused:
        fetch(here.client, look(here.client, RUN), decision_id=f"manual-4711-{RUN}")
    assert (refused.value.gate, refused.value.exit_code) == ("evidence.report", 11)
    assert "the job Report is failure, on the run cancelled" in refused.value.found


def test_evidence_that_the_report_of_its_run_uploaded(github_fake: FakeGitHub, tmp_path: Path) -> None:
    """The twin: a job of the caller's failed, and the report did not."""
    here = caller(github_fake)
    run = here.repository.add_run(number=RUN)
    run.add_artifact(f"dr-evidence-{RUN}-1", {f"dr-evidence-{RUN}-1.tar": bundle(tmp_path).read_bytes()})
    run.add_job("dr / Report", ("ubuntu-latest",)).finish()
    run.add_job("tell the others", ("ubuntu-latest",)).finish("failure")
    run.finish("failure")
    found = fetch(here.client, look(here.client, RUN), decision_id=f"manual-4711-{RUN}")
    assert (found.result.outcome, found.result.exit_code) == (State.COMPLETED_WITH_EXCEPTIONS, 0)
