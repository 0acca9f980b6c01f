"""Attack: HyOps' modules against the agent that called them, and the agent's user against HyOps, where each has a user of its own.

Real users, real sudo, a host that `hyops-ci runner prepare` made (`two_users.py`).
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.hyops_access.rule import RELEASES, release_of
from hyops_ci.operations.prepare.former_libraries import FormerLibraries, remove_former
from tests.security.two_users import Host, on_host_of_two

pytestmark = pytest.mark.slow
RULE = 'gha-runner ALL=(hyops) NOPASSWD: NOLOG_INPUT: NOLOG_OUTPUT: /opt/dr-dispatch/as-hyops ""'
FILE = "/etc/sudoers.d/dr-dispatch"


def spied(facts: dict[str, Any]) -> dict[str, set[str]]:
    """What a module found out, by what it tried."""
    found: dict[str, set[str]] = {}
    for line in facts["said"]:
        if tried := re.fullmatch(r"hyops \| spy (.*?): (.*)", line):
            found.setdefault(tried[1], set()).add(tried[2])
    return found


def recovered(facts: dict[str, Any]) -> bool:
    return facts["state"] == "COMPLETED_WITH_EXCEPTIONS" and facts["verified"] and facts["refusal"] is None


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return on_host_of_two(tmp_path_factory.mktemp("host"), ("", "misuse"), ("", "run spy"), ("", "past"))


def test_a_recovery_by_a_user_of_its_own(host: Host) -> None:
    """From the plan to sealed evidence, on a host as root prepared it."""
    facts = host.facts[1]
    assert recovered(facts), facts
    assert facts["user"] == "hyops"
    made = [line.split()[1] for line in host.prepared.splitlines() if line.startswith("made ")]
    assert {"/opt/dr-dispatch/as-hyops", "/var/lib/dr-dispatch", FILE} < set(made)
    assert [line for line in host.again.splitlines() if line.startswith(("made ", "changed "))] == []
    there = set(host.there.splitlines())
    assert {f"root root 440 {FILE}", "root root 755 /opt/dr-dispatch/as-hyops", "hyops gha-runner 2750 /var/lib/dr-dispatch"} <= there


def test_a_module_reaches_nothing_of_the_agents(host: Host) -> None:
    found = spied(host.facts[1])
    assert found.pop("their processes") != {"0"}
    assert found.pop("sudo") == {"OSError"}
    assert set(found) == {"environment", "memory", "signal", "host key", "run folder", "a file in the agent's home"}
    assert all(tried == {"PermissionError"} for tried in found.values()), found
    assert "hyops | the password of a step is [redacted:PATRONI_SUPERUSER_PASSWORD]" in host.facts[1]["said"]


def test_the_same_module_where_both_are_one_user(tmp_path: Path) -> None:
    """Why there is a user: what the module tries works."""
    [facts] = on_host_of_two(tmp_path, ("", "run spy"), shared=True).facts
    assert recovered(facts), facts
    assert facts["user"] == "gha-runner"
    found = spied(facts)
    assert "True" in found["environment"]
    assert "None" in found["signal"]
    assert found["host key"] != {"PermissionError"}
    assert found["run folder"] != {"PermissionError"}
    assert found["a file in the agent's home"] != {"PermissionError"}
    assert facts["reached"]["envs/lab/vault/bootstrap.vault.env"].startswith("read ")
    assert facts["reached"]["environment of HyOps"].startswith("read ")


def test_the_agents_user_reaches_nothing_of_hyops(host: Host) -> None:
    """While a step runs, with this run's secrets in the bundle, and afterwards."""
    facts = host.facts[1]
    assert len(facts["reached"]) == 5, facts["reached"]
    assert set(facts["reached"].values()) | set(facts["after"].values()) == {"PermissionError"}


def test_the_rule_gives_its_user_answers_and_nothing_else(host: Host) -> None:
    asked = host.facts[0]["asked"]
    assert asked.pop("what is allowed") == '{"value": "hyops"}'
    for name in ("cat", "an argument", "root"):
        assert asked.pop(name) == "1 sudo: a password is required\n", name
    assert "not allowed to set" in asked.pop("environment")
    assert asked.pop("no release").startswith("64 ")
    assert '"status": "unreadable"' in asked.pop("a path as state")
    assert asked.pop("what the bundle holds") == '{"value": []}'
    assert '"gate": "hyops.command"' in asked.pop("another command")
    for name in ("a private method", "a record by path", "a path as overlay", "a path as journal"):
        assert '"reason": "HyOps\' side of this host could not do it"' in asked.pop(name), name
    assert set(asked) == {"a path as release", "another release", "a path as env", "a path as run", "a field more"}
    assert all(answer.startswith("no answer: ") for answer in asked.values()), asked
    assert not host.facts[0]["evil"], "nothing of the caller's environment was loaded"


def test_a_run_that_is_over_is_told_to_nobody(host: Host) -> None:
    """Its secrets are known no more, so nobody could take them out of HyOps' logs."""
    assert host.facts[1]["records"], "they are there to be had: the run itself kept them"
    assert host.facts[2] == {"records": [], "told": []}


def test_a_cancel_reaches_hyops_of_another_user(tmp_path: Path) -> None:
    [facts] = on_host_of_two(tmp_path, ("", "interrupt")).facts
    assert facts["state"] == "CANCELLED"
    assert (facts["ended"], facts["signals"]) == ({"rc": 130, "stop": "cancel"}, ["SIGINT"])


def test_a_job_that_is_killed_leaves_hyops_to_its_end(tmp_path: Path) -> None:
    [facts] = on_host_of_two(tmp_path, ("", "kill")).facts
    assert (facts["ended"], facts["signals"]) == ({"rc": 0, "stop": ""}, [])
    assert (facts["concluded"], facts["verified"]) == ("INDETERMINATE", True)
    assert "inside step 6/6" in facts["headline"], "the journal is found where the run is concluded"
    assert facts["cleaned"] == {"removed": [], "kept": [], "bundle_kept": False}


def test_an_earlier_release_answers_nobody_once_the_upgrade_is_finished(tmp_path: Path) -> None:
    """Who asks names the release, and so the holes that a later one has mended."""
    libraries, proc = tmp_path / RELEASES.lstrip("/"), tmp_path / "proc"
    for name in ("0" * 24, "1" * 24, release_of()):
        (libraries / name / "hyops_ci").mkdir(parents=True)
    (proc / "17").mkdir(parents=True)
    (proc / "17" / "cmdline").write_text(f"python\0-I\0{RELEASES}/{'1' * 24}/hyops_ci/start.py\0")
    assert remove_former(tmp_path, proc) == FormerLibraries(removed=("0" * 24,), at_work=("1" * 24,)), "a recovery goes on to its end"
    assert {each.name for each in libraries.iterdir()} == {"1" * 24, release_of()}
    (proc / "17" / "cmdline").unlink()
    assert remove_former(tmp_path, proc) == FormerLibraries(removed=("1" * 24,))
    assert remove_former(tmp_path, proc) == FormerLibraries()
    shutil.rmtree(libraries / release_of())
    (libraries / ("0" * 24)).mkdir()
    assert remove_former(tmp_path, proc) == FormerLibraries(), "without one of its own a host would have none"


WEAK = {
    "no rule": (f"rm {FILE}", "cannot be started", "a password is required"),
    "no program": ("rm /opt/dr-dispatch/as-hyops", "cannot be started", ""),
    "a rule for everything": ("echo 'gha-runner ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/x", "is no wall", "(ALL) NOPASSWD: ALL"),
    "one more rule": ("echo 'gha-runner ALL=(root) NOPASSWD: /bin/true' >/etc/sudoers.d/x", "is no wall", "/bin/true"),
    "a rule with any argument": (f"sed -i 's/ \"\"$//' {FILE}", "is no wall", "/opt/dr-dispatch/as-hyops"),
    "a rule that keeps an environment": (f"sed -i 's/NOPASSWD:/NOPASSWD: SETENV:/' {FILE}", "is no wall", "SETENV"),
    "an env that the agent reads": ("chmod -R a+rX /srv/site/runner/envs", "is no wall", "gha-runner can read /srv/site/runner/envs"),
    "a password that the agent reads": ("chown gha-runner /srv/site/runner/vault-password", "is no wall", "vault-password"),
    "a group of both": ("usermod --append --groups gha-runner hyops", "is no wall", "gha-runner and hyops are both in group "),
    "a program that the agent wrote": ("chown gha-runner /opt/dr-dispatch/as-hyops", "is no wall", "/opt/dr-dispatch/as-hyops"),
    "a trust file without a user": ('sed -i \'s/"user": "hyops"/"user": "nobody"/\' /etc/dr-dispatch/trust.json', "", "host.user"),
}


def test_a_host_without_the_wall_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    """And HyOps is not started. The last one is the same host as it was prepared."""
    runs = [(change, "check") for change, _, _ in WEAK.values()] + [("", "check")]
    *weak, whole = on_host_of_two(tmp_path, *runs).facts
    for (name, (_, reason, found)), facts in zip(WEAK.items(), weak, strict=True):
        refused = facts["refusal"]
        assert facts["state"] == ("NO_RUNNER" if reason else "BLOCKED"), name
        assert reason in refused["reason"], (name, refused)
        assert found in refused["found"], (name, refused)
        if reason:
            assert (refused["gate"], refused["exit_code"]) == ("hyops.user", 7), name
            assert RULE[:40] in refused["expected"] or "one rule for sudo" in refused["expected"], (name, refused)
        else:
            assert refused["gate"] == "trust.looser", name
    assert FILE in weak[0]["refusal"]["expected"]
    assert RULE in weak[0]["refusal"]["expected"]
    assert "runner prepare" in weak[0]["refusal"]["fix"]
    assert whole["state"] == "CHECKED", whole
