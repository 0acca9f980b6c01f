"""docs/upgrade.md: what it says to paste on a host and in a caller's repository is run, and does that and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from hyops_ci.contracts.host_trust import HostTrust
from tests.unit.test_house import ROOT

PAGE = (ROOT / "docs" / "upgrade.md").read_text("utf-8")
OLD, NEW = "3f2a" + "0" * 36, "4b1c" + "1" * 36
TRUST = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 1,
    "repository_owner_id": 2,
    "ref": "refs/heads/main",
    "workflow_shas": [OLD],
    "runner_refs": ["gcp-ops-runner"],
    "gates": {"prod": "dr-prod"},
    "approvers": [],
}


def block(holding: str) -> str:
    """The commands of the page that hold this."""
    [found] = [each for each in re.findall(r"(?:^    .+\n)+", PAGE, re.M) if holding in each]
    return found


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def bash(text: str, folder: Path, new: str = NEW) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env={"PATH": "/usr/bin:/bin", "OLD": OLD, "NEW": new}, check=True)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_host_knows_both_commits_from_the_checkout_of_the_new_one(indent: int | None, tmp_path: Path) -> None:
    source, checkout, trust = tmp_path / "source", tmp_path / "checkout", tmp_path / "trust.json"
    setup = source / "actions" / "setup" / "setup.sh"
    setup.parent.mkdir(parents=True)
    git(source, "init", "--quiet", "--initial-branch=main")
    for release in ("old", "new"):
        setup.write_text(f'echo "{release} $*" >> {tmp_path}/prepared\n')
        git(source, "add", ".")
        git(source, "-c", "user.name=t", "-c", "user.email=t@example.net", "commit", "--quiet", "-m", release)
        if release == "old":
            git(tmp_path, "clone", "--quiet", str(source), str(checkout))
    new = git(source, "rev-parse", "HEAD")
    trust.write_text(json.dumps(TRUST, indent=indent))
    before = HostTrust.model_validate_json(trust.read_text())
    places = {"/usr/local/src/dr-dispatch": checkout, "/etc/dr-dispatch/trust.json": trust}
    text = block("workflow_shas")
    for place, here in places.items():
        assert place in text
        text = text.replace(place, str(here))
    bash(text, tmp_path, new)
    after = HostTrust.model_validate_json(trust.read_text())
    assert after.workflow_shas == (new, OLD)
    assert after.model_copy(update={"workflow_shas": (OLD,)}) == before
    assert (tmp_path / "prepared").read_text() == "new runner prepare\n"


def test_every_caller_moves_and_nothing_else(tmp_path: Path) -> None:
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    for name in ("dr-manual", "dr-decision"):
        text = (ROOT / "workflows-templates" / f"{name}.yml").read_text("utf-8")
        (workflows / f"{name}.yml").write_text(text.replace("0" * 40, OLD))
    (workflows / "other.yml").write_text(f"uses: somebody/else@{OLD}\n")
    (workflows / "nightly.yml").write_text(f"uses: hybridops/dr-dispatch@{OLD}\nuses: somebody/else@{OLD}\n")
    bash(block("xargs sed"), tmp_path)
    for name in ("dr-manual", "dr-decision"):
        moved = (workflows / f"{name}.yml").read_text()
        assert OLD not in moved
        assert f"dispatch.yml@{NEW}" in moved
    assert (workflows / "other.yml").read_text() == f"uses: somebody/else@{OLD}\n"
    assert (workflows / "nightly.yml").read_text() == f"uses: hybridops/dr-dispatch@{NEW}\nuses: somebody/else@{OLD}\n"


def test_each_refusal_of_an_upgrade_is_explained_with_its_exit_code() -> None:
    text = (ROOT / "docs" / "refusals.md").read_text("utf-8")
    known = dict(re.findall(r"^\| `(upgrade\.[a-z]+)` \| (\d+) \|", text, re.MULTILINE))
    assert len(known) >= 8
    for gate, code in known.items():
        assert re.search(rf"`{gate}`(?:, exit| \|) {code}\b", PAGE), gate
