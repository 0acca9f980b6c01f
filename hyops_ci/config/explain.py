"""`config explain`: every setting in force, by JSON pointer, with where it came from (docs/design/contracts.md 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel

from hyops_ci.config import settings
from hyops_ci.config.drills import isolated_service
from hyops_ci.config.probes import probes_of
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.facts import EffectiveBlueprint
from hyops_ci.contracts.lanes import LANES
from hyops_ci.dataclass import dataclass

Origin = Literal["file", "default", "overlay", "name"]


@dataclass(frozen=True)
class Setting:
    """One value in force. `origin`: the file, a default, the overlay, or a name that it follows from."""

    pointer: str
    value: object
    origin: Origin

    def document(self) -> dict[str, object]:
        """For `--format json`."""
        return {"pointer": self.pointer, "value": self.value, "origin": self.origin}

    def text(self) -> str:
        """Return the value as people read it, and `docs/config.md` has it: `none` for nothing, words in a row for a list."""
        return _text(self.value)


def explain(config: DispatchConfig, raw: Mapping[str, Any], overlays: Mapping[str, EffectiveBlueprint] | None = None) -> list[Setting]:
    """Return every setting, sorted by pointer.

    `raw` is the file as parsed: what it says is `file`. `overlays` maps an overlay's path to its reading; probes that
    follow from one are `overlay`, and without it they are not listed.
    """
    found: dict[str, Setting] = {}
    for pointer, value, origin in (
        *_sections(config),
        *_lanes(config),
        *_envs(config),
        *_services(config, overlays or {}),
        *_drills(config),
    ):
        found[pointer] = Setting(pointer, value, "file" if _said(raw, pointer) else origin)
    return [found[pointer] for pointer in sorted(found)]


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list() if value:
            return ", ".join(_text(item) for item in value)
        case dict() if value:
            return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
        case None | list() | dict():
            return "none"
        case _:
            return str(value)


_Row = tuple[str, object, Origin]


def _sections(config: DispatchConfig) -> Iterator[_Row]:
    for name in ("host", "hyops", "approvals", "policy", "evidence", "ledger"):
        yield from _model(f"/{name}", getattr(config, name))
    if config.vault is not None:
        yield from _model("/vault", config.vault)
        for env in sorted({settings.env_of(service) for service in config.services}):
            if config.vault.role is None:
                yield f"/vault/role ({env})", settings.role_of(config, env), "name"
    yield "/evidence/signer", settings.evidence_signer(config), "default"
    if settings.evidence_signer(config) == "host-key":
        yield "/evidence/key", settings.host_key_path(config), "default"
    yield "/host_keys", dict(config.host_keys), "default"
    yield "/gcp", config.gcp.document() if config.gcp else None, "default"
    yield "/notify", config.notify.document() if config.notify else None, "default"
    yield "/routes", [route.document() for route in config.routes], "default"


def _model(at: str, model: BaseModel) -> Iterator[_Row]:
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        pointer = f"{at}/{info.alias or name}"
        if at == "/vault" and name == "role" and value is None:
            continue
        if at == "/host" and name == "envs_base" and value is None:
            yield pointer, "<HyOps home>/envs", "default"
        elif isinstance(value, BaseModel):
            yield from _model(pointer, value)
        else:
            yield pointer, _plain(value), "default"


def _lanes(config: DispatchConfig) -> Iterator[_Row]:
    for name in LANES:
        lane = settings.lane_settings(config, name)
        yield f"/lanes/{name}/enabled", lane.enabled, "default"
        yield f"/lanes/{name}/runner_ref", lane.runner_ref, "default"
        yield f"/lanes/{name}/labels", list(lane.labels), "name"
        yield f"/lanes/{name}/names", list(lane.names), "default"
        yield f"/lanes/{name}/failure_domain", lane.failure_domain, "name"
        yield f"/lanes/{name}/drill_runner_ref", lane.drill_runner_ref, "name"


def _envs(config: DispatchConfig) -> Iterator[_Row]:
    for name in sorted({*config.envs, *(settings.env_of(service) for service in config.services)}):
        env = settings.env_settings(config, name)
        yield f"/envs/{name}/class", env.env_class.value, "default"
        yield f"/envs/{name}/github_environment", env.gate, "name"
        yield f"/envs/{name}/check_environment", env.check_gate, "default"
        yield f"/envs/{name}/reviewers", env.reviewers, "default"


def _services(config: DispatchConfig, overlays: Mapping[str, EffectiveBlueprint]) -> Iterator[_Row]:
    for service in sorted(config.services):
        at = f"/services/{service.replace('/', '~1')}"
        yield f"{at}/data_home", settings.data_home(config, service), "name"
        probes = None
        for decision_type, word in settings.ACTIONS.items():
            action = settings.action_of(config, service, decision_type)
            if action is None:
                continue
            path = settings.overlay_path(service, action)
            blueprint = overlays.get(path)
            yield f"{at}/{word}/lane", action.lane, "default"
            yield f"{at}/{word}/blueprint", action.blueprint, "default"
            yield f"{at}/{word}/overlay", path, "name"
            yield f"{at}/{word}/step_classes", dict(action.step_classes), "default"
            if blueprint is not None:
                yield f"{at}/{word}/dr_mode", settings.dr_mode_of(action, blueprint).value, "overlay"
            elif action.dr_mode:
                yield f"{at}/{word}/dr_mode", action.dr_mode.value, "default"
            if decision_type is DecisionType.FAILOVER:
                probes = blueprint
        verification = [probe.document() for probe in probes_of(config, service, probes)]
        yield f"/verification/{service.replace('/', '~1')}", verification, "overlay" if verification else "default"
        yield f"/objectives/{service.replace('/', '~1')}", settings.objective_of(config, service).document(), "default"


def _drills(config: DispatchConfig) -> Iterator[_Row]:
    for service, owed in sorted(config.drills.items()):
        at = f"/drills/{service.replace('/', '~1')}"
        if owed.check is not None:
            yield f"{at}/check/every", owed.check.every, "default"
        if owed.isolated is not None:
            yield f"{at}/isolated/every", owed.isolated.every, "default"
            yield f"{at}/isolated/service", isolated_service(config, service) or None, "name"


def _said(raw: Any, pointer: str) -> bool:
    """Return whether the file itself has this pointer."""
    value = raw
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, str) else value
