"""The model checker of the ledger (`tests/simulation`): its figure is the number of violations found, which must be 0."""

from __future__ import annotations

from tests.simulation import replay, run

__all__ = ["replay", "run"]
