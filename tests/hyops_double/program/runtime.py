"""Runtime root, layout, blueprint files and the vault bundle, with the precedence of HyOps `runtime/root.py`."""

import os
import re
from pathlib import Path

import yaml

ENV_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$")
REF = re.compile(r"^[a-z0-9][a-z0-9/_-]*@[a-z0-9][a-z0-9._-]*$")
LAYOUT = ("config", "credentials", "vault", "state", "logs", "meta", "work")


def root_of(ns):
    """HYOPS_RUNTIME_ROOT silently beats --env, and --env beats HYOPS_ENV."""
    if ns.root and ns.env:
        raise ValueError("--root and --env are mutually exclusive")
    if ns.root:
        return Path(ns.root).expanduser().resolve()
    if os.environ.get("HYOPS_RUNTIME_ROOT", "").strip():
        return Path(os.environ["HYOPS_RUNTIME_ROOT"]).expanduser().resolve()
    env = (ns.env or os.environ.get("HYOPS_ENV", "")).strip()
    if not env:
        raise ValueError(f"hyops blueprint {ns.action} requires explicit runtime selection. Use --env or --root.")
    if not ENV_NAME.match(env):
        raise ValueError(f"invalid env name: {env!r}")
    return (Path.home() / ".hybridops" / "envs" / env).resolve()


def make_layout(root):
    """A mistyped env is not an error: its tree is made."""
    for name in ("", *LAYOUT):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o700)


def blueprint_file(ns):
    if ns.file:
        return Path(ns.file).expanduser().resolve()
    if not ns.ref:
        raise ValueError("either --ref or --file is required")
    if not REF.match(ns.ref):
        raise ValueError("blueprint ref must match <scope>/<name>@<version>")
    # The initialized overlay counts only when --env or --root is given.
    if ns.env or ns.root:
        overlay = root_of(ns) / "config" / "blueprints" / f"{ns.ref.split('@')[0].split('/')[-1]}.yml"
        if overlay.is_file():
            return overlay
    path = Path(os.environ.get("HYOPS_CORE_ROOT", "."), "blueprints", ns.ref, "blueprint.yml")
    if not path.is_file():
        raise ValueError(f"blueprint file not found under: {path.parent.parent}/{path.name}")
    return path


def enforce_scope(ns, root):
    allowed = (root / "config" / "blueprints").resolve()
    if ns.file and not Path(ns.file).expanduser().resolve().is_relative_to(allowed):
        raise ValueError(
            f"hyops blueprint {ns.action} requires --file to live under {allowed} for the selected runtime. "
            "Copy the shipped blueprint there and rerun."
        )


def load_blueprint(path):
    if not path.is_file():
        raise FileNotFoundError(f"blueprint file not found: {path}")
    spec = yaml.safe_load(path.read_text())
    if not isinstance(spec, dict) or spec.get("kind") != "BlueprintSpec":
        raise ValueError("kind must be BlueprintSpec")
    if not REF.match(str(spec.get("blueprint_ref", ""))):
        raise ValueError("blueprint ref must match <scope>/<name>@<version>")
    steps = [_step(index, step) for index, step in enumerate(spec.get("steps") or [], start=1)]
    if not steps:
        raise ValueError("steps must be a non-empty list")
    ids = {step["id"] for step in steps}
    if len(ids) < len(steps):
        raise ValueError("duplicate step id")
    for step in steps:
        for required in step["requires"]:
            if required not in ids:
                raise ValueError(f"step '{step['id']}' requires unknown step '{required}'")
    return {
        "path": str(path),
        "blueprint_ref": spec["blueprint_ref"],
        "mode": spec.get("mode", "hybrid"),
        "metadata": spec.get("metadata") or {},
        "policy": {"fail_fast": True, "evidence_required": True, "ipam_authority": "none"} | (spec.get("policy") or {}),
        "recoverable_secrets": [],
        "access": {},
        "archive_before_destroy": {},
        "steps": steps,
        "order": _order(steps),
    }


def _step(index, step):
    for key in ("id", "module_ref"):
        if not isinstance(step.get(key), str) or not step[key].strip():
            raise ValueError(f"steps[{index}].{key} must be a non-empty string")
    # Unknown keys are silently ignored, as the real loader does.
    return {
        "id": step["id"],
        "module_ref": step["module_ref"],
        "execution_profile": step.get("execution_profile", ""),
        "action": str(step.get("action") or "deploy").strip().lower(),
        "phase": step.get("phase") or "operations",
        "requires": list(step.get("requires") or step.get("depends_on") or []),
        "with_deps": bool(step.get("with_deps", False)),
        "skip_if_state_ok": bool(step.get("skip_if_state_ok", False)),
        "verify_state_on_skip": bool(step.get("verify_state_on_skip", False)),
        "retain_on_destroy": bool(step.get("retain_on_destroy", False)),
        "destroy_gate": False,
        "optional": bool(step.get("optional", False)),
        "inputs": step.get("inputs"),
        "inputs_file": step.get("inputs_file") or "",
        "state_instance": str(step.get("state_instance") or "").lower(),
        "presentation": {},
        "contracts": step.get("contracts") or {},
    }


def _order(steps):
    placed = []
    while len(placed) < len(steps):
        ready = [step for step in steps if step["id"] not in placed and set(step["requires"]) <= set(placed)]
        if not ready:
            left = [step["id"] for step in steps if step["id"] not in placed]
            raise ValueError(f"blueprint dependency cycle detected: {' -> '.join([*left, left[0]])}")
        placed.append(ready[0]["id"])
    return placed


def vault_keys(root):
    """Keys of the vault bundle, and an error text. Decrypts as ansible-vault 1.1 does."""
    path = root / "vault" / "bootstrap.vault.env"
    if not path.exists():
        return {}, ""
    password_file = os.environ.get("HYOPS_VAULT_PASSWORD_FILE", "").strip()
    try:
        text = _decrypt(path.read_text(), Path(password_file).read_bytes().strip())
    except (OSError, ValueError) as error:
        return {}, f"vault decrypt failed: ansible-vault view failed: [ERROR]: Decryption failed ({error})"
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}, ""


def _decrypt(text, password):
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    head, *lines = text.strip().splitlines()
    if not head.startswith("$ANSIBLE_VAULT;1."):
        raise ValueError("input is not vault encrypted data")
    salt, mac, cipher = (bytes.fromhex(part.decode()) for part in bytes.fromhex("".join(lines)).split(b"\n", 2))
    keys = hashlib.pbkdf2_hmac("sha256", password, salt, 10000, 80)
    if not hmac.compare_digest(hmac.new(keys[32:64], cipher, "sha256").digest(), mac):
        raise ValueError("HMAC verification failed")
    stream = Cipher(algorithms.AES(keys[:32]), modes.CTR(keys[64:])).decryptor()
    plain = stream.update(cipher) + stream.finalize()
    return plain[: -plain[-1]].decode()
