"""`python -m tools.schema [--check]`: write the published JSON Schemas, or check that they are fresh (exit 2 when one is stale)."""

from __future__ import annotations

import sys
from pathlib import Path

from hyops_ci.contracts.schema import export

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str], folder: Path = ROOT / "schemas") -> int:
    """Return 0, or 2 with `--check` when a schema is stale."""
    only_check = arguments == ["--check"]
    stale = export(folder, check=only_check)
    print(*(f"{'stale' if only_check else 'written'} {name}" for name in stale), sep="\n")
    return 2 if only_check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
