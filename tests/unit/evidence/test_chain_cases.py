"""Files of events, as a plan's part holds them: those that hold together, and one for each way in which they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.evidence.recorder import BrokenChain, chain

CASES = Path(__file__).parents[2] / "cases" / "evidence"


def paths(folder: str) -> list[Path]:
    found = sorted((CASES / folder).glob("*.jsonl"))
    assert found
    return found


@pytest.mark.parametrize("path", paths("accept"), ids=lambda path: path.stem)
def test_accepted(path: Path) -> None:
    events = list(chain([("plan", path.read_bytes())]))
    assert len(events) == path.read_bytes().count(b"\n")


@pytest.mark.parametrize("path", paths("refuse"), ids=lambda path: path.stem)
def test_refused(path: Path) -> None:
    with pytest.raises(BrokenChain, match=r"^parts/plan/events\.jsonl"):
        list(chain([("plan", path.read_bytes())]))
