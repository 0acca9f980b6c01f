"""What HyOps' drivers look at before they work: credentials, and for Ansible a login at every host (`drivers/config/ansible/driver.py`).

The login is the host's own `ssh`, with the key of `ssh_private_key_env`, which is left in clear in the work folder of the run.
"""

import os
import secrets
import shutil
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from program import modules, runtime

ANSIBLE = "config/ansible"
OFF = (False, "", "0", "false", "no", "n", "off", "f")
NOWHERE = "0.0.0.0"


def preflight(root, step, spec, inputs):
    """Why the driver cannot work, or empty."""
    folder = root / "credentials"
    if missing := [name for name in spec["requirements"]["credentials"] if not (folder / f"{name}.credentials.tfvars").is_file()]:
        return f"missing required credentials: {', '.join(missing)} (expected credentials in {folder})"
    if spec["execution"]["driver"] != ANSIBLE:
        return ""
    env = with_bundle(root, inputs)
    key = write_key(root, step, inputs, env)
    if as_word(inputs.get("connectivity_check", True)) in OFF:
        return ""
    return next((why for name, host in hosts(inputs) if (why := login(name, host, inputs, key, env))), "")


def with_bundle(root, inputs):
    """The environment, and what it lacks out of the bundle."""
    env = dict(os.environ)
    if as_word(inputs.get("load_vault_env", False)) not in OFF or any(not env.get(key) for key in inputs.get("required_env") or ()):
        env = runtime.vault_keys(root)[0] | {key: value for key, value in env.items() if value.strip()}
    return env


def write_key(root, step, inputs, env):
    """The file of the private key, or empty: left where it is, as the real driver does."""
    given = str(inputs.get("ssh_private_key_file") or "")
    value = str(env.get(str(inputs.get("ssh_private_key_env") or "")) or "").strip()
    if not value or (given and Path(given).expanduser().exists()):
        return given
    run = f"preflight-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(4)}"
    path = root / "work" / modules.module_id(step["module_ref"]) / run / "runtime.ssh.key"
    path.parent.mkdir(parents=True)
    path.write_text(value + "\n")
    path.chmod(0o600)
    return str(path)


def hosts(inputs):
    """(label, host), each host once."""
    found = {}
    for group, members in (inputs.get("inventory_groups") or {}).items():
        for member in members if isinstance(members, list) else ():
            host = str(member.get("host") or "")
            if host and host != NOWHERE:
                found.setdefault(host, f"{group}.{member.get('name') or host}")
    return [(label, host) for host, label in found.items()]


def login(label, host, inputs, key, env):
    """Why nobody can log in there, or empty."""
    port, user, seconds = (
        int(inputs.get("target_port") or 22),
        inputs.get("target_user") or "root",
        inputs.get("connectivity_timeout_s") or 5,
    )
    try:
        with socket.create_connection((host, port), timeout=float(seconds)):
            pass
    except OSError as error:
        return f"connectivity check failed: {label} (host={host}) port {port} is not reachable: {error}"
    argv = [str(shutil.which("ssh")), "-p", str(port), "-o", "BatchMode=yes", "-o", f"ConnectTimeout={seconds}"]
    argv += [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        *(["-i", key] if key else []),
        f"{user}@{host}",
        "true",
    ]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        return ""
    return (
        f"connectivity check failed: target SSH port is reachable, but authentication failed for {label} (host={host}). "
        f"Confirm target_user={user} exists and the SSH key is authorised. {done.stderr.strip()}"
    )


def as_word(value):
    """A truth as HyOps reads it, in small letters where it is text."""
    return value.strip().lower() if isinstance(value, str) else value
