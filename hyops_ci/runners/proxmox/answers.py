"""What Proxmox VE answers, read strictly: an answer of another form is an `ApiError` that is not readable, never a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hyops_ci.dataclass import dataclass
from hyops_ci.runners.proxmox.api import ApiError

_NODE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_UPID: Final = re.compile(
    r"UPID:(?P<node>[A-Za-z0-9-]{1,63}):[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[A-Za-z0-9_-]{1,32}:[^:/\s]{0,80}:[^:/\s]{1,200}:"
)
_VMIDS: Final = range(100, 1_000_000_000)


@dataclass(frozen=True)
class Guest:
    """One row of the cluster's guests."""

    vmid: int
    node: str
    kind: str
    """`qemu`, or `lxc` for a container."""
    name: str
    """Empty for the first seconds of a guest."""
    template: bool


@dataclass(frozen=True)
class Config:
    """The configuration of a machine, with what is to be changed at its next start."""

    values: Mapping[str, str]
    digest: str

    def get(self, name: str) -> str:
        """Return one setting, empty where there is none."""
        return self.values.get(name, "")


@dataclass(frozen=True)
class Task:
    """A task of a node."""

    upid: str
    node: str


def unreadable(words: str) -> ApiError:
    """Return the error of an answer that has another form."""
    return ApiError(200, words, readable=False)


def guests(found: Any) -> tuple[Guest, ...]:
    """Return the machines and containers of `/cluster/resources`."""
    return tuple(_guest(row) for row in _rows(found, "the list of guests"))


def _guest(row: Mapping[str, Any]) -> Guest:
    vmid, node, kind = row.get("vmid"), row.get("node"), row.get("type")
    if type(vmid) is not int or vmid not in _VMIDS or kind not in ("qemu", "lxc"):
        raise unreadable("a guest without an id or of an unknown type")
    return Guest(vmid, _node(node), kind, _text(row.get("name", ""), "the name of a guest"), bool(row.get("template")))


def config(found: Any) -> Config:
    """Return the answer of `/nodes/<node>/qemu/<vmid>/config`."""
    values = {name: str(value) for name, value in _object(found, "a configuration").items() if isinstance(value, str | int | float)}
    digest = values.pop("digest", "")
    if not re.fullmatch(r"[0-9a-f]{40}", digest):
        raise unreadable("a configuration without its digest")
    return Config(values, digest)


def status(found: Any) -> tuple[bool, str]:
    """Return whether a machine runs, and its state in the words of the API."""
    row = _object(found, "the status of a machine")
    said = row.get("status")
    if said not in ("running", "stopped"):
        raise unreadable("a status that is neither running nor stopped")
    inner = _text(row.get("qmpstatus", ""), "the state of a machine")
    return said == "running", said if inner in ("", said) else f"{said} ({inner})"


def task(found: Any) -> Task:
    """Return the task that a request began."""
    match = _UPID.fullmatch(found) if isinstance(found, str) else None
    if match is None:
        raise unreadable("no id of a task")
    return Task(match[0], match["node"])


def tasks(found: Any, *, running: bool = False) -> tuple[Task, ...]:
    """Return the tasks of a list, or those of them that are not over."""
    rows = _rows(found, "the list of tasks")
    return tuple(task(row.get("upid")) for row in rows if not running or row.get("status", "RUNNING") == "RUNNING")


def task_end(found: Any) -> str:
    """Return how a task ended, `OK` where it did what it was to do; empty while it runs."""
    row = _object(found, "the status of a task")
    if row.get("status") == "running":
        return ""
    if row.get("status") != "stopped":
        raise unreadable("a task that is neither running nor stopped")
    return _text(row.get("exitstatus") or "unexpected status", "the end of a task")


def log(found: Any) -> str:
    """Return the lines of a task's log."""
    return "\n".join(_text(row.get("t", ""), "a line of a log") for row in _rows(found, "the log of a task"))


def bridges(found: Any) -> Mapping[str, bool]:
    """Return the bridges of a node, and whether each of them is up."""
    return {_text(row.get("iface"), "the name of a bridge"): bool(row.get("active")) for row in _rows(found, "the list of bridges")}


def file_content(found: Any) -> str:
    """Return what the guest agent read of a file."""
    return _text(_object(found, "a file of the machine").get("content"), "a file of the machine")


def addresses(found: Any) -> frozenset[str]:
    """Return the IPv4 addresses of a machine's interfaces, as its guest agent shows them."""
    rows = _rows(_object(found, "the interfaces of the machine").get("result"), "the interfaces of the machine")
    each = [one for row in rows for one in _rows(row.get("ip-addresses") or [], "the addresses of an interface")]
    return frozenset(_text(one.get("ip-address"), "an address") for one in each if one.get("ip-address-type") == "ipv4")


def _object(found: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise unreadable(f"{what} is no object")
    return found


def _rows(found: Any, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(found, list):
        raise unreadable(f"{what} is no list")
    return [_object(row, f"an entry of {what}") for row in found]


def _text(found: Any, what: str) -> str:
    if not isinstance(found, str):
        raise unreadable(f"{what} is no text")
    return found


def _node(found: Any) -> str:
    if not isinstance(found, str) or not _NODE.fullmatch(found):
        raise unreadable("a node without a name")
    return found
