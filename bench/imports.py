"""What each command loads before it does anything, in a cold process beside a bare interpreter; and what a lane's own cloud client adds.

A cloud's client costs its lane alone: no other command loads one, whichever lanes the config has.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench import Result

ROOT: Final = Path(__file__).parents[1]
ROUNDS: Final = 3
GOAL: Final = 0.5
SDKS: Final = {"gcp": {"google", "grpc", "proto"}, "proxmox": {"proxmoxer"}}
"""Provider -> packages of its client."""
_LOAD: Final = """
import sys, time
before, begun = set(sys.modules), time.perf_counter()  # what the interpreter brings: Debian's has a sitecustomize
import ast, importlib, inspect, json, pkgutil
sys.path.insert(0, sys.argv[1])

def load(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            module = importlib.import_module(node.module)
            for each in node.names:  # a package's modules are no attributes of it before they are loaded
                hasattr(module, each.name) or importlib.import_module(f"{node.module}.{each.name}")

from hyops_ci.cli import app
for path in json.loads(sys.argv[2]):
    command = app.cli
    for name in path:
        command = command.get_command(None, name)
    load(inspect.getsource(command.callback))
for provider in json.loads(sys.argv[3]):
    package = importlib.import_module(f"hyops_ci.runners.{provider}")
    for each in pkgutil.iter_modules(package.__path__):
        load(inspect.getsource(importlib.import_module(f"{package.__name__}.{each.name}")))
took = time.perf_counter() - begun
print(json.dumps([took, sorted(set(sys.modules) - before)]))
"""


@dataclass(frozen=True)
class Loaded:
    """What one cold process loaded."""

    seconds: float
    """Of the imports alone, by the process itself."""
    modules: tuple[str, ...]

    @property
    def packages(self) -> set[str]:
        """Whose modules they are."""
        return {name.partition(".")[0] for name in self.modules if not name.startswith("_")}


def loaded(*commands: tuple[str, ...], providers: tuple[str, ...] = ()) -> Loaded:
    """Return what the callbacks of these commands import before they do anything, and all that these providers' packages ever import."""
    argv = [sys.executable, "-I", "-c", _LOAD, str(ROOT), json.dumps(commands), json.dumps(providers)]
    seconds, modules = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return Loaded(seconds, tuple(modules))


def commands() -> Iterator[tuple[str, ...]]:
    """Yield the path of every command that does something."""
    import click

    from hyops_ci.cli.app import COMMANDS, cli

    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, below) for below in command.list_commands(context))
        else:
            yield (name,)


def run() -> tuple[Result, Result]:
    """Each in turn with the others, so that a busy machine slows all; medians of the milliseconds, the first round left out."""
    every = list(commands())
    bare: list[float] = []
    ours: dict[tuple[str, ...], list[Loaded]] = {path: [] for path in every}
    lanes: dict[str, list[Loaded]] = {provider: [] for provider in SDKS}
    for _ in range(ROUNDS + 1):
        bare.append(_bare())
        for path in every:
            ours[path].append(loaded(path))
        for provider, found in lanes.items():
            found.append(loaded(providers=(provider,)))
    interpreter = median(bare[1:])
    took = {" ".join(path): _median(found) for path, found in ours.items()}
    sdk = {provider: _median(found) for provider, found in lanes.items()}
    clients = set().union(*SDKS.values())
    paying = [" ".join(path) for path, found in ours.items() if found[0].packages & clients]
    for provider, found in lanes.items():
        assert found[0].packages & clients == SDKS[provider], "a lane loads its own client, and no other"
    rows = sorted(took.items(), key=lambda row: row[1])
    counted = {" ".join(path): len(found[0].modules) for path, found in ours.items()}
    notes = [f"a bare interpreter: {interpreter * 1000:.0f} ms from start to end"]
    notes += [f"below: imports alone, medians of {ROUNDS} cold processes each, and how many times the bare interpreter that is"]
    notes += [f"{name}: {took[name] * 1000:.0f} ms, {counted[name]} modules, {took[name] / interpreter:.1f} times" for name, _ in rows]
    notes += [f"the client of {name}: {seconds * 1000:.0f} ms, {len(lanes[name][0].modules)} modules" for name, seconds in sdk.items()]
    slowest, seconds = rows[-1]
    return (
        Result("imports", "commands_with_a_cloud_client", len(paying), "<=", 0, (*notes, *(f"{name} loads one" for name in paying))),
        Result("imports", "slowest_command_to_client_of_gcp", seconds / sdk["gcp"], "<=", GOAL, (f"the slowest is {slowest}",)),
    )


def _median(found: list[Loaded]) -> float:
    return median(each.seconds for each in found[1:])


def _bare() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True, capture_output=True)
    return time.perf_counter() - begun
