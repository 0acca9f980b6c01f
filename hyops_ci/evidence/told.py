"""What a bundle tells: its documents as far as they could be read, and its events. Whether they agree is `story`'s question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.manifest import Manifest
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import Event, Result, State
from hyops_ci.dataclass import dataclass
from hyops_ci.evidence.approved import approvals_in
from hyops_ci.evidence.conclusions import deploy_in
from hyops_ci.parsing.documents import read_json
from hyops_ci.parsing.strict_json import JsonError


@dataclass(frozen=True)
class Story:
    """The documents of a bundle as far as they could be read, and what its events tell."""

    manifest: Manifest
    contents: Mapping[str, bytes | None]
    events: Sequence[Event]
    """In order, without the notes that no document is compared with."""
    begun: str
    """Time of the first event."""
    changed: frozenset[str]
    """Files from which a secret was removed: their texts are compared with nothing."""
    plan: Plan | None
    check: Check | None
    claim: Claim | None
    result: Result

    @property
    def approvals(self) -> list[Approval]:
        """The approvals that counted."""
        return [each for each in approvals_in(self.contents).values() if each is not None]

    @property
    def deploy(self) -> dict[str, Any] | None:
        """The data of HyOps' last end, as execute judged it."""
        return dict(deploy_in(self.events)) or None

    def entered(self, state: State, stage: str) -> bool:
        """Return whether this stage entered the state itself."""
        return any(event.kind == "transition" and event.name == state and event.stage == stage for event in self.events)

    def left(self) -> dict[str, Any]:
        """Return the files that a stage says it wrote with the state that it entered, by name with their digests."""
        said = [event.data.get("left") for event in self.events if event.kind == "transition"]
        return {str(name): digest for each in said if isinstance(each, dict) for name, digest in each.items()}

    def sha256(self, name: str) -> str | None:
        """Return the digest of a file, None where there is none, or a secret was removed from it."""
        found = next((entry.sha256 for entry in self.manifest.files if entry.path == name), None)
        return found if name not in self.changed else None

    def texts_changed(self, *names: str) -> bool:
        """Return whether a secret was removed from one of these files, from the result or from the events of execute."""
        return bool({"result.json", "parts/execute/events.jsonl", *names} & self.changed)

    @property
    def probes(self) -> list[Mapping[str, Any]]:
        """What the probes saw, as far as it can be read."""
        found = self.json("probes.json")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def json(self, name: str) -> object:
        """Return the JSON value of a file; None for one that is not there, or cannot be read."""
        try:
            return read_json(self.contents.get(name) or b"null")
        except JsonError:
            return None
