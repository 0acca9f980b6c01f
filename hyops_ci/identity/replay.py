"""Replay protection: the tokens that this host has accepted, each until it expires (RFC 7519 4.1.7).

Kept by hash under the state directory; the token itself is not stored. A file that cannot be read, written or locked
is a refusal: a replay could not be told from the first use.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hyops_ci import files
from hyops_ci.errors import Refusal
from hyops_ci.files import UnsafeFile
from hyops_ci.identity.token import LEEWAY, token_refusal
from hyops_ci.parsing.documents import json_object
from hyops_ci.text import shell

NAME: Final = "seen-tokens.json"
PATIENCE: Final = 10.0
"""Seconds to wait for another job of this host."""
MAX_BYTES: Final = 1024 * 1024


def spend_token(folder: Path, token_id: str, *, expires: int, now: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Record the use of a token until it can no longer be valid. `expires` and `now` in seconds since the epoch.

    Raises Refusal (exit 7) `host.token` for a token that was used before, and for a record that cannot be trusted.
    """
    path = folder / NAME
    problem = ""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with files.locked(path.with_suffix(".lock"), wait=PATIENCE, sleep=sleep):
            seen = {known: until for known, until in _read(path).items() if until + 2 * LEEWAY > now}
            if token_id in seen:
                raise token_refusal(
                    "this token was used before",
                    found=f"token {token_id[:19]}..., accepted by this host before; {max(expires - now, 0):.0f} s left of it",
                    expected="a fresh token: each counts once",
                    fix="look who has this job's tokens; then a new run",
                )
            files.write(path, json.dumps({**seen, token_id: expires}, indent=0, sort_keys=True).encode())
    except UnsafeFile as found:
        problem = str(found)
    except BlockingIOError:
        problem = f"{path.with_suffix('.lock')} has been locked for {PATIENCE:.0f} s"
    except OSError as error:
        problem = f"{path}: {error.strerror}"
    if problem:
        raise _no_memory(path, problem)


def _read(path: Path) -> dict[str, int]:
    """Return when each used token expires. Raises UnsafeFile for a file that others can write, or that is damaged."""
    try:
        content = files.read(path, MAX_BYTES, owned=True)
    except FileNotFoundError:
        return {}
    seen = json_object(content)
    if seen is None or not all(type(until) is int for until in seen.values()):
        raise UnsafeFile(f"{path} is damaged", "hashes of tokens and when each expires", "remove it once every token has expired")
    return seen


def _no_memory(path: Path, found: str) -> Refusal:
    return token_refusal(
        "this host cannot tell a token that was used before",
        found=found,
        expected="a file that only the runner's user can write",
        fix=shell("look who touched it; wait 10 min, so that every token has expired; rm {}; then a new run", path),
    )
