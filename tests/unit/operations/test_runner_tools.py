"""What makes a runner, as a job has it: the App entered with the authority's key, the agent's version, the trust file of the host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.gcp_projects import GcpProjects
from hyops_ci.contracts.host_trust import MAX_CALLERS, HostTrust
from hyops_ci.errors import Refusal
from hyops_ci.operations.runner_tools import tools_for, trust_file
from hyops_ci.parsing.documents import read_document
from hyops_ci.runners.bootstrap import release_table
from hyops_ci.runners.ports import MachineState
from hyops_ci.stages.ensure_runner.tools import Tools, ToolsRequest
from hyops_ci.stages.planned_run import planned_run, require_plan
from tests.runners.gcp_fake.accounts import PROVIDER
from tests.runners.gcp_fake.world import PROJECTS, GcpWorld, gcp_world
from tests.runners.proxmox_fake.server import SECRET, TOKEN
from tests.runners.proxmox_fake.world import ProxmoxWorld, machine, proxmox_world
from tests.runners.world import OWNER
from tests.security.incident import Incident
from tests.support.github.app_key import install_app
from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA
from tests.unit.stages.ensure_runner.scene import Scene, missing_runner

CALLED = f"{GITHUB_CLAIMS['job_workflow_ref'].partition('@')[0]}@{WORKFLOW_SHA}"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with missing_runner(tmp_path) as made:
        monkeypatch.setenv("GITHUB_API_URL", made.incident.fake.url)
        yield made


class Noted:
    """What the tools write into the evidence, and what they tell the redactor."""

    def __init__(self) -> None:
        self.notes: dict[str, dict[str, Any]] = {}
        self.secrets: list[str] = []

    def note(self, name: str, **data: Any) -> None:
        self.notes[name] = data


def tools(scene: Scene, noted: Noted) -> Tools:
    run = planned_run(require_plan(scene.incident.folder), scene.incident.folder, scene.incident.world("plan"))
    return tools_for(ToolsRequest(run.plan, run.config, run.context, noted.secrets.append, noted.note))


def keep_at_the_authority(scene: Scene, key: str) -> None:
    path = scene.incident.site.root / "authority.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "private_key": key}))


def test_the_app_is_entered_with_the_key_that_the_authority_keeps(scene: Scene) -> None:
    key = install_app(scene.incident.fake, scene.incident.repository, "administration: write")
    keep_at_the_authority(scene, key)
    scene.registered("offline")
    noted = Noted()
    registry = tools(scene, noted).registry()
    assert [(each.name, each.online) for each in registry.runners()] == [("gcp-ops-runner", False)]
    minted = registry.register()
    assert minted.token == scene.incident.fake.runner_tokens[-1]
    assert {key.strip(), minted.token} <= {each.strip() for each in noted.secrets}, "the redactor knows both"
    assert [each["place"] for each in noted.notes["authority"]["places"]] == ["dr/github-app#private_key"]
    assert "BEGIN" not in json.dumps(noted.notes)
    assert registry.url == "https://github.com/acme/recovery"


def test_an_agent_that_github_registers_no_more_is_replaced_by_githubs_own(scene: Scene) -> None:
    keep_at_the_authority(scene, install_app(scene.incident.fake, scene.incident.repository, "administration: write"))
    registry = tools(scene, Noted()).registry()
    assert registry.agent() is None
    scene.incident.fake.add_runner_version(release_table().agent_version, registration_ends="2026-01-01T00:00:00Z")
    scene.incident.fake.agent_version = "2.399.1"
    scene.incident.fake.agent_hashes["actions-runner-linux-x64-2.399.1.tar.gz"] = "ab" * 32
    found = registry.agent()
    assert found is not None
    assert (found.version, found.sha256) == ("2.399.1", "ab" * 32)


def test_without_the_apps_key_there_is_no_registry(scene: Scene) -> None:
    with pytest.raises(Refusal) as caught:
        tools(scene, Noted()).registry()
    assert "private_key" in f"{caught.value.found} {caught.value.reason}"


def test_the_host_accepts_the_workflow_of_this_run_and_the_approvers_by_number(scene: Scene) -> None:
    incident = scene.incident
    incident.run.referenced = [(CALLED, WORKFLOW_SHA)]
    trust = read_document(HostTrust, tools(scene, Noted()).trust())
    assert (trust.repository_id, trust.ref, trust.workflow_shas) == (incident.repository.id, "refs/heads/main", (WORKFLOW_SHA,))
    assert trust.workflow_ref == CALLED.partition("@")[0]
    assert trust.caller_workflows == ("acme/recovery/.github/workflows/dr.yml",)
    assert trust.runner_refs == ("gcp-ops-runner",)
    assert [(each.login, each.id, bool(each.key)) for each in trust.approvers] == [("jonas", 1002, True)]
    assert trust.gates == {"lab": "dr-lab"}
    assert trust.evidence_keys == (incident.site.host_public,)


def test_the_host_accepts_the_other_callers_at_the_commit_of_this_run(scene: Scene) -> None:
    """A runner that took the recovery of one workflow alone would end the weekly look of another."""
    incident, folder = scene.incident, ".github/workflows"
    incident.run.referenced = [(CALLED, WORKFLOW_SHA)]
    called = CALLED.partition("@")[0].replace("dispatch.yml", "runner.yml")
    call = f"jobs:\n  look:\n    uses: {called}@{WORKFLOW_SHA}\n"
    incident.run.sha = incident.repository.commit({f"{folder}/dr-runner.yml": call, f"{folder}/tests.yml": "jobs: {}\n"})
    incident.repository.commit({f"{folder}/mine.yml": call}, "a-branch")
    trust = read_document(HostTrust, tools(scene, Noted()).trust())
    assert trust.caller_workflows == (f"acme/recovery/{folder}/dr-runner.yml", f"acme/recovery/{folder}/dr.yml")


def test_callers_that_cannot_be_read_hold_up_no_recovery(scene: Scene) -> None:
    incident, noted = scene.incident, Noted()
    incident.run.referenced = [(CALLED, WORKFLOW_SHA)]
    incident.run.sha = "9" * 40  # GitHub shows nothing there
    trust = read_document(HostTrust, tools(scene, noted).trust())
    assert trust.caller_workflows == ("acme/recovery/.github/workflows/dr.yml",)
    assert "github" in noted.notes["callers"]["problem"]


def calls(incident: Incident, *names: str) -> None:
    """The run's commit has workflows of these names that call dr-dispatch."""
    incident.run.referenced = [(CALLED, WORKFLOW_SHA)]
    call = f"jobs:\n  look:\n    uses: {CALLED.partition('@')[0]}@{WORKFLOW_SHA}\n"
    incident.run.sha = incident.repository.commit({f".github/workflows/{name}": call for name in names})


def test_a_caller_that_no_host_can_accept_holds_up_no_recovery(scene: Scene) -> None:
    calls(scene.incident, "my dr.yml", "dr-look.yml")
    noted = Noted()
    trust = read_document(HostTrust, tools(scene, noted).trust())
    assert trust.caller_workflows == ("acme/recovery/.github/workflows/dr.yml",)
    assert "runner.trust-file" in noted.notes["callers"]["problem"]


def test_each_service_may_have_a_workflow_of_its_own(scene: Scene) -> None:
    incident = scene.incident
    run = planned_run(require_plan(incident.folder), incident.folder, incident.world("plan"))
    request, client = ToolsRequest(run.plan, run.config, run.context, print, print), run.context.github
    assert client is not None
    callers = tuple(f".github/workflows/dr-{number}.yml" for number in range(MAX_CALLERS + 1))
    used = (CALLED.partition("@")[0], WORKFLOW_SHA)
    assert len(read_document(HostTrust, trust_file(request, client, used, callers[1:])).caller_workflows) == MAX_CALLERS
    with pytest.raises(Refusal) as caught:
        trust_file(request, client, used, callers)
    assert (caught.value.gate, int(caught.value.exit_code)) == ("runner.trust-file", 7)
    assert "caller_workflows" in caught.value.found


def test_a_run_of_no_workflow_of_ours_makes_no_host(scene: Scene) -> None:
    with pytest.raises(Refusal) as caught:
        tools(scene, Noted()).trust()
    assert (caught.value.gate, caught.value.found) == ("runner.tools", "this run uses 0 workflows called dispatch.yml")


def test_what_the_config_lacks_is_named(scene: Scene) -> None:
    run = planned_run(require_plan(scene.incident.folder), scene.incident.folder, scene.incident.world("plan"))
    bare = run.config.model_copy(update={"registration": None, "vault": None})
    made = tools_for(ToolsRequest(run.plan, bare, replace(run.context), lambda _: None, Noted().note))
    with pytest.raises(Refusal, match=r"runner\.tools"):
        made.registry()


def on_google(scene: Scene, world: GcpWorld, projects: GcpProjects | None) -> Tools:
    run = planned_run(require_plan(scene.incident.folder), scene.incident.folder, scene.incident.world("plan"))
    lane = run.config.lanes["gcp"].model_copy(update={"machine": world.machine()})
    config = run.config.model_copy(update={"gcp": projects, "lanes": {**run.config.lanes, "gcp": lane}})
    context = replace(run.context, token_for=world.accounts.identity_token)
    return tools_for(ToolsRequest(run.plan, config, context, lambda _: None, Noted().note))


def test_google_cloud_is_entered_with_the_identity_of_the_job(scene: Scene) -> None:
    """Nothing of it is kept at the authority."""
    with gcp_world() as world:
        adapters = on_google(scene, world, PROJECTS).adapters(OWNER)
        assert world.accounts.audiences == [], "nothing is asked before the first use"
        assert adapters.provider.describe("gcp-ops-runner").state is MachineState.ABSENT
        assert adapters.egress.look().ready
        assert world.accounts.audiences == [f"https://iam.googleapis.com/{PROVIDER}"]


def test_google_cloud_without_its_projects_is_a_refusal(scene: Scene) -> None:
    with gcp_world() as world, pytest.raises(Refusal) as caught:
        on_google(scene, world, None).adapters(OWNER)
    assert (caught.value.gate, caught.value.found) == ("runner.tools", "no gcp: the projects are not named")


def on_proxmox(scene: Scene, world: ProxmoxWorld, noted: Noted, runner_environment: str) -> Tools:
    """The lane's machine is one of Proxmox VE, whose token the authority keeps."""
    path = scene.incident.site.root / "authority.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "token": TOKEN, "private_key": "not asked for here"}))
    run = planned_run(require_plan(scene.incident.folder), scene.incident.folder, scene.incident.world("plan"))
    lane = run.config.lanes["gcp"].model_copy(update={"machine": machine(world.fake)})
    config = run.config.model_copy(update={"lanes": {**run.config.lanes, "gcp": lane}})
    job = replace(run.context.job, runner_environment=runner_environment, runner_name="mgmt-1")
    return tools_for(ToolsRequest(run.plan, config, replace(run.context, job=job), noted.secrets.append, noted.note))


def test_proxmox_ve_is_entered_with_the_token_that_the_authority_keeps(scene: Scene) -> None:
    noted = Noted()
    with proxmox_world() as world:
        adapters = on_proxmox(scene, world, noted, "self-hosted").adapters(OWNER)
        assert world.fake.seen == [], "nothing is asked before the first use"
        assert adapters.provider.describe("gcp-ops-runner").state is MachineState.ABSENT
    assert TOKEN in noted.secrets, "the redactor knows it"
    assert {each["place"] for each in noted.notes["authority"]["places"]} == {"dr/github-app#private_key", "proxmox/bootstrap#token"}
    assert SECRET not in json.dumps(noted.notes)


def test_proxmox_ve_is_not_entered_from_a_machine_of_githubs(scene: Scene) -> None:
    noted = Noted()
    with proxmox_world() as world:
        with pytest.raises(Refusal) as caught:
            on_proxmox(scene, world, noted, "github-hosted").adapters(OWNER)
        assert world.fake.seen == []
    assert caught.value.gate == "runner.management"
    assert (noted.secrets, noted.notes) == ([], {}), "the authority was not asked"
