"""What Git's own objects have to be on a ledger branch, told from their bytes: an object is named by the hash of what it holds.

Whoever checks the names believes no other word of the copy that the bytes were read from.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from hyops_ci.dataclass import dataclass

FILE: Final = "tip.json"
_ENTRY: Final = b"100644 tip.json\0"


@dataclass(frozen=True)
class Commit:
    """The header of a commit."""

    tree: str
    parents: tuple[str, ...]


def name_of(kind: str, content: bytes) -> str:
    """Return the id of an object: 40 hexadecimal digits."""
    return sha1(b"%s %d\0%s" % (kind.encode(), len(content), content), usedforsecurity=False).hexdigest()


def read_commit(name: str, content: bytes) -> Commit:
    """Return what a commit says of its tree and its parents. Raises ValueError for another object than `name`."""
    if name_of("commit", content) != name:
        raise ValueError(f"{name} holds something else")
    lines = content.partition(b"\n\n")[0].split(b"\n")
    if not lines[0].startswith(b"tree "):
        raise ValueError(f"{name} is no commit")
    parents = tuple(line[7:].decode("ascii") for line in lines if line.startswith(b"parent "))
    return Commit(lines[0][5:].decode("ascii"), parents)


def tree_of(blob: str) -> str:
    """Return the id of the one tree that a ledger's commit may have: `tip.json` as a regular file, and nothing else."""
    return name_of("tree", _ENTRY + bytes.fromhex(blob))


def is_tip_alone(tree: bytes) -> bool:
    """Return whether a tree is such a one, whatever the file holds."""
    return tree.startswith(_ENTRY) and len(tree) == len(_ENTRY) + 20


def answers(output: bytes) -> list[bytes]:
    """Return the contents that `git cat-file --batch` printed, in the order asked. Raises ValueError for an object that is missing."""
    found, at = [], 0
    while at < len(output):
        start = output.index(b"\n", at) + 1
        fields = output[at : start - 1].split()
        if len(fields) != 3:
            raise ValueError(output[at : start - 1].decode("ascii", "replace"))
        at = start + int(fields[2]) + 1
        found.append(output[start : at - 1])
    return found
