"""What the chosen runner says about the plan before a person is asked (docs/design/contracts.md 5)."""

from typing import Any, Final, Literal

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


DESTROYED: Final = "destroyed"
"""Status of a state whose work HyOps has destroyed."""
GONE: Final = frozenset({"missing", "absent", DESTROYED})
"""Statuses of a state behind which there is nothing (HyOps `blueprint/command.py`)."""


class ModuleFact(Model):
    """One module spec that effective inputs were read from."""

    module_ref: Short
    sha256: Digest


_BOUND: Final = (
    "plan_digest",
    "hyops_version",
    "blueprint_digest",
    "steps",
    "guards",
    "secret_names",
    "restore_point",
    "deviations",
    "unknown",
)


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

    def bound(self) -> dict[str, Any]:
        """Return, by name, what `check_digest` covers: all that an approver is shown, and nothing that differs a minute later by itself.

        Of the runner and its states that is who it is and how they stand: times, boot and numbers of earlier runs are not shown.
        """
        known = self.document()
        return {name: known[name] for name in _BOUND if name in known} | {
            "runner": {
                "name": self.runner.name or self.runner.hostname,
                "runner_ref": self.runner.runner_ref,
                "hosted": self.runner.hosted,
                "trusted": self.runner.trusted,
            },
            "states": [[state.ref, state.status] for state in self.states],
        }

    @override
    def digest(self) -> str:
        """`check_digest`, over `bound()`."""
        return digest(self.bound())
