"""What is put on a machine: versions and digests, the release's own (`release.json`), and the archive that is sent to it."""

from __future__ import annotations

import gzip
import io
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import hyops_ci
from hyops_ci.archive import Writer
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.documents import read_json

CHECKOUT: Final = Path(hyops_ci.__file__).resolve().parents[1]
SCRIPT: Final = Path(__file__).with_name("setup.sh")
TABLE: Final = Path(__file__).with_name("release.json")
_TREES: Final = ("hyops_ci", "schemas", "actions/setup", "requirements")
"""What `runner prepare` reads of a checkout."""


@dataclass(frozen=True)
class Release:
    """Versions and digests."""

    agent_version: str
    agent_sha256: Mapping[str, str]
    """Of the published archive, for each architecture as GitHub names it: x64, arm64."""
    hyops_version: str
    hyops_tar_sha256: str
    """Of the tar inside the tag's archive: how GitHub compresses it is not promised, what `git archive` makes of a tag is the same."""


def release_table(path: Path = TABLE) -> Release:
    """Return what the release names."""
    table = read_json(path.read_bytes())
    agent, hyops = table["agent"], table["hyops"]
    return Release(agent["version"], agent["sha256"], hyops["version"], hyops["tar_sha256"])


def packed(order: Mapping[str, str], trust: bytes) -> bytes:
    """Return the compressed archive that is sent: the script, the order as shell variables, the trust file, this release.

    The same order makes the same bytes. Raises Refusal (exit 2) outside a checkout: an installed package does not carry a release.
    """
    if not (CHECKOUT / "actions" / "setup" / "setup.sh").is_file():
        raise Refusal(
            "runner.setup",
            "a machine can be set up from a checkout of dr-dispatch alone",
            exit_code=Exit.USAGE,
            found=str(CHECKOUT),
            expected="a checkout of the release that callers pin",
            fix="git clone it, and start hyops-ci by: bash actions/setup/setup.sh runner bootstrap",
            docs="runners.md",
        )
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in order.items())
    packet = io.BytesIO()
    writer = Writer(packet, lambda _: None)
    for name, content in _files(lines.encode(), trust):
        writer.add(name, content)
    writer.close()
    return gzip.compress(packet.getvalue(), compresslevel=6, mtime=0)


def _files(order: bytes, trust: bytes) -> Iterator[tuple[str, bytes]]:
    yield "setup.sh", SCRIPT.read_bytes()
    yield "order.sh", order
    if not trust:
        return
    yield "trust.json", trust
    for tree in _TREES:
        for path in sorted((CHECKOUT / tree).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"release/{path.relative_to(CHECKOUT).as_posix()}", path.read_bytes()
