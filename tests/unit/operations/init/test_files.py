"""Adopting a service: what is written, what is kept, and that each block is taken by what it is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.config.file import CONFIG_PATH, read_config, read_trust
from hyops_ci.config.host_trust import narrow
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.notify import Notify
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.actions.workflow_file import dispatch_inputs, event_types, read_workflow
from hyops_ci.github.api.client import Client
from hyops_ci.github.codeowners import PLACES
from hyops_ci.identity.claims import audience_of
from hyops_ci.intake.form import Form
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.init.commands import Adopter
from hyops_ci.operations.init.files import DECISIONS_PATH, WORKFLOW_PATH, adopt, template
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import Job
from hyops_ci.stages.plan.stage import Ask, plan
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.support.github.validation import validate_request
from tests.unit.operations.init.adopting import KEY, KNOWN, REFS, RELEASE, SERVICE, block, blueprints, filled, host_trust, posted, request

__all__ = ["github_fake"]

FAILOVER, FAILBACK = (f".github/dr/prod/{name}.yml" for name in ("postgresql-ha-failover-gcp", "postgresql-ha-failback-onprem"))
ROOT = Path(__file__).parents[4]


@pytest.fixture
def core(tmp_path: Path) -> Path:
    return blueprints(tmp_path / "blueprints")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout").mkdir()
    return tmp_path / "checkout"


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


# ------------------------------------------------------------------------------------------------- what is written


def test_an_empty_checkout_gets_everything(checkout: Path, core: Path) -> None:
    done = adopt(request(core), checkout, KNOWN)
    assert done.written == (CONFIG_PATH, WORKFLOW_PATH, PLACES[0], FAILOVER, FAILBACK)
    assert (done.kept, done.missing, done.fill, done.additions, done.placeholders) == ((), (), (), (), ())
    assert set(files(checkout)) == set(done.written)
    assert len((checkout / CONFIG_PATH).read_text().splitlines()) == 5
    assert (checkout / PLACES[0]).read_text() == "/.github/ @jonas @priya\n"


def test_the_second_time_keeps_everything_and_says_the_same(checkout: Path, core: Path) -> None:
    first, before = adopt(request(core), checkout, KNOWN), files(checkout)
    again = adopt(request(core, vault="", site=""), checkout, replace(KNOWN, release=""))
    assert (again.written, again.kept) == ((), first.written)
    assert files(checkout) == before
    assert again.blocks == first.blocks, "the commit is the one that the workflow pins"


@pytest.mark.parametrize("path", [CONFIG_PATH, WORKFLOW_PATH, PLACES[0], FAILOVER])
def test_what_is_there_is_never_written_over(path: str, checkout: Path, core: Path) -> None:
    target = checkout / path
    target.parent.mkdir(parents=True)
    text = "services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}\n"
    target.write_text(text)
    done = adopt(request(core), checkout, KNOWN)
    assert target.read_text() == text
    assert path in done.kept
    assert path not in done.written


def test_nothing_is_written_through_a_link(checkout: Path, core: Path, tmp_path: Path) -> None:
    (checkout / ".github").mkdir()
    (checkout / CONFIG_PATH).symlink_to(tmp_path / "elsewhere.yml")
    done = adopt(request(core), checkout, KNOWN)
    assert CONFIG_PATH in done.kept
    assert not (tmp_path / "elsewhere.yml").exists()


def test_a_folder_that_leads_out_of_the_checkout_is_refused(checkout: Path, core: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (checkout / ".github").symlink_to(tmp_path / "outside")
    with pytest.raises(Refusal, match=r"init\.file") as refused:
        adopt(request(core), checkout, KNOWN)
    assert refused.value.exit_code == Exit.USAGE
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_overlay_that_nobody_has_is_named_with_the_command_that_makes_it(checkout: Path, tmp_path: Path) -> None:
    done = adopt(request(tmp_path / "nothing"), checkout, KNOWN)
    assert [line.split(" (")[0] for line in done.missing] == [FAILOVER, FAILBACK]
    assert f"hyops blueprint init --env prod --ref {REFS[0]}" in done.missing[0]


def test_the_envs_own_overlay_comes_before_the_shipped_one(checkout: Path, core: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "postgresql-ha-failover-gcp.yml").write_text("steps: []\n")
    adopt(replace(request(core), blueprints=(own, core)), checkout, KNOWN)
    assert (checkout / FAILOVER).read_text() == "steps: []\n"
    assert (checkout / FAILBACK).read_bytes() == (core / REFS[1] / "blueprint.yml").read_bytes()


def test_what_is_left_to_fill_in_is_named(checkout: Path, core: Path) -> None:
    place = core / REFS[0] / "blueprint.yml"
    place.write_text(place.read_text().replace("zone: europe-west2-a", "zone: CHANGE_ME_ZONE"))
    done = adopt(request(core), checkout, Adopter())
    assert done.fill == (
        f"{WORKFLOW_PATH}: the commit of the release, behind dispatch.yml@",
        f"{FAILOVER}: overlay.placeholder: 1 inputs were never filled in: gcp_pg_vms/zone. correct {FAILOVER} in a pull request",
    )


def test_a_config_without_the_service_gets_lines_to_add(checkout: Path, core: Path) -> None:
    adopt(request(core), checkout, KNOWN)
    before = (checkout / CONFIG_PATH).read_text()
    done = adopt(request(core, "erp/prod", lane="azure"), checkout, KNOWN)
    assert (checkout / CONFIG_PATH).read_text() == before
    [(below_services, service), (below_lanes, lane), option] = done.additions
    assert "blueprint: dr/postgresql-ha-failback-onprem@v1, overlay: .github/dr/prod/erp-postgresql-ha-failback-onprem.yml}" in service
    assert ".github/dr/prod/erp-postgresql-ha-failback-onprem.yml" in done.written, "two services never share an overlay"
    assert option == (f"{WORKFLOW_PATH}, to the options of service", "erp/prod")
    assert (below_services, below_lanes) == (f"{CONFIG_PATH}, below services:", f"{CONFIG_PATH}, below lanes:")
    (checkout / CONFIG_PATH).write_text(before.replace("services:\n", f"services:\n{service}\n") + f"lanes:\n{lane}\n")
    again = adopt(request(core, "erp/prod", lane="azure"), checkout, KNOWN)
    assert again.additions == (option,)
    assert again.blocks == done.blocks, "what was printed before the lines were added was already right"
    assert "lane azure" in "".join(title for title, _ in done.blocks)


def test_a_config_without_an_authority_gets_that_line_too(checkout: Path, core: Path) -> None:
    (checkout / ".github").mkdir()
    (checkout / CONFIG_PATH).write_text(f"services: {{erp/prod: {{failover: {{lane: gcp, blueprint: {REFS[0]}}}}}}}\n")
    with pytest.raises(Refusal, match=r"init\.file"):
        adopt(request(core, vault=""), checkout, KNOWN)
    assert set(files(checkout)) == {CONFIG_PATH}
    done = adopt(request(core), checkout, KNOWN)
    assert done.additions[1] == (CONFIG_PATH, 'vault: {address: "https://vault.example.net", site: gcp}')


def test_a_new_config_needs_an_authority_and_its_site(checkout: Path, core: Path) -> None:
    for lacking in ("vault", "site"):
        with pytest.raises(Refusal, match=r"init\.file"):
            adopt(request(core, **{lacking: ""}), checkout, KNOWN)
    assert files(checkout) == {}


@pytest.mark.parametrize("service", ["pg-ha", "", "Pg/Prod", "../x/y", "pg ha/prod", "pg-ha/prod: {}"])
def test_a_service_that_no_config_can_name(service: str, checkout: Path, core: Path) -> None:
    with pytest.raises(Refusal) as refused:
        adopt(request(core, service), checkout, KNOWN)
    assert refused.value.exit_code == Exit.USAGE
    assert files(checkout) == {}


def test_a_config_that_cannot_be_read_is_refused_before_anything_is_written(checkout: Path, core: Path) -> None:
    (checkout / ".github").mkdir()
    (checkout / CONFIG_PATH).write_text("services: [\n")
    with pytest.raises(Refusal):
        adopt(request(core), checkout, KNOWN)
    assert set(files(checkout)) == {CONFIG_PATH}


def test_a_caller_under_another_name_is_the_caller(checkout: Path, core: Path) -> None:
    other = checkout / ".github/workflows/recover.yml"
    other.parent.mkdir(parents=True)
    other.write_text(f"jobs:\n  dr:\n    uses: mirror/dr-dispatch/.github/workflows/dispatch.yml@{RELEASE} # v1\n")
    done = adopt(request(core), checkout, replace(KNOWN, release=""))
    assert ".github/workflows/recover.yml" in done.kept
    assert not (checkout / WORKFLOW_PATH).exists()
    trust = json.loads(host_trust(block(done, "lane gcp: what its host")))
    assert trust["caller_workflows"] == ["acme/recovery/.github/workflows/recover.yml"]
    assert (trust["workflow_ref"], trust["workflow_shas"]) == ("mirror/dr-dispatch/.github/workflows/dispatch.yml", [RELEASE])


@pytest.mark.parametrize("place", ["CODEOWNERS", "docs/CODEOWNERS"])
def test_code_owners_elsewhere_are_not_put_out_of_force(place: str, checkout: Path, core: Path) -> None:
    (checkout / place).parent.mkdir(exist_ok=True)
    (checkout / place).write_text("/src/ @dev\n")
    done = adopt(request(core), checkout, KNOWN)
    assert not (checkout / PLACES[0]).exists(), "GitHub would look at this one only"
    assert done.additions == ((f"{place}, at its end", "/.github/ @jonas @priya"),)
    (checkout / place).write_text("* @acme/leads\n")
    assert adopt(request(core), checkout, KNOWN).additions == ()


# -------------------------------------------------------------------------------------------------- what is judged


@pytest.mark.parametrize(
    ("wrong", "gate"),
    [
        ({"vault": "http://vault.example.net"}, "authority.address"),
        ({"vault": "https://127.0.0.1"}, "authority.address"),
        ({"site": "onprem"}, "authority.site"),
        ({"failover": "dr/there-is-none@v1"}, "one that HyOps has: dr/postgresql-ha-failback-onprem@v1, dr/postgresql-ha-failover-gcp@v1"),
        ({"lane": "azure"}, "blueprint dr/postgresql-ha-failover-azure@v1"),
    ],
)
def test_what_plan_would_refuse_is_refused_before_a_line_is_written(
    wrong: dict[str, str], gate: str, checkout: Path, core: Path, tmp_path: Path
) -> None:
    asked = replace(request(core, **wrong), core_root=tmp_path)
    with pytest.raises(Refusal, match=r"init\.file") as refused:
        adopt(asked, checkout, KNOWN)
    assert gate in f"{refused.value.found} {refused.value.expected}"
    assert refused.value.exit_code == Exit.USAGE
    assert files(checkout) == {}
    assert adopt(replace(request(core), core_root=tmp_path), checkout, KNOWN).fill == ()


def test_every_offender_of_the_overlays_is_listed_at_once(checkout: Path, core: Path, tmp_path: Path) -> None:
    """Two steps that HyOps would take through IAP, a guard that is open, an input that nobody filled in: one list, one pull request."""
    place = core / REFS[0] / "blueprint.yml"
    text = (
        place.read_text().replace("zone: europe-west2-a", "zone: CHANGE_ME_ZONE").replace("restore_confirm: false", "restore_confirm: true")
    )
    assert text.count("      ssh_access_mode: direct\n") >= 2
    place.write_text(text.replace("      ssh_access_mode: direct\n", ""))
    for module in ("gcp/platform-vm", "postgresql-ha", "postgresql-ha-backup"):
        spec = tmp_path / "modules/platform" / module / "spec.yml"
        spec.parent.mkdir(parents=True, exist_ok=True)
        spec.write_text("inputs: {defaults: {}}\n")
    said = adopt(replace(request(core), core_root=tmp_path), checkout, KNOWN).fill
    found = {line.split(": ")[1]: line for line in said if line.startswith(FAILOVER)}
    assert {"overlay.placeholder", "overlay.guards", "effective.ssh"} <= set(found)
    assert found["effective.ssh"].count("ssh_access_mode: gcp-iap") >= 2


def test_overlays_whose_recovery_nothing_would_prove_are_named(checkout: Path, core: Path) -> None:
    """HyOps ships an empty endpoint: without it, and without probes of the config, a run ends as not proven."""
    found = adopt(request(core), checkout, KNOWN).unproven
    assert [line.partition(": ")[0] for line in found] == [FAILOVER, FAILBACK]
    place = checkout / FAILOVER
    place.write_text(place.read_text().replace('endpoint_dns_name: ""', "endpoint_dns_name: pg.example.net"))
    assert [line.partition(": ")[0] for line in adopt(request(core), checkout, KNOWN).unproven] == [FAILBACK]
    with (checkout / CONFIG_PATH).open("a") as config:
        config.write(f"verification: {{{SERVICE}: [{{kind: tcp, target: 'pg.example.net:5432'}}]}}\n")
    assert adopt(request(core), checkout, KNOWN).unproven == ()


def test_what_differs_from_the_config_that_is_there_is_said_and_not_ignored(checkout: Path, core: Path) -> None:
    adopt(request(core), checkout, KNOWN)
    before = files(checkout)
    for said in ({"vault": "https://other.example.net"}, {"site": "aws"}, {"auth_path": "auth/other"}):
        with pytest.raises(Refusal, match=r"init\.file"):
            adopt(request(core, **said), checkout, KNOWN)
    assert files(checkout) == before
    assert adopt(request(core), checkout, KNOWN).written == ()


def test_a_site_without_a_lane_is_said(checkout: Path, core: Path) -> None:
    assert adopt(request(core, site="mars"), checkout, KNOWN).fill == (
        f"{CONFIG_PATH}: https://vault.example.net stands at mars, where no lane is: right, if that is a site of its own",
    )


def test_another_workflow_of_that_name_is_said(checkout: Path, core: Path) -> None:
    (checkout / ".github/workflows").mkdir(parents=True)
    (checkout / WORKFLOW_PATH).write_text("on: push\njobs: {}\n")
    [line] = adopt(request(core), checkout, KNOWN).fill
    assert line.startswith(f"{WORKFLOW_PATH}: it is another workflow")


def test_the_form_offers_the_services_and_decisions_have_a_workflow_of_their_own(checkout: Path, core: Path) -> None:
    done = adopt(replace(request(core), decisions=True), checkout, KNOWN)
    assert DECISIONS_PATH in done.written
    form = dispatch_inputs(read_workflow((checkout / WORKFLOW_PATH).read_bytes(), WORKFLOW_PATH)) or {}
    assert (form["service"].options, form["service"].default) == ((SERVICE,), SERVICE)
    document = read_workflow((checkout / DECISIONS_PATH).read_bytes(), DECISIONS_PATH)
    assert document["jobs"]["dr"]["uses"].endswith(f"@{RELEASE}")
    assert event_types(document) == ("dr-decision",)
    trust = json.loads(host_trust(block(done, "lane gcp: what its host")))
    assert trust["caller_workflows"] == [f"acme/recovery/{path}" for path in (DECISIONS_PATH, WORKFLOW_PATH)]


HOOK = "https://hooks.example.net/dr"


def test_a_webhook_is_told_where_it_is_asked_for(checkout: Path, core: Path) -> None:
    done = adopt(replace(request(core), notify=HOOK), checkout, KNOWN)
    config = read_config((checkout / CONFIG_PATH).read_bytes())[0]
    assert config.notify == Notify(webhook=HOOK)
    assert block(done, "messages to people").splitlines()[1:] == ["gh secret set DR_NOTIFY_SECRET --repo acme/recovery"]
    passed = read_workflow((checkout / WORKFLOW_PATH).read_bytes(), WORKFLOW_PATH)["jobs"]["dr"]["secrets"]
    assert passed["notify_secret"] == "${{ secrets.DR_NOTIFY_SECRET }}"
    assert adopt(replace(request(core), notify=HOOK), checkout, KNOWN).additions == ()
    with pytest.raises(Refusal) as refused:
        adopt(replace(request(core), notify="https://elsewhere.example.net/dr"), checkout, KNOWN)
    assert f"{CONFIG_PATH} has {HOOK}" in refused.value.found


def test_a_config_that_is_there_gets_the_webhooks_line_to_add(checkout: Path, core: Path) -> None:
    plain = adopt(request(core), checkout, KNOWN)
    assert not [title for title, _ in plain.blocks if "messages" in title]
    before = files(checkout)
    done = adopt(replace(request(core), notify=HOOK), checkout, KNOWN)
    assert done.additions == ((CONFIG_PATH, f'notify: {{webhook: "{HOOK}"}}'),)
    assert "gh secret set DR_NOTIFY_SECRET" in block(done, "messages to people")
    assert files(checkout) == before


def test_an_issue_gets_comments_where_it_is_asked_for(checkout: Path, core: Path) -> None:
    done = adopt(request(core, issue=42), checkout, KNOWN)
    assert read_config((checkout / CONFIG_PATH).read_bytes())[0].notify == Notify(issue=42)
    assert block(done, "messages to people") == "gh secret set DR_NOTIFY_TOKEN --repo acme/recovery\n"
    passed = read_workflow((checkout / WORKFLOW_PATH).read_bytes(), WORKFLOW_PATH)["jobs"]["dr"]["secrets"]
    assert passed["notify_token"] == "${{ secrets.DR_NOTIFY_TOKEN }}"
    assert adopt(request(core, issue=42), checkout, KNOWN).additions == ()
    with pytest.raises(Refusal) as refused:
        adopt(request(core, issue=7), checkout, KNOWN)
    assert (refused.value.found, refused.value.fix) == (
        f"--notify-issue 7, and {CONFIG_PATH} has 42",
        "leave --notify-issue out, or change the config",
    )


def test_a_webhook_and_an_issue_are_one_line(checkout: Path, core: Path) -> None:
    adopt(request(core), checkout, KNOWN)
    done = adopt(request(core, notify=HOOK, issue=42), checkout, KNOWN)
    assert done.additions == ((CONFIG_PATH, f'notify: {{webhook: "{HOOK}", issue: 42}}'),)
    assert [line.split()[3] for line in block(done, "messages to people").splitlines()[1:]] == ["DR_NOTIFY_SECRET", "DR_NOTIFY_TOKEN"]


def test_a_webhook_that_no_config_can_name(checkout: Path, core: Path) -> None:
    with pytest.raises(Refusal):
        adopt(replace(request(core), notify="https://hooks.example.net/dr?token=secret"), checkout, KNOWN)
    assert files(checkout) == {}


def test_an_authority_whose_jwt_is_in_use_gets_a_mount_of_its_own(checkout: Path, core: Path) -> None:
    done = adopt(request(core, auth_path="auth/dr-dispatch"), checkout, KNOWN)
    assert "vault auth enable -path=dr-dispatch jwt &&\nvault write auth/dr-dispatch/config" in block(done, "who issues")
    assert "vault write auth/dr-dispatch/role/dr-prod -" in block(done, "policies and roles")
    assert read_config((checkout / CONFIG_PATH).read_bytes())[0].vault.auth_path == "auth/dr-dispatch"  # type: ignore[union-attr]  # init wrote it


# --------------------------------------------------------------------------------------------- taken by what it is for


@pytest.mark.parametrize("adopter", [KNOWN, Adopter()], ids=["known", "unknown"])
def test_github_takes_every_block_that_is_for_it(adopter: Adopter, checkout: Path, core: Path) -> None:
    done = adopt(request(core), checkout, adopter)
    sent = [each for _, text in done.blocks for each in posted(filled(text))]
    for method, path, body in sent:
        validate_request(method, path, {}, body)
    assert [(method, path.rpartition("recovery/")[2]) for method, path, _ in sent] == [
        ("PUT", "environments/dr-prod"),
        ("PUT", "environments/dr-check"),
        ("POST", "environments/dr-prod/deployment-branch-policies"),
        ("POST", "environments/dr-check/deployment-branch-policies"),
        ("POST", "rulesets"),
        ("POST", "rulesets"),
    ]


def test_every_word_to_replace_is_named(checkout: Path, core: Path) -> None:
    done = adopt(request(core), checkout, Adopter(reviewers=(("jonas", 0),)))
    words = {"OWNER/REPOSITORY", "ID_OF_JONAS", "REPOSITORY_ID", "OWNER_ID", "COMMIT_OF_THE_RELEASE"}
    assert set(done.placeholders) == words
    assert set(adopt(request(core), checkout, Adopter()).placeholders) == words - {"ID_OF_JONAS"} | {"ID_OF_REVIEWER_1", "A_REVIEWER"}


@pytest.mark.parametrize("adopter", [replace(KNOWN, keys={"jonas": KEY}), Adopter(reviewers=(("jonas", 0),), keys={"jonas": KEY})])
def test_the_host_takes_its_trust_and_the_trust_takes_the_config(adopter: Adopter, checkout: Path, core: Path) -> None:
    done = adopt(request(core), checkout, adopter)
    config = read_config((checkout / CONFIG_PATH).read_bytes())[0]
    for lane, runner in (("gcp", "gcp-ops-runner"), ("onprem", "proxmox-ops-runner")):
        text = filled(block(done, f"lane {lane}: what its host"))
        trust = read_trust(host_trust(text).encode(), "trust.json")
        assert isinstance(trust, HostTrust)
        assert audience_of(trust) == f"dr-dispatch:{runner}"
        assert (trust.repository_id, trust.workflow_shas, trust.gates) == (4711, (RELEASE,), {"prod": "dr-prod"})
        assert narrow(config, trust) == config


def test_a_trust_says_what_is_no_default(checkout: Path, core: Path) -> None:
    adopt(request(core), checkout, KNOWN)
    extra = (
        "lanes: {gcp: {runner_ref: a-runner, drill_runner_ref: a-drill}}\n"
        "envs: {prod: {check_environment: look}}\n"
        "approvals: {lifetime: PT90M}\n"
    )
    (checkout / CONFIG_PATH).write_text((checkout / CONFIG_PATH).read_text() + extra)
    done = adopt(request(core), checkout, KNOWN)
    trust = read_trust(host_trust(block(done, "lane gcp: what its host")).encode(), "trust.json")
    assert trust.runner_refs == ("a-runner", "a-drill")
    assert (trust.check_gate, trust.max_approval_lifetime) == ("look", "PT90M")
    assert narrow(read_config((checkout / CONFIG_PATH).read_bytes())[0], trust)
    assert "environments/look " in block(done, "approval gate")


def test_a_second_env_keeps_the_roles_of_the_first(checkout: Path, core: Path) -> None:
    adopt(request(core), checkout, KNOWN)
    done = adopt(request(core, "pg-ha/stage"), checkout, KNOWN)
    vault = block(done, "policies and roles")
    check = vault.split("vault policy write dr-check")[1].split("POLICY")[1]
    assert "hybridops/prod/dns" in check
    assert "hybridops/stage/dns" in check, "one role checks every env: what is pasted last counts"
    run = vault.split("vault policy write dr-stage")[1].split("POLICY")[1]
    assert "hybridops/prod/" not in run
    assert '"dr-prod": "dr-prod"' not in vault
    trust = json.loads(host_trust(block(done, "lane gcp: what its host")))
    assert trust["gates"] == {"prod": "dr-prod", "stage": "dr-stage"}
    assert trust["authorities"][0]["roles"] == ["dr-check", "dr-prod", "dr-stage"]


def test_a_ledger_elsewhere_is_made_and_protected_there(checkout: Path, core: Path) -> None:
    adopt(request(core), checkout, KNOWN)
    known = (checkout / CONFIG_PATH).read_text()
    for said, remote, protects in (
        ("acme/ledger", "https://github.com/acme/ledger", "repos/acme/ledger/rulesets"),
        ("/srv/ledger.git", "/srv/ledger.git", "git -C /srv/ledger.git config receive.denyDeletes true"),
    ):
        (checkout / CONFIG_PATH).write_text(f"{known}ledger: {{repository: {said}}}\n")
        done = adopt(request(core), checkout, KNOWN)
        token = "DR_TOKEN=$(gh auth token) " if "://" in remote else ""
        assert block(done, "The ledger").startswith(f"{token}hyops-ci ledger init --remote {remote} --service pg-ha/prod --home onprem\n")
        assert protects in block(done, "The ledger")
        assert f'"ledger": "{remote}"' in block(done, "lane gcp: what its host")


def test_enterprise_server_has_its_own_addresses(checkout: Path, core: Path) -> None:
    done = adopt(request(core), checkout, replace(KNOWN, server="https://ghe.example.net"))
    assert "bound_issuer=https://ghe.example.net/_services/token" in block(done, "who issues")
    assert '"issuer": "https://ghe.example.net/_services/token"' in block(done, "lane gcp: what its host")
    assert "--url https://ghe.example.net/acme/recovery" in block(done, "lane gcp: registration")


def test_a_runner_is_registered_in_a_group_for_one_workflow_or_in_the_repository_and_its_host_prepared(checkout: Path, core: Path) -> None:
    done = adopt(request(core), checkout, KNOWN)
    ways = block(done, "lane gcp: registration").split("# else the repository's own. It is weaker")
    assert "gh " not in "".join(text.partition("as ")[2] for text in ways), "nobody logs in to GitHub on the host"
    group = json.loads(host_trust(ways[0]))
    files = ("dispatch.yml", "runner.yml")
    assert group["selected_workflows"] == [f"hybridops/dr-dispatch/.github/workflows/{file}@{RELEASE}" for file in files]
    assert (group["restricted_to_workflows"], group["selected_repository_ids"]) == (True, [4711])
    assert "orgs/acme/actions/runner-groups" in ways[0]
    assert "--runnergroup gcp-ops-runner --url https://github.com/acme\n" in ways[0]
    assert "--url https://github.com/acme/recovery\n" in ways[1]
    host = block(done, "lane gcp: what its host")
    assert f"checkout --detach {RELEASE}\n" in host
    assert "actions/setup/setup.sh runner prepare --user gha-runner --agent . --trust - <<'JSON'\n" in host
    assert host.index("runner prepare") < host.index("svc.sh start"), "the agent reads .env when it starts"
    assert host.index("HYOPS_VAULT_PASSWORD_FILE=") < host.index("svc.sh start")
    assert "docs/hosts.md" in host


@pytest.mark.parametrize("words", ["registration", "what its host", "approval gate", "The ledger", "policies and roles"])
def test_a_shell_reads_every_block(words: str, checkout: Path, core: Path) -> None:
    done = adopt(request(core), checkout, KNOWN)
    for text in (text for title, text in done.blocks if words in title):
        subprocess.run(["bash", "-n"], input=text.encode(), check=True)


@pytest.mark.parametrize("release", [RELEASE, ""])
def test_the_caller_is_a_workflow_that_can_be_started(release: str, checkout: Path, core: Path) -> None:
    adopt(request(core), checkout, replace(KNOWN, release=release))
    path = checkout / WORKFLOW_PATH
    document = read_workflow(path.read_bytes(), WORKFLOW_PATH)
    assert {"action", "service", "reason", "resume"} <= set(dispatch_inputs(document) or {})
    assert document["jobs"]["dr"]["uses"].endswith(f"@{release or '0' * 40}")
    linter = Path(sys.executable).parent / "actionlint"
    ended = subprocess.run([linter, "-no-color", path], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_template_travels_in_the_wheel(tmp_path: Path) -> None:
    """Built without a network: what is installed has the caller that `init` writes, the schemas, and what a report is made of."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=400, env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
    [wheel] = tmp_path.glob("*.whl")
    listed = subprocess.run([sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True).stdout
    assert f"hyops_ci/templates/{template('dr-manual.yml').name}" in listed
    assert "hyops_ci/schemas/" in listed
    assert {f"hyops_ci/report/{name}" for name in ("page.css", "report.html.jinja")} <= set(listed.split())


# -------------------------------------------------------------------------------------------------- the whole way


def test_what_init_writes_is_planned(github_fake: FakeGitHub, checkout: Path, core: Path, tmp_path: Path) -> None:
    """Written, committed, pasted into GitHub and the ledger: then a failover of the service is PLANNED, with class production."""
    adopt(request(core), checkout, KNOWN)
    people = [github_fake.add_user(login, number=number) for login, number in KNOWN.reviewers]
    repository = github_fake.add_repository("acme/recovery", number=4711)
    sha = repository.commit(files(checkout))
    repository.protect()
    workflow = repository.add_workflow(WORKFLOW_PATH, (checkout / WORKFLOW_PATH).read_text())
    repository.add_environment("dr-prod", reviewers=people, prevent_self_review=True, branches=["main"])
    repository.add_environment("dr-check", branches=["main"])
    run = repository.add_run(workflow, actor=github_fake.add_user("maria", number=1001))
    clock = SystemClock()
    create_repository(tmp_path / "ledger.git")
    Ledger.over_git(str(tmp_path / "ledger.git"), SERVICE, state_dir=tmp_path / "host").init("onprem", "2026-11-23T03:00:00Z")
    job = Job(
        run_id=f"{run.id}-1",
        on_github=True,
        repository="acme/recovery",
        repository_id=4711,
        actor="maria",
        actor_id=1001,
        triggering_actor="maria",
        event="workflow_dispatch",
        ref="refs/heads/main",
        ref_protected=True,
        default_branch="main",
        sha=sha,
        server_url="https://github.com",
        workflow_ref=f"acme/recovery/{WORKFLOW_PATH}@refs/heads/main",
        workflow_sha=RELEASE,
    )
    token = github_fake.add_token("actions: write", "contents: write", "metadata: read")
    client = Client.connect("acme/recovery", token=token, api_url=github_fake.url)
    world = RunContext(job, clock, tmp_path, tmp_path / "host", str(tmp_path / "ledger.git"), github=client)
    ended = plan(Ask(checkout, form=Form("failover", SERVICE, "INC-4242 power lost")), folder := RunDir(tmp_path / "run"), world)
    assert ended.refusal is None
    assert ended.state is State.PLANNED
    made = folder.read_model("plan.json", Plan)
    assert (made.runner_ref, made.approval.gate, made.secrets.role) == ("gcp-ops-runner", "dr-prod", "dr-prod")
