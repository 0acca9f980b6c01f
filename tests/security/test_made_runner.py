"""A machine that the bootstrap made, from inside: what a job can do there as the agent's user. And from outside: who reaches what.

Each attack has its positive twin: root, or HyOps' user, does the same and succeeds, so that what is refused is there to be had.
"""

from __future__ import annotations

import json
import signal

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.runners.bootstrap import How
from tests.runners.host.booted import METADATA, RUNNER, TARGET
from tests.runners.host.fixture import booted_host, new_site
from tests.runners.host.site import LABEL, NAME, Site
from tests.security.test_runner_host import BRANCH, TRUE_JOB

__all__ = ["booted_host", "new_site"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BUNDLE, PASSWORD = "/srv/hyops/envs/lab/vault/bootstrap.vault.env", "/etc/hyops/vault-password"
SECRET = "c4n4ry-of-the-recovery"
_THERE = f"""
install -d -o hyops -g hyops -m 700 /srv/hyops/envs/lab /srv/hyops/envs/lab/vault /home/hyops/.ssh
install -d /etc/hyops /srv/metadata/computeMetadata
for file in {BUNDLE} {PASSWORD} /home/hyops/.ssh/id_ed25519; do echo {SECRET} >$file; chown hyops: $file; chmod 600 $file; done
echo {SECRET} >/srv/metadata/computeMetadata/token
echo {SECRET} >/tmp/hyops-left-this; chmod 644 /tmp/hyops-left-this
systemd-run --quiet --unit=metadata python3 -m http.server 80 --bind {METADATA} --directory /srv/metadata
systemd-run --quiet --unit=names python3 -m http.server 53 --bind {METADATA} --directory /srv/metadata
systemd-run --quiet --unit=other python3 -m http.server 8080 --bind 0.0.0.0 --directory /srv/metadata
systemd-run --quiet --unit=recovery --uid=hyops --setenv=STEP_SECRET={SECRET} sleep 600
for port in 80 53; do
  for n in $(seq 600); do curl -s http://{METADATA}:$port/ >/dev/null && break; sleep 0.1; done
done
"""
_ENVIRONMENT = "/opt/dr-dispatch/*/lib/python3.*/site-packages/click/core.py"
_MEMORY = """
import sys
maps = open(f"/proc/{sys.argv[1]}/maps").read().splitlines()
begin, end = (int(each, 16) for each in next(line for line in maps if "[stack]" in line).split()[0].split("-"))
memory = open(f"/proc/{sys.argv[1]}/mem", "rb")
memory.seek(begin)
print(memory.read(end - begin))
"""
READS = {
    "bundle": f"cat {BUNDLE}",
    "password": f"cat {PASSWORD}",
    "HyOps' SSH key": "cat /home/hyops/.ssh/id_ed25519",
    "metadata": f"curl -sS -m 5 http://{METADATA}/computeMetadata/token",
    "the same without curl": (
        f"python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{METADATA}/computeMetadata/token\", timeout=5).read())'"
    ),
    "environment of HyOps": "cat /proc/$(pgrep -u hyops sleep)/environ | tr '\\0' '\\n'",
    "memory of HyOps": f"python3 -I -c '{_MEMORY}' $(pgrep -u hyops sleep)",
    "/tmp of the machine": "cat /tmp/hyops-left-this",
}
"""What would show the secret."""
OTHERS = {
    "host key of SSH": "cat /etc/ssh/ssh_host_ed25519_key",
    "keys that may log in": "cat ~ops/.ssh/authorized_keys",
    "root by sudo": "sudo -n id",
    "HyOps' user by sudo": f"sudo -n -u hyops cat {PASSWORD}",
    "the one program with an argument": "sudo -n -u hyops /opt/dr-dispatch/as-hyops x",
    "another user by su": "su hyops -c id </dev/null",
    "the host's key, written": "chmod u+w /etc/dr-dispatch/host.key; echo x >/etc/dr-dispatch/host.key",
    "the host's key, shown to everybody": "chmod a+r /etc/dr-dispatch/host.key",
    "the host's key, removed": "rm -f /etc/dr-dispatch/host.key",
    "trust, written": "echo '{}' >/etc/dr-dispatch/trust.json",
    "trust, exchanged": "mv /etc/dr-dispatch /etc/x",
    "hook, written": "echo 'exit 0' >/opt/dr-dispatch/job-started.sh",
    "hook, exchanged": "rm -f /opt/dr-dispatch/job-started.sh && touch /opt/dr-dispatch/job-started.sh",
    "the agent's settings, written": "echo ACTIONS_RUNNER_HOOK_JOB_STARTED= >>/opt/actions-runner/.env",
    "the agent's settings, exchanged": "mv /opt/actions-runner/.env /opt/actions-runner/x",
    "the agent's settings, removed": "rm -f /opt/actions-runner/.env",
    "the agent's folder": "mv /opt/actions-runner /opt/x",
    "environment of the release": f"for each in {_ENVIRONMENT}; do echo 'print(1)' >>$each; done",
    "another environment": "mkdir /opt/dr-dispatch/000000000000000000000000",
    "HyOps' side": "for each in /opt/dr-dispatch/hyops-access/*/start; do echo id >>$each; done",
    "HyOps": "echo id >>/opt/hybridops/core/venv/bin/hyops",
    "the rule": "echo 'gha-runner ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/x",
    "the unit": "echo >>/etc/systemd/system/actions.runner.dr-dispatch.service",
    "the wall, stopped": "systemctl stop dr-dispatch-metadata.service",
    "the wall, flushed": "/usr/sbin/nft flush ruleset",
    "the wall's file": "echo >>/etc/dr-dispatch/metadata.nft",
    "journals, written": "touch /var/lib/dr-dispatch/x",
    "HyOps, ended": "kill -KILL $(pgrep -u hyops sleep)",
    "the registration": "echo >>/etc/dr-dispatch/registration",
}


class Attacked:
    """What one job found out."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.host.run(_THERE)
        left = [{"run": f"echo {SECRET} >$RUNNER_TEMP/left; umask 077; env >$RUNNER_TEMP/env"}]
        assert site.service.run({"variables": TRUE_JOB, "steps": left}, LABEL)["rc"] == 0
        tries = READS | OTHERS | {"what the last job left": "cat $RUNNER_TEMP/left /opt/actions-runner/_work/_temp/left"}
        tries["names"] = f"timeout 5 bash -c 'exec 3<>/dev/tcp/{METADATA}/53' && echo names answer"
        steps = [self.attempt(name, text) for name, text in tries.items()] + [{"if": "always()", "run": "env"}]
        self.end = site.service.run({"variables": TRUE_JOB, "steps": steps}, LABEL)
        self.lines = self.end["log"].splitlines()

    @staticmethod
    def attempt(name: str, text: str) -> dict[str, str]:
        """A step that says how an attempt ended, and goes on."""
        shown = f"echo {json.dumps(name)} $rc $(tail -c 200 said | tr '\\n' ' ')"
        return {"if": "always()", "run": f"(set -o pipefail; {text}) >said 2>&1 && rc=0 || rc=$?; {shown}"}

    def said(self, name: str) -> str:
        [line] = [line for line in self.lines if line.startswith(f"{name} ")] or [f"{name} 0 it was not tried"]
        return line.removeprefix(f"{name} ")


@pytest.fixture(scope="module")
def attacked(new_site: Site) -> Attacked:
    new_site.set_up()
    new_site.service.online(NAME)
    return Attacked(new_site)


@pytest.mark.parametrize("name", [*READS, *OTHERS, "what the last job left"])
def test_a_job_is_refused(name: str, attacked: Attacked) -> None:
    code, _, said = attacked.said(name).partition(" ")
    assert code != "0", said
    assert SECRET not in said


@pytest.mark.parametrize("name", READS)
def test_it_was_there_to_be_had(name: str, attacked: Attacked) -> None:
    assert SECRET in attacked.site.host.run(READS[name])


def test_the_metadata_address_answers_hyops_and_names_are_resolved(attacked: Attacked) -> None:
    for user in ("hyops", "root"):
        assert SECRET in attacked.site.host.run(READS["metadata"], user=user)
    assert "refused" in attacked.said("the same without curl").lower()
    assert attacked.said("names") == "0 names answer"
    assert SECRET not in attacked.site.host.run(READS["metadata"], check=False, user="ops"), "closed to everybody else, too"


def test_nothing_secret_is_in_a_jobs_environment(attacked: Attacked) -> None:
    [token] = attacked.site.minted
    assert token not in attacked.end["log"] + attacked.end["said"]
    assert "ACTIONS_RUNNER_INPUT" not in attacked.end["log"]
    assert "ACTIONS_RUNNER_HOOK_JOB_STARTED=/opt/dr-dispatch/job-started.sh" in attacked.lines


def test_nothing_was_changed_by_the_attacks(attacked: Attacked) -> None:
    assert not attacked.site.set_up().changed
    assert attacked.site.host.run("pgrep -u hyops sleep") != ""


def test_a_workflow_of_a_branch_is_ended_before_its_first_step(attacked: Attacked) -> None:
    stranger = TRUE_JOB | BRANCH | {"GITHUB_REF_PROTECTED": "false"}
    steps = [{"run": "echo first"}, {"if": "always()", "run": f"echo always; cat {BUNDLE}"}]
    end = attacked.site.service.run({"variables": stranger, "steps": steps}, LABEL)
    assert end["rc"] == -signal.SIGKILL
    assert "always" not in end["log"]
    assert end["said"].startswith("REFUSED host.caller (exit 7): this host does not accept this job: GITHUB_REF is refs/heads/let-me-in")
    assert attacked.site.service.run({"variables": TRUE_JOB, "steps": [{"run": "echo next"}]}, LABEL)["log"] == "next\n"


def test_the_wall_where_there_is_no_nft(attacked: Attacked) -> None:
    """By iptables; and where neither works, a refusal that says so."""
    host = attacked.site.host
    host.run("nft delete table inet dr_dispatch; mv /usr/sbin/nft /usr/sbin/tfn; mv /usr/sbin/iptables /usr/sbin/selbatpi")
    broken = "printf '#!/bin/sh\\nexit 1\\n' >/usr/sbin/nft; chmod 755 /usr/sbin/nft"
    try:
        host.run(broken)
        with pytest.raises(Refusal, match="cannot be made a runner: metadata") as problem:
            attacked.site.set_up()
        assert problem.value.found == "neither nft nor iptables works here"
        assert SECRET in host.run(READS["metadata"], user="gha-runner"), "what it is for"
        host.run("mv /usr/sbin/selbatpi /usr/sbin/iptables")
        steps = {step.what for step in attacked.site.set_up().steps if step.how is not How.KEPT}
        assert {"/etc/dr-dispatch/metadata.sh", "/etc/systemd/system/dr-dispatch-metadata.service"} <= steps
        assert SECRET not in host.run(READS["metadata"], user="gha-runner", check=False)
        assert SECRET in host.run(READS["metadata"], user="hyops")
        assert "lib" in host.run(f"timeout 5 bash -c 'exec 3<>/dev/tcp/{METADATA}/53' && echo lib", user="gha-runner")
        assert not attacked.site.set_up().changed
    finally:
        host.run("[ -e /usr/sbin/iptables ] || mv /usr/sbin/selbatpi /usr/sbin/iptables; mv /usr/sbin/tfn /usr/sbin/nft", check=False)


WATCH = """
seen=/home/gha-runner/seen
export RUNNER_TRACKING_ID=
setsid bash -c 'while :; do for each in /proc/[0-9]*/environ; do
  grep -az ACTIONS_RUNNER_INPUT_TOKEN= "$each" 2>/dev/null | tr "\\0" "\\n" >>'$seen'
done; done' >/dev/null 2>&1 </dev/null &
sed -i '1a env >>/home/gha-runner/seen' /opt/actions-runner/config.sh
"""
"""Waits for the token of another registration, in every process and in the program that reads it."""


def test_a_job_that_waits_for_the_next_registration(attacked: Attacked) -> None:
    """With its token a runner of any name and label could be registered."""
    site = attacked.site
    assert site.service.run({"variables": TRUE_JOB, "steps": [{"run": WATCH}]}, LABEL)["rc"] == 0
    host, seen = site.host, "cat /home/gha-runner/seen"
    # Here, until it is seen: one look at all processes takes a while.
    waits = f"for n in $(seq 600); do {seen} | grep -q of-another-day && exit; sleep 0.1; done"
    host.run(f"ACTIONS_RUNNER_INPUT_TOKEN=of-another-day bash -c '{waits}' 2>/dev/null", user="gha-runner")
    assert "of-another-day" in host.run(seen), "it waits"
    site.service.repository.runners.clear()
    assert site.set_up(again=True).registered
    site.service.online(NAME)
    assert site.minted[-1] not in host.run(seen)
    assert host.run("pgrep -u gha-runner setsid", check=False) == ""
    assert host.run("grep -c seen /opt/actions-runner/config.sh", check=False).strip() == "0"
    assert site.service.run({"variables": TRUE_JOB, "steps": [{"run": "echo next"}]}, LABEL)["log"] == "next\n"


KEEP = """
mkfifo /run/lock/dr-dispatch-setup.lock
export RUNNER_TRACKING_ID=
cat >/opt/actions-runner/bin/Runner.Listener.kept <<'KEPT'
#!/bin/bash
setsid bash -c 'exec -a keeps-what-it-was-given sleep 300' >/dev/null 2>&1 </dev/null &
exec /opt/actions-runner/bin/Runner.Listener.true "$@"
KEPT
cd /opt/actions-runner/bin
chmod 755 Runner.Listener.kept
mv Runner.Listener Runner.Listener.true
mv Runner.Listener.kept Runner.Listener
"""
"""Takes the place of the lock of setups, and keeps whatever root opened before it started the agent's own program."""


def test_a_job_that_keeps_the_next_setup_waiting(attacked: Attacked) -> None:
    """A machine that cannot be set up again is no runner any more when the next registration is lost."""
    site = attacked.site
    host = site.host
    host.run("rm -f /run/lock/dr-dispatch-setup.lock")  # as after each boot
    assert site.service.run({"variables": TRUE_JOB, "steps": [{"run": KEEP}]}, LABEL)["rc"] == 0
    try:
        site.set_up()
        kept = host.run("for each in $(pgrep -f keeps-what-it-was-given); do ls -l /proc/$each/fd; done")
        assert "dr-dispatch" not in kept, kept
        host.run("pgrep -f keeps-what-it-was-given")
        assert not site.set_up().changed
    finally:
        host.run("pkill -KILL -f keeps-what-it-was-given; rm -f /run/lock/dr-dispatch-setup.lock", check=False)
        host.run("cd /opt/actions-runner/bin && [ ! -e Runner.Listener.true ] || mv Runner.Listener.true Runner.Listener")


def test_ci_reaches_the_management_port_and_nothing_else(attacked: Attacked) -> None:
    """The target is where the runner is, and out of CI's reach."""
    host = attacked.site.host
    ci, _, target = host.networks
    listener = host.spawn(target, "python3", "-m", "http.server", "8022", "--bind", TARGET)
    try:
        host.run(f"for n in $(seq 600); do (: </dev/tcp/{TARGET}/8022) 2>/dev/null && exit; sleep 0.1; done; exit 1")
        with host.socket_from(ci, RUNNER, 22, 5) as there:
            assert there.recv(8) == b"SSH-2.0-"
        for address, port in ((RUNNER, 8080), (TARGET, 8022), (TARGET, 22), (METADATA, 80)):
            with pytest.raises(OSError, match=r"(?i)timed out|unreachable|refused"), host.socket_from(ci, address, port, 1.5):
                pass
        steps = [{"run": f": </dev/tcp/{TARGET}/8022; echo reached"}]
        reached = attacked.site.service.run({"variables": TRUE_JOB, "steps": steps}, LABEL)
        assert reached["log"] == "reached\n", reached
    finally:
        listener.kill()
        listener.wait()
        listener.stdout.close()  # type: ignore[union-attr]  # it was started with a pipe
