"""Files of the repository at one commit, branch or tag, through the contents API."""

from __future__ import annotations

import base64
import binascii

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import CONTENT
from hyops_ci.github.api.errors import reading


def file_at(client: Client, path: str, ref: str) -> bytes:
    """Return the bytes of a file. Raises as `Client.ask`, and Refusal (exit 2) `github.file` for anything but a file of at most 1 MB."""
    answer = client.ask(CONTENT, path=path, params={"ref": ref})
    # A folder is a list; a link and a submodule are of another type; above 1 MB there is no content.
    if isinstance(answer, dict) and answer.get("type") == "file" and answer.get("encoding") == "base64":
        try:
            return base64.b64decode(str(answer.get("content")))
        except binascii.Error:
            pass
    raise Refusal(
        "github.file",
        "GitHub shows no file there",
        exit_code=Exit.USAGE,
        found=f"{path} at {ref}",
        expected="a plain file of at most 1 MB",
        fix="name another",
    )


def files_in(client: Client, folder: str, ref: str) -> tuple[str, ...]:
    """Return the paths of the plain files right in a folder. Raises as `Client.ask`, and Fault (exit 12) for anything but a listing."""
    listed = client.ask(CONTENT, path=folder, params={"ref": ref})
    with reading(CONTENT):
        return tuple(str(each["path"]) for each in listed if each["type"] == "file")
