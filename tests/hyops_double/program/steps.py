"""One step run: state before and after, run record, provider, interrupt. As HyOps `commands/_apply_execute.py`."""

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path

import yaml
from program import driver, modules, scenario

CANCELLED = 130
JINJA = re.compile(r"\{\{ *(.*?) *\}\}")
LOOKUP = re.compile(r"lookup\('(env|pipe)', *'(.*)'\)")
SLEEP = re.compile(r"sleep ([0-9.]+)")


class Undefined(Exception):
    pass


def render(value, slept):
    """Inputs are Jinja on the controller: environment look-ups are published, pipes are run (only `sleep` here)."""
    if isinstance(value, dict):
        return {key: render(item, slept) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, slept) for item in value]
    return JINJA.sub(lambda found: _evaluate(found[1], slept), value) if isinstance(value, str) else value


def _evaluate(expression, slept):
    lookup = LOOKUP.fullmatch(expression)
    if lookup is None:
        raise Undefined(f"'{expression}' is undefined")
    if lookup[1] == "env":
        return os.environ.get(lookup[2], "")
    slept.extend(float(seconds) for seconds in SLEEP.findall(lookup[2]))
    return "done"


def concise(error):
    """The public wording of an internal error (HyOps `runtime/operator_output.py`)."""
    return re.sub(r"\s*\(open:[^)]+\)", "", error.replace("ansible apply failed", "configuration apply failed"))


def run_step(root, step, inputs_file, env_name, command="deploy"):
    """The exit code of the module command: 0, 1 (failed) or 130 (interrupted)."""
    script = scenario.of_step(step["id"])
    if command == "destroy":
        script = {"do": script.get("destroy", "ok"), "seconds": script.get("destroy_seconds", 0)}
    try:
        spec, inputs = modules.resolve(root, step, inputs_file, assumed=set(), invocation=command)
    except ValueError as error:
        # Nothing is recorded for what fails before the provider starts.
        print(f"ERR: {error}", file=sys.stderr)
        return 1
    if command == "destroy":
        inputs = {**inputs, "required_env": inputs.get("required_env_destroy") or []}
    if missing := modules.missing_env(root, inputs, env_name):
        print(f"error: {missing}", file=sys.stderr)
        return 1
    if command == "deploy" and (error := driver.preflight(root, step, spec, inputs)):
        print(f"error: preflight failed: {error}", file=sys.stderr)
        return 1
    kind = Destroy if command == "destroy" else Apply
    return kind(root, step, spec, inputs, script).run()


class Apply:
    command = "deploy"
    label = "apply"

    def __init__(self, root, step, spec, inputs, script):
        self.root, self.step, self.spec, self.inputs, self.script = root, step, spec, inputs, script
        self.run_id = f"{self.label}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(4)}"
        self.module = modules.module_id(step["module_ref"])
        self.record = root / "logs" / "module" / self.module / self.run_id
        self.work = root / "work" / self.module / self.run_id
        self.driver = {
            "ref": spec["execution"]["driver"],
            "profile": spec["execution"]["profile"],
            "pack_id": spec["execution"]["pack_ref"]["id"],
        }

    def run(self):
        self.record.mkdir(parents=True)
        self.work.mkdir(parents=True)
        self._before()
        try:
            self._begun()
            self._talk()
            rc = self._provide()
        except KeyboardInterrupt:
            return self._interrupted()
        do = self.script.get("do", "ok")
        if do == "vanish":
            sys.stdout.flush()
            os._exit(0)
        if rc != 0:
            error = f"ansible {self.label} failed (open: {self.record / 'ansible.log'})"
            self._results("error", error=error)
            self._failed(error)
            print(f"error: {concise(error)}\nrun record: {self.record}", file=sys.stderr)
            return 1
        self._results("ok")
        if do != "running":
            self._done(stale=do == "stale")
        return 0

    def _begun(self):
        self._state("running", active_command="deploy")

    def _failed(self, error):
        self._state("error", failed_command="deploy", last_error=error)

    def _done(self, *, stale):
        self._state("ok", stale=stale)

    def _parent(self, decision):
        return {"parent": {**decision, "requirement": "blueprint-preflight", "scope": "blueprint"}}

    def _before(self):
        stamp = modules.now()
        decision = {
            "command": self.command,
            "completed_at": stamp,
            "decision": "enforce",
            "decision_source": "operator-cli",
            "guarantee": "established",
            "mutating": True,
            "reason": "",
            "recorded_at": stamp,
            "schema_version": 1,
            "status": "passed",
        }
        own = {**decision, "requirement": "driver-preflight", "scope": "driver"}
        self._json("preflight_decision.json", {**own, **self._parent(decision)})
        facts = {
            "module_ref": self.step["module_ref"],
            "pack_id": self.driver["pack_id"],
            "pack_stack": str(Path(os.environ["HYOPS_CORE_ROOT"], "packs", self.driver["pack_id"], "stack")),
            "profile_ref": self.driver["profile"],
            "required_credentials": self.spec["requirements"]["credentials"],
            "required_env": self.inputs.get("required_env") or [],
        }
        answer = {"command": "preflight", "driver": self.driver, "run_id": self.run_id, "status": "ok", "warnings": []}
        self._json("preflight_result.json", {**answer, "normalized_outputs": {"preflight": facts}})
        named = {"module_ref": self.step["module_ref"], "state_instance": self.step["state_instance"]}
        self._json("inputs_resolved.json", {**named, "inputs": self.inputs})
        self._json("meta.json", self._meta())

    def _meta(self):
        """What the Ansible driver leaves over the richer file of the same name."""
        pack = str(Path(os.environ["HYOPS_CORE_ROOT"], "packs", self.driver["pack_id"], "stack"))
        return {
            "ansible_env": {"ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")},
            "available_credentials": [],
            "command": self.label,
            "driver": self.driver["ref"],
            "inputs_file": str(self.work / "hyops.inputs.yml"),
            "inventory": str(self.work / "inventory.ini"),
            "outputs_file": str(self.work / "hyops.outputs.json"),
            "pack_id": self.driver["pack_id"],
            "pack_stack": pack,
            "playbook": {"file": "playbook.yml", "note": "", "requested_apply_mode": ""},
            "profile": self.driver["profile"],
            "profile_path": "",
            "proxy_jump": {"auto_enabled": False, "auto_note": "", "host": "", "port": 22, "user": ""},
            "required_credentials": self.spec["requirements"]["credentials"],
            "required_env": self.inputs.get("required_env") or [],
            "ssh_key": {"env": "", "file": "", "materialized_from_env": False},
            "vault": {"error": "", "file": str(self.root / "vault" / "bootstrap.vault.env"), "loaded": False, "loaded_key_count": 0},
            "workdir": str(self.work),
        }

    def _provide(self):
        do, began = self.script.get("do", "ok"), time.monotonic()
        if do == "stuck":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        slept = [self.script.get("seconds", 0)]
        try:
            self.rendered = render(self.inputs, slept)
        except Undefined as undefined:
            do, slept = f"fail:{undefined}", [0]
        argv = [sys.executable, "-I", str(Path(__file__).with_name("provider.py")), do, str(sum(slept)), self.script.get("until", "")]
        called = f"ansible_{self.label}"
        paths = {name: self.record / f"{called}.{name}.txt" for name in ("stdout", "stderr")}
        with paths["stdout"].open("wb") as out, paths["stderr"].open("wb") as err:
            # `fork` hands the provider hyops' own output, as a badly behaved connection master would have it.
            process = subprocess.Popen(argv, stdout=None if do == "fork" else out, stderr=err, stdin=subprocess.DEVNULL)
            if do == "crash":
                time.sleep(0.3)
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                rc = process.wait()
            except KeyboardInterrupt:
                rc = self._interrupt(process)
                raise
            finally:
                for path in paths.values():
                    path.chmod(0o644)
                text = paths["stdout"].read_text() + paths["stderr"].read_text()
                log = self.record / "ansible.log"
                log.write_text(f"\n[hyops] {called} start argv={argv}\n{text}\n[hyops] {called} end rc={process.returncode}\n")
                log.chmod(0o644)
                self._json(
                    f"{called}.result.json",
                    {"argv": argv, "cwd": str(Path.cwd()), "rc": process.returncode, "duration_ms": int((time.monotonic() - began) * 1000)},
                )
        return rc

    def _interrupt(self, process):
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(timeout=float(scenario.load().get("grace", 15)))
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _interrupted(self):
        self._failed("cancelled after provider execution started")
        self._json(
            "cancelled.json",
            {
                "command": self.command,
                "module_ref": self.step["module_ref"],
                "run_id": self.run_id,
                "status": "cancelled",
                "reason": "cancelled by user",
            },
        )
        print(f"run record: {self.record}\nerror: cancelled by user", file=sys.stderr)
        return CANCELLED

    def _results(self, status, error=""):
        # Published outputs are inputs here: the real modules echo many of theirs.
        outputs = {name: self._published(name) for name in self.spec["outputs"]["publish"]}
        normalized = {"command": self.label, "published_outputs": outputs, "workdir": str(self.work)} if status == "ok" else {}
        result = {
            "command": self.label,
            "driver": self.driver,
            "normalized_outputs": normalized,
            "run_id": self.run_id,
            "status": status,
            "warnings": [],
        }
        if error:
            result["error"] = error
        self._json("driver_result.json", result)
        self._json("result.json", result)
        self.outputs = outputs if status == "ok" else {}

    def _published(self, name):
        word = name.rpartition(".")[2]
        rendered = getattr(self, "rendered", {})
        keys = (word, f"gate_{word}", "confirm" if word == "confirmed" else word)
        return next((rendered[key] for key in keys if key in rendered), "ready")

    def _state(self, status, *, stale=False, **extra):
        resolved = self.record / "resolved.inputs.yml"
        resolved.write_text(yaml.safe_dump(self.inputs, sort_keys=False))
        resolved.chmod(0o600)
        tail = f"instances/{self.step['state_instance']}.inputs.yml" if self.step["state_instance"] else "latest.inputs.yml"
        rerun = self.root / "config" / "modules" / self.module / tail
        rerun.parent.mkdir(parents=True, exist_ok=True)
        rerun.write_text(resolved.read_text())
        rerun.chmod(0o600)
        previous = modules.read_state(self.root, modules.state_ref(self.step))
        outputs = getattr(self, "outputs", {}) if status == "ok" else previous.get("outputs", {})
        state = {
            "dependencies": self.spec.get("dependencies") or [],
            "evidence_dir": str(self.record),
            "execution": {"driver": self.driver["ref"], "pack_id": self.driver["pack_id"], "profile": self.driver["profile"]},
            "module_ref": self.step["module_ref"],
            "output_count": len(outputs),
            "outputs": outputs,
            "requirements": {"credentials": self.spec["requirements"]["credentials"]},
            "rerun_inputs_file": str(rerun),
            "resolved_inputs_file": str(resolved),
            "run_id": "apply-20260101T000000Z-00000000" if stale else self.run_id,
            "status": status,
            "updated_at": modules.now(),
            **extra,
        }
        if self.step["state_instance"]:
            state["state_instance"] = self.step["state_instance"]
        path = modules.state_path(self.root, modules.state_ref(self.step))
        modules.write_json(path, state)
        note = {
            "path": str(path),
            "publish_policy": self.spec["outputs"]["publish"],
            "published_outputs": sorted(outputs) if status == "ok" else [],
            "rerun_inputs_file": str(rerun),
            "resolved_inputs_file": str(resolved),
        }
        self._json("module_state.json", note if status == "ok" else {**note, "status": status, "detail": extra.get("last_error", "")})

    def _talk(self):
        """Everything that a wrapper must survive on hyops' own output."""
        for line in self.script.get("say", []):
            print(line, flush=True)
        for key in self.script.get("leak", []):
            value = os.environ.get(key, "")
            print(f"{key}={value}", flush=True)
            print(json.dumps({"password": value}), flush=True)
            print("postgres://u:" + urllib.parse.quote(value, safe="") + "@h/db", flush=True)
            for shift in range(3):
                print(base64.b64encode(b"x" * shift + value.encode() + b"yy").decode(), flush=True)
            print(f"error: {value}", file=sys.stderr, flush=True)
            half = len(value) // 2
            for part in (value[:half], value[half:] + "\n"):
                sys.stdout.write(part)
                sys.stdout.flush()
                time.sleep(0.05)
        line = "x" * 1023 + "\n"
        for _ in range(self.script.get("mib", 0)):
            sys.stdout.write(line * 1024)
        sys.stdout.flush()

    def _json(self, name, content):
        modules.write_json(self.record / name, content)


class Destroy(Apply):
    """The state says nothing while it works, and stays as it was where it fails or is interrupted."""

    command = label = "destroy"

    def _begun(self):
        pass

    def _failed(self, error):
        pass

    def _parent(self, decision):
        return {}

    def _done(self, *, stale):
        state = {
            "dependencies": self.spec.get("dependencies") or [],
            "evidence_dir": str(self.record),
            "execution": {"driver": self.driver["ref"], "pack_id": self.driver["pack_id"], "profile": self.driver["profile"]},
            "module_ref": self.step["module_ref"],
            "output_count": 0,
            "outputs": {},
            "requirements": {"credentials": self.spec["requirements"]["credentials"]},
            "run_id": self.run_id,
            "status": "destroyed",
            "updated_at": modules.now(),
        }
        if self.step["state_instance"]:
            state["state_instance"] = self.step["state_instance"]
        path = modules.state_path(self.root, modules.state_ref(self.step))
        modules.write_json(path, state)
        note = {"path": str(path), "publish_policy": self.spec["outputs"]["publish"], "published_outputs": []}
        self._json("module_state.json", {**note, "rerun_inputs_file": "", "resolved_inputs_file": ""})
