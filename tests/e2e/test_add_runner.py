"""*Add a runner*, by hand, as docs/add-a-runner.md says it: on a real Debian with systemd that only has what its first two points name.

The person's terminal has `gh`, which speaks to GitHub's fake; the host has sudo, systemd and GitHub's agent, a stand-in that registers
and asks for jobs. What is pasted there is what `init` printed, and nothing was added but what its comments say.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hyops_ci.evidence.verify import verify
from tests.act.rewriting import PARTS, ROOT
from tests.e2e.test_adopt import Adopter, adopter, blocks
from tests.runners.host import agent_archive
from tests.runners.host.agent_service import AgentService, agent_service
from tests.runners.host.booted import BootedHost, booted
from tests.runners.host.offline import wheelhouse
from tests.runners.host.site import WHEELS

__all__ = ["adopter"]
pytestmark = [pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]
PAGE, RECOVERY = (ROOT / "docs" / name for name in ("add-a-runner.md", "runner-recovery.md"))
USER, AGENT = "gha-runner", "/home/gha-runner/actions-runner"
SVC = """#!/bin/bash
# As the real one: a unit of systemd for the agent in this folder.
name=actions.runner.acme-recovery.gcp-ops-runner-01.service
case $1 in
  install)
    unit='[Service]\\nUser=%s\\nWorkingDirectory=%s\\nExecStart=%s/run.sh\\n[Install]\\nWantedBy=multi-user.target\\n'
    printf "$unit" "$2" "$PWD" "$PWD" >/etc/systemd/system/$name
    systemctl daemon-reload && systemctl enable --quiet $name ;;
  start) systemctl start $name ;;
esac
"""
HOST = """
set -e
useradd -m -s /bin/bash gha-runner
install -D -m 755 /dev/stdin /opt/hybridops/core/venv/bin/hyops <<<'#!/bin/sh
echo 0.1.4'
mkdir -p /opt/hybridops/core/app
runuser -u gha-runner -- mkdir -p /home/gha-runner/.hybridops/envs/prod /home/gha-runner/actions-runner
"""
"""Point 1 of the page; bash, git and Python are Debian's."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[BootedHost]:
    """A machine as point 1 wants it; what it clones comes from beside instead of from github.com, which it does not reach."""
    with booted(tmp_path / "host") as made:
        made.run(HOST)
        shutil.copytree(wheelhouse(), made.root / WHEELS.lstrip("/"))
        yield made


def released(host: BootedHost, folder: Path) -> str:
    """Put the release where the host's git finds it; return its commit."""
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    git = ["git", "-C", str(folder), "-c", "user.name=r", "-c", "user.email=r@example.invalid"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Release"]):
        subprocess.run([*git, *words], check=True)
    shutil.copytree(folder / ".git", host.root / "srv/dr-dispatch")
    host.run("git config --system url.file:///srv/dr-dispatch.insteadOf https://github.com/hybridops/dr-dispatch")
    host.run("git config --system --add safe.directory '*'")
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def unpack_agent(host: BootedHost, service: AgentService, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point 2. The agent's service is the server of --url; here that address is one that the machine reaches."""
    folder.mkdir()
    text = agent_archive.LISTENER.read_text()
    told = '"/".join(options["url"].split("/")[:3])'
    assert told in text
    (folder / "listener.py").write_text(text.replace(told, repr(service.url.rsplit("/", 2)[0])))
    monkeypatch.setattr(agent_archive, "LISTENER", folder / "listener.py")
    monkeypatch.setattr(agent_archive, "_SVC", SVC)
    archive = agent_archive.build(folder, "2.336.0")
    name = f"actions-runner-linux-x64-{archive.version}.tar.gz"
    (host.root / "srv" / name).write_bytes((folder / name).read_bytes())
    host.run(f"cd {AGENT} && echo '{archive.sha256}  /srv/{name}' | sha256sum --check --quiet && tar xzf /srv/{name}", user=USER)


def parts(text: str) -> dict[str, str]:
    """What one block says is pasted where: `desk` and `host`, of the repository's own runner; lines of comment begin each."""
    own = text.partition("# else the repository's own.")[2]
    desk, _, there = own.partition("# on the host of lane gcp, as before\n")
    return {"desk": "\n".join(line for line in desk.splitlines() if line.startswith("gh ")), "host": there}


def test_by_hand(adopter: Adopter, host: BootedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text("utf-8").partition("## Let it be made")[0]
    commands = re.findall(r"^ {7}(hyops-ci .+)$", page, re.MULTILINE)
    assert [command.split()[1:3] for command in commands] == [
        ["init", "pg-ha/prod"],
        ["runner", "status"],
        ["doctor", "--service"],
        ["runner", "look"],
    ]
    init, status, doctor, look = commands
    sha = released(host, tmp_path / "release")
    adopter.bash(
        "export GH_REPO=acme/recovery GH_TOKEN=$(gh auth token)\n"
        f"hyops-ci init pg-ha/prod --vault https://vault.example.net --site gcp --release {sha} --reviewer jonas"
    )
    adopter.commit()
    adopter.environment["GH_REPO"] = "acme/recovery"
    with agent_service(adopter.fake, adopter.repository, host.github) as service:
        unpack_agent(host, service, tmp_path / "agent", monkeypatch)
        titles = blocks(adopter.bash(init))
        [registration] = [text for title, text in titles.items() if "registration" in title and "gcp" in title]
        [prepare] = [text for title, text in titles.items() if "registration" not in title and "gcp" in title and "prepare" in text]
        pasted = parts(registration)
        token = adopter.bash(pasted["desk"]).strip().splitlines()[-1]
        host.run(f"cd {AGENT}\n{pasted['host']}", stdin=f"{token}\n", user=USER)
        said = host.run(f"cd {AGENT}\n" + prepare.replace(" --trust -", f" --trust - --wheelhouse {WHEELS}"))
        runner = service.online("gcp-ops-runner-01")
        assert "gcp-ops-runner" in runner.labels
        assert token not in host.run("journalctl --no-pager") + said

        config = adopter.checkout / ".github/dr-dispatch.yml"
        [(name, key)] = re.findall(r'^  (\S+): "(ed25519:\S+)"$', said[said.index("\nhost_keys:") :], re.MULTILINE)
        written = yaml.safe_load(config.read_text())
        config.write_text(yaml.safe_dump(written | {"host_keys": {**(written.get("host_keys") or {}), name: key}}, sort_keys=False))
        adopter.commit()
        told = adopter.bash(f"export DR_RUNNER_TOKEN=$(gh auth token)\n{status}")
        assert "ok    runner gcp     gcp-ops-runner-01 is idle" in told

        (there := host.root / "home/gha-runner/recovery/.github").mkdir(parents=True)
        shutil.copytree(adopter.checkout / ".github", there, dirs_exist_ok=True)
        host.run("chown -R gha-runner: /home/gha-runner/recovery")
        [alias] = re.findall(r"^ {7}(alias hyops-ci=.+)$", page, re.MULTILINE)
        prefix = f"shopt -s expand_aliases\n{alias}\ncd ~gha-runner/recovery\n"
        looked = host.run(prefix + look, user=USER, check=False)
        assert [line for line in looked.splitlines() if line.startswith("FAIL")] == [], looked
        for topic in ("disk", "key", "environment", "hook", "trust"):
            assert f"ok    {topic}" in looked
        [bundle] = re.findall(r"^evidence (\S+)$", looked, re.MULTILINE)
        assert verify(host.root / bundle.lstrip("/"), trusted_keys=[key], require_signature=True).ok
        checked = host.run(prefix + doctor, user=USER, check=False)
        for words in ("vm is gcp-ops-runner", "pins its callers (trust.json)", "prepared by root: job-started hook"):
            assert words in checked, checked
        assert "A failover now would be REFUSED at ledger.unreachable" in checked, "from here this host reaches no GitHub"
        follow_recovery(adopter, host, service)


def follow_recovery(adopter: Adopter, host: BootedHost, service: AgentService) -> None:
    """What the page on recovery prints for such a runner: its agent is started anew, and a run may make it.

    `runner status`, `bootstrap` and `reap` are followed in tests/runners/test_runner_commands.py and test_bootstrap_commands.py.
    """
    page = RECOVERY.read_text("utf-8")
    [restart] = set(re.findall(r"`(sudo systemctl restart [^`]+)`", page))
    before = host.run("systemctl show --property MainPID 'actions.runner.*'")
    host.run(restart)
    service.online("gcp-ops-runner-01")
    assert host.run("systemctl show --property MainPID 'actions.runner.*'") != before
    starts = re.findall(r"^ {4}((?:gh workflow run|hyops-ci dispatch) .+)$", page, re.MULTILINE)
    assert len(starts) == 2
    for command in starts:
        adopter.bash(f"export GH_TOKEN=$(gh auth token)\n{command}")
    reasons = [run.inputs["bootstrap_reason"] for run in adopter.repository.runs.values()]
    assert reasons == ["runner-recovery", "runner-recovery"]
