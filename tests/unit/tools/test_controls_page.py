"""Rows that name a field which no record has are refused, and the page promises nothing."""

from __future__ import annotations

import re

import pytest
import yaml

from tools.controls_page import ROWS, controls_page, norms

ROW = {"clause": "1", "demand": "d", "gives": "g", "evidence": {"result": ["outcome"]}, "remains": "r"}


def rows(**changes: object) -> str:
    return yaml.safe_dump([{"norm": "N", "rows": [ROW | changes]}])


def test_a_row_names_fields_of_published_records() -> None:
    assert norms(rows())[0].rows[0].evidence == {"result": ("outcome",)}


@pytest.mark.parametrize(
    "evidence",
    [
        {"result": ["outcomes"]},
        {"result": ["refusal.gates"]},
        {"manifest": ["files.sha256"]},
        {"objectives": ["rto"]},
        {"host-trust": ["ref"]},
    ],
    ids=["no such field", "no such field below", "a list is no object", "no published record", "no record of a run"],
)
def test_a_field_that_no_record_has_is_refused(evidence: dict[str, list[str]]) -> None:
    [(kind, [path])] = evidence.items()
    with pytest.raises(LookupError, match=f"no published record has {kind}: {path}"):
        norms(rows(evidence=evidence))


@pytest.mark.parametrize("changes", [{"remains": None}, {"owner": "me"}], ids=["a part is missing", "a part too many"])
def test_a_row_has_all_its_parts_and_no_other(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        norms(rows(**changes))


def test_every_row_says_what_remains_and_none_claims_to_comply() -> None:
    for norm in norms():
        assert len({each.clause for each in norm.rows}) == len(norm.rows), norm.norm
        for row in norm.rows:
            assert row.remains.strip(), row.clause
            assert (row.gives == "Nothing.") == (not row.evidence), row.clause
    assert not re.search(r"compl(y|ies|iant|iance)|certif|conform(s|ant|ity) ", controls_page().replace("nonconformity", ""))


def test_the_clauses_that_were_asked_for_are_there() -> None:
    text = ROWS.read_text("utf-8")
    for clause in ("Art. 11", "Art. 12", "Art. 24", "Art. 25", "Art. 26", '"8.4.5"', '"8.5"', "A1.2", "A1.3", '"3.5.1"', '"4.3"'):
        assert f"clause: {clause}" in text
