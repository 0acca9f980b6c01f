"""`python -m bench <name>` runs one benchmark, `python -m bench` all of them and prints the table. Exit 0 either way.

`python -m bench <name> --option` repeats a part of one, where it has parts to repeat (`schedules --seed N`).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench


def names() -> list[str]:
    """Benchmarks in this package: every module that does not begin with an underscore."""
    return sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))


def run_one(name: str) -> list[bench.Result]:
    """Run one, and say what it found."""
    found: bench.Result | tuple[bench.Result, ...] = importlib.import_module(f"bench.{name}").run()
    results = [found] if isinstance(found, bench.Result) else list(found)
    for result in results:
        for note in result.notes:
            print(f"  {note}")
        print(result.line(), flush=True)
        if result.closing:
            print(result.closing, flush=True)
    return results


def table(results: list[bench.Result]) -> str:
    """All results as a Markdown table."""
    rows = [("benchmark", "figure", "value", "goal", ""), ("---",) * 5]
    rows += [(r.name, r.figure, f"{r.value:.4g}", f"{r.op} {r.goal:.4g}", "ok" if r.ok else "short") for r in results]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows)


def main(arguments: list[str]) -> int:
    """Run what is named, or all. Exit 2 only for a name that is not there."""
    if len(arguments) > 1 and arguments[1].startswith("-") and arguments[0] in names():
        return int(importlib.import_module(f"bench.{arguments[0]}").replay(arguments[1:]))
    known = names()
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known) or 'none'}", file=sys.stderr)
        return 2
    results = [result for name in arguments or known for result in run_one(name)]
    if not arguments:
        print(f"\n{table(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
