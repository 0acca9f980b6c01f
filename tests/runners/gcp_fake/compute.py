"""Compute Engine with a memory: machines, their operations, routers. Time is the clock of the test."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hyops_ci.contracts.base import stamp
from tests.runners.gcp_fake.answers import Answer, denied, not_found
from tests.runners.gcp_fake.discovery import Call
from tests.runners.world import Trouble
from tests.support.clock import Clock

ROOT = "https://www.googleapis.com/compute/v1"
CHANGES = re.compile(r"\.(insert|delete|start|resume|setMetadata|patch)$")
LABEL = re.compile(r'labels\.([a-z0-9_-]+) = "([^"]*)"')


@dataclass
class Operation:
    """Something that takes time, and how it ends."""

    name: str
    kind: str
    scope: str
    target: str
    done_at: float | None
    error: tuple[str, str] | None = None
    project: str = ""


@dataclass
class Box:
    """A machine: the resource as it was sent, and when it becomes what."""

    project: str
    zone: str
    resource: dict[str, Any]
    shown_at: float
    running_at: float | None
    gone_at: float | None = None
    stands: str = ""
    """A state that it stays in until something is asked of it."""
    keys: tuple[str, ...] = ()
    console: str = ""


@dataclass
class Compute:
    """The service's state."""

    clock: Clock
    troubles: set[Trouble]
    boxes: list[Box] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    routers: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(4_207_114_938_300_119_001))
    first_zone: str = ""

    def answer(self, call: Call) -> dict[str, Any]:
        """Return what the service answers. Raises Answer for an error."""
        if Trouble.DENIED in self.troubles and CHANGES.search(call.id):
            raise denied(call.id, call.path.get("instance", call.path["project"]))
        handler = getattr(self, "_" + call.id.removeprefix("compute.").replace(".", "_"), None)
        if handler is None:
            raise Answer(501, f"{call.id} is not in this fake")
        return dict(handler(call))

    # ------------------------------------------------------------------------------------------------ machines

    def _instances_get(self, call: Call) -> dict[str, Any]:
        return self._shown(self._box(call))

    def _instances_list(self, call: Call) -> dict[str, Any]:
        """Pages of one, so that whoever reads the first only is noticed."""
        wanted = dict(LABEL.findall(call.query.get("filter", "")))
        found = [
            self._shown(box)
            for box in self._here(call.path["project"], call.path["zone"])
            if wanted.items() <= box.resource.get("labels", {}).items()
        ]
        at = int(call.query.get("pageToken", "0"))
        more = {"nextPageToken": str(at + 1)} if at + 1 < len(found) else {}
        return {"kind": "compute#instanceList", "id": "list", "items": found[at : at + 1], **more}

    def _instances_insert(self, call: Call) -> dict[str, Any]:
        project, zone, body, now = call.path["project"], call.path["zone"], call.body, self.clock.seconds
        if (known := self.requests.get(call.query.get("requestId", ""))) is not None:
            return self._operation(self.operations[known])
        if any(box.resource["name"] == body["name"] for box in self._all(project, zone)):
            raise Answer(409, f"The resource 'projects/{project}/zones/{zone}/instances/{body['name']}' already exists", "alreadyExists")
        if Trouble.BAD_ORDER in self.troubles:
            raise not_found(body["disks"][0]["initializeParams"]["sourceImage"])
        error = self._why_not(zone)
        late, never, halfway = (each in self.troubles for each in (Trouble.LATE, Trouble.NEVER, Trouble.HALFWAY))
        ends = None if never else now + (90 if Trouble.SLOW in self.troubles else 40 if late else 10)
        operation = self._begin(
            "insert", project, f"zones/{zone}", f"projects/{project}/zones/{zone}/instances/{body['name']}", ends, error
        )
        self.requests[call.query.get("requestId", operation.name)] = operation.name
        box = self.box(project, zone, body, running_at=None if never or halfway or error else (ends or 0) + 5)
        box.shown_at = now + 20 if late else float("inf") if never else now
        box.gone_at = ends if error else None
        box.console = "error: no such device\ngrub rescue>" if halfway else ""
        return self._operation(operation)

    def _why_not(self, zone: str) -> tuple[str, str] | None:
        if Trouble.QUOTA in self.troubles:
            return "QUOTA_EXCEEDED", "Quota 'CPUS' exceeded.  Limit: 8.0 in region europe-west1."
        if Trouble.NO_ROOM_ANYWHERE in self.troubles or (Trouble.NO_ROOM in self.troubles and zone == self.first_zone):
            return "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", f"The zone '{zone}' does not have enough resources available."
        return None

    def _instances_start(self, call: Call) -> dict[str, Any]:
        box = self._box(call)
        if self._status(box) not in {"TERMINATED", "RUNNING"}:
            raise Answer(400, f"Instance is {self._status(box)}", "resourceNotReady")
        return self._wake(box, "start")

    def _instances_resume(self, call: Call) -> dict[str, Any]:
        return self._wake(self._box(call), "resume")

    def _wake(self, box: Box, kind: str) -> dict[str, Any]:
        ends = self.clock.seconds + (90 if Trouble.SLOW in self.troubles else 10)
        if self._status(box) != "RUNNING":
            box.stands, box.running_at = "", None if Trouble.HALFWAY in self.troubles else ends
        return self._operation(self._begin(kind, box.project, f"zones/{box.zone}", self._name(box), ends))

    def _instances_delete(self, call: Call) -> dict[str, Any]:
        box, ends = self._box(call), self.clock.seconds + 15
        box.gone_at, box.stands = ends, "STOPPING"
        return self._operation(self._begin("delete", box.project, f"zones/{box.zone}", self._name(box), ends))

    def _instances_setMetadata(self, call: Call) -> dict[str, Any]:  # noqa: N802 - Google's name
        box = self._box(call)
        metadata = box.resource.get("metadata", {})
        if call.body.get("fingerprint") != metadata.get("fingerprint"):
            raise Answer(412, "Supplied fingerprint does not match current metadata fingerprint.", "conditionNotMet")
        box.resource["metadata"] = {**call.body, "fingerprint": self._fingerprint(), "kind": "compute#metadata"}
        return self._operation(self._begin("setMetadata", box.project, f"zones/{box.zone}", self._name(box), self.clock.seconds + 3))

    def _instances_getSerialPortOutput(self, call: Call) -> dict[str, Any]:  # noqa: N802 - Google's name
        return {"kind": "compute#serialPortOutput", "contents": self._box(call).console, "start": "0", "next": "0"}

    def _instances_getGuestAttributes(self, call: Call) -> dict[str, Any]:  # noqa: N802 - Google's name
        box = self._box(call)
        enabled = {each["key"]: each["value"] for each in box.resource.get("metadata", {}).get("items", [])}
        if not box.keys or enabled.get("enable-guest-attributes") != "TRUE":
            raise not_found("hostkeys/")
        items = [{"namespace": "hostkeys", "key": key.split()[0], "value": key.split()[1]} for key in box.keys]
        return {"kind": "compute#guestAttributes", "queryPath": "hostkeys/", "queryValue": {"items": items}}

    # ------------------------------------------------------------------------------------- operations and routers

    def _zoneOperations_get(self, call: Call) -> dict[str, Any]:  # noqa: N802 - Google's name
        return self._found_operation(call, f"zones/{call.path['zone']}")

    def _regionOperations_get(self, call: Call) -> dict[str, Any]:  # noqa: N802 - Google's name
        return self._found_operation(call, f"regions/{call.path['region']}")

    def _found_operation(self, call: Call, scope: str) -> dict[str, Any]:
        found = self.operations.get(call.path["operation"])
        if found is None or found.scope != scope or found.project != call.path["project"]:
            raise not_found(call.path["operation"])
        return self._operation(found)

    def _zoneOperations_list(self, call: Call) -> dict[str, Any]:  # noqa: N802 - Google's name
        wanted = call.query.get("filter", "")
        assert 'operationType = "insert"' in wanted
        assert 'status != "DONE"' in wanted
        found = [
            self._operation(each)
            for each in self.operations.values()
            if (each.kind, each.scope, each.project) == ("insert", f"zones/{call.path['zone']}", call.path["project"])
            and not self._ended(each)
        ]
        return {"kind": "compute#operationList", "id": "list", "items": found}

    def _routers_get(self, call: Call) -> dict[str, Any]:
        key = (call.path["project"], call.path["region"], call.path["router"])
        if key not in self.routers:
            raise not_found("/".join(key))
        return copy.deepcopy(self.routers[key])

    def _routers_insert(self, call: Call) -> dict[str, Any]:
        key = (call.path["project"], call.path["region"], call.body["name"])
        if key in self.routers:
            raise Answer(409, f"The resource '{'/'.join(key)}' already exists", "alreadyExists")
        self.routers[key] = {
            **call.body,
            "network": f"{ROOT}/{call.body['network']}",
            "kind": "compute#router",
            "id": str(next(self.numbers)),
        }
        return self._router_changed("insert", key)

    def _routers_patch(self, call: Call) -> dict[str, Any]:
        key = (call.path["project"], call.path["region"], call.path["router"])
        if key not in self.routers:
            raise not_found("/".join(key))
        self.routers[key].update(call.body)
        return self._router_changed("patch", key)

    def _router_changed(self, kind: str, key: tuple[str, str, str]) -> dict[str, Any]:
        target = f"projects/{key[0]}/regions/{key[1]}/routers/{key[2]}"
        return self._operation(self._begin(kind, key[0], f"regions/{key[1]}", target, self.clock.seconds + 8))

    # ------------------------------------------------------------------------------------------------- memory

    def box(self, project: str, zone: str, body: dict[str, Any], running_at: float | None) -> Box:
        """Keep a machine."""
        resource = {
            **copy.deepcopy(body),
            "kind": "compute#instance",
            "id": str(next(self.numbers)),
            "creationTimestamp": stamp(self.clock.now()).replace("Z", ".123-00:00"),
            "zone": f"{ROOT}/projects/{project}/zones/{zone}",
            "selfLink": f"{ROOT}/projects/{project}/zones/{zone}/instances/{body['name']}",
        }
        resource.setdefault("metadata", {})["fingerprint"] = self._fingerprint()
        for number, interface in enumerate(resource.setdefault("networkInterfaces", [{}])):
            interface["networkIP"] = f"10.20.{number}.{2 + len(self.boxes)}"
        made = Box(project, zone, resource, self.clock.seconds, running_at)
        self.boxes.append(made)
        return made

    def there(self) -> list[Box]:
        """Return the machines that have not gone, shown or not."""
        self.boxes = [box for box in self.boxes if box.gone_at is None or box.gone_at > self.clock.seconds]
        return self.boxes

    def _all(self, project: str, zone: str) -> list[Box]:
        return [box for box in self.there() if (box.project, box.zone) == (project, zone)]

    def _here(self, project: str, zone: str) -> list[Box]:
        return [box for box in self._all(project, zone) if box.shown_at <= self.clock.seconds]

    def _box(self, call: Call) -> Box:
        for box in self._here(call.path["project"], call.path["zone"]):
            if box.resource["name"] == call.path["instance"]:
                return box
        raise not_found(f"projects/{call.path['project']}/zones/{call.path['zone']}/instances/{call.path['instance']}")

    def _name(self, box: Box) -> str:
        return f"projects/{box.project}/zones/{box.zone}/instances/{box.resource['name']}"

    def _status(self, box: Box) -> str:
        if box.stands:
            return box.stands
        if box.running_at is None:
            return "STAGING"
        return "RUNNING" if box.running_at <= self.clock.seconds else "PROVISIONING"

    def _shown(self, box: Box) -> dict[str, Any]:
        return {**copy.deepcopy(box.resource), "status": self._status(box)}

    def _fingerprint(self) -> str:
        return f"fp{next(self.numbers)}="

    def _begin(
        self, kind: str, project: str, scope: str, target: str, done_at: float | None, error: tuple[str, str] | None = None
    ) -> Operation:
        made = Operation(f"operation-{next(self.numbers)}", kind, scope, target, done_at, error, project)
        self.operations[made.name] = made
        return made

    def _ended(self, operation: Operation) -> bool:
        return operation.done_at is not None and operation.done_at <= self.clock.seconds

    def _operation(self, operation: Operation) -> dict[str, Any]:
        place, _, _ = operation.scope.partition("/")
        shown: dict[str, Any] = {
            "kind": "compute#operation",
            "id": operation.name.rpartition("-")[2],
            "name": operation.name,
            "operationType": operation.kind,
            "status": "DONE" if self._ended(operation) else "RUNNING",
            "targetLink": f"{ROOT}/{operation.target}",
            place.rstrip("s"): f"{ROOT}/projects/{operation.project}/{operation.scope}",
            "progress": 100 if self._ended(operation) else 0,
        }
        if operation.error and self._ended(operation):
            code, message = operation.error
            shown |= {
                "error": {"errors": [{"code": code, "message": message}]},
                "httpErrorStatusCode": 503,
                "httpErrorMessage": "UNAVAILABLE",
            }
        return shown


def expires(entry: str) -> datetime | None:
    """Return when a key in the metadata stops to count, by Google's comment."""
    found = re.search(r'"expireOn":"([^"]+)"', entry)
    return datetime.fromisoformat(found[1]) if found else None
