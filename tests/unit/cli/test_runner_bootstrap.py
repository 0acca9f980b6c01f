"""`runner bootstrap` as a person calls it: what the host is to trust comes from this checkout, and what is refused is sealed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hyops_ci.cli.runner import command
from hyops_ci.cli.runner_bootstrap import BootstrapOptions, called, callers_of
from hyops_ci.errors import Refusal
from hyops_ci.evidence.verify import verify
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
SHA = "3f2a" + "0" * 36
USES = "jobs:\n  dr:\n    uses: hybridops/dr-dispatch/.github/workflows/dispatch.yml@{}\n"
CONFIG = "services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}\n"


def options(folder: Path, *callers: str) -> BootstrapOptions:
    config = folder / ".github" / "dr-dispatch.yml"
    return BootstrapOptions(config, "", "gcp", "runner-recovery", callers, None, dry_run=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "dr-dispatch.yml").write_text(CONFIG)
    (tmp_path / ".github" / "workflows" / "dr.yml").write_text(USES.format(SHA))
    return tmp_path


def test_the_host_trusts_what_the_callers_pin(checkout: Path) -> None:
    pin = ("hybridops/dr-dispatch/.github/workflows/dispatch.yml", SHA)
    assert called(options(checkout)) == pin
    assert callers_of(options(checkout), pin) == (".github/workflows/dr.yml",)
    other = checkout / ".github" / "workflows" / "other.yml"
    other.write_text(USES.format(SHA))
    both = options(checkout, ".github/workflows/dr.yml", ".github/workflows/other.yml")
    assert called(both)[1] == SHA
    looks = checkout / ".github" / "workflows" / "dr-runner.yml"
    looks.write_text(USES.format(SHA).replace("dispatch.yml", "runner.yml"))
    assert callers_of(options(checkout), pin) == tuple(f".github/workflows/{name}.yml" for name in ("dr-runner", "dr", "other"))
    assert called(options(checkout))[0].endswith("/dispatch.yml"), "whose jobs recover"
    other.write_text(USES.format("e" * 40))
    with pytest.raises(Refusal, match=r"runner\.tools"):
        called(both)


def test_a_caller_with_steps_of_its_own_is_accepted_where_it_is_named(checkout: Path) -> None:
    own = "  own:\n    runs-on: [self-hosted, gcp-ops]\n    steps: [{run: id}]\n"
    (checkout / ".github" / "workflows" / "dr.yml").write_text(USES.format(SHA) + own)
    pin = called(options(checkout))
    with pytest.raises(Refusal, match=r"runner\.tools"):
        callers_of(options(checkout), pin)
    assert callers_of(options(checkout, ".github/workflows/dr.yml"), pin) == (".github/workflows/dr.yml",)


@pytest.mark.parametrize("text", ["", USES.format("main"), "# " + USES.format(SHA).replace("\n", " "), USES.format("0" * 39)])
def test_a_caller_that_pins_nothing(checkout: Path, text: str) -> None:
    (checkout / ".github" / "workflows" / "dr.yml").write_text(text)
    with pytest.raises(Refusal, match=r"runner\.tools"):
        called(options(checkout))


def test_what_the_config_does_not_allow_is_refused_and_sealed(
    checkout: Path, github_fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github_fake.add_repository("acme/shop", private=True)
    for name in ("GITHUB_ACTIONS", "DR_TOKEN", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "DR_LANE"):
        monkeypatch.delenv(name, raising=False)
    token = github_fake.add_token("actions: read", actor="maria")
    for name, value in {"HOME": tmp_path, "GH_TOKEN": token, "GH_REPO": "acme/shop", "GITHUB_API_URL": github_fake.url}.items():
        monkeypatch.setenv(name, str(value))
    into = tmp_path / "out"
    words = ["bootstrap", "--config", str(checkout / ".github" / "dr-dispatch.yml"), "--lane", "gcp", "--reason", "runner-recovery"]
    done = CliRunner().invoke(command, [*words, "--folder", str(into), "--dry-run"], standalone_mode=False)
    assert done.return_value == 4, done.output
    assert "bootstrap.reason" in done.stdout
    assert verify(into / "evidence.tar").ok
