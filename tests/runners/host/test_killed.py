"""A bootstrap that ends anywhere: at its first look, killed in any of its steps, or with this side gone. The next one takes over."""

from __future__ import annotations

import pytest

from hyops_ci.errors import Fault
from hyops_ci.runners.bootstrap import How, set_up
from hyops_ci.runners.ssh import ProvenHost
from tests.runners.host.fixture import booted_host, new_site
from tests.runners.host.site import LABEL, NAME, Site
from tests.security.test_runner_host import TRUE_JOB

__all__ = ["booted_host", "new_site"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLACES = "/etc /opt /home /root /srv /usr /var/lib"
STEPS = ("users", "agent", "hyops", "prepare", "envs", "metadata", "unit", "registration", "register")
KILL = "pkill -KILL -f dr-dispatch.*/setup.sh; pkill -KILL -x pip; pkill -KILL -f 'runner prepare'; true"


def test_what_would_be_done_is_said_and_nothing_is_done(new_site: Site) -> None:
    facts = f"find {PLACES} -printf '%p %m %u %i %T@ %C@\\n' | sort | sha256sum"
    before = new_site.host.run(facts)
    result = new_site.set_up(only_say=True)
    assert new_site.host.run(facts) == before
    assert not new_site.minted
    assert {step.how for step in result.steps} == {How.KEPT, How.WOULD_MAKE}
    assert {step.what for step in result.steps if step.how is How.WOULD_MAKE} >= {
        "user gha-runner",
        "user hyops",
        "/opt/actions-runner",
        "/opt/hybridops/core",
        "/etc/dr-dispatch",
        "/opt/dr-dispatch",
        "/srv/hyops/envs",
        "/etc/systemd/system/dr-dispatch-metadata.service",
        "/etc/systemd/system/actions.runner.dr-dispatch.service",
        "registration as ops-1",
    }


class _Gone(Exception):
    """This side is no more."""


def _killed_in(site: Site, host: ProvenHost, step: str, *, there: bool) -> None:
    """Set up until a step begins; then its processes die, or the connection."""

    def hear(line: str) -> None:
        if line == f"setting up: {step}":
            if there:
                site.host.run(KILL)
            else:
                host.close()

    with pytest.raises(Fault) as problem:
        set_up(host, site.order(), hear)
    assert problem.value.gate in ("runner.setup", "runner.ssh")


def test_killed_in_every_step_the_next_one_takes_over(new_site: Site) -> None:
    """Each try comes one step further than the one before: what is in place is kept."""
    site = new_site
    for number, step in enumerate(STEPS):
        with site.prove() as host:
            _killed_in(site, host, step, there=number % 2 == 0)
    result = site.set_up()
    assert result.changed
    runner = site.service.online(NAME)
    assert [each.id for each in site.service.repository.runners] == [runner.id], "one registration, whatever was begun"
    assert site.service.run({"variables": TRUE_JOB, "steps": [{"run": "id -un"}]}, LABEL)["log"] == "gha-runner\n"
    assert not site.set_up().changed
    assert site.host.run("ls -d /var/tmp/dr-* /opt/actions-runner.* /opt/dr-dispatch/.* 2>/dev/null | grep -v '/\\.*$'", check=False) == ""
