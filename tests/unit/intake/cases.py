"""Intake cases: `tests/cases/intake/{accept,refuse}/<name>/` holds `input.json`, the bytes, and `case.yml`, the right answer.

at:       when it is read
config:   name of a file in `configs/`, without it `default`
accept:   form; decision (fields, null for absent); warning (part of one); absent (text that is nowhere in the decision)
refuse:   gate, exit; reason, found, expected, fix (each part of the refusal's text)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hyops_ci.config.file import read_config
from hyops_ci.contracts.config import DispatchConfig

CASES = Path(__file__).parents[2] / "cases" / "intake"


@dataclass(frozen=True)
class Case:
    """One input and what is to be said of it."""

    name: str
    data: bytes
    now: datetime
    config: DispatchConfig
    says: dict[str, Any]


def names(side: str) -> list[str]:
    return sorted(path.name for path in (CASES / side).iterdir())


def load(side: str, name: str) -> Case:
    folder = CASES / side / name
    says = yaml.safe_load((folder / "case.yml").read_bytes())
    now = datetime.fromisoformat(says.pop("at")).astimezone(UTC)
    return Case(name, (folder / "input.json").read_bytes(), now, config(says.pop("config", "default")), says)


def config(name: str) -> DispatchConfig:
    path = CASES / "configs" / f"{name}.yml"
    return read_config(path.read_bytes(), path.name)[0]
