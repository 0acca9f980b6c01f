"""`runner bootstrap` as *add a runner* and *runner recovery* print it, over a provider in memory and the fake GitHub."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import hyops_ci.cli.shell
import hyops_ci.operations.runner_tools
from hyops_ci.cli.app import cli
from hyops_ci.contracts.host_trust import MAX_CALLERS
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from tests.unit.stages.ensure_runner.scene import NAME, Scene, missing_runner

DOCS = Path(__file__).parents[2] / "docs"
PRINTED = re.compile(r"^ {4,}(hyops-ci runner bootstrap .+)$", re.MULTILINE)
CALLER = f"jobs:\n  dr:\n    uses: hybridops/dr-dispatch/.github/workflows/dispatch.yml@{'3f2a' + '0' * 36}\n"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A person in a checkout, whose config says how the runner is made and lists every reason; the runner is missing."""
    with missing_runner(tmp_path) as made:
        made.begin_again()
        config = yaml.safe_load(made.incident.folder.read("sources/config"))
        config["policy"]["bootstrap_reasons"] = ["initial-bootstrap", "runner-recovery"]
        checkout = tmp_path / "checkout"
        (checkout / ".github" / "workflows").mkdir(parents=True)
        (checkout / ".github" / "dr-dispatch.yml").write_text(yaml.safe_dump(config))
        (checkout / ".github" / "workflows" / "dr.yml").write_text(CALLER)
        monkeypatch.chdir(checkout)
        for name in ("GITHUB_ACTIONS", "DR_TOKEN", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "DR_LANE", "DR_REASON", "DR_DRY_RUN"):
            monkeypatch.delenv(name, raising=False)
        fake, repository = made.incident.fake, made.incident.repository
        token = fake.add_token("actions: read", "metadata: read", actor="maria")
        facts = {"HOME": tmp_path, "TMPDIR": tmp_path, "GH_TOKEN": token, "GH_REPO": repository.full_name, "GITHUB_API_URL": fake.url}
        for name, value in facts.items():
            monkeypatch.setenv(name, str(value))
        in_a_shell = hyops_ci.cli.shell.shell_context
        monkeypatch.setattr(hyops_ci.cli.shell, "shell_context", lambda config: replace(in_a_shell(config), clock=made.clock))
        monkeypatch.setattr(hyops_ci.operations.runner_tools, "tools_for", made.tools)
        yield made


def test_more_callers_than_a_host_accepts_are_refused_before_there_is_a_machine(scene: Scene) -> None:
    """A service each with its own workflow fits; beyond that, and for a name that no trust file holds, some are named."""
    workflows = Path(".github", "workflows")
    for number in range(MAX_CALLERS):
        (workflows / f"dr-{number}.yml").write_text(CALLER)
    words = ["runner", "bootstrap", "--lane", "gcp", "--reason", "runner-recovery"]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert "runner.trust-file" in done.output, done.output
    assert scene.world.machines() == []
    named = [word for number in range(30) for word in ("--caller", f".github/workflows/dr-{number}.yml")]
    done = CliRunner().invoke(cli, [*words, *named], standalone_mode=False)
    assert done.return_value == 0, done.output
    assert scene.world.machines() == [NAME]
    [order] = scene.orders
    assert len(json.loads(order.trust)["caller_workflows"]) == 30


@pytest.mark.parametrize("page", ["add-a-runner.md", "runner-recovery.md"])
def test_the_two_commands_of_the_page(scene: Scene, page: str) -> None:
    """The first says what would be done and does nothing, the second does it; both leave a sealed bundle."""
    dry, real = PRINTED.findall((DOCS / page).read_text("utf-8"))
    assert (dry, "--dry-run" in real) == (f"{real} --dry-run", False)
    for command, machines, words in ((dry, [], "would create: there is no machine"), (real, [NAME], "Z create: there is no machine")):
        done = CliRunner().invoke(cli, shlex.split(command)[1:], standalone_mode=False)
        assert done.return_value == 0, done.output
        assert scene.world.machines() == machines
        assert words in done.output
        bundle = Path(done.stdout.splitlines()[-1].removeprefix("evidence "))
        assert verify(bundle).ok
        assert json.loads(read_files(bundle)["ensured.json"])["changed"] is bool(machines)
    [order] = scene.orders
    assert json.loads(order.trust)["caller_workflows"] == [f"{scene.incident.repository.full_name}/.github/workflows/dr.yml"]
