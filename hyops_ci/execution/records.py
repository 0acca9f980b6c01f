"""What HyOps leaves on disk, read with suspicion: module states and its own preflight answer (docs/hyops.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.facts import PreflightFact, PreflightStep
from hyops_ci.contracts.plan import PlannedStep
from hyops_ci.json_file import read_object

MAX_FILE: Final = 4 * 1024 * 1024
"""Bytes of a state file that are read at most."""
ALIASES: Final = {
    "platform/postgresql-ha": "platform/onprem/postgresql-ha",
    "platform/onprem/postgresql-ha": "platform/postgresql-ha",
    "platform/postgresql-ha-backup": "platform/onprem/postgresql-ha-backup",
    "platform/onprem/postgresql-ha-backup": "platform/postgresql-ha-backup",
}
"""Second name under which HyOps looks for a state (HyOps `runtime/module_state.py`)."""
UNREADABLE: Final = "unreadable"
"""Status of a state file that is there and says nothing that can be read."""

_INSTANCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_MODULE = re.compile(r"[a-z0-9][a-z0-9/_-]{0,127}")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def state_reference(step: PlannedStep) -> str:
    """Return the state that a step writes: `<module_ref>` or `<module_ref>#<instance>`."""
    return f"{step.module_ref}#{step.state_instance}" if step.state_instance else step.module_ref


def state_path(root: Path, reference: str) -> Path:
    """Return the file of a module state, under its second name where only that exists.

    An instance has a file of its own, and then `latest.json` is not written. Raises ValueError for any other text.
    """
    module, _, instance = reference.partition("#")
    instance = instance.lower()
    if not _MODULE.fullmatch(module) or ("#" in reference and not _INSTANCE.fullmatch(instance)):
        raise ValueError("a state reference is <module_ref> or <module_ref>#<instance>")
    tail = Path("instances", f"{instance}.json") if instance else Path("latest.json")
    names = [module, *([ALIASES[module]] if module in ALIASES else [])]
    paths = [root / "state" / "modules" / name.replace("/", "__") / tail for name in names]
    return next((path for path in paths if path.exists()), paths[0])


def read_state(root: Path, reference: str, now: datetime) -> StateFact:
    """Return the state behind a reference: `missing` without a file, `unreadable` where it, or the reference, cannot be understood."""
    try:
        content = read_object(state_path(root, reference), MAX_FILE)
    except FileNotFoundError:
        return StateFact(ref=reference, status="missing")
    except ValueError:
        return StateFact(ref=reference, status=UNREADABLE)
    updated_at = _word(content.get("updated_at"))
    return StateFact(
        ref=reference,
        status=_word(content.get("status")).lower() or UNREADABLE,
        run_id=_word(content.get("run_id")),
        updated_at=updated_at,
        age_seconds=_age(updated_at, now),
    )


def read_states(root: Path, references: Iterable[str], now: datetime) -> tuple[StateFact, ...]:
    """Return the states behind references, each once, in the order given."""
    return tuple(read_state(root, reference, now) for reference in dict.fromkeys(references))


def read_preflight(stdout: str, rc: int) -> PreflightFact:
    """`hyops blueprint preflight --json`: from the first line that is exactly `{` to the last that is exactly `}`.

    An answer that cannot be read is one that blocks: `status` failed, and `error` says why.
    """
    lines = stdout.splitlines()
    try:
        if len(stdout) > MAX_FILE:
            raise ValueError("too long to be an answer")
        first = lines.index("{")
        last = len(lines) - lines[::-1].index("}")
        answer = json.loads("\n".join(lines[first:last]))
        steps = tuple(_preflight_step(step) for step in answer["steps"])
        failures = tuple(str(name) for name in answer["required_failures"])
        return PreflightFact(rc=rc, status=str(answer["status"]), steps=steps, required_failures=failures)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        said = next((line for line in lines if line.startswith(("ERR:", "error:"))), "no JSON answer")
        return PreflightFact(rc=rc, status="failed", error=said)


def _preflight_step(step: dict[str, Any]) -> PreflightStep:
    status: Literal["ready", "skipped", "blocked", "deferred"] = step["status"]
    checks = step.get("checks", [])
    again = [str(check["detail"]) for check in checks if status == "ready" and check.get("name") == "state_skip"]
    telling = [check for check in checks if not check["ok"]] or ([] if status == "ready" else checks[-1:])
    reason = "; ".join(str(check["detail"]) for check in telling)
    resolved = any(check.get("name") == "module_resolve" and check["ok"] is True for check in checks)
    return PreflightStep(id=step["id"], status=status, reason=reason, rerun="; ".join(again), resolved=resolved)


def _word(value: object) -> str:
    """Return a short plain value of a file that HyOps wrote, or empty."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _age(updated_at: str, now: datetime) -> int | None:
    try:
        then = datetime.fromisoformat(updated_at.replace("Z", "+00:00"))
    except ValueError:
        return None
    return max(0, int((now - then).total_seconds())) if then.tzinfo else None
