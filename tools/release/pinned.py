"""The lines of a requirements file: what is pinned, where it counts, and the hashes that are accepted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement

_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass(frozen=True)
class Pin:
    """One version of one package."""

    name: str
    version: str
    marker: str
    """Where it counts; empty for everywhere."""
    hashes: tuple[str, ...]
    """sha256 of every file that is accepted for it, in hexadecimal digits, sorted."""

    def counts(self, markers: Mapping[str, str]) -> bool:
        """Return whether it counts in an environment."""
        return not self.marker or Marker(self.marker).evaluate(markers)

    def line(self) -> str:
        """Return it as pip reads it, without its marker."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{each}" for each in self.hashes)])


def pins(texts: Iterable[str]) -> list[Pin]:
    """Return the pins of some requirements files, by name and version; what several files have is there once."""
    found = {_pin(line) for text in texts for line in text.replace("\\\n", " ").splitlines() if line.strip()}
    return sorted(found, key=lambda pin: (pin.name, pin.version, pin.marker))


def _pin(line: str) -> Pin:
    requirement = Requirement(line.partition(" --hash=")[0])
    [specifier] = requirement.specifier
    return Pin(requirement.name, specifier.version, str(requirement.marker or ""), tuple(sorted(set(_HASH.findall(line)))))
