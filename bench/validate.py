"""`hyops-ci validate` on one decision, cold process, beside `check-jsonschema --schemafile` on the same file and schema."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from bench import Result
from hyops_ci.contracts.schema_files import schema_file

ROUNDS: Final = 15
GOAL: Final = 0.5
DECISION: Final = b"""{
  "api_version": "hybridops/v1", "kind": "Decision", "decision_id": "incident-4242-a", "decision_type": "failover",
  "service": "pg-ha/prod", "rationale": "INC-4242 on-prem DC lost power", "issued_at": "2026-11-23T03:04:31Z",
  "issuer": "github:maria", "target_cloud": "gcp", "requires_approval": true,
  "signals": [{"name": "primary_up_min", "value": "0.0", "observed_at": "2026-11-23T03:04:20Z"}]
}
"""


def run() -> Result:
    """Both in turn, so that a busy machine slows both; medians of the wall time, the first of each left out."""
    ours, peer = [sys.executable, "-m", "hyops_ci.cli", "validate"], [sys.executable, "-m", "check_jsonschema", "--schemafile"]
    with tempfile.TemporaryDirectory() as folder:
        good, bad = Path(folder, "decision.json"), Path(folder, "bad.json")
        good.write_bytes(DECISION)
        bad.write_bytes(DECISION.replace(b"2026-11-23", b"2026-13-23"))
        schema = str(schema_file("decision"))
        times = [(_seconds([*ours, str(good)]), _seconds([*peer, schema, str(good)])) for _ in range(ROUNDS + 1)][1:]
        assert _ends([*ours, str(bad)]) == 3, "a benchmark of something that accepts everything means nothing"
        assert _ends([*peer, schema, str(bad)]) == 1
    us, they = median(one for one, _ in times), median(other for _, other in times)
    notes = (f"hyops-ci validate {us * 1000:.0f} ms, check-jsonschema {they * 1000:.0f} ms: medians of {ROUNDS} cold processes each",)
    return Result("validate", "wall_ratio", us / they, "<=", GOAL, notes)


def _seconds(argv: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return time.perf_counter() - begun


def _ends(argv: list[str]) -> int:
    return subprocess.run(argv, check=False, capture_output=True).returncode
