"""The rules that protect a ledger's branches from deletion and rewriting (docs/design/contracts.md 6)."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Final

RULES_OF_LEDGER: Final[dict[str, Any]] = {
    "name": "dr-dispatch: the ledger only grows",
    "target": "branch",
    "enforcement": "active",
    "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["refs/heads/dr-ledger/**"], "exclude": []}},
    "rules": [{"type": "deletion"}, {"type": "non_fast_forward"}],
}


def protection(remote: str) -> str:
    """The commands that make a remote keep its ledgers: on GitHub a ruleset, elsewhere two settings of the repository."""
    found = re.search(r"[/:]([^/:]+/[^/:]+?)(?:\.git)?/?$", remote)
    if found and not remote.startswith(("/", ".", "file:")) and ("://" in remote or "@" in remote):
        return f"gh api repos/{found[1]}/rulesets -X POST --input - <<'JSON'\n{json.dumps(RULES_OF_LEDGER)}\nJSON"
    place = shlex.quote(remote.removeprefix("file://"))
    return f"git -C {place} config receive.denyNonFastForwards true\ngit -C {place} config receive.denyDeletes true"
