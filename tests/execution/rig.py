"""A HyOps to work on, the double or the real one, with one env of its own and the blueprints of the contract suite."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hyops_ci.contracts.plan import Command, PlannedStep, StepClass
from hyops_ci.execution import outcome, records
from hyops_ci.execution.command import Runtime, child_environment, command_line
from hyops_ci.execution.overlay import write_overlay
from hyops_ci.execution.run_handle import SupervisedRun
from hyops_ci.execution.supervisor import SupervisorOrder
from tests.hyops_double import Double, install

CANARY = "c4n4ry/S3cret+Value=="
"""Planted as the password of every run; must be found nowhere that we write."""
PLANTED = {"PATRONI_SUPERUSER_PASSWORD": CANARY}
GATE = "core/shared/manual-gate"
DEPLOY = Command(
    name="deploy",
    argv=("{hyops}", "blueprint", "deploy", "--env", "dev", "--file", "{overlay}", "--execute", "--yes"),
    timeout="PT2M",
)
REMOVE = Command(
    name="destroy",
    argv=("{hyops}", "blueprint", "destroy", "--env", "dev", "--file", "{overlay}", "--execute", "--yes"),
    timeout="PT2M",
)
PREFLIGHT = Command(
    name="preflight", argv=("{hyops}", "blueprint", "preflight", "--env", "dev", "--file", "{overlay}", "--json"), timeout="PT1M"
)


def gate(step_id: str, *, required: str = "", **extra: Any) -> dict[str, Any]:
    """One blueprint step that runs the manual gate. `inputs` are merged over an open gate."""
    inputs = {"gate_name": step_id, "gate_message": "probe", "confirm": True} | extra.pop("inputs", {})
    step = {"id": step_id, "module_ref": GATE, "action": "deploy", "phase": "operations", "state_instance": f"gate_{step_id}"}
    return step | ({"requires": [required]} if required else {}) | {"inputs": inputs} | extra


def planned(step_id: str, step_class: StepClass = StepClass.MUTATE, *, restores: bool = False) -> PlannedStep:
    """The plan's view of a `gate` step."""
    return PlannedStep(id=step_id, module_ref=GATE, state_instance=f"gate_{step_id}", step_class=step_class, restores=restores)


@dataclass
class Rig:
    """One HyOps installation and one env, `dev`."""

    name: str
    runtime: Runtime
    base: dict[str, str]
    scratch: Path
    double: Double | None = None
    runs: int = 0
    printed: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The runtime root of `dev`."""
        return self.runtime.root

    def environment(self, secrets: Mapping[str, str] = PLANTED) -> dict[str, str]:
        """What HyOps gets."""
        return child_environment(self.runtime, base=self.base, secrets=secrets)

    def blueprint(self, *steps: dict[str, Any], name: str = "contract.yml") -> Path:
        """Write a blueprint where HyOps reads it."""
        path = self.root / "config" / "blueprints" / name
        path.write_bytes(self.content(*steps))
        return path

    @staticmethod
    def content(*steps: dict[str, Any]) -> bytes:
        """The bytes of a blueprint."""
        head = {"api_version": "hybridops/v1", "kind": "BlueprintSpec", "blueprint_ref": "dr/contract@v1", "mode": "hybrid"}
        policy = {"fail_fast": True, "evidence_required": True, "ipam_authority": "none"}
        return yaml.safe_dump(head | {"policy": policy, "steps": list(steps)}, sort_keys=False).encode()

    def hyops(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Call HyOps plainly, as nobody should: no supervisor, any environment."""
        environment = self.environment() if env is None else env
        return subprocess.run(
            [str(self.runtime.hyops), *args],
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def start(self, content: bytes, command: Command = DEPLOY, *, secrets: Mapping[str, str] = PLANTED, **options: Any) -> SupervisedRun:
        """Lend an overlay and start a planned command under the supervisor, which removes the overlay at its end."""
        self.runs += 1
        run_dir = self.scratch / f"run-{self.runs}"
        overlay = write_overlay(self.root, f"{self.runs}-1", content)
        argv = command_line(command, self.runtime, overlay)
        handed = {name: options.pop(name) for name in ("on_step", "hold") if name in options}
        order = SupervisorOrder(
            argv, self.environment(secrets), run_dir, secrets=secrets, remove_after=(overlay,), **{"timeout": 500.0} | options
        )
        return SupervisedRun.start(order, on_line=self.printed.append, **handed)

    def wait_for_provider(self, limit: float = 120.0) -> None:
        """Wait until the provider of the step that began is at work: a signal before that finds HyOps at another place.

        The double's says so. The real one's has begun some time after its step.
        """
        until = time.monotonic() + limit
        while self.double and not self._at_work():
            assert time.monotonic() < until, "no provider began"
            time.sleep(0.02)
        time.sleep(0.3 if self.double else 1.5)

    def _at_work(self) -> bool:
        said = [path.read_text() for path in self.root.glob("logs/module/*/*/ansible_*.stdout.txt")]
        return any("PLAY [" in text and "PLAY RECAP" not in text for text in said)

    def states(self, *steps: PlannedStep) -> dict[str, Any]:
        """The state of each step now."""
        now = datetime.now(UTC)
        return {step.id: records.read_state(self.root, records.state_reference(step), now) for step in steps}

    def judge(self, run: SupervisedRun, *steps: PlannedStep, blueprint: str = "dr/contract@v1") -> outcome.Outcome:
        """Wait for the end and judge it."""
        ended = run.wait(500)
        view = run.view()
        assert view.started_at is not None
        return outcome.determine_outcome(outcome.Observed(steps, view.lines, self.states(*steps), view.started_at, ended, blueprint))


def double_rig(tmp_path: Path) -> Rig:
    """The double, freshly installed."""
    double = install(tmp_path / "hyops")
    base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    return _rig("double", tmp_path, double.hyops, double.core_root, base, double)


def real_rig(tmp_path: Path, core_root: Path, hyops: Path) -> Rig:
    """A real HybridOps checkout and its program."""
    collections = tmp_path / "collections"
    (collections / "ansible_collections" / "hybridops").mkdir(parents=True)
    base = {
        "PATH": f"{hyops.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
    }
    return _rig("real", tmp_path, hyops, core_root, base, None)


def _rig(name: str, tmp_path: Path, hyops: Path, core_root: Path, base: dict[str, str], double: Double | None) -> Rig:
    runtime = Runtime(hyops=hyops, core_root=core_root, envs_base=tmp_path / "envs", env="dev")
    (runtime.root / "config" / "blueprints").mkdir(parents=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Rig(name, runtime, base, scratch, double)


def real_hyops() -> tuple[Path, Path] | str:
    """Core root and program of the real HyOps, or what is missing and how to get it."""
    core = os.environ.get("HYOPS_CORE_ROOT", "")
    if not core:
        return (
            "HYOPS_CORE_ROOT is not set. For the real half: clone github.com/hybridops-tech/hybridops-core, make a venv beside the checkout"
            " (<checkout>/../venv) with `pip install <checkout> ansible-core jmespath netaddr pyyaml`, and set HYOPS_CORE_ROOT=<checkout>"
        )
    hyops = Path(os.environ.get("HYOPS_PROGRAM") or shutil.which("hyops") or Path(core).resolve().parent / "venv" / "bin" / "hyops")
    if not (Path(core) / "modules" / GATE / "spec.yml").is_file() or not hyops.is_file():
        return f"HYOPS_CORE_ROOT={core} holds no {GATE} module, or {hyops} is no program (set HYOPS_PROGRAM)"
    return Path(core).resolve(), hyops
