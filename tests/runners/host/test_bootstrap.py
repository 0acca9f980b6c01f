"""The bootstrap on a real Debian with systemd: once, again, with everything that differs later, and refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hyops_ci.contracts.runner_machine import Installation
from hyops_ci.errors import Fault, Refusal
from hyops_ci.runners.bootstrap import How, Registration, RunnerIdentity, SetupResult, Step
from hyops_ci.runners.ssh import new_login
from tests.runners.host.agent_archive import build
from tests.runners.host.fixture import booted_host, new_site
from tests.runners.host.offline import mirror
from tests.runners.host.site import ARCHIVES, LABEL, NAME, TRUST, Site
from tests.security.test_runner_host import TRUE_JOB

__all__ = ["booted_host", "new_site"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLACES = "/etc /opt /home /root /srv/hyops /var/lib/dr-dispatch /usr/local"
FACTS = f"find {PLACES} -not -path '/opt/actions-runner/_*' -not -path '*/.cache/*' -printf '%p %m %u %g %i %T@ %C@ %l\\n' | sort"
"""Inode and times, too: what is written anew shows, though it be the same."""

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"


class Made:
    """A machine that was set up twice."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.first = site.set_up()
        self.online = site.service.online(NAME)
        before = site.host.run(FACTS)
        self.again = site.set_up()
        self.differs = set(before.splitlines()) ^ set(site.host.run(FACTS).splitlines())


@pytest.fixture(scope="module")
def made(new_site: Site) -> Made:
    return Made(new_site)


def changed(result: SetupResult) -> set[str]:
    return {step.what for step in result.steps if step.how is not How.KEPT}


def test_the_first_time_makes_a_runner(made: Made) -> None:
    assert made.first.registered
    assert made.online.labels == [LABEL]
    assert made.first.agent_version == "2.336.0"
    assert made.first.public_key.startswith("ed25519:")
    assert made.first.left_to_people == ("/etc/hyops/vault-password: the password of the bundles, mode 0600, of user hyops",)
    trust = json.loads((made.site.host.root / "etc/dr-dispatch/trust.json").read_text())
    assert trust == {**TRUST, "evidence_keys": [made.first.public_key]}


def test_the_second_time_changes_nothing(made: Made) -> None:
    assert changed(made.again) == set()
    assert not made.again.changed
    assert not made.again.registered
    assert made.differs == set()
    assert len(made.site.minted) == 1, "no token is minted where none is needed"
    assert made.again.public_key == made.first.public_key
    assert len(made.again.steps) == len({step.what for step in made.again.steps})


def test_who_owns_what(made: Made) -> None:
    paths = (
        "/opt/actions-runner /opt/actions-runner/.env /opt/actions-runner/.credentials /opt/hybridops/core/venv/bin/hyops "
        "/home/gha-runner /home/hyops /srv/hyops/envs /etc/dr-dispatch/host.key /etc/dr-dispatch/trust.json /etc/dr-dispatch/metadata.nft "
        "/etc/dr-dispatch/registration /etc/sudoers.d/dr-dispatch /opt/dr-dispatch/job-started.sh"
    )
    assert made.site.host.run(f"stat -c '%U %a %n' {paths}").splitlines() == [
        "root 1775 /opt/actions-runner",
        "root 644 /opt/actions-runner/.env",
        "gha-runner 600 /opt/actions-runner/.credentials",
        "root 755 /opt/hybridops/core/venv/bin/hyops",
        "gha-runner 700 /home/gha-runner",
        "hyops 700 /home/hyops",
        "hyops 700 /srv/hyops/envs",
        "root 440 /etc/dr-dispatch/host.key",
        "root 644 /etc/dr-dispatch/trust.json",
        "root 644 /etc/dr-dispatch/metadata.nft",
        "root 644 /etc/dr-dispatch/registration",
        "root 440 /etc/sudoers.d/dr-dispatch",
        "root 755 /opt/dr-dispatch/job-started.sh",
    ]
    others = made.site.host.run("find /opt/dr-dispatch /opt/hybridops /etc/dr-dispatch ! -type l \\( ! -user root -o -perm /022 \\)")
    assert others == ""
    assert made.site.host.run("runuser -u hyops -- /opt/hybridops/core/venv/bin/hyops --version") == "0.1.4\n"


def test_the_token_was_in_one_environment_and_is_nowhere(made: Made) -> None:
    [token] = made.site.minted
    assert [asked["token"] for asked in made.site.service.asked][:1] == [token], "it did register"
    assert "config.sh" in (arguments := (made.site.host.root / "opt/actions-runner/_diag/arguments").read_text())
    assert token not in arguments, "the process list, while it was used"
    found = made.site.host.run(
        f"grep -rlF {token} /etc /opt /home /root /run /srv /tmp /var /dev/shm; journalctl --no-pager | grep -cF {token}", check=False
    )
    assert found.split() == ["0"]
    assert token not in "".join(made.site.said)
    assert "--disableupdate" not in arguments, "the agent keeps itself current"
    assert made.site.service.asked[0].get("replace") is True


def test_nothing_of_the_setup_is_left(made: Made) -> None:
    assert made.site.host.run("ls -d /var/tmp/dr-* /tmp/dr-* /opt/actions-runner.* 2>/dev/null", check=False) == ""


def test_a_job_runs_and_finds_the_environment_of_the_release(made: Made) -> None:
    steps = [{"run": 'id -un; /opt/dr-dispatch/*/bin/python -I -c "import pydantic, click; print(42)"; sudo -n -l'}]
    end = made.site.service.run({"variables": TRUE_JOB, "steps": steps}, LABEL)
    assert end["rc"] == 0, end["log"] + end["said"]
    assert end["log"].splitlines()[:2] == ["gha-runner", "42"]
    rules = re.findall(r"^\s+(\(.*)$", end["log"], re.MULTILINE)
    assert rules == ['(hyops) NOPASSWD: NOLOG_INPUT: NOLOG_OUTPUT: /opt/dr-dispatch/as-hyops ""']


ASK_HYOPS = """
import sys
from contextlib import closing
release = sys.argv[1].rstrip("/").rpartition("/")[2]
sys.path.insert(0, sys.argv[1])
from hyops_ci.hyops_access import wire
from hyops_ci.execution.as_user import Conversation, by_sudo
with closing(Conversation(by_sudo("hyops", "/opt/dr-dispatch/as-hyops"), release)) as talk:
    print(talk.ask(wire.Hello(env="lab", run_id="1-1").model_dump(mode="json")))
"""


def test_a_job_reaches_hyops_as_its_user(made: Made) -> None:
    """By the one rule, through root's environment and the library of this release, to HyOps' side."""
    made.site.host.run("install -d -o hyops -g hyops -m 700 /srv/hyops/envs/lab")
    ask = f"/opt/dr-dispatch/*/bin/python -I -B -c '{ASK_HYOPS}' /opt/dr-dispatch/hyops-access/*/"
    end = made.site.service.run({"variables": TRUE_JOB, "steps": [{"run": ask}]}, LABEL)
    assert end["rc"] == 0, end["log"] + end["said"]
    assert end["log"] == "{'welcome': {'root': '/srv/hyops/envs/lab', 'runs': '/var/lib/dr-dispatch/1-1'}}\n"


def test_an_agent_that_dies_is_started_again(made: Made) -> None:
    made.site.host.run("pkill -KILL -f bin/Runner.Listener")
    assert made.site.service.online(NAME).id == made.online.id


def test_a_wall_that_was_opened_is_closed_again(made: Made) -> None:
    made.site.host.run(
        "nft delete table inet dr_dispatch; echo >>/etc/dr-dispatch/metadata.nft; chmod 777 /srv/hyops/envs; rm /etc/sudoers.d/dr-dispatch"
    )
    result = made.site.set_up()
    assert changed(result) >= {"/etc/dr-dispatch/metadata.nft", "/srv/hyops/envs", "/etc/sudoers.d/dr-dispatch"}
    assert "reject" in made.site.host.run("nft list table inet dr_dispatch")
    made.site.host.run("nft delete table inet dr_dispatch")
    assert changed(made.site.set_up()) == set(), "no file of it differs"
    for flush in ("true", "systemctl start nftables", "systemctl reload nftables", "systemctl restart nftables", "systemctl stop nftables"):
        made.site.host.run(flush)
        assert "reject" in made.site.host.run("nft list table inet dr_dispatch"), flush


def test_another_name_registers_again(made: Made) -> None:
    identity = RunnerIdentity(made.site.service.url, "ops-2", (LABEL, "extra"), "recovery group")
    said = made.site.set_up(identity=identity, trust=json.dumps(TRUST | {"apps": [777]}).encode(), only_say=True)
    paths = ("/etc/dr-dispatch/trust.json", "/opt/actions-runner", "registration as ops-2")
    differs = {Step(How.WOULD_CHANGE, each) for each in paths}
    assert {step for step in said.steps if step.how is not How.KEPT} == differs
    result = made.site.set_up(identity=identity)
    assert result.registered
    assert made.site.service.online("ops-2").labels == [LABEL, "extra"]
    assert made.site.service.asked[-1]["runnergroup"] == "recovery group"
    result = made.site.set_up()
    assert result.registered
    made.site.service.online(NAME)


def test_an_agent_that_github_forgot_is_registered_again(made: Made) -> None:
    made.site.service.repository.runners.clear()
    assert not made.site.set_up().registered, "the host cannot know"
    assert made.site.set_up(again=True).registered
    made.site.service.online(NAME)
    assert [runner.name for runner in made.site.service.repository.runners] == [NAME]


def test_a_token_that_is_over_is_a_fault_without_it(made: Made) -> None:
    made.site.github.runner_tokens.clear()
    minted = len(made.site.minted)

    def late() -> object:
        made.site.mint()
        made.site.github.runner_tokens.clear()

        return Registration(token=made.site.minted[-1])

    with pytest.raises(Fault, match="failed at register") as problem:
        made.site.set_up(again=True, register=late)
    assert len(made.site.minted) == minted + 1
    assert "NotFound" in problem.value.found
    assert made.site.minted[-1] not in json.dumps(problem.value.to_json()) + "".join(made.site.said)
    assert made.site.set_up().registered, "the same command again goes on"
    made.site.service.online(NAME)


def test_an_agent_that_does_not_answer_is_started_anew(made: Made) -> None:
    pid = made.site.host.run("systemctl show -p MainPID --value actions.runner.dr-dispatch.service")
    result = made.site.set_up(restart=True)
    assert changed(result) == {"actions.runner.dr-dispatch.service"}
    assert made.site.host.run("systemctl show -p MainPID --value actions.runner.dr-dispatch.service") != pid
    made.site.service.online(NAME)


def test_an_agent_too_old_to_be_registered_is_replaced(made: Made, tmp_path: Path) -> None:
    newer = build(tmp_path, "2.400.1")
    name = "actions-runner-linux-x64-2.400.1.tar.gz"
    (made.site.host.root / ARCHIVES.lstrip("/") / name).write_bytes((tmp_path / name).read_bytes())
    result = made.site.set_up(agent=newer)
    assert changed(result) == {"/opt/actions-runner", "actions.runner.dr-dispatch.service"}
    assert made.site.service.online(NAME).version == "2.400.1"
    assert result.agent_version == "2.400.1"
    assert not made.site.set_up().changed, "an agent that is newer than the release's is kept"


def test_a_job_is_not_disturbed(made: Made) -> None:
    site = made.site
    site.service.queue.append({"id": 1, "label": LABEL, "variables": TRUE_JOB, "steps": [{"run": "sleep 400"}]})
    site.host.run("for n in $(seq 600); do pgrep -x Runner.Worker && exit; sleep 0.1; done; exit 1")
    try:
        with pytest.raises(Refusal, match="cannot be made a runner: system") as problem:
            site.set_up()
        assert problem.value.found == "a job runs on this machine"
        assert not site.set_up(only_say=True).changed
    finally:
        site.host.run("pkill -KILL -x Runner.Worker; pkill sleep", check=False)
    site.service.online(NAME)


REFUSED = {
    "a changed archive": ("rm $agent/config.sh; echo >>$archives/actions-runner-linux-x64-2.336.0.tar.gz", "agent", "has sha256"),
    "no archive": ("rm $agent/config.sh $archives/actions-runner-linux-x64-2.336.0.tar.gz", "agent", "no /srv/archives/actions-runner"),
    "a package that is missing": ("mv /usr/bin/curl /usr/bin/lruc", "packages", "curl not there"),
    "a home that is another's": ("usermod --home / hyops", "users", "/, the home of hyops, is not its own"),
    "a link in place of the envs": ("mv /srv/hyops/envs /srv/hyops/x; ln -s /etc /srv/hyops/envs", "envs", "/srv/hyops/envs is a link"),
}
BACK = """
rm -rf $archives $agent; mv /srv/kept $archives; mv /opt/kept $agent; mv /usr/bin/lruc /usr/bin/curl
[ ! -e /srv/hyops/x ] || { rm /srv/hyops/envs; mv /srv/hyops/x /srv/hyops/envs; }
usermod --home /home/hyops hyops
systemctl reset-failed actions.runner.dr-dispatch   # it is started anew more often than systemd has it within ten seconds
systemctl restart actions.runner.dr-dispatch
"""


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_made_is_refused_by_name(name: str, made: Made) -> None:
    change, step, found = REFUSED[name]
    places = f"archives={ARCHIVES} agent=/opt/actions-runner; "
    made.site.host.run(places + "cp -a $archives /srv/kept; cp -a $agent /opt/kept; " + change)
    try:
        with pytest.raises(Refusal) as problem:
            made.site.set_up()
    finally:
        made.site.host.run(places + BACK, check=False)
    assert (problem.value.gate, int(problem.value.exit_code)) == ("runner.setup", 7)
    assert problem.value.reason.endswith(f"cannot be made a runner: {step}")
    assert found in problem.value.found


def test_what_the_release_refuses_on_the_host_is_said(made: Made) -> None:
    """`runner prepare` answers its caller, the script, as JSON: what stopped it reaches people all the same."""
    made.site.host.run("chmod 777 /etc/dr-dispatch")
    try:
        with pytest.raises(Fault, match="failed at prepare") as problem:
            made.site.set_up()
    finally:
        made.site.host.run("chmod 755 /etc/dr-dispatch")
    assert "/etc/dr-dispatch is not root's alone to write" in problem.value.found


def test_files_come_from_a_mirror(made: Made, tmp_path: Path) -> None:
    """Over https, by a certificate that the machine trusts; not from one that is not there, or that it does not know."""
    site = made.site
    (tmp_path / "mirror").mkdir()
    build(tmp_path / "mirror", "2.336.0")
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    site.host.run(f"cp -L {bundle} /srv/bundle; mv /opt/actions-runner/config.sh /opt/actions-runner/gone")
    with mirror(tmp_path, site.host.github) as (url, authority):

        def order(where: str) -> Installation:
            return Installation(mirror=where, wheelhouse="/srv/wheels")

        for where in ("https://127.0.0.1:9/mirror", url):
            with pytest.raises(Refusal) as problem:
                site.set_up(installation=order(where))
            assert f"{where}/actions-runner-linux-x64-2.336.0.tar.gz cannot be fetched" in problem.value.found
        site.host.run(f"cat >>{bundle}", stdin=authority.decode())
        try:
            assert changed(site.set_up(installation=order(url))) == {"/opt/actions-runner", "actions.runner.dr-dispatch.service"}
        finally:
            site.host.run(f"cp /srv/bundle {bundle}; rm /srv/bundle")
    assert site.service.online(NAME).version == "2.336.0"


def test_a_key_that_comes_late_and_one_that_is_wrong(made: Made) -> None:
    """The real sshd: up before it knows the run's key; then another host key than the provider's."""
    site = made.site
    before, site.login = site.login, new_login("ops")
    try:
        said: list[str] = []

        def hear(line: str) -> None:
            said.append(line)
            if "login" in line:
                site.host.let_in(site.login)

        with site.prove(hear) as host:
            assert host.facts.attempts > 1
        site.host.run(f"cp {HOST_KEY} /srv/pub; ssh-keygen -q -t ed25519 -N '' -f /srv/other; cp /srv/other.pub {HOST_KEY}")
        with pytest.raises(Refusal, match="another host key"):
            site.prove()
    finally:
        site.host.run(f"cp /srv/pub {HOST_KEY}; rm -f /srv/pub /srv/other*")
        site.login = before
        site.host.let_in(before)


def test_a_failed_cloud_init(made: Made) -> None:
    site = made.site
    site.host.run("printf '#!/bin/sh\\necho status: error; exit 1\\n' >/usr/bin/cloud-init; chmod 755 /usr/bin/cloud-init")
    try:
        with pytest.raises(Fault, match="cloud-init"):
            site.prove()
    finally:
        site.host.run("rm /usr/bin/cloud-init")
