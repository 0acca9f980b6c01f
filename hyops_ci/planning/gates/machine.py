"""Gates on how the runner of the lane would be made, before anything is (docs/design/workflows.md 5).

Only for a run that may make it: a recovery on a runner that is there does not fail for settings that it does not use.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface
from typing import Final

from hyops_ci.config.machines import machine_name
from hyops_ci.contracts.base import moment
from hyops_ci.contracts.config import Host
from hyops_ci.contracts.lanes import GITHUB_LABELS
from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.planning.case import GateFailure, GateOutcome
from hyops_ci.planning.machine_case import MachineCase, machine_gate

MACHINE_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
HYOPS_USER: Final = "hyops"
"""The user that the setup of a host makes for HyOps."""


@machine_gate("machine.lane", "anti-drift 2.1, anti-drift 2.6", "Is the runner made where its lane is?")
def machine_lane(case: MachineCase) -> GateOutcome:
    """A provider's machine stands in one kind of lane: that of a cloud in its own, that of Proxmox VE on-prem."""
    machine = case.machine
    if case.lane.name in machine.stands:
        return machine.provider
    return GateFailure(
        "the provider is not that of the lane",
        f"lanes.{case.lane.name}.machine: provider {machine.provider}",
        f"{machine.provider} in lane {' or '.join(machine.stands)}",
        f"correct lanes.{case.lane.name}.machine.provider",
        "runners.md",
    )


@machine_gate("machine.name", "anti-drift 2.2", "Can a machine be called like the runner?")
def machine_called(case: MachineCase) -> GateOutcome:
    """Every provider takes a name of DNS; the agent on GitHub is called the same."""
    name = machine_name(case.lane)
    if MACHINE_NAME.fullmatch(name):
        return name
    return GateFailure(
        "no machine can be called like this runner",
        f"lane {case.lane.name}: {name}",
        "lower-case letters, digits and dashes, at most 63, a letter first",
        f"put such a name first in lanes.{case.lane.name}.names",
        "runners.md",
    )


@machine_gate("machine.host", "workflows 6", "Can the machine be made the host that the config describes?")
def machine_host(case: MachineCase) -> GateOutcome:
    """What is made has a wall between agent and HyOps: a user of its own, and HyOps where the setup puts it."""
    machine, host, usual = case.machine, case.config.host, Host(user=HYOPS_USER)
    wrong = [f"host.user {host.user or 'not set'}"] if host.user != HYOPS_USER else []
    if machine.installation.hyops:
        wrong += [f"host.{name} {getattr(host, name)}" for name in ("core_root", "hyops") if getattr(host, name) != getattr(usual, name)]
    if not wrong:
        return f"HyOps as {HYOPS_USER}"
    return GateFailure(
        "a machine that is made has HyOps as a user of its own",
        ", ".join(wrong),
        f"host.user {HYOPS_USER}; HyOps in {usual.core_root}, unless its image brings it (installation.hyops: false)",
        f"set host.user: {HYOPS_USER} in a pull request (docs/host-trust.md says what it does); or leave bootstrap_reason empty",
        "host-trust.md",
    )


@machine_gate("machine.bastion", "anti-drift 2.4", "Is a bastion on the way to the machine one of now?")
def machine_bastion(case: MachineCase) -> GateOutcome:
    """Break-glass with its reason, until a date that lies ahead; and another host than the machine itself."""
    bastion = case.machine.bastion
    if bastion is None:
        return ""
    if moment(bastion.until) <= case.now:
        return GateFailure(
            "the time of the bastion has passed",
            f"{bastion.host} until {bastion.until}",
            "a bastion whose until lies ahead, or none",
            f"remove lanes.{case.lane.name}.machine.bastion; or give it a new until and reason in a pull request",
            "runners.md",
        )
    if case.machine.host and bastion.host.partition(":")[0] == case.machine.host:
        return GateFailure(
            "the bastion is the machine itself",
            bastion.host,
            "another host, which is there before the machine is",
            f"correct lanes.{case.lane.name}.machine.bastion.host, or leave it out",
            "runners.md",
        )
    return f"bastion {bastion.host} until {bastion.until}: {bastion.reason}"


@machine_gate("proxmox.ids", "anti-drift 2.1", "Is the machine's id its own?")
def proxmox_ids(case: MachineCase) -> GateOutcome:
    """Not the template's, and not that of another lane's machine of the same Proxmox VE."""
    machine = case.machine
    if not isinstance(machine, ProxmoxMachine):
        return ""
    taken = {machine.template: "the template"}
    for name, lane in case.config.lanes.items():
        other = lane.machine
        if name != case.lane.name and isinstance(other, ProxmoxMachine) and other.api == machine.api:
            taken |= {other.vmid: f"the machine of lane {name}", other.template: f"the template of lane {name}"}
    if machine.vmid in taken:
        return GateFailure(
            f"the id of the machine is that of {taken[machine.vmid]}",
            f"lanes.{case.lane.name}.machine.vmid {machine.vmid}",
            "an id that nothing else has",
            f"give lanes.{case.lane.name}.machine another vmid",
            "runners-proxmox.md",
        )
    return f"id {machine.vmid} from template {machine.template}"


@machine_gate("proxmox.address", "anti-drift 2.1", "Does the machine reach its gateway?")
def proxmox_address(case: MachineCase) -> GateOutcome:
    """Address and gateway are two hosts of one network."""
    machine = case.machine
    if not isinstance(machine, ProxmoxMachine):
        return ""
    address, gateway = IPv4Interface(machine.address), IPv4Address(machine.gateway)
    network = address.network
    ends = (network.network_address, network.broadcast_address)
    if network.prefixlen > 30 or address.ip in ends or address.ip.is_loopback or address.ip.is_multicast or address.ip.is_link_local:
        return GateFailure(
            "the address is none of a host in a network",
            machine.address,
            "an address between the first and the last of a prefix of at most 30",
            f"correct lanes.{case.lane.name}.machine.address",
            "runners-proxmox.md",
        )
    if gateway not in network or gateway in ends or gateway == address.ip:
        return GateFailure(
            "the machine would not reach its gateway",
            f"gateway {gateway}, address {machine.address}",
            f"another host of {network}",
            f"correct lanes.{case.lane.name}.machine.gateway or the prefix of its address",
            "runners-proxmox.md",
        )
    return f"{machine.address} by {gateway}"


@machine_gate("proxmox.management", "anti-drift 2.3", "Is the runner made from its own network?")
def proxmox_management(case: MachineCase) -> GateOutcome:
    """By a self-hosted runner that is not the one to be made: GitHub's machines get no way into the network, whatever they are called."""
    machine = case.machine
    if not isinstance(machine, ProxmoxMachine):
        return ""
    labels = frozenset(map(str.casefold, machine.management_runner))
    own = labels - GITHUB_LABELS
    if "self-hosted" not in labels or not own:
        return GateFailure(
            "the labels could match a machine of GitHub's, or anybody's runner",
            f"management_runner {', '.join(machine.management_runner)}",
            "self-hosted and a label of the management runner's own",
            f"set lanes.{case.lane.name}.machine.management_runner",
            "runners-proxmox.md",
        )
    made = frozenset(map(str.casefold, (*case.lane.labels, case.lane.runner_ref)))
    if own <= made:
        return GateFailure(
            "the runner would have to make itself",
            f"management_runner {', '.join(machine.management_runner)}; the lane's labels {', '.join(case.lane.labels)}",
            "a label that the lane's own runner does not carry",
            f"set lanes.{case.lane.name}.machine.management_runner to a runner that stands",
            "runners-proxmox.md",
        )
    return ", ".join(machine.management_runner)
