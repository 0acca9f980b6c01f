"""Module specs, effective inputs, states and what preflight says of one step."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import yaml
from program import driver, runtime, scenario

ALIASES = {"platform/postgresql-ha": "platform/onprem/postgresql-ha", "platform/onprem/postgresql-ha": "platform/postgresql-ha"}
SENSITIVE = ("password", "secret", "token", "api_key", "account_key", "access_key", "sa_json")


def module_id(ref):
    return ref.replace("/", "__")


def state_ref(step):
    return step["module_ref"] + (f"#{step['state_instance']}" if step["state_instance"] else "")


def state_path(root, ref):
    module, _, instance = ref.partition("#")
    tail = f"instances/{instance}.json" if instance else "latest.json"
    paths = [root / "state" / "modules" / module_id(name) / tail for name in (module, ALIASES.get(module)) if name]
    return next((path for path in paths if path.exists()), paths[0])


def read_state(root, ref):
    try:
        return json.loads(state_path(root, ref).read_text())
    except (OSError, ValueError):
        return {}


def write_json(path, content, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    partial.chmod(mode)
    partial.replace(path)


def spec_of(ref):
    path = Path(os.environ.get("HYOPS_CORE_ROOT", "."), "modules", ref, "spec.yml")
    if not path.is_file():
        raise ValueError(f"spec not found: {path}")
    return yaml.safe_load(path.read_text())


def materialize_inputs(root, payload, step):
    """The step's own inputs in a file, written even by preflight and for steps that are then skipped."""
    given = {}
    if step["inputs_file"]:
        source = Path(payload["path"]).parent / step["inputs_file"]
        if not source.exists():
            raise FileNotFoundError(f"step '{step['id']}' inputs_file not found: {source}")
        given = yaml.safe_load(source.read_text()) or {}
    given = given | (step["inputs"] or {})
    folder = root / "work" / "blueprint-inputs" / re.sub(r"[^A-Za-z0-9_.-]+", "_", payload["blueprint_ref"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{step['id']}.inputs.yml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    path.chmod(0o600)
    return path


def resolve(root, step, inputs_file, *, assumed, invocation):
    """Spec defaults < inputs < HYOPS_INPUT_* of every step; then state references and the module's own validator."""
    spec = spec_of(step["module_ref"])
    inputs = merged(spec["inputs"]["defaults"], yaml.safe_load(inputs_file.read_text()) or {})
    for key, value in os.environ.items():
        if key.startswith("HYOPS_INPUT_"):
            try:
                inputs[key.removeprefix("HYOPS_INPUT_").lower()] = json.loads(value)
            except ValueError:
                inputs[key.removeprefix("HYOPS_INPUT_").lower()] = value
    for key, value in inputs.items():
        wanted = key.endswith("_state_ref") and value and not unread(key, inputs)
        if wanted and value not in assumed and read_state(root, value).get("status") != "ok":
            raise ValueError(
                f"{key}={value} state is unavailable: {state_path(root, value)}. Re-apply upstream module '{value.partition('#')[0]}'"
            )
    _hosts_of_states(root, inputs)
    try:
        _validate(step["module_ref"], inputs, invocation)
    except ValueError as error:
        raise ValueError(
            f"input validation failed for {step['module_ref']}: validator failed for module_ref={step['module_ref']}: {error}"
        ) from None
    return spec, inputs


def merged(below, above):
    """Mappings at every depth."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}


def unread(key, inputs):
    """Whether this kind of work does not look at the state (`runtime/module_state_contracts.py`)."""
    mode = str(inputs.get("apply_mode") or "").strip().lower()
    if key == "managed_target_state_ref":
        return mode in ("establish", "status")
    return key == "source_state_ref" and mode == "status" and bool(inputs.get("replica_state_ref"))


def _hosts_of_states(root, inputs):
    """The control host of a PowerDNS authority is the inventory of a DNS step."""
    outputs = read_state(root, str(inputs.get("powerdns_state_ref") or "none")).get("outputs") or {}
    if outputs.get("powerdns_control_host") and not inputs.get("inventory_groups"):
        inputs["inventory_groups"] = {"dns_control": [{"name": "powerdns", "host": outputs["powerdns_control_host"]}]}


def _validate(ref, inputs, invocation):
    if ref == "core/shared/manual-gate":
        for name in ("gate_name", "gate_message"):
            if not isinstance(inputs.get(name), str) or not inputs[name].strip():
                raise ValueError(f"inputs.{name} must be a non-empty string")
        # A closed gate passes preflight and fails in deploy.
        if invocation == "deploy" and not inputs.get("confirm"):
            raise ValueError("inputs.confirm must be true (explicit operator confirmation required)")
    if ref == "platform/postgresql-ha" and inputs.get("apply_mode") == "restore" and invocation != "destroy":
        if inputs.get("restore_confirm") is not True:
            raise ValueError("inputs.restore_confirm must be true when inputs.apply_mode=restore")
        if not any(str(inputs.get(name) or "").strip() for name in ("backup_state_ref", "restore_set", "restore_target_time")):
            raise ValueError(
                "restore mode requires an explicit recovery selector. Set one of: "
                "inputs.backup_state_ref, inputs.restore_set, or inputs.restore_target_time"
            )
    if ref == "core/shared/manual-gate" and invocation == "deploy":
        for name, value in (inputs.get("assertions") or {}).items():
            if value is not True:
                raise ValueError(f"inputs.assertions[{name!r}] must be true (manual gate is not fully acknowledged)")


def missing_env(root, inputs, env_name):
    required = [key for key in inputs.get("required_env") or [] if not os.environ.get(key, "").strip()]
    bundle, error = runtime.vault_keys(root) if required else ({}, "")
    missing = sorted(key for key in required if not bundle.get(key, "").strip())
    if not missing:
        return ""
    hint = f"missing required env vars: {', '.join(missing)}. " + (f"{error}. " if error else "")
    return f"{hint}Generate them before deployment: hyops secrets ensure --env {env_name or '<env>'} {' '.join(missing)}"


def drift(root, step, inputs_file):
    """How the explicit inputs differ from those of the state that would be skipped."""
    state = read_state(root, state_ref(step))
    baseline = Path(state.get("resolved_inputs_file") or "/nonexistent")
    if not baseline.is_file():
        return ""
    before = yaml.safe_load(baseline.read_text()) or {}
    for key, value in (yaml.safe_load(inputs_file.read_text()) or {}).items():
        if value in ("", [], {}, None) or any(word in key for word in SENSITIVE if not key.endswith(("_env", "_file", "_path"))):
            continue
        if changed := _differs(value, before.get(key), key):
            return f"{changed} changed"
    return ""


def _differs(value, before, path):
    """The first place where what is given is not what was there; what was there beside it does not count."""
    if isinstance(value, dict) and isinstance(before, dict):
        return next((found for key in value if (found := _differs(value[key], before.get(key), f"{path}.{key}"))), "")
    return "" if value == before else path


def skip_decision(root, step, inputs_file):
    """`("skip" | "run" | "rerun", reason)`: an ok state is skipped unless inputs or live state drifted."""
    if not step["skip_if_state_ok"] or step["action"] not in ("apply", "deploy") or read_state(root, state_ref(step)).get("status") != "ok":
        return "run", ""
    if changed := drift(root, step, inputs_file):
        return "rerun", f"inputs-drift ({changed})"
    live = scenario.load().get("drift", {}).get(step["id"])
    if step["verify_state_on_skip"] and live:
        return "rerun", f"live-state-drift ({live})"
    return "skip", "state-ok" + (" (live state verified)" if step["verify_state_on_skip"] else "")


def preflight(root, payload, ns):
    """Per-step answers and the ids of required and optional failures. What depends on a blocked step is deferred."""
    answers, required, optional, assumed, status = [], [], [], set(), {}
    by_id = {step["id"]: step for step in payload["steps"]}
    for step in (by_id[step_id] for step_id in payload["order"]):
        answer = {
            "id": step["id"],
            "module_ref": step["module_ref"],
            "module_state_ref": state_ref(step),
            "action": step["action"],
            "phase": step["phase"],
            "optional": step["optional"],
            "checks": [],
            "status": "ready",
        }
        upstream = [name for name in step["requires"] if status.get(name) in ("blocked", "deferred")]
        if upstream:
            answer["status"] = "deferred"
            detail = "deferred because upstream preflight failed: " + ", ".join(upstream)
            answer["checks"].append({"name": "dependencies", "ok": True, "detail": detail})
        else:
            pending = [state_ref(by_id[name]) for name in step["requires"] if status.get(name) == "ready"]
            _check_step(root, payload, ns, step, answer, assumed, sorted(set(pending) & assumed))
        answers.append(answer)
        status[step["id"]] = answer["status"]
        if answer["status"] == "blocked":
            (optional if step["optional"] else required).append(step["id"])
        elif answer["status"] in ("ready", "skipped") and not step["optional"]:
            assumed.add(state_ref(step))
    return answers, required, optional


def _check_step(root, payload, ns, step, answer, assumed, pending):
    def check(name, detail, ok=True):
        answer["checks"].append({"name": name, "ok": ok, "detail": detail})
        if not ok:
            answer["status"] = "blocked"
        return ok

    try:
        inputs_file = materialize_inputs(root, payload, step)
    except (OSError, ValueError) as error:
        check("inputs_file", str(error), ok=False)
        return
    answer["inputs_file"] = str(inputs_file)
    check("inputs_file", str(inputs_file))
    what, reason = skip_decision(root, step, inputs_file)
    if what == "skip":
        answer["status"] = "skipped"
        check("state_skip", "skip_if_state_ok=true and module state is ok")
        return
    if what == "rerun":
        kind, _, detail = reason.removesuffix(")").partition(" (")
        why = "explicit step inputs changed" if kind == "inputs-drift" else "live verification detected drift"
        check("state_skip", f"existing state will not be skipped because {why}: {detail}")
    check("contracts", "ok")
    try:
        spec, inputs = resolve(root, step, inputs_file, assumed=assumed, invocation="preflight")
    except ValueError as error:
        check("module_resolve", str(error), ok=False)
        return
    check("module_resolve", "ok")
    answer["required_credentials"] = spec["requirements"]["credentials"]
    answer["outputs_publish"] = spec["outputs"]["publish"]
    if missing := missing_env(root, inputs, ns.env):
        check("required_env", missing, ok=False)
        return
    check("required_env", "ok")
    if blocked := scenario.load().get("preflight_block", {}).get(step["id"]):
        check("module_preflight", blocked, ok=False)
        return
    if pending:
        check("module_preflight", f"driver checks deferred until upstream blueprint state exists: {', '.join(pending)}")
        answer["driver_preflight"] = {"status": "deferred", "deferred_state_refs": pending}
        return
    if error := driver.preflight(root, step, spec, inputs):
        answer["driver_preflight"] = {"status": "error", "error": error}
        check("module_preflight", error, ok=False)
        return
    check("module_preflight", "ok")
    answer["driver_preflight"] = {"status": "ok"}


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
