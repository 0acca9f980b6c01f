"""The published JSON Schemas: generated from the models, committed, checked fresh."""

import ast
import inspect
import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from jsonschema import FormatChecker
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from hyops_ci.contracts import (
    alerts,
    approval,
    board,
    check,
    cleanup,
    config,
    decision,
    host_trust,
    ledger,
    manifest,
    notify,
    plan,
    readiness,
    records,
    recovery,
    run,
    track_record,
)
from hyops_ci.contracts.base import moment

BASE: Final = "https://hybridops.tech/schemas/dr-dispatch/"
MODELS: Final[dict[str, type[BaseModel]]] = {
    "decision": decision.Decision,
    "dispatch-config": config.DispatchConfig,
    "host-trust": host_trust.HostTrust,
    "plan": plan.Plan,
    "check": check.Check,
    "cleanup": cleanup.Cleanup,
    "approval": approval.Approval,
    "approval-request": approval.ApprovalRequest,
    "settlement": approval.Settlement,
    "event": run.Event,
    "result": run.Result,
    "ledger-tip": ledger.Tip,
    "manifest": manifest.Manifest,
    "readiness": readiness.Readiness,
    "track-record": track_record.TrackRecord,
    "notification": notify.Notification,
    "board": board.Board,
    "recovery-record": recovery.RecoveryRecord,
    "decision-record": records.DecisionRecord,
    "dispatch-request": records.DispatchRequest,
    "execution-record": records.ExecutionRecord,
    "executor-attempt": records.ExecutorAttempt,
    "minimal-artifact": records.MinimalArtifact,
    "alert-notification": alerts.AlertNotification,
}
"""Kind -> model. The file is `schemas/<kind>.v1.schema.json`."""

FORMATS: Final = FormatChecker(formats=())
"""Our own meaning of `format: date-time`: RFC 3339 in UTC, a day that exists. `Z` or `+00:00` is the pattern's business."""


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    """Return whether a string is an instant; other types pass, another keyword judges them."""
    return not isinstance(value, str) or moment(value.removesuffix("+00:00") + "Z" * value.endswith("+00:00")) is not None


def schema(kind: str) -> dict[str, Any]:
    """Return the schema of one kind. Raises KeyError for a kind that is not published."""
    made = MODELS[kind].model_json_schema(mode="validation", schema_generator=_Described)
    name = f"{kind}.v1.schema.json"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": BASE + name, **_closed(made)}


class _Described(GenerateJsonSchema):
    """Each property with what stands below its field in the model. Read here alone: pydantic's own way reads source at every start."""

    @override
    def model_schema(self, schema: Any) -> dict[str, Any]:
        made = super().model_schema(schema)
        for name, text in field_texts(schema["cls"]).items():
            made["properties"][schema["cls"].model_fields[name].alias or name]["description"] = text
        return made


@cache
def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Return field -> the text below it, on one line, for the fields that a model and its bases have one for."""
    found = {name: text for base in reversed(model.__bases__) if issubclass(base, BaseModel) for name, text in field_texts(base).items()}
    if model.__module__.startswith("hyops_ci."):
        body = _classes(inspect.getsourcefile(model) or "")[model.__name__].body
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id in model.model_fields:
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[field.target.id] = " ".join(text.split())
    return found


@cache
def _classes(path: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(Path(path).read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}


def _closed(node: Any) -> Any:
    """A mapping whose keys follow a pattern takes no other key: pydantic means that, and leaves it unsaid."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    return closed | {"additionalProperties": False} if isinstance(node.get("patternProperties"), dict) else closed


def export(folder: Path, *, check: bool) -> list[str]:
    """Write every schema into `folder`, or only compare. Return the names that are missing, stale or left over."""
    wanted = {f"{kind}.v1.schema.json": json.dumps(schema(kind), indent=2, sort_keys=True) + "\n" for kind in MODELS}
    there = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))} if folder.is_dir() else {}
    stale = sorted({name for name, text in wanted.items() if there.get(name) != text} | (there.keys() - wanted.keys()))
    if not check:
        folder.mkdir(exist_ok=True)
        for name in stale:
            if name in wanted:
                (folder / name).write_text(wanted[name], encoding="utf-8")
            else:
                (folder / name).unlink()
    return stale
