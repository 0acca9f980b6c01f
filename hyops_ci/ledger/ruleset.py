"""The rules that protect a ledger's branches from deletion and rewriting (docs/design/contracts.md 6)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from hyops_ci.text import heredoc, shell

RULES_OF_LEDGER: Final[dict[str, Any]] = {
    "name": "dr-dispatch: the ledger only grows",
    "target": "branch",
    "enforcement": "active",
    "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["refs/heads/dr-ledger/**", "refs/heads/dr-readiness/**"], "exclude": []}},
    "rules": [{"type": "deletion"}, {"type": "non_fast_forward"}],
}


def protection(remote: str) -> str:
    """Return the commands that make a remote keep its ledgers: on GitHub a ruleset, elsewhere settings of the repository.

    On a disk of one's own a commit that was acknowledged must also outlive a power cut: git does not see to that by itself.
    """
    found = re.search(r"[/:]([^/:]+/[^/:]+?)(?:\.git)?/?$", remote)
    if found and not remote.startswith(("/", ".", "file:")) and ("://" in remote or "@" in remote):
        return heredoc(shell("gh api {} -X POST --input -", f"repos/{found[1]}/rulesets"), "JSON", json.dumps(RULES_OF_LEDGER)).rstrip()
    place = remote.removeprefix("file://")
    return shell(
        "git -C {} config receive.denyNonFastForwards true\ngit -C {} config receive.denyDeletes true\ngit -C {} config core.fsync all",
        place,
        place,
        place,
    )
