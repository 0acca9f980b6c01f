"""GitHub's official OpenAPI description, fetched once into `.venv/`: one file out of the npm package `@octokit/openapi`.

`python -m tests.support.github.description` fetches it (about three seconds, 29 MB over the network, 13 MB kept), and does
nothing when it is there. Loading it takes 0.2 s per process that validates something, so it is kept whole, not trimmed.
"""

from __future__ import annotations

import base64
import copy
import fcntl
import hashlib
import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.act import shim

PACKAGE = "@octokit/openapi@23.0.2"
INTEGRITY = "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="
MEMBER = "package/generated/api.github.com.json"
SPANNING = frozenset({"path", "ref", "branch"})
"""Path parameters that may hold slashes: the description has no way to say so, GitHub takes them with or without %2F."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One method of one path of the description."""

    method: str
    template: str
    body: Json

    @property
    def name(self) -> str:
        """As documentation writes it: `GET /repos/{owner}/{repo}`."""
        return f"{self.method} {self.template}"


def fetch() -> Path:
    """The description's file; downloaded, checked against its digest and unpacked when it is not there yet."""
    home = shim.CACHE / f"github-openapi-{PACKAGE.rpartition('@')[2]}.json"
    if not home.exists():
        shim.CACHE.mkdir(exist_ok=True)
        with (shim.CACHE / "github-openapi.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not home.exists():
                _download(home)
    return home


def _download(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=shim.CACHE, prefix="github-openapi-") as folder:
        shim.npm(["pack", PACKAGE, "--silent"], Path(folder))
        [packed] = Path(folder).glob("*.tgz")
        found = "sha512-" + base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise RuntimeError(f"{PACKAGE}: expected {INTEGRITY}, got {found}")
        with tarfile.open(packed) as archive:
            source = archive.extractfile(MEMBER)
            if source is None:
                raise RuntimeError(f"{PACKAGE} has no {MEMBER}")
            kept = Path(folder, "kept.json")
            kept.write_bytes(source.read())
        kept.rename(home)


@cache
def load() -> Json:
    """The whole description. Do not change it."""
    document: Json = json.loads(fetch().read_bytes())
    return document


def resolve(node: Json) -> Json:
    """`node`, or what its `$ref` points at."""
    while "$ref" in node:
        found: Any = load()
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def operation(method: str, template: str) -> Operation | None:
    """The operation with this very template, as the description writes it."""
    found = load()["paths"].get(template, {}).get(method.lower())
    return Operation(method, template, found) if found else None


def match(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation that a request path means, and its path parameters; fixed words win over parameters."""
    for pattern, template in _patterns():
        if (found := pattern.fullmatch(path)) and (known := operation(method, template)):
            names = re.findall(r"{([^}]+)}", template)
            return known, {name: unquote(value) for name, value in zip(names, found.groups(), strict=True)}
    return None


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    def weight(template: str) -> tuple[int, int]:
        return -len(re.sub(r"{[^}]+}", "", template)), len(template)

    return [(pattern(template), template) for template in sorted(load()["paths"], key=weight)]


def pattern(template: str) -> re.Pattern[str]:
    """What a request path of this template looks like."""
    parts = re.split(r"{([^}]+)}", template)
    spelled = [re.escape(part) if n % 2 == 0 else "(.+)" if part in SPANNING else "([^/]+)" for n, part in enumerate(parts)]
    return re.compile("".join(spelled))


def example(method: str, template: str, status: int = 200, name: str | None = None, **changes: object) -> Any:
    """A fresh copy of GitHub's own example answer, with top-level `changes`."""
    found = operation(method, template)
    if found is None:
        raise KeyError(f"{method} {template}")
    examples: Mapping[str, Json] = resolve(found.body["responses"][str(status)])["content"]["application/json"]["examples"]
    chosen = examples[name] if name else next(iter(examples.values()))
    value = copy.deepcopy(resolve(chosen)["value"])
    if changes:
        value.update(changes)
    return value


if __name__ == "__main__":
    sys.stdout.write(f"github description: {fetch()}\n")
