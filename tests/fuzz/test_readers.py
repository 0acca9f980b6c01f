"""Whatever arrives, a reader answers with a document or says why not: a refusal, never a traceback.

Every reader of bytes from outside gets real documents that are a little wrong. `FUZZ=2000 ./dev test tests/fuzz` looks longer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyops_ci.approvals.request import read_request
from hyops_ci.blueprints.guards import to_yaml
from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.config.explain import explain
from hyops_ci.config.file import read_config, read_trust
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, SETTLEMENT_PAYLOAD
from hyops_ci.contracts.base import Model
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.schema import MODELS
from hyops_ci.errors import Refusal
from hyops_ci.execution.grammar import read_line
from hyops_ci.execution.records import read_preflight
from hyops_ci.github.actions.startup_failure import explain_startup
from hyops_ci.github.actions.workflow_file import dispatch_inputs, event_types, read_workflow, triggers
from hyops_ci.github.codeowners import unowned
from hyops_ci.intake.decision import read_decision, read_form
from hyops_ci.intake.form import Form
from hyops_ci.intake.validate import validate
from hyops_ci.ledger.pending_approvals import read_answer
from hyops_ci.ledger.settlement import read_settlement
from hyops_ci.parsing.documents import json_object, read_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.planning import planner
from hyops_ci.planning.case import run_gates
from hyops_ci.secrets.map import builtin_bytes, read_map
from hyops_ci.signing.dsse import open_envelope, read_envelopes
from hyops_ci.stages.handover import contents
from hyops_ci.stages.origin import origin_in
from tests.fuzz.mutations import changed, damaged, encoded, spoiled
from tests.support.examples import examples
from tests.unit.intake.cases import CASES as INTAKE
from tests.unit.intake.cases import config
from tests.unit.planning.gate_cases import gate_case, over

ROOT = Path(__file__).parents[2]
FUZZ = settings(max_examples=int(os.environ.get("FUZZ") or examples(60)), suppress_health_check=list(HealthCheck), deadline=None)
CONTRACTS = ROOT / "tests" / "cases" / "contracts" / "accept"
NOW = datetime(2026, 11, 23, 13, 40, tzinfo=UTC)
BASE = gate_case({})
CONFIG = BASE.config.document()


def samples(folder: Path) -> list[Any]:
    found = []
    for path in sorted(folder.rglob("*.json")):
        with suppress(ValueError):  # those that are no JSON are cases of their own
            found.append(json.loads(path.read_bytes()))
    return found


def some_of(values: list[Any]) -> st.SearchStrategy[bytes]:
    return st.sampled_from(values).flatmap(spoiled)


RECORDS = samples(INTAKE / "accept")
KINDS = {kind: samples(CONTRACTS / kind) for kind in MODELS}
WORKFLOWS = [path.read_bytes() for path in sorted((ROOT / "workflows-templates").glob("*.yml"))]


@FUZZ
@given(data=some_of(RECORDS))
def test_decisions(data: bytes) -> None:
    with suppress(Refusal):
        validate(data)
    with suppress(Refusal):
        taken = read_decision(data, config=config("default"), now=NOW).decision
        assert read_document(Decision, encoded(taken.document())) == taken


@FUZZ
@given(kind=st.sampled_from(sorted(MODELS)), data=st.data())
def test_documents(kind: str, data: st.DataObject) -> None:
    model = MODELS[kind]
    assert issubclass(model, Model)
    with suppress(JsonError):
        read = read_document(model, data.draw(some_of(KINDS[kind])))
        assert read_document(model, encoded(read.document())).digest() == read.digest()


@FUZZ
@given(data=some_of([CONFIG, *KINDS["dispatch-config"]]))
def test_configs(data: bytes) -> None:
    with suppress(Refusal):
        known, raw = read_config.__wrapped__(data, "x.yml")
        explain(known, raw)


@FUZZ
@given(data=some_of(KINDS["host-trust"]))
def test_host_trust(data: bytes) -> None:
    with suppress(Refusal):
        read_trust(data, "trust.json")


@FUZZ
@given(data=changed(BASE.document).map(encoded) | damaged(yaml.safe_dump(BASE.document, sort_keys=False).encode()))
def test_overlays(data: bytes) -> None:
    with suppress(Refusal):
        document = read_yaml(data, "overlay.yml")
        read_blueprint(document, "sha256:" + "0" * 64)
        assert yaml.safe_load(to_yaml(document)) == document, "what is lent to HyOps is what was read"


@FUZZ
@given(overlay=changed(BASE.document, 2), known=changed(CONFIG, 2), decision=changed(BASE.decision.document(), 2), which=st.integers(1, 7))
def test_plans(overlay: Any, known: Any, decision: Any, which: int) -> None:
    """The gates and the planner, on whatever their readers let pass."""
    with suppress(Refusal, JsonError):
        document = read_yaml(encoded(overlay), "overlay.yml") if which & 1 else BASE.document
        conf, raw = read_config.__wrapped__(encoded(known), "x.yml") if which & 2 else (BASE.config, CONFIG)
        wanted = read_document(Decision, encoded(decision)) if which & 4 else BASE.decision
        blueprint = read_blueprint(document, "sha256:" + "0" * 64)
        explain(conf, raw, {f".github/dr/prod/{name}.yml": blueprint for name in ("overlay", "postgresql-ha-failover-gcp")})
        case = planner.case_of(wanted, conf, blueprint, BASE.facts, secret_refs=BASE.secret_refs)
        answers = run_gates("plan", case)
        planner.assemble(case, BASE.config_digest, BASE.sources, answers.passed).digest()


@FUZZ
@given(data=some_of(KINDS["approval-request"]))
def test_requests(data: bytes) -> None:
    with suppress(Refusal):
        read_request(data)


def envelope(payload: bytes, kind: str) -> dict[str, Any]:
    import base64

    return {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": [{"keyid": "ed25519:x", "sig": "AAAA"}]}


@FUZZ
@given(
    payload=some_of(KINDS["approval"]),
    around=changed({"payload": "e30=", "payloadType": APPROVAL_PAYLOAD, "signatures": [{"sig": "AAAA"}]}),
)
def test_signed_answers(payload: bytes, around: Any) -> None:
    for each in (envelope(payload, APPROVAL_PAYLOAD), around):
        with suppress(Refusal):
            read_answer(each)
        with suppress(ValueError):
            open_envelope(each, APPROVAL_PAYLOAD, ["ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=", "x"])


@FUZZ
@given(payload=some_of(KINDS["settlement"]), around=changed({"payload": "e30=", "payloadType": SETTLEMENT_PAYLOAD, "signatures": []}))
def test_settlements(payload: bytes, around: Any) -> None:
    for each in (envelope(payload, SETTLEMENT_PAYLOAD), around):
        with suppress(ValueError):
            read_settlement(each, [])


@FUZZ
@given(data=damaged(builtin_bytes()))
def test_secret_maps(data: bytes) -> None:
    with suppress(Refusal):
        read_map(data)


@FUZZ
@given(data=st.sampled_from(WORKFLOWS).flatmap(damaged))
def test_workflows(data: bytes) -> None:
    with suppress(Refusal):
        document = read_workflow(data, "dr.yml")
        triggers(document), dispatch_inputs(document), event_types(document), explain_startup(document)


TEXT = st.text(max_size=30) | st.sampled_from(
    ["", "failover", "pg-ha/prod", "a/-", "latest", "Latest", "\x00", "\ud800", " ", "\u200b", "x" * 3000]
)


@FUZZ
@given(words=st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT), login=TEXT, at=TEXT)
def test_forms(words: tuple[str, ...], login: str, at: str) -> None:
    with suppress(Refusal):
        read_form(Form(*words), repository_id=1, run_id="1-1", login=login, created_at=at)


READERS: list[Callable[[bytes], object]] = [
    lambda data: json_object(data),
    lambda data: unowned(data.decode("utf-8", "replace"), [".github/dr-dispatch.yml"]),
    lambda data: read_line(data.decode("utf-8", "replace")),
    lambda data: read_preflight(data.decode("utf-8", "replace"), 0),
    lambda data: read_envelopes(data.decode("utf-8", "replace")),
    contents,
    origin_in,
]


@pytest.mark.parametrize("reader", READERS, ids=[str(number) for number in range(len(READERS))])
@FUZZ
@given(
    data=some_of([{"a": [1, "x", {}]}, {"steps": [{"id": "a", "status": "ready", "checks": []}], "status": "ok"}]) | st.binary(max_size=60)
)
def test_small_readers(reader: Callable[[bytes], object], data: bytes) -> None:
    with suppress(Refusal):
        reader(data)
        reader(b"{\n" + data + b"\n}\n")


def test_the_documents_that_are_changed_are_right_before() -> None:
    """Else all of them would be refused at once, and nothing behind the first look would be reached."""
    assert read_config.__wrapped__(encoded(CONFIG), "x.yml")[0] == BASE.config
    case = planner.case_of(BASE.decision, BASE.config, BASE.blueprint, BASE.facts, secret_refs=BASE.secret_refs)
    assert not run_gates("plan", case).refused
    for kind, values in KINDS.items():
        assert values, kind
        for value in values:
            read_document(MODELS[kind], encoded(over(value, {})))
    assert {read_decision(encoded(value), config=config("patient"), now=NOW).form for value in RECORDS[:1]}
