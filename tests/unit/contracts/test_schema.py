"""The published schemas: valid, fresh, and of one mind with the models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hyops_ci.contracts.base import Document
from hyops_ci.contracts.schema import BASE, MODELS, export, field_texts, is_moment, schema
from hyops_ci.contracts.schema_files import schema_file
from hyops_ci.errors import Refusal
from hyops_ci.intake.kinds import kind_of
from hyops_ci.intake.validate import is_moment as is_moment_fast
from hyops_ci.parsing.strict_json import read_object
from tests.support.examples import examples
from tests.unit.contracts.documents import CASES, accepted, refused, verdicts

ROOT = Path(__file__).parents[3]
ACCEPTED, REFUSED = accepted(), refused()
INTAKE = sorted(str(path.relative_to(CASES)) for path in (CASES / "intake").glob("*/*/input.json"))


@pytest.mark.parametrize("kind", MODELS)
def test_is_a_valid_schema_with_its_own_name(kind: str) -> None:
    made = schema(kind)
    Draft202012Validator.check_schema(made)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["$id"] == f"{BASE}{kind}.v1.schema.json"
    assert made["title"]
    ours = kind != "alert-notification"  # what a later Alertmanager adds is let be
    assert made.get("additionalProperties", True) is not ours


@pytest.mark.parametrize("kind", ["dispatch-config", "host-trust", "decision"])
def test_every_field_that_people_write_is_described(kind: str) -> None:
    made = schema(kind)
    fields = {
        (name, key): field for name, model in {kind: made, **made["$defs"]}.items() for key, field in model.get("properties", {}).items()
    }
    assert len(fields) >= 20
    assert not [place for place, field in fields.items() if len(field.get("description", "")) < 5]
    assert not [place for place, field in fields.items() if field["description"].casefold() == place[1].replace("_", " ")]


def test_the_text_of_a_field_stands_below_it_in_the_model_or_its_base() -> None:
    assert field_texts(Document) == {"api_version": "The version of the contract that it follows."}
    assert schema("plan")["properties"]["api_version"]["description"] == field_texts(Document)["api_version"]


def test_committed_schemas_are_fresh() -> None:
    assert export(ROOT / "schemas", check=True) == [], "run: python -m tools.schema"


def test_stale_missing_and_left_over_files_are_named_and_mended(tmp_path: Path) -> None:
    folder = tmp_path / "schemas"
    assert len(export(folder, check=True)) == len(MODELS)
    assert not folder.exists(), "looking writes nothing"
    shutil.copytree(ROOT / "schemas", folder)
    (folder / "plan.v1.schema.json").write_text("{}\n")
    (folder / "check.v1.schema.json").unlink()
    (folder / "old.v1.schema.json").write_text("{}\n")
    wrong = ["check.v1.schema.json", "old.v1.schema.json", "plan.v1.schema.json"]
    assert export(folder, check=True) == wrong
    assert export(folder, check=False) == wrong
    assert export(folder, check=True) == []
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{kind}.v1.schema.json" for kind in MODELS)


def test_every_kind_has_cases() -> None:
    assert {name.split("/")[0] for name in ACCEPTED} == set(MODELS)
    assert {name.split("/")[0] for name in REFUSED} == set(MODELS)


def test_every_schema_is_found_where_it_is_published() -> None:
    assert all(schema_file(kind).is_file() for kind in MODELS)


@pytest.mark.parametrize("name", ACCEPTED)
def test_schema_and_model_accept(name: str) -> None:
    kind, document = name.split("/")[0], ACCEPTED[name]
    assert set(verdicts(kind, document).items()) == {("jsonschema", True), ("jsonschema-rs", True), ("model", True)}
    model = MODELS[kind].model_validate_json(json.dumps(document))
    if isinstance(model, Document):
        assert verdicts(kind, model.document())["jsonschema"], "what a model writes, its schema takes"


@pytest.mark.parametrize("name", REFUSED)
def test_schema_and_model_refuse(name: str) -> None:
    assert set(verdicts(name.split("/")[0], REFUSED[name]).items()) == {("jsonschema", False), ("jsonschema-rs", False), ("model", False)}


@pytest.mark.parametrize("name", INTAKE)
def test_schema_and_model_agree_on_every_case_of_intake(name: str) -> None:
    try:
        value = read_object((CASES / name).read_bytes())
        kind = kind_of(value)
    except Refusal:
        return  # strict reading has said no; whether it should is tested with intake
    assert len(set(verdicts(kind, value).values())) == 1


NUMBERS = (0, 1, -1, 1.0, 0.5, 2.0, 2**53 - 1, 2**53, float(2**53), 1e300)
TIMES = ("2026-02-30T00:00:00Z", "2026-11-23T13:36:36Z", "2026-11-23T13:36:36+00:00", "0000-01-01T00:00:00Z", "PT1M", "PT")
TEXTS = (
    "",
    "x" * 200,
    "x" * 201,
    "é" * 2000,
    "\U0001f680" * 201,
    "pg-ha/prod",
    "gcp",
    "a\n",
    "\u202e",
    "\x85",
    "\0",
    "a\u2028b",
    "\u0661",
    "true",
)
EVIL = st.one_of(
    st.sampled_from([*NUMBERS, *TIMES, *TEXTS, None, True, False, [], {}, [None], {"": ""}, {"a\n": 1}]),
    st.text(max_size=6),
    st.integers(-3, 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in inner for place in places(item, (*at, key)))]


def mutated(value: Any, place: tuple[Any, ...], how: str, new: Any, name: str) -> Any:
    """One change in one place: another value, a longer text, a key or item more, less, or by another name."""
    if place:
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        copy[place[0]] = mutated(value[place[0]], place[1:], how, new, name)
        return copy
    if how == "more" and isinstance(value, dict):
        return value | {name: new}
    if how == "more" and isinstance(value, list):
        return [*value, new]
    if how == "more" and isinstance(value, str):
        return value + name
    if how == "less" and isinstance(value, dict | list | str) and value:
        return dict(list(value.items())[1:]) if isinstance(value, dict) else value[1:]
    if how == "name" and isinstance(value, dict) and value:
        return dict(zip((name, *list(value)[1:]), value.values(), strict=True))
    return new


@settings(max_examples=examples(1500))
@given(st.data())
def test_schema_and_model_agree_on_changed_documents(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(ACCEPTED)))
    value = ACCEPTED[name]
    for _ in range(data.draw(st.integers(1, 2))):
        place, how = data.draw(st.sampled_from(places(value))), data.draw(st.sampled_from(["other", "more", "less", "name"]))
        value = mutated(value, place, how, data.draw(EVIL), data.draw(st.text(max_size=4) | st.sampled_from(["\n", "a", "pg/x", "\u202e"])))
    said = verdicts(name.split("/")[0], value)
    assert len(set(said.values())) == 1, said


@given(
    st.text(max_size=30) | st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,7})?(Z|\+00:00)\Z")
)
def test_both_format_checkers_mean_the_same_after_the_pattern(text: str) -> None:
    said = {kind: set(verdicts(kind, put).values()) for kind, put in (("decision", _issued(text)), ("dispatch-request", _written(text)))}
    assert all(len(each) == 1 for each in said.values()), said
    if any(True in each for each in said.values()):
        assert is_moment_fast(text)
        assert is_moment(text)


def _issued(text: str) -> Any:
    return ACCEPTED["decision/canonical"] | {"issued_at": text}


def _written(text: str) -> Any:
    return ACCEPTED["dispatch-request/dispatch-request-cutover"] | {"timestamp_utc": text}
