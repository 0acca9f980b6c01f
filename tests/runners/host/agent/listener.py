#!/usr/bin/python3 -I
"""Stands in for `bin/Runner.Listener` of GitHub's agent: registers, takes jobs, gives each to a worker.

After its sources (2.336): options come as arguments or as ACTIONS_RUNNER_INPUT_<NAME>, which are taken out of the environment; `.env` is
read when it starts; a folder that is configured is not configured again; `.runner` is written with a byte order mark; it does nothing as
root. The address of its service is the host of --url.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

VERSION = "@version@"
HOME = Path(__file__).resolve().parents[1]
PREFIX = "ACTIONS_RUNNER_INPUT_"


def ask(service, what, body):
    request = urllib.request.Request(f"{service}/agent/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.loads(answer.read())


def configure(arguments):
    options = {name.removeprefix(PREFIX).lower(): os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    rest = iter(arguments)
    for word in rest:
        name = word.removeprefix("--")
        options[name] = True if name in ("unattended", "replace", "ephemeral", "disableupdate") else next(rest)
    if (HOME / ".runner").exists():
        sys.exit("Cannot configure the runner because it is already configured. To reconfigure the runner, run 'config.cmd remove' first.")
    (HOME / "_diag").mkdir(exist_ok=True)
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    (HOME / "_diag" / "arguments").write_text(arguments)  # what anybody on the host sees while the token is there
    service = "/".join(options["url"].split("/")[:3])
    answer = ask(service, "register", options)
    if "agent" not in answer:
        sys.exit(f"Http response code: {answer['error']} from 'POST {service}' with token {options['token']}")
    save(".runner", json.dumps(answer["agent"]).encode("utf-8-sig"))
    save(".credentials", json.dumps({"scheme": "OAuth", "data": {"clientId": answer["secret"]}}).encode())
    save(".credentials_rsaparams", b'{"d": "the private key of the agent"}')
    print("Runner successfully added")


def save(name, content):
    (HOME / name).touch(0o600)
    (HOME / name).write_bytes(content)


def listen():
    if (HOME / ".env").exists():
        for line in (HOME / ".env").read_text().splitlines():
            name, _, value = line.partition("=")
            os.environ[name] = value
    agent = json.loads((HOME / ".runner").read_text("utf-8-sig"))
    secret = json.loads((HOME / ".credentials").read_text())["data"]["clientId"]
    me = {"id": agent["agentId"], "secret": secret, "version": VERSION}
    while True:
        try:
            message = ask(agent["serverUrl"], "message", me)
        except OSError:
            time.sleep(0.2)
            continue
        if job := message.get("job"):
            ask(agent["serverUrl"], "ended", me | {"job": job["id"]} | work(job))


def work(job):
    workspace, temp = HOME / "_work" / "recovery" / "recovery", HOME / "_work" / "_temp"
    shutil.rmtree(temp, ignore_errors=True)
    for folder in (workspace, temp):
        folder.mkdir(parents=True, exist_ok=True)
    given = job | {"workspace": str(workspace), "variables": job["variables"] | {"RUNNER_TEMP": str(temp)}}
    worker = [str(HOME / "bin" / "Runner.Worker"), "spawnclient"]
    done = subprocess.run(worker, input=json.dumps(given), capture_output=True, text=True, check=False)
    shutil.rmtree(temp, ignore_errors=True)
    return {"rc": done.returncode, "log": done.stdout, "said": done.stderr}


if sys.argv[1:] == ["--version"]:
    print(VERSION)
elif os.geteuid() == 0:
    sys.exit("Must not run with sudo")
elif sys.argv[1] == "configure":
    configure(sys.argv[2:])
else:
    listen()
