"""Whoever seals a bundle again tells one whole story or none: every document of a real run counts, and every fact of its result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.run import Result
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from tests.e2e.rehearsal import Rehearsed
from tests.unit.evidence.test_cases import forged

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
Bundles = Callable[[str], Path]
NOT_MISSED = ("hyops/", "redactions.json", "refusal.json")
"""What HyOps' own tools wrote, and two files that repeat or count what stands elsewhere (docs/evidence.md)."""
NO_YES = {"denied": {"approvals/envelopes.json"}}
"""Answers that carried nothing: the refusal names who said no."""
WORDS = frozenset({"ended_at", "next", "not_proven"})
"""Fields of a result that are words, of which some are demanded (below), or a time of the sealing itself."""


@pytest.fixture
def sealed(rehearsed: Rehearsed, tmp_path: Path) -> Bundles:
    """The bundle of a scenario of the rehearsal, as a copy: what is forged of it is written beside it."""
    return lambda scenario: Path(shutil.copy(rehearsed(scenario).bundle, tmp_path))


SCENARIOS = ["recovered", "failed-step", "denied", "duplicate", "hold"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_sealed_again_as_it_was_it_holds(sealed: Bundles, scenario: str) -> None:
    assert verify(forged(sealed(scenario), [])).problems == ()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_document_is_missed(sealed: Bundles, scenario: str) -> None:
    bundle = sealed(scenario)
    left_out = NO_YES.get(scenario, set())
    names = [name for name in read_files(bundle) if not name.startswith(("manifest.", *NOT_MISSED)) and name not in left_out]
    passed = [name for name in names if verify(forged(bundle, [{"file": name, "remove": True}])).ok]
    assert passed == []


ELSE = {
    "run_id": "local-20261128T153018Z-00000000",
    "service": "pg-ha/other",
    "refusal": {"gate": "a.b", "reason": "no", "exit_code": 4},
    "epoch": 7,
    "plan_digest": "sha256:" + "1" * 64,
    "check_digest": "sha256:" + "1" * 64,
    "started_at": "2026-11-28T15:30:18Z",
}


def others(field: str, value: Any) -> list[Any]:
    """Other values of a field, each of its own kind."""
    if field == "outcome":
        return ["RECORDED" if value != "RECORDED" else "DUPLICATE"]
    if isinstance(value, list):
        return [[*value, "and another"], *([[], value[1:]] if value else [])]
    if isinstance(value, bool | int):
        return [not value if isinstance(value, bool) else value + 1]
    return [ELSE.get(field, f"not {value}"), *([None] if isinstance(value, dict) else [])]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_fact_of_the_result_is_compared(sealed: Bundles, scenario: str) -> None:
    bundle = sealed(scenario)
    said = dict.fromkeys(Result.model_fields) | json.loads(read_files(bundle)["result.json"])
    changes = [(field, value) for field in said.keys() - WORDS - {"api_version", "kind"} for value in others(field, said[field])]
    passed = [change for change in changes if verify(forged(bundle, [{"file": "result.json", "merge": dict([change])}])).ok]
    assert passed == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("claim.json", {"epoch": 9}),
        ("claim.json", {"claim_id": "claim-other"}),
        ("claim.json", {"run_id": "local-20261128T153018Z-00000000"}),
        ("claim.json", {"drill": True}),
        ("claim.json", {"decision_id": "another-decision"}),
        ("claim.json", {"source_sha256": "sha256:" + "1" * 64}),
        ("check.json", {"hyops_version": "0.1.4"}),
        ("check.json", {"deviations": []}),
        ("runner.json", {"name": "another"}),
        ("request.json", {"subject": {"plan_digest": "sha256:" + "1" * 64}}),
        ("secrets.json", {"secrets": []}),
        ("objectives.json", {"figures": {"request_to_proven": {"seconds": 86400}}}),
        ("objectives.json", {"rto": {"met": False}}),
        ("objectives.json", {"rpo": {"met": True}}),
        ("track-record.json", {"runs": {"runs": 9}}),
        ("readiness.json", {"payload": "e30="}),
    ],
)
def test_documents_that_tell_it_otherwise(sealed: Bundles, name: str, change: dict[str, Any]) -> None:
    assert not verify(forged(sealed("recovered"), [{"file": name, "merge": change}])).ok


def test_probes_that_say_something_else(sealed: Bundles) -> None:
    for text in ("[]", '[{"kind": "tcp", "target": "x", "proven": true, "text": "another"}]', "{}"):
        assert not verify(forged(sealed("recovered"), [{"file": "probes.json", "text": text}])).ok


def test_decision_raw_is_the_one_that_was_read(sealed: Bundles) -> None:
    assert not verify(forged(sealed("denied"), [{"file": "decision.raw", "append": " "}])).ok


def test_a_probe_that_failed_is_not_talked_away(sealed: Bundles) -> None:
    """A run that is not proven stays so, whatever its probes are made to say afterwards."""
    for text in ("[]", '[{"kind": "tcp", "target": "x", "proven": true, "text": "TCP x open"}]'):
        problems = verify(forged(sealed("failed-probe"), [{"file": "probes.json", "text": text}])).problems
        assert "NOT_PROVEN, with 0 failed probes" in problems
    hidden = verify(forged(sealed("failed-probe"), [{"file": "result.json", "merge": {"not_proven": []}}])).problems
    assert "result.json: not_proven lacks a probe that failed" in hidden


@pytest.mark.parametrize("gap", ["old side off", "data loss"])
def test_what_nobody_confirmed_or_measured_is_not_passed_over(sealed: Bundles, gap: str) -> None:
    """To leave it out would read as proof."""
    bundle = sealed("recovered")
    said = json.loads(read_files(bundle)["result.json"])["not_proven"]
    kept = [line for line in said if not line.startswith(gap)]
    assert len(kept) == len(said) - 1
    problems = verify(forged(bundle, [{"file": "result.json", "merge": {"not_proven": kept}}])).problems
    assert problems == (f"result.json: not_proven lacks {gap}",)


@pytest.mark.parametrize(
    ("headline", "believed"),
    [
        ("RECOVERED, 4 deviations  pg-ha/lab serves from gcp since 03:31:58Z", False),
        ("RECOVERED, 4 deviations  HyOps says that pg-ha/lab is at gcp since 03:31:58Z; no probe has seen it", True),
    ],
)
def test_nobody_says_that_a_service_serves_which_no_probe_saw(sealed: Bundles, headline: str, believed: bool) -> None:
    changes = [{"file": "probes.json", "text": "[]"}, {"file": "result.json", "merge": {"proven": [], "headline": headline}}]
    problems = verify(forged(sealed("recovered"), changes)).problems
    said = "result.json: the headline says that the service serves, and nothing but HyOps' word shows it"
    assert (said not in problems) is believed
