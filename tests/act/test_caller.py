"""A runner host that pins its callers, under act: its own caller goes through, a stranger learns and changes nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.act.hosting import on_pinned_host, trust_of, ways
from tests.act.site import Site
from tests.act.test_dispatch import ALL_GREEN, bundle, decision
from tests.support.issuer import WORKFLOW_SHA

HOST = "dr-dispatch:gcp-ops-runner"


@pytest.mark.parametrize("way", ways(), ids=lambda way: " ".join(way[1:]))
def test_a_command_on_a_pinned_host_sees_roots_file_and_outside_nothing_changes(way: tuple[str, ...], tmp_path: Path) -> None:
    before = sorted(Path("/etc").iterdir())
    script = "stat -c '%u %a' /etc/dr-dispatch/trust.json; cat /etc/dr-dispatch/trust.json; test -e /etc/passwd && echo and the rest"
    command = [*on_pinned_host({"kind": "HostTrust"}, tmp_path / "host", way), "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == '0 644\n{"kind": "HostTrust"}and the rest\n', done.stderr
    assert sorted(Path("/etc").iterdir()) == before
    assert list((tmp_path / "host" / "etc").iterdir()) == []


@pytest.mark.act
@pytest.mark.bao
@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_pinned_caller_goes_through(site: Site) -> None:
    site.trust = trust_of(site)
    run = site.start("a pinned host and its caller", decision("inc-4242-pinned-host"))
    assert run.jobs == ALL_GREEN, run.log()
    assert site.tokens.asked == [
        ("check", HOST),
        ("check", site.bao.origin),
        ("execute", HOST),
        ("execute", site.bao.origin),
    ]
    sealed = bundle(site, run, run.answers["outcome"])
    assert sealed["environment.json"]["host_trust"] is True
    assert sealed["runner.json"]["trusted"] is True
    assert len(json.loads(next(site.home.rglob("seen-tokens.json")).read_text())) == 2, "one for each stage"
    assert "this host does not pin its callers" not in sealed["result.json"]["deviations"]


@pytest.mark.act
@pytest.mark.bao
@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("scenario", "claims", "found"),
    [
        ("a pinned host, a branch", {"ref": "refs/heads/let-me-in", "ref_protected": "false"}, "ref refs/heads/let-me-in"),
        ("a pinned host, another commit of dr-dispatch", {"job_workflow_sha": "e" * 40}, "job_workflow_sha eeee"),
    ],
)
def test_a_stranger_on_the_runners_label_is_refused_before_anything(scenario: str, claims: dict[str, str], found: str, site: Site) -> None:
    site.trust = trust_of(site)
    known = files_of_the_env(site)
    refused = site.start(scenario, decision("inc-4242-a-stranger"), **claims)
    assert (refused.jobs["plan"], refused.jobs["check"]) == ("success", "failure"), refused.log()
    assert refused.jobs.get("execute", "skipped") == "skipped"
    assert (refused.answers["outcome"], refused.answers["exit_code"]) == ("NO_RUNNER", "7"), refused.log()
    refusal = bundle(site, refused, "NO_RUNNER")["refusal.json"]
    assert refusal["gate"] == "host.caller"
    assert found in refusal["found"]
    if "job_workflow_sha" in claims:
        assert WORKFLOW_SHA in refusal["expected"]
    assert site.tokens.asked == [("check", HOST)], "the authority was not even asked"
    assert site.ledger().tip().epoch == 0
    assert files_of_the_env(site) == known, "HyOps was not even asked"
    assert not list(site.home.rglob("seen-tokens.json")), "only an accepted token is remembered"


def files_of_the_env(site: Site) -> set[Path]:
    return {path for path in site.env_root.rglob("*") if path.is_file()}
