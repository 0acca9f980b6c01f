"""Every `gh` command that a text of the program or a page names, given to GitHub's own client, does what the text says.

The blocks of `init` are run in `test_adopt.py`; here are the others, and that none is forgotten.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.ledger.ruleset import RULES_OF_LEDGER, protection
from hyops_ci.operations.init.commands import Adopter, notify_commands
from tests.e2e.test_adopt import EVERYTHING
from tests.support.github.cli import gh_speaks_to
from tests.support.github.releases import Release, releases_of
from tests.support.github.repositories import Repository
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub, start_github
from tests.unit.test_house import tracked

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
REPOSITORY, NUMBER = "acme/recovery", 4242
TEMPLATE = ROOT / "workflows-templates" / "dr-manual.yml"
NAMED = re.compile(r"(?<![\w./-])gh (api|attestation|auth|run|secret|workflow|issue|pr|variable|release|repo)\b(?: ([a-z]+))?")
RUN_ELSEWHERE = {
    "gh auth token": "test_adopt.py, in every block",
    "gh secret set": "test_what_messages_are_signed_and_written_with_is_kept",
    "gh api": "test_adopt.py, test_the_ruleset_of_a_ledger_is_made and test_ids_are_read",
}


@dataclass
class Person:
    """Somebody with a shell, `gh`, and the rights of an administrator."""

    fake: FakeGitHub
    repository: Repository
    environment: dict[str, str]
    folder: Path

    def bash(self, text: str, typed: str = "") -> str:
        """Paste it, and return what is said."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def inputs(self) -> dict[str, str]:
        """The inputs of the run that was started last."""
        *_, run = self.repository.runs.values()
        return run.inputs


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with start_github() as fake:
        fake.add_user("maria", number=1001)
        repository = fake.add_repository(REPOSITORY, number=4711)
        repository.commit({".github/workflows/dr.yml": TEMPLATE.read_bytes()})
        repository.add_workflow(".github/workflows/dr.yml", TEMPLATE.read_text())
        with gh_speaks_to(fake, tmp_path) as environment:
            known = {"GH_REPO": REPOSITORY, "GITHUB_TOKEN": fake.add_token(*EVERYTHING, "secrets: write", actor="maria")}
            yield Person(fake, repository, {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **known, **environment}, tmp_path)
        assert fake.violations == []


def test_the_ruleset_of_a_ledger_is_made(person: Person) -> None:
    person.bash(protection(f"https://github.com/{REPOSITORY}"))
    [made] = vars(person.repository)["rulesets"]
    assert made == RULES_OF_LEDGER


def test_what_messages_are_signed_and_written_with_is_kept(person: Person) -> None:
    config = parsed_config(
        b'services: {pg-ha/lab: {failover: {lane: gcp, blueprint: dr/x@v1}}}\nnotify: {webhook: "https://h.net/x", issue: 4}\n'
    )
    random, *sets = notify_commands(config, Adopter(repository=REPOSITORY)).splitlines()
    secret = person.bash(random).strip()
    assert re.fullmatch("[0-9a-f]{64}", secret)
    for command, value in zip(sets, (secret, "a token"), strict=True):
        person.bash(command, typed=f"{value}\n")
    assert person.repository.secrets == {"DR_NOTIFY_SECRET": secret, "DR_NOTIFY_TOKEN": "a token"}
    person.bash(sets[1], typed="another\n")
    assert person.repository.secrets["DR_NOTIFY_TOKEN"] == "another"


@pytest.mark.parametrize(
    ("command", "inputs"),
    [
        ("gh workflow run dr.yml -f action=failover -f service=pg-ha/lab -f reason=...", {"action": "failover", "reason": "..."}),
        ("gh workflow run dr.yml -f service=pg-ha/lab -f action=failback -f reason=...", {"action": "failback"}),
        (
            'gh workflow run dr.yml -f action=settle -f service=pg-ha/lab -f serves=gcp -f reason="what you saw"',
            {"action": "settle", "serves": "gcp", "reason": "what you saw"},
        ),
        (
            'gh workflow run dr.yml -f action=failover -f service=pg-ha/prod -f reason="INC-4242" -f bootstrap_reason=runner-recovery',
            {"bootstrap_reason": "runner-recovery"},
        ),
        (
            "gh workflow run dr.yml -F decision=@decision.json -f approvals='[{}]'   (decision.json is in the same artifact)".partition(
                "   "
            )[0],
            {"decision": '{"kind": "Decision"}\n', "approvals": "[{}]"},
        ),
    ],
)
def test_a_run_is_started_with_what_the_form_takes(command: str, inputs: dict[str, str], person: Person) -> None:
    (person.folder / "decision.json").write_text('{"kind": "Decision"}\n')
    person.bash(command)
    assert inputs.items() <= person.inputs().items()


def test_a_run_is_cancelled_and_followed(person: Person) -> None:
    run = person.repository.add_run(".github/workflows/dr.yml", number=NUMBER)
    person.bash(f"gh run cancel {NUMBER} --repo {REPOSITORY}")
    assert run.conclusion == "cancelled"
    assert "cancelled" in person.bash(f"gh run watch {NUMBER} --repo {REPOSITORY} 2>&1")


def test_the_evidence_of_a_run_is_brought(person: Person) -> None:
    run: Run = person.repository.add_run(".github/workflows/dr.yml", number=NUMBER)
    run.add_artifact(f"dr-evidence-{NUMBER}-1", {f"dr-evidence-{NUMBER}-1.tar": b"sealed"})
    person.bash(f"gh run download {NUMBER} -n dr-evidence-{NUMBER}-1")
    assert (person.folder / f"dr-evidence-{NUMBER}-1.tar").read_bytes() == b"sealed"


def test_a_workflow_that_github_disabled_starts_again(person: Person) -> None:
    [workflow] = person.repository.workflows
    person.bash("gh workflow disable dr.yml; gh workflow enable dr.yml")
    assert workflow.state == "active"
    workflow.state = "disabled_inactivity"
    person.bash(f"gh workflow enable dr.yml --repo {REPOSITORY}")
    assert workflow.state == "active"


def test_ids_are_read(person: Person) -> None:
    assert person.bash("gh api repos/acme/recovery --jq '.id, .owner.id'").split()[0] == "4711"
    assert person.bash("gh api repos/acme/recovery --jq .default_branch") == "main\n"
    assert person.bash("gh api users/maria --jq .id") == "1001\n"


def test_a_release_is_brought_and_compared(person: Person) -> None:
    """As docs/install.md says it. Who made it is asked of Sigstore, which is not here: the command is one that `gh` knows."""
    page = (ROOT / "docs" / "install.md").read_text("utf-8").replace("VERSION", "1.2.0")
    download, compare, verify, _ = re.findall(r"^    (.+)$", page[page.index("    gh release download ") :], re.M)[:4]
    released = person.fake.add_repository("hybridops/dr-dispatch")
    name, content = "hyops_ci-1.2.0-py3-none-any.whl", b"wheel"
    sums = f"{hashlib.sha256(content).hexdigest()}  {name}\n{'0' * 64}  hyops_ci-1.2.0.tar.gz\n".encode()
    made = Release(released, 77, "v1.2.0", "v1.2.0", "", draft=False, assets={name: content, "SHA256SUMS": sums, "other.tar": b""})
    releases_of(released).append(made)
    person.bash(download)
    assert person.bash(compare) == f"{name}: OK\n"
    assert {path.name for path in person.folder.iterdir()} >= {name, "SHA256SUMS"}
    assert not (person.folder / "other.tar").exists()
    command, options = verify.split(f" {name} ")
    assert command == "gh attestation verify"
    words = options.split()
    flags = [word for word in words if word.startswith("--")]
    assert dict(zip(flags[:3], words[1:6:2], strict=True)) == {
        "--repo": "hybridops/dr-dispatch",
        "--source-ref": "refs/tags/v1.2.0",  # a branch can have its own files attested
        "--signer-workflow": "hybridops/dr-dispatch/.github/workflows/release.yml",
    }
    assert flags[3:] == ["--deny-self-hosted-runners"]
    assert all(f"{flag} " in person.bash("gh attestation verify --help") for flag in flags)
    (person.folder / name).write_bytes(b"another")
    with pytest.raises(AssertionError, match="FAILED"):
        person.bash(compare)


def test_the_dry_run_of_a_release_is_started(person: Person) -> None:
    person.repository.add_workflow(".github/workflows/release.yml", (ROOT / ".github/workflows/release.yml").read_text("utf-8"))
    person.bash("gh workflow run release.yml")
    *_, run = person.repository.runs.values()
    assert (run.path, run.event) == (".github/workflows/release.yml", "workflow_dispatch")


def test_no_command_is_forgotten() -> None:
    """What texts and pages name is run here, or in the test that is said."""
    here = Path(__file__).read_text("utf-8")
    texts = [path for path in tracked() if path.startswith(("hyops_ci/", "docs/")) and path.endswith((".py", ".md"))] + ["README.md"]
    named = {
        f"gh {found[1]}" + (f" {found[2]}" if found[2] and found[1] != "api" else "")
        for path in texts
        for found in NAMED.finditer((ROOT / path).read_text("utf-8"))
    }
    assert len(named) >= 8
    assert sorted(each for each in named if each not in RUN_ELSEWHERE and f"{each} " not in here) == []
