"""Questions and answers of `HyOpsAccess` as JSON: made of the signatures of its methods, so that there is nothing to keep in step."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from hyops_ci.contracts.base import EnvKey, Model, Name, Short
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.hyops_access.port import HyOpsAccess

METHODS: Final = tuple(
    name for name, each in vars(HyOpsAccess).items() if inspect.isfunction(each) and not name.startswith("_") and name != "close"
)
_CONFIG: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", extra="forbid")


class Hello(Model):
    """The first question: which run of which env asks."""

    env: Name
    run_id: Short
    passed: dict[EnvKey, str] = {}
    """The runner's own values of `host.env_pass`."""


class Welcome(Model):
    """Its answer."""

    root: Short
    """The runtime root of the env."""
    runs: Short
    """Folder of this run's journals."""


@cache
def models_of(name: str) -> tuple[type[BaseModel], type[BaseModel]]:
    """Return the models of a method's arguments, and of its result as `value`."""
    hints = get_type_hints(getattr(HyOpsAccess, name), include_extras=True)
    result = hints.pop("return")
    given: dict[str, Any] = {key: (hint, ...) for key, hint in hints.items()}
    arguments = create_model(f"{name}_arguments", __config__=_CONFIG, **given)
    return arguments, create_model(f"{name}_result", __config__=_CONFIG, value=(result, ...))


def question(name: str, *values: object) -> dict[str, Any]:
    """Return a call as JSON."""
    arguments, _ = models_of(name)
    given = dict(zip(arguments.model_fields, values, strict=True))
    return {"call": name, "values": arguments(**given).model_dump(mode="json")}


def answer(access: object, asked: Any) -> dict[str, Any]:
    """Carry out a question; return its answer, or what refused it. Raises ValueError for what is no question."""
    if not isinstance(asked, dict) or asked.get("call") not in METHODS:
        raise ValueError("no question")
    arguments, result = models_of(asked["call"])
    values = arguments.model_validate_json(_text(asked.get("values")))
    method: Callable[..., Any] = getattr(access, asked["call"])
    try:
        return result(value=method(**{name: getattr(values, name) for name in arguments.model_fields})).model_dump(mode="json")
    except DispatchError as error:
        return refused(error)


def refused(error: DispatchError) -> dict[str, Any]:
    """Return a refusal or fault as JSON."""
    return {"refused": {**error.to_json(), "is_refusal": isinstance(error, Refusal)}}


def result_of(name: str, answered: Any) -> Any:
    """Return the result in an answer. Raises the Refusal or Fault that is in it, ValueError for no answer."""
    if not isinstance(answered, dict):
        raise ValueError("no answer")
    if isinstance(said := answered.get("refused"), dict):
        raise_refused(said)
    _, result = models_of(name)
    found: Any = result.model_validate_json(_text(answered))
    return found.value


def raise_refused(said: dict[str, Any]) -> None:
    """Raise what `refused` made."""
    texts = {name: str(said.get(name, "")) for name in ("found", "expected", "fix", "docs")}
    kind = Refusal if said.get("is_refusal") else Fault
    raise kind(str(said.get("gate")), str(said.get("reason")), exit_code=Exit(int(said.get("exit_code", Exit.HYOPS))), **texts)


def _text(value: object) -> str:
    return json.dumps(value)
