"""An incident under attack: a runner host with its trust, GitHub and its issuer on the loopback, and the stages.

The attacks go through the real stages. What is asserted of each is in `assert_refused`: gate, exit code, nothing touched, sealed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.approvals.request import answer
from hyops_ci.contracts.approval import ApprovalRequest, Person
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.run import Result, State
from hyops_ci.evidence.verify import verify
from hyops_ci.github.api.client import Client
from hyops_ci.intake.form import Form
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.host_look import host_notes
from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.signing.dsse import load_key, new_key, public_of
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.conclude.stage import Conclusion, conclude
from hyops_ci.stages.context import RunContext, ShiftedClock, SystemClock
from hyops_ci.stages.execute.stage import execute
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import Job
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.preview import JOB_HOOK
from hyops_ci.stages.runner import StageEnd
from hyops_ci.stages.sealing import bundle_path
from tests.support.github.environments import Environment
from tests.support.github.repositories import Repository
from tests.support.github.reviews import Review, decide
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub, start_github
from tests.support.issuer import GITHUB_CLAIMS, WORKFLOW_SHA, Issuer, serve_issuer

SERVICE, CALLER, WORKFLOW = "pg-ha/lab", "acme/recovery", ".github/workflows/dr.yml"
RUNNER = "gcp-ops-runner-01"
PEOPLE = {"maria": 1001, "jonas": 1002, "priya": 1003, "mallory": 1666}
GATE, CHECK_GATE, BOOTSTRAP_GATE = "dr-lab", "dr-check", "dr-bootstrap"
MACHINE: dict[str, Any] = {
    "provider": "gcp",
    "zones": ["europe-west2-a", "europe-west2-b"],
    "image": "projects/debian-cloud/global/images/family/debian-12",
    "network": "hub",
    "subnetwork": "runners",
    "service_account": "ops-runner@acme-net.iam.gserviceaccount.com",
    "identity_provider": "projects/123456/locations/global/workloadIdentityPools/github/providers/acme",
    "bootstrap_account": "dr-bootstrap@acme-net.iam.gserviceaccount.com",
    "nat": {"router": "hub", "name": "hub-nat"},
    "installation": {"hyops": False},
}
"""How the runner of lane gcp is made."""
RECOVERED = (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)
DISPATCH = f"name: dr\non: {{workflow_dispatch: {{inputs: {{resume: {{type: string}}}}}}}}\njobs: {{dr: {{uses: {CALLER}}}}}\n"
Stage = Literal["plan", "check", "execute", "conclude"]


@dataclass
class Incident:
    """Everything that an attack can meet. `number` is the run that the stages below are of."""

    site: Site
    fake: FakeGitHub
    repository: Repository
    issuer: Issuer
    keys: dict[str, Ed25519PrivateKey]
    trust: dict[str, Any]
    gate: Environment
    run: Run
    folder: RunDir
    said: list[str] = field(default_factory=list)
    pinned: bool = False
    """Whether the host pins its callers: off where the attack is not about that, so that no trust file stops it by chance."""
    at_the_gate: Path = field(init=False)
    """The run's folder as the check left it."""
    planned: str = field(init=False)
    """Digest of what the plan handed over, as its job says it."""

    # ------------------------------------------------------------------------------------------------ preparing

    def configure(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Edit the committed config."""
        path = self.site.repository / ".github" / "dr-dispatch.yml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def approvers(self, *logins: str, quorum: int | None = None, channels: tuple[str, ...] = ("signed",)) -> None:
        """Who signs, by the config and by the host."""
        public = {login: public_of(self.keys[login]) for login in logins}
        said = {"channels": list(channels)} | ({"quorum": quorum} if quorum else {}) | ({"approvers": public} if public else {})
        self.configure(lambda config: config.update(approvals=said))
        self.trust["approvers"] = [{"id": PEOPLE[login], "login": login, "key": key} for login, key in public.items()]

    def start(self, **options: Any) -> Run:
        """Another run of the workflow on GitHub, which the stages from now on belong to."""
        self.run = self.repository.add_run(WORKFLOW, **options)
        self.folder = RunDir(self.site.root.parent / f"run-{self.run.id}" / "run")
        return self.run

    # --------------------------------------------------------------------------------------------------- stages

    def world(self, stage: Stage, **job: Any) -> RunContext:
        """The outside of one job of the run, as GitHub describes it to the job."""
        attempt = self.run.attempt
        known: dict[str, Any] = {
            "run_id": f"{self.run.id}-{attempt.number}",
            "attempt": attempt.number,
            "on_github": True,
            "repository": CALLER,
            "repository_id": self.repository.id,
            "actor": self.run.actor.login,
            "actor_id": self.run.actor.id,
            "triggering_actor": attempt.triggering_actor.login,
            "event": self.run.event,
            "ref": f"refs/heads/{self.run.branch}",
            "ref_protected": True,
            "default_branch": "main",
            "sha": self.run.sha,
            "server_url": "https://github.com",
            "workflow_ref": f"{CALLER}/{self.run.path}@refs/heads/{self.run.branch}",
            "runner_name": RUNNER if stage in ("check", "execute") else "",
        }
        self.issuer.claims = {
            "environment": {"check": CHECK_GATE, "execute": GATE}.get(stage),
            "sha": self.run.sha,
            "run_id": str(self.run.id),
            "run_attempt": str(attempt.number),
            "actor_id": str(self.run.actor.id),
            "ref": f"refs/heads/{self.run.branch}",
            "event_name": self.run.event,
        }
        usual = self.site.world()
        trust = HostTrust.model_validate_json(json.dumps(self.trust)) if self.pinned and stage in ("check", "execute") else None
        return replace(
            usual,
            job=Job(**{**known, **job}),
            environ={
                **usual.environ,
                **self.issuer.environment,
                JOB_HOOK: shutil.which("env", path="/usr/bin") or "",
            },  # root's, as the hook is
            github=self.client(),
            trust=trust,
            clock=ShiftedClock(usual.clock.now()),
            say=self.said.append,
        )

    def client(self) -> Client:
        """GitHub's API with the token of a job."""
        token = self.fake.add_token("actions: write", "contents: write", "metadata: read", repositories=[self.repository])
        return Client.connect(CALLER, token=token, api_url=self.fake.url, sleep=lambda _: None)

    def plan(
        self,
        decision: bytes = b"",
        *,
        resume: str = "",
        approvals: str = "",
        bootstrap_reason: str = "",
        world: RunContext | None = None,
        **job: Any,
    ) -> StageEnd:
        """A person's form, unless there is a decision or a run to resume."""
        form = Form() if decision or resume else Form("failover", SERVICE, "INC-4242")
        ask = Ask(self.site.repository, decision, form, resume=resume, approvals=approvals, bootstrap_reason=bootstrap_reason)
        return plan(ask, self.folder, world or self.world("plan", **job))

    def check(self, **job: Any) -> StageEnd:
        return check(self.folder, self.world("check", **job), host_notes)

    def execute(self, *envelopes: Mapping[str, Any], world: RunContext | None = None, **job: Any) -> StageEnd:
        return execute(self.folder, world or self.world("execute", **job), json.dumps(envelopes) if envelopes else "")

    def conclude(self, results: Mapping[str, str] | None = None, **more: Any) -> Conclusion:
        said = results or {"plan": "success", "check": "success", "execute": "skipped"}
        return conclude(self.folder, self.world("conclude"), evidence=None, digest="", results=said, **more)

    def reach_gate(self) -> None:
        """Plan and check, as they go."""
        ended = self.plan()
        assert ended.state is State.PLANNED, ended
        self.planned = self.folder.pack(self.folder.root.parent / "planned.tar")
        ended = self.check()
        assert ended.state is State.CHECKED, ended
        self.at_the_gate = self.fresh().root
        shutil.copytree(self.folder.root, self.at_the_gate, dirs_exist_ok=True)

    def fresh(self) -> RunDir:
        """A folder in which nothing has happened."""
        return RunDir(Path(mkdtemp(dir=self.site.root.parent)) / "run")

    def again(self) -> None:
        """The same run at the same place, in a folder of its own: attacks that are refused leave nothing for the next one to meet."""
        self.folder = self.fresh()
        shutil.copytree(self.at_the_gate, self.folder.root, dirs_exist_ok=True)
        self.run.history.clear()

    # -------------------------------------------------------------------------------------------------- answers

    @property
    def request(self) -> ApprovalRequest:
        return self.folder.read_model("request.json", ApprovalRequest)

    def signed(self, login: str, verdict: Literal["approve", "deny"] = "approve", **more: Any) -> dict[str, Any]:
        """Somebody's own answer to what the run asks, with their own key."""
        return answer(self.request, verdict, Person(login=login), self.keys[login], now=self.site.clock.now(), **more)

    def review(self, login: str, state: str = "approved", environment: Environment | None = None) -> None:
        """A line in the run's review history, also one that GitHub would not let anybody write."""
        decide(self.run, Review(self.fake.account(login), state, "seen", [environment or self.gate]))

    # -------------------------------------------------------------------------------------------------- looking

    def ledger(self) -> Ledger:
        """As an onlooker sees it."""
        return Ledger.over_git(str(self.site.root / "ledger.git"), SERVICE, state_dir=self.site.root / "onlooker")

    def keep(self, document: Any) -> None:
        """What the check handed over is an artifact of the run."""
        self.run.add_artifact(f"dr-check-{self.run.id}-{self.run.attempt.number}", {"handover.tar": document})

    def hand_over(self) -> bytes:
        """The check's handover, uploaded as the workflow does."""
        packed = self.folder.root.parent / "handover.tar"
        self.folder.pack(packed)
        self.keep(packed.read_bytes())
        return packed.read_bytes()


def assert_refused(
    incident: Incident, ended: StageEnd, gate: str, exit_code: int, *words: str, epoch: int | None = 0, problem: str = ""
) -> None:
    """The whole of what makes an attack one that failed. `epoch` None: there is no ledger to look at.

    `problem`: what the verifier says of the sealed bundle, where what was handed over contradicts itself; else the bundle is whole.
    """
    assert ended.refusal is not None, ended
    assert (ended.refusal.gate, ended.refusal.exit_code) == (gate, exit_code), ended.refusal
    for word in words:
        assert word in f"{ended.refusal.reason}; {ended.refusal.found}", ended.refusal
    assert ended.refusal.fix
    assert_untouched(incident, epoch)
    if not bundle_path(incident.folder).exists():
        incident.conclude()
    problems = "; ".join(verify(bundle_path(incident.folder)).problems)
    assert (problem in problems) if problem else not problems, problems
    result = incident.folder.read_model("result.json", Result)
    assert (result.outcome, result.refusal) == (ended.state, ended.refusal)


def assert_untouched(incident: Incident, epoch: int | None = 0) -> None:
    """No lock, no secret value, no HyOps: nothing that a stage does before it changes something has begun."""
    private = incident.folder.root / "private"
    assert epoch is None or incident.ledger().tip().epoch == epoch
    assert not incident.folder.has("claim.json")
    assert not incident.folder.has("secrets.json")
    assert not (private / "deploy").exists()


def may_make_its_runner(config: dict[str, Any]) -> None:
    """The reviewed config allows it, and says how."""
    config["policy"] = {**config.get("policy", {}), "bootstrap_reasons": ["runner-recovery", "lab-fallback"]}
    config.setdefault("host", {})["user"] = "hyops"
    config["registration"] = {"app_id": 31, "key": "dr/github-app#private_key"}
    config["gcp"] = {"host": "acme-net", "control": "acme-control", "workload": "acme-work"}
    config.setdefault("lanes", {}).setdefault("gcp", {})["machine"] = MACHINE


def hold_no_probe(config: dict[str, Any]) -> None:
    """One look is enough: a second of holding still, each time, proves nothing here."""
    config["verification"] = {service: [{**each, "hold": "PT0S"} for each in probes] for service, probes in config["verification"].items()}


def assert_recovered(incident: Incident, ended: StageEnd) -> None:
    """The twin of an attack: the same without it goes through."""
    assert ended.state in RECOVERED, ended
    assert incident.ledger().tip().position == "failed_over"
    assert verify(bundle_path(incident.folder)).ok


@contextmanager
def start_incident(folder: Path, config: Path | None = None) -> Iterator[Incident]:
    """A site with GitHub behind it; jonas signs. One run of maria's is there, and nothing of it has happened.

    `config` in the place of the example's.
    """
    site = Site(folder / "site", SystemClock())
    with endpoint() as port, serve_issuer() as issuer, start_github() as fake:
        set_up(site, port, config)
        for login, number in PEOPLE.items():
            fake.add_user(login, number=number)
        repository = fake.add_repository(CALLER, private=True, plan="enterprise", number=int(GITHUB_CLAIMS["repository_id"]))
        repository.add_workflow(WORKFLOW, DISPATCH)
        repository.protect()
        gate = repository.add_environment(
            GATE, reviewers=[fake.account("jonas")], prevent_self_review=True, branches="protected", can_admins_bypass=False
        )
        repository.add_environment(CHECK_GATE, branches="protected")
        keys: dict[str, Ed25519PrivateKey] = {}
        for login in PEOPLE:
            new_key(folder / f"{login}.pem")
            keys[login] = load_key(folder / f"{login}.pem")
        trust = {
            "api_version": "hybridops/v1",
            "kind": "HostTrust",
            "issuer": issuer.url,
            "repository_id": repository.id,
            "repository_owner_id": 77,
            "ref": "refs/heads/main",
            "workflow_shas": [WORKFLOW_SHA],
            "workflow_ref": GITHUB_CLAIMS["job_workflow_ref"].partition("@")[0],
            "runner_refs": ["gcp-ops-runner"],
            "approvers": [],
            "evidence_keys": [site.host_public],
            "gates": {"lab": GATE},
        }
        run = repository.add_run(WORKFLOW, actor="maria")
        incident = Incident(site, fake, repository, issuer, keys, trust, gate, run, RunDir(folder / f"run-{run.id}" / "run"))
        incident.approvers("jonas")
        incident.configure(hold_no_probe)
        yield incident
    assert fake.violations == []
