"""A caller's workflow file, read as GitHub reads it: as YAML 1.2, where `on` is text and not a boolean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.yaml_loader import Yaml12Loader, YamlError, load


@dataclass(frozen=True)
class Input:
    """One input of `workflow_dispatch`: what GitHub validates."""

    required: bool = False
    default: str = ""
    options: tuple[str, ...] = ()
    """Of a choice; empty for any other type."""


def read_workflow(data: bytes, path: str) -> dict[str, Any]:
    """Return the mapping in a workflow file. Raises Refusal (exit 2) `workflow.file` for what GitHub could not read either."""
    document, found = None, ""
    try:
        document = load(data, Yaml12Loader)
    except YamlError as error:
        found = str(error)
    if found:
        _refuse(path, found)
    if not isinstance(document, dict):
        _refuse(path, "nothing" if document is None else f"a {type(document).__name__}")
    return document


def triggers(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what starts the workflow: event -> its settings, in whichever of the three forms it is written."""
    found = document.get("on")
    if isinstance(found, str):
        return {found: None}
    if isinstance(found, list):
        return {str(each): None for each in found}
    return found if isinstance(found, dict) else {}


def dispatch_inputs(document: Mapping[str, Any]) -> dict[str, Input] | None:
    """Return the inputs that `workflow_dispatch` takes; None where the workflow cannot be started that way."""
    events = triggers(document)
    if "workflow_dispatch" not in events:
        return None
    inputs = mapping(mapping(events["workflow_dispatch"]).get("inputs"))
    return {str(name): _input(mapping(each)) for name, each in inputs.items()}


def event_types(document: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the types of `repository_dispatch` that start it, empty for all of them; None where none does."""
    events = triggers(document)
    if "repository_dispatch" not in events:
        return None
    types = mapping(events["repository_dispatch"]).get("types")
    return (types,) if isinstance(types, str) else tuple(str(each) for each in types) if isinstance(types, list) else ()


def mapping(value: object) -> Mapping[str, Any]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def _input(each: Mapping[str, Any]) -> Input:
    options = each.get("options") if each.get("type") == "choice" else None
    default = each.get("default")
    return Input(
        required=each.get("required") is True,
        default="" if default is None else str(default),
        options=tuple(str(option) for option in options) if isinstance(options, list) else (),
    )


def _refuse(path: str, found: str) -> Never:
    raise Refusal(
        "workflow.file",
        f"{path} is not a workflow that GitHub can read",
        exit_code=Exit.USAGE,
        found=found,
        expected="YAML with on: and jobs:",
        fix=f"correct {path}, then again",
    )
