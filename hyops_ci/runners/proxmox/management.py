"""Where a machine of Proxmox VE may be made from: a runner in its management network, never one of GitHub's machines."""

from __future__ import annotations

from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.errors import Exit, Refusal


def refuse_hosted(machine: ProxmoxMachine, runner_environment: str, runner_name: str) -> None:
    """Raise Refusal where the job does not run on a self-hosted runner. `runner_environment`: as GitHub's token of the job says it."""
    if runner_environment == "self-hosted":
        return
    raise Refusal(
        "runner.management",
        "this job does not run on a runner of the management network",
        found=f"{runner_name or 'a runner'}: {runner_environment or 'nothing that says whose it is'}",
        expected=f"self-hosted, with the labels {', '.join(machine.management_runner)}",
        fix="let the job run on the labels of lanes.<lane>.machine.management_runner; GitHub's machines get no way into this network",
        exit_code=Exit.RUNNER,
        docs="runners-proxmox.md",
    )
