"""One reference of a secret map: placeholders, and the address it becomes (HyOps `runtime/hashicorp_vault.py: resolve_secret_ref`)."""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.contracts.plan import SecretRef

KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
PLACE: Final = re.compile(r"\{(env|scope|env_key|env_key_slug)\}")

_SEGMENT = re.compile(r"[A-Za-z0-9_.@-]{1,100}")
_FIELD = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MAX_PATH = 200


def slug(key: str) -> str:
    """Return `{env_key_slug}`: lower case, runs of other characters as one hyphen (HyOps `_slugify_secret_key`)."""
    return re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")


def expand(ref: str, *, env: str, scope: str, key: str) -> str:
    """Return `ref` with the four placeholders replaced, once; nothing else in braces has a meaning."""
    values = {"env": env, "scope": scope, "env_key": key, "env_key_slug": slug(key)}
    return PLACE.sub(lambda hit: values[hit.group(1)], ref)


def parse_ref(key: str, raw: str, expanded: str) -> SecretRef:
    """Return the address of `[v1/]<mount>/<path>[#FIELD]` on a KV v2 mount; the field defaults to the key.

    `<mount>/data/<path>`, the API's own spelling, means the same secret. Raises ValueError for what HyOps would look up elsewhere.
    """
    address, sharp, field = expanded.partition("#")
    if "#" in field:
        raise ValueError("more than one #")
    if sharp and not field:
        raise ValueError("nothing after #")
    field = field or key
    if not _FIELD.fullmatch(field):
        raise ValueError("the field has characters that no KV field of ours has")
    segments = address.removeprefix("/").removeprefix("v1/").split("/")
    if segments[0] == "v1":
        raise ValueError("v1 is the API's own segment")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or set(segment) == {"."}:
            raise ValueError(f"{segment!r} is not a path segment" if segment else "an empty path segment")
    # HyOps takes `/data/` anywhere as "already an API path" and then inserts nothing.
    if "data" in segments[1:-1]:
        if "data" in segments[2:-1] or f"{segments[0]}/data/" not in raw:
            raise ValueError("/data/ inside the path: HyOps would ask for another address")
        del segments[1]
    if len(segments) < 2:
        raise ValueError("mount and path are needed")
    path = "/".join(segments)
    if len(path) > _MAX_PATH:
        raise ValueError(f"longer than {_MAX_PATH} characters")
    return SecretRef(key=key, path=path, field=field)
