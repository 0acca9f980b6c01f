"""What Compute Engine does after it has answered: operations, waited for through clients of our own, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from hyops_ci.dataclass import dataclass
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.gcp.cloud import Cloud, every

if TYPE_CHECKING:
    from google.cloud import compute_v1

    Look: TypeAlias = Callable[[str], compute_v1.Operation]

STEP: Final = 2.0
"""Seconds before the second look at an operation; each further one waits half as long again, up to `LONGEST`."""
LONGEST: Final = 10.0
NO_ROOM: Final = frozenset(
    {"ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "RESOURCE_POOL_EXHAUSTED", "STOCKOUT"}
)
"""Another zone may have room."""
NO_QUOTA: Final = frozenset({"QUOTA_EXCEEDED", "LIMIT_EXCEEDED"})
NO_PERMISSION: Final = frozenset({"PERMISSIONS_ERROR", "SERVICE_ACCOUNT_ACCESS_DENIED", "FORBIDDEN"})
ITS_OWN: Final = frozenset({"INTERNAL_ERROR", "BACKEND_ERROR", "TIMEOUT", "UNAVAILABLE", "RATE_LIMIT_EXCEEDED"})


class NoRoom(Exception):
    """The zone has no room for the machine; the operation has ended."""


@dataclass(frozen=True)
class Operations:
    """Looks at operations until they end."""

    cloud: Cloud

    def inserting(self, zone: str, name: str) -> compute_v1.Operation | None:
        """Return the operation that makes a machine of this name in the zone and has not ended; None where there is none."""
        from hyops_ci.runners.gcp.clients import compute_v1

        site = self.cloud.site
        only = '(operationType = "insert") AND (status != "DONE")'  # the machine's name would need a pattern, which is not combined
        request = compute_v1.ListZoneOperationsRequest(project=site.project, zone=zone, filter=only)
        listed = self.cloud.ask(site.resource(zone, name), every(self.cloud.zone_operations.list), request)
        done = compute_v1.Operation.Status.DONE
        its = [each for each in listed if each.target_link.endswith(f"/instances/{name}")]
        return next((each for each in its if each.operation_type == "insert" and each.status != done), None)

    def in_zone(self, resource: str, zone: str, operation: compute_v1.Operation, until: Deadline) -> bool:
        """Return whether the operation has ended well by then; False: it has not ended. Raises NoRoom, a Refusal or a Fault."""
        from hyops_ci.runners.gcp.clients import compute_v1

        def look(name: str) -> compute_v1.Operation:
            request = compute_v1.GetZoneOperationRequest(project=self.cloud.site.project, zone=zone, operation=name)
            return self.cloud.ask(f"{resource}, operation {name}", self.cloud.zone_operations.get, request)

        return _ended(resource, operation, look, until)

    def in_region(self, resource: str, operation: compute_v1.Operation, until: Deadline) -> bool:
        """Return whether an operation of the network's project has ended well by then; False: it has not ended."""
        from hyops_ci.runners.gcp.clients import compute_v1

        site = self.cloud.site

        def look(name: str) -> compute_v1.Operation:
            request = compute_v1.GetRegionOperationRequest(project=site.network_project, region=site.region, operation=name)
            return self.cloud.ask(f"{resource}, operation {name}", self.cloud.region_operations.get, request)

        return _ended(resource, operation, look, until)


def _ended(resource: str, operation: compute_v1.Operation, look: Look, until: Deadline) -> bool:
    from hyops_ci.runners.gcp.clients import compute_v1

    if not operation.name:
        raise troubles.nonsense(resource, "an operation without a name")
    name, step = operation.name, STEP
    while operation.status != compute_v1.Operation.Status.DONE:
        if not until.pause(step):
            return False
        step = min(step * 1.5, LONGEST)
        operation = look(name)
    for each in operation.error.errors:
        raise _meant(resource, each.code, each.message)
    return True


def _meant(resource: str, code: str, message: str) -> Exception:
    words = f"{code}: {message}"
    if code in NO_ROOM:
        return NoRoom(words)
    if code in NO_QUOTA:
        return troubles.quota(resource, words)
    if code in NO_PERMISSION:
        return troubles.permission(resource, words)
    if code in ITS_OWN:
        return troubles.no_answer(resource, words)
    return troubles.unmakeable(resource, words)
