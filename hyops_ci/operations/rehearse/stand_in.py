"""A stand-in for HyOps: walks a blueprint's steps and says what the real one says, and touches nothing.

The rehearsal uses it where the real CLI is not found, and everything made with it says so. It keeps to the
surface that dr-dispatch calls (HyOps blueprint/command.py): `--version`, `blueprint preflight --json`,
`blueprint deploy --execute`, `blueprint destroy --execute --yes`. `<core root>/stand-in.json` may make a step slow, fail, or be cut off.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

VERSION = "0.1.4+stand.in"
"""A local version (PEP 440): fits `==0.1.4`, and says on every page what it was."""


class Stand:
    """One call of the stand-in, with its runtime root and its blueprint."""

    def __init__(self, overlay: Path) -> None:
        self.root = Path(os.environ["HYOPS_RUNTIME_ROOT"])
        self.core = Path(os.environ["HYOPS_CORE_ROOT"])
        self.blueprint: dict[str, Any] = yaml.safe_load(overlay.read_text())
        self.steps: list[dict[str, Any]] = self.blueprint["steps"]
        script = self.core / "stand-in.json"
        self.script: dict[str, Any] = json.loads(script.read_text()) if script.exists() else {}

    def state_file(self, ref: str) -> Path:
        """Return where the state of `<module>[#<instance>]` lies (HyOps runtime/module_state.py)."""
        module, _, instance = ref.partition("#")
        folder = self.root / "state" / "modules" / module.replace("/", "__")
        return folder / "instances" / f"{instance}.json" if instance else folder / "latest.json"

    def state(self, ref: str) -> dict[str, Any]:
        """Return the state, or an empty object."""
        path = self.state_file(ref)
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def own_ref(self, step: dict[str, Any]) -> str:
        """Return the state that a step writes."""
        instance = step.get("state_instance", "")
        return f"{step['module_ref']}#{instance}" if instance else str(step["module_ref"])

    def skipped(self, step: dict[str, Any]) -> bool:
        """A step with `skip_if_state_ok` and an old state that is ok does not run."""
        return bool(step.get("skip_if_state_ok")) and self.state(self.own_ref(step)).get("status") == "ok"

    def blocked(self, step: dict[str, Any], published: set[str]) -> str:
        """Return why a step cannot start, or empty."""
        inputs = step.get("inputs", {})
        missing = [key for key in inputs.get("required_env", []) if not os.environ.get(key)]
        if missing:
            return f"missing required env vars: {', '.join(missing)}"
        for key, ref in inputs.items():
            if key.endswith("_state_ref") and ref and ref not in published and self.state(ref).get("status") != "ok":
                return f"{key}={ref} state is unavailable: {self.state_file(ref)}"
        return ""

    def preflight(self) -> dict[str, Any]:
        """Return the object that `blueprint preflight --json` prints."""
        steps: list[dict[str, Any]] = []
        failures: list[str] = []
        published: set[str] = set()
        for step in self.steps:
            reason = self.blocked(step, published)
            status = "deferred" if failures else "blocked" if reason else "skipped" if self.skipped(step) else "ready"
            if status == "blocked":
                failures.append(step["id"])
            published.add(self.own_ref(step))
            checks = [{"name": "contracts", "ok": not reason, "detail": reason}]
            if status == "skipped":
                checks.insert(0, {"name": "state_skip", "ok": True, "detail": "state-ok"})
            steps.append(
                {
                    "id": step["id"],
                    "module_ref": step["module_ref"],
                    "module_state_ref": self.own_ref(step),
                    "action": step.get("action", "deploy"),
                    "phase": step.get("phase", ""),
                    "optional": False,
                    "checks": checks,
                    "status": status,
                }
            )
        return {
            "blueprint_ref": self.blueprint["blueprint_ref"],
            "mode": self.blueprint["mode"],
            "status": "failed" if failures else "ok",
            "path": "",
            "order": [step["id"] for step in self.steps],
            "required_failures": failures,
            "optional_failures": [],
            "steps": steps,
        }

    def deploy(self) -> int:
        """Walk the steps; the answer is the exit code."""
        ref, mode, total = self.blueprint["blueprint_ref"], self.blueprint["mode"], len(self.steps)
        before = self.preflight()
        say(f"blueprint={ref} mode={mode} preflight_status={before['status']} steps={total}")
        if before["status"] != "ok":
            say(f"required_failures: {', '.join(before['required_failures'])}")
            return 2
        for number, step in enumerate(self.steps, 1):
            if self.skipped(step):
                say(f"step={step['id']} status=skipped reason=state-ok")
                continue
            say(f"step={step['id']} status=running action={step.get('action', 'deploy')} module={step['module_ref']}")
            failed = self.walk(step)
            if failed:
                say(f"step={step['id']} status=failed rc=1 reason={failed}")
                say(f"blueprint={ref} mode={mode} status=failed steps={number}")
                say(f"required_failures: {step['id']}")
                return 2
            say(f"step={step['id']} status=ok progress={number * 100 // total}%")
        say(f"blueprint={ref} mode={mode} status=ok steps={total}")
        return 0

    def destroy(self) -> int:
        """Walk the steps backwards and take each one's state away; the answer is the exit code."""
        ref, mode, total = self.blueprint["blueprint_ref"], self.blueprint["mode"], len(self.steps)
        for number, step in enumerate(reversed(self.steps), 1):
            name, status = f"step={step['id']}", str(self.state(self.own_ref(step)).get("status", ""))
            if step.get("retain_on_destroy"):
                say(f"{name} status=retained reason=retain_on_destroy progress={number * 100 // total}%")
                continue
            if status in ("", "destroyed", "absent"):
                say(f"{name} status=skipped reason={f'state-{status}' if status else 'no-state'}")
                continue
            say(f"{name} status=running action=destroy module={step['module_ref']}")
            script = self.script.get("steps", {}).get(step["id"], {})
            try:
                time.sleep(float(script.get("destroy_seconds", self.script.get("seconds", 0.05))))
            except KeyboardInterrupt:
                # The state stays as it was: only `destroyed` says that something is gone.
                say(f"{name} status=cancelled rc=130")
                say(f"blueprint={ref} mode={mode} status=cancelled steps={number}")
                return 130
            if failed := script.get("destroy_fail"):
                say(f"{name} status=failed rc=1 reason={failed}")
                say(f"blueprint={ref} mode={mode} status=failed steps={number}")
                say(f"required_failures: {step['id']}")
                return 2
            self.write_state(step, f"destroy-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}", "destroyed")
            say(f"{name} status=ok progress={number * 100 // total}%")
        say(f"blueprint={ref} mode={mode} status=ok steps={total}")
        return 0

    def walk(self, step: dict[str, Any]) -> str:
        """Pretend to do one step, with the state and the records that it would leave."""
        script = self.script.get("steps", {}).get(step["id"], {})
        run_id = f"apply-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        try:
            self.write_state(step, run_id, "running")
            time.sleep(float(script.get("seconds", self.script.get("seconds", 0.05))))
        except KeyboardInterrupt:
            self.write_state(step, run_id, "error", "cancelled after provider execution started")
            say(f"step={step['id']} status=cancelled rc=130")
            raise
        if name := script.get("leak"):
            # What a provider's debug line does: a secret on standard output, and in the reason of a failure.
            say(f"debug: {name}={os.environ.get(name, '')}")
            script = {**script, "fail": f"login failed with {os.environ.get(name, '')}"}
        if script.get("cut_off"):
            os.kill(os.getpid(), signal.SIGKILL)
        inputs = step.get("inputs", {})
        closed = inputs.get("apply_mode") == "restore" and inputs.get("restore_confirm") is not True
        failure = "input validation failed: restore_confirm must be true" if closed else str(script.get("fail", ""))
        self.write_state(step, run_id, "error" if failure else "ok", failure)
        return failure

    def write_state(self, step: dict[str, Any], run_id: str, status: str, error: str = "") -> None:
        """State and run record of one step."""
        record = self.root / "logs" / "module" / str(step["module_ref"]).replace("/", "__") / run_id
        record.mkdir(parents=True, exist_ok=True)
        (record / "driver_result.json").write_text(
            json.dumps({"run_id": run_id, "status": status, "command": "destroy" if status == "destroyed" else "deploy"})
        )
        (record / "ansible.log").write_text(f"stand-in: {step['id']} {status} {error}\n")
        path = self.state_file(self.own_ref(step))
        path.parent.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {
            "module_ref": step["module_ref"],
            "run_id": run_id,
            "status": status,
            "updated_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "outputs": {},
            "evidence_dir": str(record),
        }
        state |= {"state_instance": step["state_instance"]} if step.get("state_instance") else {}
        state |= {"last_error": error} if error else {}
        path.write_text(json.dumps(state, indent=2, sort_keys=True))


def say(line: str) -> None:
    """One line of HyOps' stdout."""
    print(line, flush=True)


def main(argv: list[str]) -> int:
    """The command line of the stand-in; answers the exit code."""
    if argv == ["--version"]:
        say(VERSION)
        return 0
    if argv[:1] != ["blueprint"] or "--file" not in argv:
        say("ERR: the stand-in knows `blueprint preflight`, `blueprint deploy` and `blueprint destroy` with --file")
        return 2
    stand = Stand(Path(argv[argv.index("--file") + 1]))
    if argv[1] == "preflight":
        found = stand.preflight()
        say(json.dumps(found, indent=2))
        return 0 if found["status"] == "ok" else 2
    if argv[1] == "destroy" and not {"--execute", "--yes"} <= set(argv):
        say("ERR: non-interactive blueprint destroy requires --yes")
        return 2
    try:
        return stand.destroy() if argv[1] == "destroy" else stand.deploy()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
