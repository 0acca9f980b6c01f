"""The hosts that a wheelhouse is made for, and what pip is asked for each. Pure: nothing depends on the machine that asks.

pip takes the tags of another platform as arguments, but evaluates markers for the interpreter that it runs on. So what a host needs is
decided here, and pip gets pins without markers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tools.release.pinned import Pin

MACHINES: Final = ("x86_64", "aarch64")
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
_NEWEST_GLIBC: Final = 28
"""glibc 2.28 is of 2018: Debian 10, Ubuntu 18.10, RHEL 8. A wheel that asks for more would not load there."""
_OLDEST_GLIBC: Final = {"x86_64": 5, "aarch64": 17}


@dataclass(frozen=True)
class Platform:
    """Linux with glibc on a machine, and a CPython."""

    machine: str
    python: str
    """Such as 3.12."""

    def __str__(self) -> str:
        """As files are named."""
        return f"linux-{self.machine}-{self.tag}"

    @property
    def tag(self) -> str:
        """Of the interpreter, such as cp312."""
        return f"cp{self.python.replace('.', '')}"

    def markers(self) -> dict[str, str]:
        """Return what environment markers see there."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def tags(self) -> list[str]:
        """Return the platform tags whose wheels load there, the newest first."""
        newer = [f"manylinux_2_{minor}_{self.machine}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC[self.machine] - 1, -1)]
        return [*newer, *(f"{name}_{self.machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1"))]


PLATFORMS: Final = tuple(Platform(machine, python) for machine in MACHINES for python in PYTHONS)


def chosen(known: Iterable[Pin], platform: Platform) -> list[Pin]:
    """Return the pins that count on a platform. Raises ValueError where two pin one package: one folder of wheels could not serve both."""
    found: dict[str, Pin] = {}
    for pin in known:
        if pin.counts(platform.markers()) and found.setdefault(pin.name, pin) != pin:
            raise ValueError(f"{pin.name} is pinned in two ways for {platform}: {found[pin.name].line()}; {pin.line()}")
    return list(found.values())


def download(platform: Platform, requirements: str, folder: str) -> list[str]:
    """Return the arguments of pip that fetch the wheels of a platform: those whose hash is named, and none that would be built."""
    tags = [word for tag in platform.tags() for word in ("--platform", tag)]
    kind = ["--implementation", "cp", "--python-version", platform.python, "--abi", platform.tag, *tags]
    return ["download", "--require-hashes", "--only-binary", ":all:", "--no-deps", *kind, "--requirement", requirements, "--dest", folder]
