"""A planned run as check, execute and conclude know it: each document of its folder is read once, the config under this host's trust.

This is the only module of the stages that reads the config as it was written; every stage gets the narrowed one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

from hyops_ci.approvals.requesters import unique_people
from hyops_ci.config.file import parsed_config
from hyops_ci.config.host_trust import narrow, plan_fits, stricter
from hyops_ci.contracts.approval import Person, Subject
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.plan import ApprovalDemand, Plan
from hyops_ci.dataclass import dataclass, fields
from hyops_ci.errors import Exit, Refusal
from hyops_ci.identity.claims import Caller
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.store import Head
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.host_key import HostKey, host_key, vouched_ledger
from hyops_ci.stages.job_identity import OnRunner, require_its_plan
from hyops_ci.stages.origin import DECISION, ORIGIN, Origin

CONFIG = "sources/config"


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A plan with everything it was made of, at the place where it is to be checked or carried out."""

    folder: RunDir
    context: RunContext
    plan: Plan
    decision: Decision
    config: DispatchConfig
    """Narrowed by this host's trust. No stage sees another one."""
    allowed: DispatchConfig
    """The same without what a context adds: a settlement needs the config's quorum, not the two people of a run without GitHub."""
    caller: Caller | None = None
    """The verified GitHub job, on a host that pins its callers."""

    @cached_property
    def demand(self) -> ApprovalDemand:
        """The approvals that this run needs here: the plan's demand, or this host's where that is stricter."""
        return stricter(self.plan.approval, self.config)

    @cached_property
    def requesters(self) -> tuple[Person, ...]:
        """The people who may not approve: those who asked, as GitHub named them to the plan, and the issuer if it is a login."""
        return unique_people(self.folder.read_model(ORIGIN, Origin).requesters, issuer=self.decision.issuer)

    @property
    def caller_verified(self) -> bool:
        """Whether this host compared its caller with its trust file."""
        return self.context.trust is not None and (self.caller is not None or not self.context.job.on_github)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the plan's service, for acting on it. Raises as `RunContext.ledger_in_use`."""
        return vouched_ledger(self.allowed, self.plan.service, self.context)

    @cached_property
    def host_key(self) -> HostKey:
        """This host's key, as far as the config names one."""
        return host_key(self.allowed)

    @cached_property
    def head(self) -> Head:
        """The ledger's newest commit with its history, read once. Raises as `Ledger.head`."""
        return self.ledger.head()

    @contextmanager
    def reading_ahead(self) -> Iterator[Executor]:
        """Read the ledger while the block looks at something else. Where that fails, it is asked again by the one who needs it.

        Yields an executor for one question that is asked beside it.
        """
        with ThreadPoolExecutor(2) as beside:
            read = beside.submit(lambda: self.head)
            yield beside
            read.exception()

    @cached_property
    def source_sha256(self) -> str:
        """Digest of the bytes that the decision was read from."""
        return digest_bytes(self.folder.read(DECISION))


@dataclass(frozen=True, kw_only=True)
class CheckedRun(PlannedRun):
    """A planned run with the report of its check: what an approval is about."""

    check: Check

    @cached_property
    def subject(self) -> Subject:
        """What an approval must be about to carry this run. The nonce is the approval's own."""
        return Subject(
            repository_id=self.context.job.repository_id,
            ledger_id=self.head.tip.ledger_id,
            min_epoch=self.head.tip.epoch,
            nonce="0" * 32,
            decision_digest=self.plan.decision_digest,
            plan_digest=self.plan.digest(),
            check_digest=self.check.digest(),
            service=self.plan.service,
            decision_type=self.plan.decision_type,
            accepted_risks=self.context.ledger_in_use(self.plan.service).risks,
        )


def require_plan(folder: RunDir) -> Plan:
    """Return the plan that was handed over. Raises Refusal (exit 4) where a source or the decision is not the one it was made of."""
    plan = folder.read_model("plan.json", Plan)
    made_of: list[tuple[str, str, str]] = [(source.role, digest_bytes(folder.read(source.file)), source.sha256) for source in plan.sources]
    made_of.append(("decision", folder.read_model("decision.json", Decision).digest(), plan.decision_digest))
    for role, found, expected in made_of:
        if found != expected:
            raise Refusal(
                "handover.source",
                f"the {role} that arrived is not the one that was planned",
                exit_code=Exit.POLICY,
                found=found,
                expected=expected,
                fix="start a new run",
            )
    return plan


def planned_run(plan: Plan, folder: RunDir, context: RunContext, *, stage: OnRunner = "check", caller: Caller | None = None) -> PlannedRun:
    """Return the run of `plan` under this host's trust.

    Raises Refusal where the caller may not bring this plan here (exit 7), where the plan is for another host (exit 7), or where
    config or plan ask for more than the host allows (exit 4).
    """
    require_its_plan(caller, stage, plan, context)
    written = parsed_config(folder.read(CONFIG))
    if context.trust is not None:
        plan_fits(plan, written, context.trust)
    decision = folder.read_model("decision.json", Decision)
    config, limits = narrowed(written, context), allowed(written, context)
    return PlannedRun(plan=plan, folder=folder, context=context, decision=decision, config=config, allowed=limits, caller=caller)


def checked_run(run: PlannedRun, check: Check | None = None) -> CheckedRun:
    """Return the run with its check report: the given one, or the one that was handed over."""
    known = {each.name: getattr(run, each.name) for each in fields(run)}
    made = CheckedRun(**known, check=check or run.folder.read_model("check.json", Check))
    vars(made).update((name, value) for name, value in vars(run).items() if name == "head")  # read once, also by the run before
    return made


def narrowed(config: DispatchConfig, context: RunContext) -> DispatchConfig:
    """Return the config as far as this host allows it, with at least the quorum of this context. Raises Refusal (exit 4)."""
    known = allowed(config, context)
    if known.approvals.quorum >= context.min_quorum:
        return known
    return known.model_copy(update={"approvals": known.approvals.model_copy(update={"quorum": context.min_quorum})})


def allowed(config: DispatchConfig, context: RunContext) -> DispatchConfig:
    """Return the config as far as this host allows it. Raises Refusal (exit 4)."""
    return narrow(config, context.trust) if context.trust is not None else config


def read_allowed(content: bytes, path: str, context: RunContext) -> DispatchConfig:
    """Return the config in `content` as far as this host allows it. Raises as `read_narrowed`."""
    return allowed(parsed_config(content, path), context)


def read_narrowed(content: bytes, path: str, context: RunContext) -> DispatchConfig:
    """Return the config in `content` under this host's trust. Raises Refusal: exit 2 for a bad file, exit 4 for a looser one."""
    return narrowed(parsed_config(content, path), context)


def acting_ledger(folder: RunDir, service: str, context: RunContext) -> Ledger:
    """Return the ledger as the run in `folder` may act on it, by the config that it was planned with. Raises as `vouched_ledger`."""
    return vouched_ledger(read_allowed(folder.read(CONFIG), CONFIG, context), service, context)


def written_config(folder: RunDir) -> DispatchConfig | None:
    """Return the config as it was reviewed; None where none was read. No host trust narrows it: nothing may forbid sealing."""
    return parsed_config(folder.read(CONFIG)) if folder.has(CONFIG) else None
