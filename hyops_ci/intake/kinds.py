"""Which kind of document an object is: from its content, never from a file name; an object that could be two kinds is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hyops_ci.errors import Exit, Refusal

IDS: Final = {"execution_id": "execution-record", "dispatch_id": "dispatch-request", "attempt_id": "executor-attempt"}
_RECORD_ONLY: Final = frozenset({"module_ref", "target_mode", "thanos_query_url", "signal_ready"})


def kind_of(value: Mapping[str, Any]) -> str:
    """The published kind of `value`. Raises Refusal (exit 3) when none or more than one fits."""
    kinds = {kind for key, kind in IDS.items() if key in value}
    if "kind" in value:
        kinds.add("decision")
    elif "decision_id" in value:
        minimal = "target_cloud" in value or "dr_mode" in value
        record = bool(_RECORD_ONLY & value.keys())
        kinds |= {"minimal-artifact"} if minimal else set()
        kinds |= {"decision-record"} if record or not minimal else set()
    if len(kinds) == 1:
        return kinds.pop()
    raise Refusal(
        "intake.kind",
        "this can be read in more than one way" if kinds else "this is not a decision",
        exit_code=Exit.DECISION,
        found=f"readable as {' and as '.join(sorted(kinds))}" if kinds else f"fields {', '.join(sorted(map(str, value))[:8]) or 'none'}",
        expected="a Decision (kind: Decision), the minimal artifact, or one HybridOps record with one of its ids",
        fix="send the document as its author wrote it, one at a time",
    )
