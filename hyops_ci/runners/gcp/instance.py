"""The machine as it is ordered, and as Compute Engine shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from hyops_ci.contracts.base import stamp
from hyops_ci.runners import troubles
from hyops_ci.runners.gcp.logins import metadata_of
from hyops_ci.runners.gcp.site import Site
from hyops_ci.runners.ports import Machine, MachineOrder, MachineState

if TYPE_CHECKING:
    from google.cloud import compute_v1

SCOPE: Final = "https://www.googleapis.com/auth/userinfo.email"
"""All that a token of the machine's own account is good for: it says who it is."""
REQUEST_LABEL: Final = "dr-request"
STATES: Final = {
    "PROVISIONING": MachineState.STARTING,
    "STAGING": MachineState.STARTING,
    "REPAIRING": MachineState.STARTING,
    "PENDING": MachineState.STARTING,
    "RUNNING": MachineState.RUNNING,
    "PENDING_STOP": MachineState.STOPPED,
    "STOPPING": MachineState.STOPPED,
    "TERMINATED": MachineState.STOPPED,
    "STOPPED": MachineState.STOPPED,
    "SUSPENDING": MachineState.STOPPED,
    "SUSPENDED": MachineState.STOPPED,
    "DEPROVISIONING": MachineState.STOPPED,
}
"""One word of ours for each of theirs."""


def ordered(site: Site, zone: str, order: MachineOrder) -> compute_v1.Instance:
    """Return the machine to ask for in a zone: no way in from outside, firmware that is checked, keys in its own metadata alone."""
    from hyops_ci.runners.gcp.clients import compute_v1

    machine, labels = site.machine, {**order.owner.labels(), REQUEST_LABEL: order.request_id}
    disk = compute_v1.AttachedDisk(
        boot=True,
        auto_delete=True,
        initialize_params=compute_v1.AttachedDiskInitializeParams(
            source_image=machine.image,
            disk_size_gb=machine.disk_gb,
            disk_type=f"projects/{site.project}/zones/{zone}/diskTypes/pd-balanced",
            labels=labels,
        ),
    )
    return compute_v1.Instance(
        name=order.name,
        description=f"standing runner {order.owner.runner_ref} of repository {order.owner.repository_id}, made by dr-dispatch",
        machine_type=f"zones/{zone}/machineTypes/{machine.machine_type}",
        labels=labels,
        tags=compute_v1.Tags(items=list(machine.tags)),
        disks=[disk],
        network_interfaces=[compute_v1.NetworkInterface(network=site.network, subnetwork=site.subnetwork, stack_type="IPV4_ONLY")],
        service_accounts=[compute_v1.ServiceAccount(email=machine.service_account, scopes=[SCOPE])],
        shielded_instance_config=compute_v1.ShieldedInstanceConfig(
            enable_secure_boot=True, enable_vtpm=True, enable_integrity_monitoring=True
        ),
        scheduling=compute_v1.Scheduling(automatic_restart=True, on_host_maintenance="MIGRATE", preemptible=False),
        metadata=metadata_of(site, order),
    )


def shown(site: Site, zone: str, found: compute_v1.Instance) -> Machine:
    """Return a machine as it is, whoever owns it. Raises a Fault where the answer says nothing that is known."""
    resource = site.resource(zone, found.name)
    if found.status not in STATES or not found.id or not found.zone.endswith(f"/{zone}"):
        raise troubles.nonsense(resource, f"status {found.status or 'none'}, id {found.id}, zone {found.zone or 'none'}")
    try:
        made = stamp(datetime.fromisoformat(found.creation_timestamp).astimezone(UTC).replace(microsecond=0))
    except ValueError:
        raise troubles.nonsense(resource, f"made at {found.creation_timestamp}") from None
    return Machine(
        name=found.name,
        state=STATES[found.status],
        id=str(found.id),
        place=zone,
        address=next((each.network_i_p for each in found.network_interfaces), ""),
        outside=next((way.nat_i_p for each in found.network_interfaces for way in each.access_configs if way.nat_i_p), ""),
        created_at=made,
        labels=dict(found.labels),
        words=found.status,
    )
