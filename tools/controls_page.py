"""`docs/controls.md`: which fields of which record answer a demand of a norm, generated from `controls.yaml`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from hyops_ci.contracts.base import Model
from hyops_ci.contracts.schema_files import schema_file
from tools.markdown import cell
from tools.schema_paths import in_schema

ROWS: Final = Path(__file__).with_name("controls.yaml")
PLACES: Final = {
    "approval": "`approvals/<login>.json` of a bundle",
    "board": "`board.json`, [board.md](board.md)",
    "check": "`check.json` of a bundle",
    "cleanup": "`cleanup.json` of a drill's bundle, [drills.md](drills.md)",
    "decision": "`decision.json` of a bundle",
    "dispatch-config": "`.github/dr-dispatch.yml`, and `sources/config` of a bundle, [config.md](config.md)",
    "event": "each line of `parts/<stage>/events.jsonl` of a bundle",
    "ledger-tip": "each transition of `dr-ledger/<service>`, signed by the host, [ledger.md](ledger.md#what-the-tip-says)",
    "manifest": "`manifest.json` of a bundle",
    "plan": "`plan.json` of a bundle",
    "readiness": "`readiness.json` of a bundle, and the branch beside the ledger, [readiness.md](readiness.md)",
    "recovery-record": "`recovery.json` beside the bundles of its services, [recovery-plans.md](recovery-plans.md)",
    "result": "`result.json` of a bundle",
}
"""Kind of document -> where one is found."""
_HEAD: Final = """\
# Evidence for an audit

Generated from `tools/controls.yaml` by `python -m tools.docs`.

Which fields of the published records ([schemas](../schemas)) answer which demand of a norm, and what they leave open. A record shows what
happened; whether that meets a demand, for which systems, and over which period, is for the organisation and its auditor to say. Demands are
in short words of our own: read the norm. No field is filled in by hand, and `hyops-ci evidence verify` says whether a bundle is whole and
whose it is ([evidence.md](evidence.md)).

Keep bundles for as long as you keep records: GitHub deletes artifacts after 90 days, in private repositories after 400 at most.
A rehearsal says `stand_in: true` in its result: it is evidence of nothing but the rehearsal.
"""
_COLUMNS: Final = "| clause | demand | what a record shows | fields | what remains with you |\n|---|---|---|---|---|\n"
_WHERE: Final = """\

## Where the records are

| record | where |
|---|---|
"""


class Row(Model):
    """One demand, and what answers it."""

    clause: str
    demand: str
    gives: str
    evidence: dict[str, tuple[str, ...]]
    """Kind of document -> paths of its fields; none where nothing answers."""
    remains: str


class Norm(Model):
    """One norm with its demands."""

    norm: str
    rows: tuple[Row, ...]


def norms(text: str | None = None) -> tuple[Norm, ...]:
    """Return the norms of `controls.yaml`. Raises LookupError for a field that its published schema does not have."""
    found: Any = yaml.safe_load(ROWS.read_text(encoding="utf-8") if text is None else text)
    read = tuple(Norm.model_validate(each, strict=False) for each in found)
    for kind, path in sorted({each for norm in read for row in norm.rows for each in fields(row)}):
        if kind not in PLACES or not in_schema(json.loads(schema_file(kind).read_text(encoding="utf-8")), path):
            raise LookupError(f"{ROWS.name}: no published record has {kind}: {path}")
    return read


def fields(row: Row) -> Iterator[tuple[str, str]]:
    """Yield (kind, path) of each field that a row names."""
    for kind, paths in row.evidence.items():
        yield from ((kind, path) for path in paths)


def controls_page() -> str:
    """Return the page. Raises LookupError for a field that its published schema does not have."""
    read = norms()
    rows = [_HEAD]
    for norm in read:
        rows += [f"\n## {norm.norm}\n\n", _COLUMNS, *(_line(row) for row in norm.rows)]
    used = {kind for norm in read for row in norm.rows for kind in row.evidence}
    places = [f"| [{kind}](../schemas/{schema_file(kind).name}) | {place} |\n" for kind, place in PLACES.items() if kind in used]
    return "".join((*rows, _WHERE, *places))


def _line(row: Row) -> str:
    return f"| {' | '.join(map(cell, (row.clause, row.demand, row.gives, _evidence(row), row.remains)))} |\n"


def _evidence(row: Row) -> str:
    """Return the fields of a row as one cell."""
    return "; ".join(f"{kind}: {', '.join(f'`{path}`' for path in paths)}" for kind, paths in row.evidence.items()) or "none"
