"""What a plan is made of: files of the checkout and nothing outside it, and GitHub's word only where somebody relies on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.config.file import read_config
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Exercise
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import PlanFacts, RefFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.intake.decision import Intake, read_form
from hyops_ci.intake.form import Form
from hyops_ci.operations.init.files import adopt
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.job import Job
from hyops_ci.stages.plan.inputs import (
    MAX_SOURCE,
    code_owners_text,
    gates_on_github,
    read_overlay,
    read_source,
    ref_fact,
    secret_refs,
    sibling_sources,
    with_bootstrap,
)
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub
from tests.unit.operations.init.adopting import KNOWN, blueprints, request

__all__ = ["github_fake"]
CONFIG = ".github/dr-dispatch.yml"
OVERLAY = ".github/dr/prod/postgresql-ha-failover-gcp.yml"
WORKFLOW = ".github/workflows/dr.yml"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `init` writes."""
    (tmp_path / "checkout").mkdir()
    adopt(request(blueprints(tmp_path / "blueprints")), tmp_path / "checkout", KNOWN)
    return tmp_path / "checkout"


@pytest.fixture
def config(checkout: Path) -> DispatchConfig:
    return read_config((checkout / CONFIG).read_bytes())[0]


@pytest.fixture
def intake() -> Intake:
    form = Form("failover", "pg-ha/prod", "INC-4242")
    return read_form(form, repository_id=4711, run_id="212-1", login="maria", created_at="2026-11-23T03:04:31Z")


# ------------------------------------------------------------------------------------------------------- files


def escape(root: Path) -> str:
    (root.parent / "secret").write_text("canary")
    return "../secret"


def link(root: Path) -> str:
    (root.parent / "secret").write_text("canary")
    (root / "link").symlink_to(root.parent / "secret")
    return "link"


def git(root: Path) -> str:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("canary")
    return ".git/config"


def large(root: Path) -> str:
    (root / "large").write_bytes(b"x" * (MAX_SOURCE + 1))
    return "large"


OUTSIDE: dict[str, tuple[Callable[[Path], str], str]] = {
    "above": (escape, "leads out of the repository"),
    "absolute": (lambda root: "/etc/hostname", "leads out of the repository"),
    "through a link": (link, "leads out of the repository"),
    "of Git": (git, "is Git's own"),
    "absent": (lambda root: "nothing", "is not there"),
    "a folder": (lambda root: ".github", "is not there"),
    "too large": (large, f"has {MAX_SOURCE + 1} bytes"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_is_no_file_of_the_repository(name: str, checkout: Path) -> None:
    make, words = OUTSIDE[name]
    with pytest.raises(Refusal, match=r"config\.file") as refused:
        read_source(checkout, make(checkout))
    assert words in refused.value.found
    assert refused.value.exit_code == Exit.USAGE
    assert "canary" not in str(refused.value.to_json())


def test_the_overlay_as_committed(checkout: Path, config: DispatchConfig, intake: Intake) -> None:
    content, blueprint, source = read_overlay(checkout, config, intake)
    assert content == (checkout / OVERLAY).read_bytes()
    assert (source.path, source.sha256) == (OVERLAY, blueprint.overlay_sha256)


def test_names_of_secrets_by_the_built_in_map_or_the_configs(checkout: Path, config: DispatchConfig, intake: Intake) -> None:
    blueprint = read_overlay(checkout, config, intake)[1]
    refs, source, _ = secret_refs(checkout, config, intake, blueprint)
    assert source.path == "builtin.csv"
    assert {ref.key for ref in refs} >= {"PATRONI_SUPERUSER_PASSWORD", "POWERDNS_API_KEY"}
    assert all(ref.path.startswith("secret/hybridops/prod/") for ref in refs)
    assert config.vault is not None
    own = config.model_copy(update={"vault": config.vault.model_copy(update={"secret_map": "../map.csv"})})
    with pytest.raises(Refusal, match=r"config\.file"):
        secret_refs(checkout, own, intake, blueprint)


@pytest.mark.parametrize("place", [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"])
def test_code_owners_are_where_github_looks(place: str, tmp_path: Path) -> None:
    assert code_owners_text(tmp_path) == ""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"* @acme/leads \xff\n")
    assert code_owners_text(tmp_path).startswith("* @acme/leads ")


# ------------------------------------------------------------------------------------------------------ GitHub


@pytest.fixture
def repository(github_fake: FakeGitHub, checkout: Path) -> Repository:
    made = github_fake.add_repository("acme/recovery", number=4711)
    made.commit({str(path.relative_to(checkout)): path.read_bytes() for path in checkout.rglob("*") if path.is_file()})
    made.protect()
    people = [github_fake.add_user("jonas", number=1002)]
    made.add_environment("dr-prod", reviewers=people, prevent_self_review=True, branches=["main"])
    made.add_environment("dr-check", branches=["main"])
    return made


@pytest.fixture
def world(github_fake: FakeGitHub, repository: Repository, tmp_path: Path) -> RunContext:
    token = github_fake.add_token("actions: read", "contents: read", "metadata: read")
    client = Client.connect("acme/recovery", token=token, api_url=github_fake.url, sleep=lambda _: None)
    job = Job(
        "212-1",
        on_github=True,
        repository="acme/recovery",
        ref="refs/heads/main",
        default_branch="main",
        sha=repository.head,
        ref_protected=True,
        workflow_ref=f"acme/recovery/{WORKFLOW}@refs/heads/main",
    )
    return RunContext(job, SystemClock(), tmp_path, tmp_path, "", github=client)


def test_the_branch_as_github_says_it(checkout: Path, config: DispatchConfig, intake: Intake, world: RunContext) -> None:
    found = ref_fact(checkout, intake, config, world)
    assert (found.default_branch, found.protected, found.unowned, found.commit) == (True, True, (), world.job.sha)


def test_paths_of_this_very_run_must_be_owned(checkout: Path, config: DispatchConfig, intake: Intake, world: RunContext) -> None:
    (checkout / ".github" / "CODEOWNERS").write_text("/.github/dr-dispatch.yml @jonas\n")
    assert ref_fact(checkout, intake, config, world).unowned == (OVERLAY, WORKFLOW)


def test_a_job_without_a_token_believes_its_environment(checkout: Path, config: DispatchConfig, intake: Intake, world: RunContext) -> None:
    alone = replace(world, github=None)
    found = ref_fact(checkout, intake, config, alone)
    assert (found.default_branch, found.protected, found.rules) == (True, True, None)
    topic = replace(alone, job=replace(world.job, ref="refs/heads/topic", ref_protected=False))
    assert not ref_fact(checkout, intake, config, topic).default_branch
    unknown = replace(alone, job=replace(world.job, default_branch="", ref="refs/heads/"))
    assert not ref_fact(checkout, intake, config, unknown).default_branch


def test_in_a_shell_the_host_stands_in_or_github_is_asked_for_its_default_branch(
    checkout: Path, config: DispatchConfig, intake: Intake, world: RunContext
) -> None:
    shell = replace(world, job=Job("local-20261123T030431Z-0badcafe"), github=None)
    assert ref_fact(checkout, intake, config, shell).local
    found = ref_fact(checkout, intake, config, replace(shell, github=world.github))
    assert (found.local, found.ref, found.protected) == (False, "refs/heads/main", True)


def test_gates_are_asked_for_where_somebody_relies_on_them(
    github_fake: FakeGitHub, config: DispatchConfig, intake: Intake, world: RunContext
) -> None:
    gate, check = gates_on_github(intake.decision, config, world)
    assert gate is not None
    assert check is not None
    assert (gate.name, [each.login for each in gate.reviewers], check.name) == ("dr-prod", ["jonas"], "dr-check")
    signed = config.model_copy(update={"approvals": config.approvals.model_copy(update={"channels": ("signed",)})})
    before = len(github_fake.made())
    gate, check = gates_on_github(intake.decision, signed, world, private=False)
    assert gate is None
    assert check is not None
    assert len(github_fake.made()) - before <= 2
    assert gates_on_github(intake.decision, config, replace(world, github=None)) == (None, None)


def test_branch_and_gates_of_a_plan_in_seven_calls(
    github_fake: FakeGitHub, checkout: Path, config: DispatchConfig, intake: Intake, world: RunContext
) -> None:
    ref = ref_fact(checkout, intake, config, world)
    gates_on_github(intake.decision, config, world, private=ref.private)
    assert len(github_fake.made()) <= 7


# --------------------------------------------------------------------------------------------------- siblings


def test_a_drill_brings_the_overlays_of_production(checkout: Path, config: DispatchConfig, intake: Intake) -> None:
    exercise = Exercise(kind="drill", level="isolated", drill_id="drill-2026-11")
    drill = intake.decision.model_copy(update={"service": "pg-ha/drill", "exercise": exercise})
    found = sibling_sources(checkout, config, drill)
    assert OVERLAY in [source.path for source, _ in found]
    for source, content in found:
        assert content == (checkout / source.path).read_bytes()
        assert (source.role, source.sha256) == ("sibling", digest_bytes(content))
    assert sibling_sources(checkout, config, intake.decision) == []


def test_the_gate_of_a_bootstrap_is_asked_for_only_with_a_reason(checkout: Path, config: DispatchConfig, github_fake: FakeGitHub) -> None:
    repository = github_fake.add_repository("acme/recovery")
    repository.add_environment("dr-bootstrap", reviewers=[github_fake.add_user("jonas")], prevent_self_review=True)
    token = github_fake.add_token("actions: read", "metadata: read", repositories=[repository])
    client = Client.connect("acme/recovery", token=token, api_url=github_fake.url)
    context = RunContext(Job("212-1"), SystemClock(), checkout, checkout, "", github=client)
    facts = PlanFacts(now=context.clock.now(), ref=RefFact(private=False))
    assert with_bootstrap(facts, "", config, context) is facts
    assert client.calls == 0
    found = with_bootstrap(facts, "runner-\x07recovery", config, context)
    assert found.bootstrap_gate is not None
    assert [each.login for each in found.bootstrap_gate.reviewers] == ["jonas"]
    assert "\x07" not in found.bootstrap_reason
    assert client.calls == 1
