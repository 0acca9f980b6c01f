"""The host trust with one more commit, or with one alone; all else of the file byte for byte. Pure."""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.config.file import read_trust
from hyops_ci.errors import Exit, Refusal

_LIST: Final = re.compile(
    r'"workflow_shas"(?P<colon>\s*:\s*)\[(?P<lead>\s*)(?P<items>"[0-9a-f]{40}"(?:\s*,\s*"[0-9a-f]{40}")*)(?P<trail>\s*)\]'
)


def accepting(data: bytes, path: str, commit: str, *, alone: bool) -> bytes:
    """Return a trust file that accepts `commit` first, and the commits that it had beside it; `alone`: none beside it.

    Raises Refusal (exit 2) for a file that is no trust file, and `upgrade.trust` for one whose list is written in another form, or that
    would be left with a commit alone that it did not accept before: then no job is taken any more.
    """
    trust = read_trust(data, path)
    had = trust.workflow_shas
    if alone and commit not in had:
        raise _refuse(
            "this host does not accept the commit that would be left alone",
            f"workflow_shas: {', '.join(had)}",
            commit,
            "accept it first: the same command without --finish",
        )
    wanted = (commit,) if alone else (commit, *(each for each in had if each != commit))
    if wanted == had or (not alone and commit in had):
        return data
    text = data.decode("utf-8")
    hits = list(_LIST.finditer(text))
    if len(hits) == 1:
        hit = hits[0]
        between = "," + (hit["lead"] or " ")
        items = between.join(f'"{each}"' for each in wanted)
        made = f"{text[: hit.start('items')]}{items}{text[hit.end('items') :]}".encode()
        if read_trust(made, path) == trust.model_copy(update={"workflow_shas": wanted}):
            return made
    raise _refuse(
        "the trust file has another form than can be changed alone",
        f"workflow_shas in {path}",
        '"workflow_shas": ["<40 digits>", ...], once',
        f"write the list by hand: {', '.join(wanted)}",
    )


def _refuse(reason: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal("upgrade.trust", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix=fix, docs="host-trust.md")
