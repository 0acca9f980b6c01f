"""runner.yml for a caller: a look at each standing runner, by a job on it, sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from tests.act.hosting import trust_of
from tests.act.rewriting import ROOT, UNPINNED
from tests.act.running import ActRun
from tests.act.site import Site
from tests.security.incident import BOOTSTRAP_GATE, may_make_its_runner
from tests.support.issuer import WORKFLOW_SHA

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow]
TEMPLATE = ROOT / "workflows-templates" / "dr-runner.yml"
TITLE = "Look at gcp-ops-runner"


def look(site: Site, monkeypatch: pytest.MonkeyPatch) -> ActRun:
    """A look at lane gcp, as the schedule starts it."""
    path = site.repository / ".github" / "workflows" / "dr-runner.yml"
    path.write_text(TEMPLATE.read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}"))
    site.write_config()
    opened = site.control.open_run

    def open_run(*args: Any) -> Any:
        run = opened(*args)
        job = run.add_job(f"runner / {TITLE}", ["self-hosted", "gcp-ops-runner"])
        job.take(site.control.repository.add_runner("gcp-ops-runner-01", ["gcp-ops-runner"]))
        return run

    monkeypatch.setattr(site.control, "open_run", open_run)
    return site.start("a look at lane gcp", {"lane": "gcp"}, file="dr-runner.yml")


@pytest.mark.timeout(600)
def test_a_look_at_a_prepared_host(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.trust = trust_of(site)
    ran = look(site, monkeypatch)
    log = ran.log()
    assert {job: ran.jobs.get(job) for job in ("lanes", "status", "look", "watch-look")} == dict.fromkeys(
        ("lanes", "status", "look", "watch-look"), "success"
    ), log
    [name] = [each for each in ran.artifact_names() if each.startswith("dr-look-")]
    bundle = ran.artifact(name, tmp_path / "bundle") / "evidence.tar"
    [key] = site.config["host_keys"].values()
    assert verify(bundle, trusted_keys=[key], require_signature=True).ok
    found = read_files(bundle)["host-look.json"].decode()
    for topic in ("agent", "disk", "key", "environment", "hook", "trust"):
        assert f'"topic": "{topic}"' in found
    assert '"FAIL"' not in found, found


@pytest.mark.timeout(600)
def test_a_host_that_nobody_prepared_fails_its_look(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.config["host_keys"] = {"another": "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="}
    ran = look(site, monkeypatch)
    assert (ran.jobs["lanes"], ran.jobs["look"]) == ("success", "failure"), ran.log()
    [name] = [each for each in ran.artifact_names() if each.startswith("dr-look-")]
    bundle = ran.artifact(name, tmp_path / "bundle") / "evidence.tar"
    assert verify(bundle).ok, "what failed is sealed too"
    assert "not among host_keys" in read_files(bundle)["host-look.json"].decode()
    assert any("FAIL" in summary for summary in ran.summaries), ran.log()


@pytest.mark.timeout(600)
def test_no_runner_is_made_behind_a_gate_that_protects_nothing(site: Site, tmp_path: Path) -> None:
    """The job runs, since nobody has to review: it learns that from GitHub, and asks neither authority nor provider."""
    site.control.repository.add_environment(BOOTSTRAP_GATE)
    may_make_its_runner(site.config)
    path = site.repository / ".github" / "workflows" / "dr-runner.yml"
    path.write_text(TEMPLATE.read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}"))
    site.write_config()
    ran = site.start("recover lane gcp", {"action": "recover", "lane": "gcp", "reason": "runner-recovery"}, file="dr-runner.yml")
    assert (ran.jobs.get("lanes"), ran.jobs.get("recover")) == ("success", "failure"), ran.log()
    bundle = ran.artifact(f"dr-runner-{ran.number}-1", tmp_path / "bundle") / "evidence.tar"
    assert verify(bundle).ok, "what is refused is sealed too"
    assert "bootstrap.gate" in "\n".join(ran.said["recover"]), ran.log()
    assert f"environment {BOOTSTRAP_GATE} does not protect" in "\n".join(ran.summaries)
    assert site.tokens.asked == []
