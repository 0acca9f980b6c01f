"""Every document is read as strictly as a decision, and to the same model as before."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.base import Model
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.schema import MODELS
from hyops_ci.parsing import strict_json
from hyops_ci.parsing.documents import FIELDS, MAX_DOCUMENT, read_document
from hyops_ci.parsing.strict_json import JsonError, Rule

CASES = Path(__file__).parents[2] / "cases" / "contracts" / "accept"
DOCUMENTS = sorted(path.relative_to(CASES).as_posix() for path in CASES.glob("*/*.json"))


def document(name: str) -> tuple[type[Model], dict[str, Any]]:
    model = MODELS[name.partition("/")[0]]
    assert issubclass(model, Model)
    value: dict[str, Any] = json.loads((CASES / name).read_bytes())
    return model, value


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_read(name: str) -> None:
    model, value = document(name)
    content = (CASES / name).read_bytes()
    assert read_document(model, content) == model.model_validate_json(content)
    assert read_document(model, json.dumps(value)) == model.model_validate_json(content)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_says_a_thing_twice(name: str) -> None:
    model, value = document(name)
    for key, said in value.items():
        twice = json.dumps(value)[:-1] + f", {json.dumps(key)}: {json.dumps(said)}}}"
        with pytest.raises(JsonError, match="twice"):
            read_document(model, twice)


def tip(**changes: Any) -> bytes:
    value = document("ledger-tip/new.json")[1]
    return json.dumps({**value, **changes}).encode()


NESTED: Any = None
for _ in range(95):
    NESTED = [NESTED]
REFUSED = [
    (tip(settlement={"payload": float("nan")}), strict_json.NO_NUMBER),
    (tip(settlement={"payload": float("inf")}), strict_json.NO_NUMBER),
    (tip(settlement={"payload": 2**53}), strict_json.LARGE),
    (tip(settlement={"payload": 10**400}), strict_json.LARGE),
    (tip(settlement={"payload": "\ud800"}), strict_json.HALF),
    (tip(settlement={"payload": NESTED}), strict_json.DEPTH),
    (tip(settlement={"payload": "x" * MAX_DOCUMENT}), strict_json.SIZE),
    (b"\xef\xbb\xbf" + tip(), strict_json.MARKED),
    (tip() + tip(), strict_json.FORM),
    (tip(epoch="1"), FIELDS),
    (tip(surplus=1), FIELDS),
    (b"[]", FIELDS),
]


@pytest.mark.parametrize(("content", "rule"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_refused(content: bytes, rule: Rule) -> None:
    with pytest.raises(JsonError) as caught:
        read_document(Tip, content)
    assert caught.value.rule == rule
    assert str(caught.value).isprintable()


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(JsonError, match=r"2 of its fields do not fit: /moves: ") as caught:
        read_document(Tip, tip(epoch=-1, moves=True))
    assert caught.value.expected == "a Tip"


def test_thousands_of_errors_are_counted_and_not_told() -> None:
    content = tip(answers=[0] * 19, surplus=0) + b" " * 10
    many = content.replace(b"[0", b"[" + b"{}," * 200_000 + b"0")
    start = time.process_time()
    with pytest.raises(JsonError, match="fields do not fit"):
        read_document(Tip, many)
    assert time.process_time() - start < 2
