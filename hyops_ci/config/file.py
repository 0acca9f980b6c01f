"""The caller's config and the host's trust file, read strictly."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from hyops_ci.contracts.base import Model
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.schema_files import schema_file
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.documents import FIELDS, read_document
from hyops_ci.parsing.model_errors import refuse_document
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.parsing.strict_yaml import read_yaml

M = TypeVar("M", bound=Model)
CONFIG_PATH = ".github/dr-dispatch.yml"
MAX_CONFIG = 64 * 1024
TRUST_FILE: Final = Path("/etc/dr-dispatch/trust.json")
MAX_TRUST: Final = 256 * 1024


@lru_cache(maxsize=4)
def read_config(data: bytes, path: str = CONFIG_PATH) -> tuple[DispatchConfig, Any]:
    """Return the config, and the file as parsed (for `config explain`). Raises Refusal (exit 2) with the JSON pointer of what is wrong.

    A stage asks for the same bytes in several places: all of them get the same objects, to be read only.
    """
    raw = read_yaml(data, path, most=MAX_CONFIG)
    return _read(raw, DispatchConfig, "dispatch-config", path), raw


@lru_cache(maxsize=8)
def parsed_config(data: bytes, path: str = CONFIG_PATH) -> DispatchConfig:
    """Return the config alone. The same bytes are parsed once in a process. Raises as `read_config`."""
    return read_config(data, path)[0]


def read_trust(data: bytes, path: str) -> HostTrust:
    """Return the host trust. Raises Refusal (exit 2) for a file that cannot be read: then no caller is trusted."""
    return _read(read_yaml(data, path, most=MAX_CONFIG), HostTrust, "host-trust", path)


_KINDS: Final[dict[type, str]] = {str: "text", bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}


def _read(raw: Any, model: type[M], kind: str, path: str) -> M:
    page = "docs/host-trust.md" if kind == "host-trust" else "docs/adopt.md"
    try:
        return read_document(model, json.dumps(raw))
    except (ValueError, TypeError) as error:
        if not isinstance(raw, dict):
            raise Refusal(
                "config.schema",
                f"{path} is not valid",
                exit_code=Exit.USAGE,
                found=_KINDS.get(type(raw), "a list"),
                expected="a mapping",
                fix=f"write it as {page} shows",
            ) from None
        if isinstance(error, JsonError) and error.rule == FIELDS:
            schema = json.loads(schema_file(kind).read_text(encoding="utf-8"))
            refuse_document(raw, schema, gate="config.schema", what=path, exit_code=Exit.USAGE, fix=f"correct {path}; see {page}")
        raise Refusal(
            "config.schema",
            f"{path} is not valid",
            exit_code=Exit.USAGE,
            found=str(error),
            expected="JSON-like values",
            fix=f"correct {path}",
        ) from None
