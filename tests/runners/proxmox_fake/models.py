"""The API's own models, made from its description: every request and every answer of the fake is held against them.

The package brings them inside a server of its own, whose dependencies are not installed: the file is loaded alone. The models let fields
through that they do not know; here they do not.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import warnings
from functools import cache
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel, RootModel, ValidationError

UNSAID = {"tokenid", "bytes-read"}
"""Fields that the API answers with and its description leaves out (`PVE/API2/Tasks.pm`, `PVE/API2/Qemu/Agent.pm`)."""
QUERIES = {
    "/cluster/resources": {"type"},
    "/cluster/nextid": {"vmid"},
    "/nodes/{node}/network": {"type"},
    "/nodes/{node}/tasks": {"start", "limit", "userfilter", "typefilter", "vmid", "errors", "source", "since", "until", "statusfilter"},
    "/nodes/{node}/tasks/{upid}/log": {"start", "limit", "download"},
    "/nodes/{node}/qemu/{vmid}/config": {"current", "snapshot"},
    "/nodes/{node}/qemu/{vmid}/agent/file-read": {"file"},
}
"""What GET takes in every supported version: the models have no requests of it. `file-read` takes `count` since 2026."""


class NotOfTheApiError(Exception):
    """A request or an answer that the API's description does not have."""


@cache
def module() -> ModuleType:
    package = importlib.util.find_spec("proxmox_openapi")
    assert package is not None
    assert package.submodule_search_locations
    path = f"{package.submodule_search_locations[0]}/generated/proxmox/latest/pydantic_models.py"
    spec = importlib.util.spec_from_file_location("proxmox_api_models", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a field of a model is called `schema`
        spec.loader.exec_module(made)
    return made


def check_request(method: str, template: str, values: dict[str, str]) -> None:
    if method == "GET":
        if unknown := set(values) - QUERIES.get(template, set()):
            raise NotOfTheApiError(f"GET {template} takes no {', '.join(sorted(unknown))}")
        return
    _check(_model(method, template, "Request"), {name: values[name] for name in values}, set())


def check_answer(method: str, template: str, value: Any) -> None:
    _check(_model(method, template, "Response"), value, UNSAID)


def _model(method: str, template: str, kind: str) -> type[BaseModel]:
    words = "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", template) if word)
    found = getattr(module(), f"{method.capitalize()}{words}{kind}", None)
    if found is None:
        raise NotOfTheApiError(f"no {kind} of {method} {template}")
    return found  # type: ignore[no-any-return]  # the models are made when they are asked for


def _check(model: type[BaseModel], value: Any, unsaid: set[str]) -> None:
    known = value
    if not issubclass(model, RootModel) and isinstance(value, dict):
        known = _known(model, value, unsaid)
    elif issubclass(model, RootModel) and isinstance(value, list):
        (item,) = get_args(model.model_fields["root"].annotation) or (None,)
        if isinstance(item, type) and issubclass(item, BaseModel):
            known = [_known(item, each, unsaid) for each in value]
    try:
        model.model_validate(known)
    except ValidationError as error:
        raise NotOfTheApiError(f"{model.__name__}: {error.errors()[0]['loc']} {error.errors()[0]['msg']}") from None


def _known(model: type[BaseModel], value: dict[str, Any], unsaid: set[str]) -> dict[str, Any]:
    """Refuse what the description has no field for; `net0` is its `net[n]`."""
    names = {field.alias or name for name, field in model.model_fields.items()}
    for key in value:
        if key not in names and f"{key.rstrip('0123456789')}[n]" not in names and key not in unsaid:
            raise NotOfTheApiError(f"{model.__name__} has no field {key}")
    return {key: each for key, each in value.items() if key not in unsaid}
