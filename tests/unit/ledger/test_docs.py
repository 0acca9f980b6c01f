"""Every refusal of this package stands in its page, with what to do."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
GATE = re.compile(r'"((?:ledger|lock)\.[a-z]+)"')


def gates() -> set[str]:
    sources = [*(ROOT / "hyops_ci" / "ledger").glob("*.py"), ROOT / "hyops_ci" / "operations" / "ledger_signatures.py"]
    return {gate for path in sources for gate in GATE.findall(path.read_text("utf-8"))} - {"ledger.md"}


def test_every_gate_is_in_the_page() -> None:
    found = gates()
    assert len(found) > 20
    rows = [line for line in (ROOT / "docs" / "ledger.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    explained = set(re.findall(r"`((?:ledger|lock)\.[a-z]+)`", " ".join(row.split("|")[1] for row in rows)))
    assert found - explained == set()
    assert explained - found <= {"lock.site"}, "what is explained is still said by somebody"


def test_the_heading_that_a_refusal_names_is_there() -> None:
    text = (ROOT / "hyops_ci" / "ledger" / "standby.py").read_text("utf-8")
    (heading,) = re.findall(r"docs/ledger\.md, ([^)]+)\)", text)
    assert f"\n### {heading}\n" in (ROOT / "docs" / "ledger.md").read_text("utf-8")
