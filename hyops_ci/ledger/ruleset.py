"""The ruleset that a ledger's branches need on GitHub: nobody deletes one, nobody rewrites one (contracts, section 6)."""

from __future__ import annotations

from typing import Any, Final

RULES_OF_LEDGER: Final[dict[str, Any]] = {
    "name": "dr-dispatch: the ledger only grows",
    "target": "branch",
    "enforcement": "active",
    "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["refs/heads/dr-ledger/**"], "exclude": []}},
    "rules": [{"type": "deletion"}, {"type": "non_fast_forward"}],
}
