"""What the chosen runner says about the plan before a person is asked (docs/design/contracts.md 5)."""

from __future__ import annotations

from typing import Literal

from typing_extensions import override

from hyops_ci.contracts.base import Clean, Count, Digest, Document, EnvKey, Measured, Model, Short, Utc
from hyops_ci.contracts.digest import digest
from hyops_ci.contracts.plan import GatePass, Guard


class RunnerIdentity(Model):
    """The host that answered. Absent facts are empty text, and a gate says whether that is allowed."""

    name: Clean = ""
    hostname: Clean = ""
    runner_ref: Clean = ""
    os: Clean = ""
    arch: Clean = ""
    user: Clean = ""
    boot_id: Clean = ""
    hosted: bool = False
    trusted: bool = False
    """Whether the host pins its callers (trust file present and fitting)."""


class StepForecast(Model):
    """What would happen to one step if the run started now."""

    id: Short
    outcome: Literal["run", "skip", "blocked", "unknown"]
    why: Clean = ""


class StateFact(Model):
    """One HyOps module state on the runner."""

    ref: Short
    status: Clean
    """`ok error running destroyed`, or `missing`."""
    run_id: Clean = ""
    updated_at: Clean = ""
    age_seconds: Count | None = None


class ModuleFact(Model):
    """One module spec that effective inputs were read from."""

    module_ref: Short
    sha256: Digest


class Check(Document):
    """The check report. `check_digest` covers what the approver relies on."""

    kind: Literal["Check"] = "Check"
    plan_digest: Digest
    run_id: Short
    checked_at: Utc
    runner: RunnerIdentity
    hyops_version: Clean
    modules: tuple[ModuleFact, ...] = ()
    blueprint_digest: Digest
    """Of the effective blueprint: overlay with guards opened, inputs merged over the specs' defaults."""
    steps: tuple[StepForecast, ...]
    states: tuple[StateFact, ...] = ()
    guards: tuple[Guard, ...] = ()
    secret_names: tuple[EnvKey, ...] = ()
    authority: Clean = ""
    restore_point: Measured
    gates: tuple[GatePass, ...] = ()
    deviations: tuple[Clean, ...] = ()
    unknown: dict[Short, Short] = {}
    """What could not be known, with the reason."""

    @override
    def digest(self) -> str:
        """`check_digest`: plan, effective blueprint, what runs and what is skipped, guards, restore point."""
        return digest(
            {
                "plan_digest": self.plan_digest,
                "blueprint_digest": self.blueprint_digest,
                "steps": [[step.id, step.outcome] for step in self.steps],
                "guards": [guard.document() for guard in self.guards],
                "restore_point": self.restore_point.model_dump(mode="json"),
            }
        )
