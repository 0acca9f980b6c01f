"""Runs on a host of two users (`two_users.py`) as the agent's; `make`, as root, makes the site before. Each prints a line of JSON."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import yaml

from hyops_ci.cli.github_job import host_trust
from hyops_ci.contracts.check import Check
from hyops_ci.evidence.verify import verify
from hyops_ci.execution.as_user import SUDO, Conversation, NoAnswer, by_sudo
from hyops_ci.execution.run_handle import Condition, SupervisedRun
from hyops_ci.hyops_access import wire
from hyops_ci.hyops_access.rule import ENTRY, JOURNALS, release_of
from hyops_ci.operations.break_glass import conclude_here
from hyops_ci.operations.rehearse.sandbox import Site, set_up
from hyops_ci.operations.rehearse.scenarios import RESTORE, approve, example_decision
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.execute.stage import execute
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.sealing import bundle_path

SITE, HYOPS, PORT = Path("/srv/site"), "hyops", Path("/srv/port")
CONFIG = Path(".github/dr-dispatch.yml")
STAND_IN = "from hyops_ci.operations.rehearse.stand_in import main; sys.exit(main(sys.argv[1:]))"
SPY = """
import ctypes
def tried(what, act):
    try:
        found = act()
    except OSError as error:
        found = type(error).__name__
    print(f"spy {what}: {found}", flush=True)
def command(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
def during(stand, step):
    if step["id"] != "postgresql_restore":
        return
    theirs = [each for each in pathlib.Path("/proc").glob("[0-9]*") if b"recover_as_user" in command(each)]
    tried("their processes", lambda: len(theirs))
    for each in theirs:
        tried("environment", lambda: "t0ken-of-the-job" in (each / "environ").read_text())
        tried("memory", lambda: len(open(each / "mem", "rb", buffering=0).name))
        tried("signal", lambda: os.kill(int(each.name), 0))
    tried("host key", lambda: len(open("/srv/site/keys/host.key").read()))
    tried("run folder", lambda: len(os.listdir(sorted(pathlib.Path("/srv/gha-runner").glob("run-*"))[-1])))
    tried("a file in the agent's home", lambda: pathlib.Path("/srv/gha-runner/planted").write_text("x"))
    rule = subprocess.run(["/usr/bin/sudo", "-n", "-l"], capture_output=True, text=True)
    print("spy sudo:", rule.returncode != 0 and "OSError", flush=True)
    print("the password of a step is", os.environ["PATRONI_SUPERUSER_PASSWORD"], flush=True)
"""


def make(site: Site, port: str, shared: bool) -> None:
    """Everything below the site, whose service is at this port; print the trust file of its host."""
    PORT.write_text(port)
    set_up(site, int(port))
    path = site.repository / CONFIG
    config = yaml.safe_load(path.read_text())
    if not shared:
        config["host"]["user"] = HYOPS
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    prepared = next(Path("/opt/dr-dispatch").glob("*/bin/python"))
    (site.runner / "hyops").write_text((site.runner / "hyops").read_text().replace(sys.executable, str(prepared)))
    [(login, key)] = config["approvals"]["approvers"].items()
    trust = {
        "api_version": "hybridops/v1",
        "kind": "HostTrust",
        "repository_id": 4242,
        "repository_owner_id": 77,
        "ref": "refs/heads/main",
        "workflow_shas": ["3f2a" + 36 * "0"],
        "runner_refs": ["gcp-ops-runner"],
        "approvers": [{"id": 1002, "login": login, "key": key}],
        "evidence_keys": list(config["host_keys"].values()),
    }
    print(json.dumps(trust if shared else trust | {"host": config["host"]}))


def hyops_does(site: Site, code: str) -> None:
    """Let the stand-in do `during(stand, step)` of `code` at the end of each step."""
    (site.runner / "attack.py").write_text(
        "import json, os, pathlib, subprocess, sys\nfrom hyops_ci.operations.rehearse import stand_in\n"
        f"{code}\nwalk = stand_in.Stand.walk\n"
        "def walked(stand, step):\n    failure = walk(stand, step)\n    return during(stand, step) or failure\n"
        "stand_in.Stand.walk = walked\nsys.exit(stand_in.main(sys.argv[1:]))\n"
    )
    started = (site.runner / "hyops").read_text()
    assert STAND_IN in started
    attack = f'exec(compile(open("{site.runner / "attack.py"}").read(), "attack", "exec"))'  # the launcher has it in single quotes
    (site.runner / "hyops").write_text(started.replace(STAND_IN, attack))


def to_the_gate(site: Site, said: Callable[[str], None]) -> tuple[RunDir, RunContext, Any]:
    """Plan and check; the run's folder, its context and how the last stage ended."""
    site.say = site.hyops_line = said
    world = site.world()
    world = replace(world, trust=host_trust(), environ={**world.environ, "HOME": os.environ["HOME"]})
    folder = RunDir(Path(tempfile.mkdtemp(prefix="run-", dir=os.environ["HOME"])) / "run")
    number = len(list(Path(os.environ["HOME"]).glob("run-*")))
    end = plan(Ask(site.repository, example_decision("failover", site.clock, number, site.service)), folder, world)
    return folder, world, end if end.refusal else check(folder, world)


def facts(folder: RunDir, end: Any, said: list[str], **more: Any) -> dict[str, Any]:
    """What a run came to."""
    return {
        "state": end.state.value,
        "refusal": end.refusal.document() if end.refusal else None,
        "said": said,
        "user": folder.read_model("check.json", Check).runner.user if folder.has("check.json") else "",
        **more,
    }


def run(site: Site, attack: str) -> dict[str, Any]:
    """One decision as far as it gets; while a step runs, this user tries to reach what is HyOps'."""
    said: list[str] = []
    reached: dict[str, str] = {}
    if attack:
        hyops_does(site, SPY)

    def say(line: str) -> None:
        said.append(line)
        if f"{RESTORE} running" in line:
            reached.update(reach(site))

    folder, world, end = to_the_gate(site, say)
    if not end.refusal:
        end = execute(folder, world, approve(site, folder, "approve"))
    conclude_here(folder, world)
    verdict = verify(bundle_path(folder))
    records = [str(each.relative_to(folder.root)) for each in sorted(folder.root.rglob("hyops/*/*/*"))]
    more = {"problems": list(verdict.problems), "reached": reached, "after": reach(site), "records": records}
    return facts(folder, end, said, verified=verdict.ok, **more)


def reach(site: Site) -> dict[str, str]:
    """How this user gets on with what is HyOps'."""
    env = site.runner / "envs" / "lab"
    found = {str(each.relative_to(site.runner)): tried(each) for each in (env / "vault" / "bootstrap.vault.env", env / "state")}
    found["vault-password"] = tried(site.runner / "vault-password")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"blueprint" in command and b"deploy" in command and b"sudo" not in command[0]:
            found["environment of HyOps"] = tried(process / "environ")
            found["memory of HyOps"] = tried(process / "mem")
    return found


def tried(path: Path) -> str:
    """What came of reading a path."""
    try:
        if path.is_dir():
            return f"read {len(list(path.iterdir()))}"
        with path.open("rb", buffering=0) as file:
            return f"read {len(file.read(64))}" if path.name != "mem" else "read it"
    except OSError as error:
        return type(error).__name__


def interrupted(site: Site, number: signal.Signals) -> dict[str, Any]:
    """A run whose process gets a signal in mid-step; what its journal says in the end."""
    site.script({RESTORE: {"seconds": 30 if number == signal.SIGINT else 3}})
    said: list[str] = []
    folder, world, end = to_the_gate(site, said.append)
    approval = approve(site, folder, "approve")

    def strike(line: str) -> None:
        said.append(line)
        if f"{RESTORE} running" in line:
            os.kill(os.getpid(), number)

    world = replace(world, say=strike)
    if number == signal.SIGINT:
        end = execute(folder, world, approval)
    elif (child := os.fork()) == 0:
        execute(folder, world, approval)
        os._exit(0)
    else:
        os.waitpid(child, 0)
    left = SupervisedRun.attach(Path(JOURNALS) / world.job.run_id / "deploy")
    until = time.monotonic() + 240
    while left.condition is Condition.RUNNING and time.monotonic() < until:
        time.sleep(0.1)
    view = left.view()
    ended = view.ended
    concluded = conclude_here(folder, world)
    more = {"concluded": concluded.result.outcome.value, "headline": concluded.result.headline, "verified": concluded.verdict.ok}
    return facts(
        folder, end, said, **more, ended=ended and {"rc": ended.rc, "stop": ended.stop.value}, signals=view.signals, cleaned=view.cleaned
    )


def misuse(site: Site) -> dict[str, Any]:
    """What this user gets out of the rule itself."""
    bundle = site.runner / "envs" / "lab" / "vault" / "bootstrap.vault.env"
    evil = Path(os.environ["HOME"]) / "evil"
    evil.mkdir()
    for name in ("json.py", "sitecustomize.py", "usercustomize.py"):
        (evil / name).write_text("open('/tmp/evil-ran', 'w')\n")

    def sudo(*words: str) -> str:
        environ = {"PATH": f"{evil}:/usr/bin:/bin", "PYTHONPATH": str(evil), "PYTHONSTARTUP": str(evil / "json.py"), "BASH_ENV": str(evil)}
        done = subprocess.run([SUDO, "-n", *words], input="x\n", capture_output=True, text=True, env=environ, check=False)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    asked = {
        "cat": sudo("-u", HYOPS, "/bin/cat", str(bundle)),
        "an argument": sudo("-u", HYOPS, ENTRY, "x"),
        "root": sudo("-u", "root", ENTRY),
        "environment": sudo("-u", HYOPS, f"LD_PRELOAD={evil}/json.py", ENTRY),
        "no release": sudo("-u", HYOPS, ENTRY),
    }
    for name, first, hello, questions in talks(bundle):
        try:
            with closing(Conversation(by_sudo(HYOPS, ENTRY), first)) as talk:
                asked[name] = json.dumps([talk.ask(hello), *(talk.ask(each) for each in questions)][-1])
        except NoAnswer as problem:
            asked[name] = f"no answer: {problem}"
    return {"asked": asked, "evil": Path("/tmp/evil-ran").exists()}


def told_of_the_past() -> dict[str, Any]:
    """What the rule tells its user of the run that is over."""
    hello = wire.Hello(env="lab", run_id="9-9").model_dump(mode="json")
    other_names = {f"bundle-{number}": "s0mething-else" for number in range(50)}
    with closing(Conversation(by_sudo(HYOPS, ENTRY), release_of())) as talk:
        talk.ask(hello)
        talk.ask(wire.question("give", {}, other_names, ()))
        records = talk.ask(wire.question("records", "2026-01-01T00:00:00Z"))
        told = [talk.ask(wire.question(ask, name)) for name in records["value"] for ask in ("record_files", "record_end")]
    return {"records": records["value"], "told": told}


def talks(bundle: Path) -> list[tuple[str, str, Any, list[Any]]]:
    """Name, first line, hello and questions of conversations that nobody should get far with, and of one that works."""
    hello = wire.Hello(env="lab", run_id="1-1").model_dump(mode="json")
    command = {"name": "deploy", "argv": ["/bin/cat", str(bundle)], "timeout": "PT1M"}
    now = "2026-11-23T03:05:02Z"
    right = release_of()
    return [
        ("what is allowed", right, hello, [wire.question("user")]),
        ("a path as release", "../../../srv/gha-runner/evil", hello, []),
        ("another release", "0" * 24, hello, []),
        ("a path as env", right, {**hello, "env": "../../keys"}, []),
        ("a path as run", right, {**hello, "run_id": "../x"}, []),
        ("a field more", right, {**hello, "hyops": "/bin/sh"}, []),
        ("a private method", right, hello, [{"call": "_environment", "values": {"secrets": {}}}]),
        ("another command", right, hello, [{"call": "start", "values": {"run_id": "1-1", "command": command, "journal": "deploy"}}]),
        ("a path as journal", right, hello, [{"call": "cancel", "values": {"journal": "../../x"}}]),
        ("a path as state", right, hello, [wire.question("states", ("../../vault/bootstrap.vault.env",), now)]),
        ("a record by path", right, hello, [wire.question("record_files", "../../vault/x")]),
        ("a path as overlay", right, hello, [wire.question("write_overlay", "../../../x", b"x")]),
        ("what the bundle holds", right, hello, [wire.question("open_bundle"), wire.question("bundle_values")]),
    ]


def main() -> None:
    """One command."""
    site = Site(SITE, SystemClock())
    site.service, site.envs = "pg-ha/lab", ["lab"]
    words = sys.argv[1:]
    if words[0] == "make":
        make(Site(SITE, SystemClock()), words[1], words[2:] == ["shared"])
        return
    with listening():
        match words:
            case ["run", *attack]:
                found = run(site, "".join(attack))
            case ["check"]:
                said: list[str] = []
                folder, _, end = to_the_gate(site, said.append)
                found = facts(folder, end, said)
            case ["interrupt"]:
                found = interrupted(site, signal.SIGINT)
            case ["kill"]:
                found = interrupted(site, signal.SIGKILL)
            case ["past"]:
                found = told_of_the_past()
            case _:
                found = misuse(site)
    print(json.dumps(found))


def listening() -> closing[socket.socket]:
    """Something answers at the port of the recovered service."""
    server = socket.create_server(("127.0.0.1", int(PORT.read_text())))

    def serve() -> None:
        held = []
        while True:
            try:
                held.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return closing(server)


if __name__ == "__main__":
    main()
