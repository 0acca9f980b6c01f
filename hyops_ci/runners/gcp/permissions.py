"""What the account of the bootstrap must be allowed: for each call that is made here, what Google asks for (docs/runners-gcp.md)."""

from __future__ import annotations

from typing import Final

CALLS: Final[dict[str, tuple[str, ...]]] = {
    "sts.token": (),
    "iamcredentials.projects.serviceAccounts.generateAccessToken": ("iam.serviceAccounts.getAccessToken",),
    "compute.instances.get": ("compute.instances.get",),
    "compute.instances.list": ("compute.instances.list",),
    "compute.instances.insert": (
        "compute.disks.create",
        "compute.disks.setLabels",
        "compute.instances.create",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.instances.setServiceAccount",
        "compute.instances.setTags",
        "compute.subnetworks.use",
        "iam.serviceAccounts.actAs",
    ),
    "compute.instances.start": ("compute.instances.start",),
    "compute.instances.resume": ("compute.instances.resume",),
    "compute.instances.delete": ("compute.instances.delete", "compute.disks.delete"),
    "compute.instances.setMetadata": ("compute.instances.setMetadata", "iam.serviceAccounts.actAs"),
    "compute.instances.getSerialPortOutput": ("compute.instances.getSerialPortOutput",),
    "compute.instances.getGuestAttributes": ("compute.instances.getGuestAttributes",),
    "compute.zoneOperations.get": ("compute.zoneOperations.get",),
    "compute.zoneOperations.list": ("compute.zoneOperations.list",),
    "compute.routers.get": ("compute.routers.get",),
    "compute.routers.insert": ("compute.routers.create", "compute.networks.updatePolicy"),
    "compute.routers.patch": ("compute.routers.update", "compute.networks.updatePolicy"),
    "compute.regionOperations.get": ("compute.regionOperations.get",),
    "oslogin.users.getLoginProfile": (),
    "oslogin.users.importSshPublicKey": (),
    "oslogin.users.sshPublicKeys.delete": (),
    "iap.tunnel.connect": ("iap.tunnelInstances.accessViaIAP",),
}
"""By Google's own name of the method. An account needs no permission for its own OS Login profile."""
BY_POLICY: Final = frozenset({"iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.actAs", "iap.tunnelInstances.accessViaIAP"})
"""Granted on one account or tunnel, not by the role on the project."""
NAT: Final = ("compute.routers.get", "compute.routers.insert", "compute.routers.patch", "compute.regionOperations.get")
"""Calls in the host project, for the way out. The last three are made only with `nat.make: true`."""
USE_SUBNETWORK: Final = "compute.subnetworks.use"
"""Granted on the subnetwork, in the host project."""


def machine_role() -> list[str]:
    """Return what the role on the machine's project has."""
    needed = {each for call, permissions in CALLS.items() if call not in NAT for each in permissions}
    return sorted(needed - BY_POLICY - {USE_SUBNETWORK})


def nat_role(*, makes: bool) -> list[str]:
    """Return what the role on the host project has: to look at the way out, or to make it as well."""
    return sorted({each for call in (NAT if makes else NAT[:1]) for each in CALLS[call]})
