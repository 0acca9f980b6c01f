"""The evidence manifest and its in-toto statement (docs/design/contracts.md 7)."""

from typing import Annotated, Literal

from pydantic import Field

from hyops_ci.contracts.base import Clean, Count, Digest, Document, Model, RunId, ServiceId, Text, Utc
from hyops_ci.contracts.run import State

PREDICATE = "https://hybridops.tech/attestations/dr-run/v1"
STATEMENT_PAYLOAD = "application/vnd.in-toto+json"

MemberPath = Annotated[str, Text(r"^[A-Za-z0-9_.-]{1,100}(/[A-Za-z0-9_.#-]{1,100}){0,8}$")]


class Entry(Model):
    """One file of a bundle."""

    path: MemberPath
    bytes: Count
    sha256: Digest


class Manifest(Document):
    """Every file of a bundle, sorted by path; the manifest and its envelope are not among them."""

    kind: Literal["Manifest"] = "Manifest"
    run_id: RunId
    service: ServiceId | None = None
    outcome: State
    created_at: Utc
    tool_version: Clean
    last_event: Digest
    """Hash of the last event, so that the chain cannot be shortened."""
    previous_bundle: Digest | None = None
    """Of the same service, from the ledger."""
    files: Annotated[tuple[Entry, ...], Field(max_length=10_000)]
