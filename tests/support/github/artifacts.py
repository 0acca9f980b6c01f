"""Artifacts: listed, and downloaded from a signed address that takes no token."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.github.description import Json
from tests.support.github.routing import Answer, Ask, Refused, not_found, route

if TYPE_CHECKING:
    from tests.support.github.runs import Run
    from tests.support.github.state import State

REPO = "/repos/{owner}/{repo}"
SIGNED = "/_storage/"
STORAGE = f"GET {SIGNED}{{artifact}}"
"""Where the bytes lie, in real life on another host, and how faults and calls name it."""


@dataclass(eq=False)
class Artifact:
    """One artifact; `data` is the zip."""

    run: Run = field(repr=False)
    id: int
    name: str
    data: bytes = field(repr=False)
    created_at: str
    expires_at: str
    digest: str | None = ""
    expired: bool = False

    @property
    def signed(self) -> str:
        """The path of the signed address."""
        return f"{SIGNED}{self.id}/{hashlib.sha256(b'%d' % self.id).hexdigest()[:24]}"

    def show(self) -> Json:
        """In full."""
        url = f"{self.run.repository.url}/actions/artifacts/{self.id}"
        origin = {"id": self.run.id, "repository_id": self.run.repository.id, "head_repository_id": self.run.repository.id}
        return {
            "id": self.id,
            "node_id": f"A_{self.id}",
            "name": self.name,
            "size_in_bytes": len(self.data),
            "url": url,
            "archive_download_url": f"{url}/zip",
            "expired": self.expired,
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "expires_at": self.expires_at,
            "digest": self.digest,
            "workflow_run": origin | {"head_branch": self.run.branch, "head_sha": self.run.sha},
        }


def make_artifact(run: Run, name: str, files: dict[str, bytes], **changes: Any) -> Artifact:
    """The body of `Run.add_artifact`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    state = run.repository.state
    made = Artifact(run, state.next_id(), name, packed.getvalue(), state.stamp(), state.stamp(after=90 * 86400))
    made.digest = f"sha256:{hashlib.sha256(made.data).hexdigest()}"
    for field_name, value in changes.items():
        setattr(made, field_name, value)
    run.artifacts.append(made)
    return made


def stored(state: State, path: str) -> Answer:
    """The bytes behind a signed address. Raises 403 for one that nobody signed."""
    for repository in state.repositories.values():
        for artifact in (artifact for run in repository.runs.values() for artifact in run.artifacts):
            if artifact.signed == path:
                return Answer(200, raw=artifact.data, media="application/zip")
    raise Refused(403, "Server failed to authenticate the request.")


@route("GET", f"{REPO}/actions/runs/{{run_id}}/artifacts", "actions: read")
def list_of_run(ask: Ask) -> Answer:
    return _page(ask, ask.run.artifacts)


@route("GET", f"{REPO}/actions/artifacts", "actions: read")
def list_of_repository(ask: Ask) -> Answer:
    return _page(ask, [artifact for run in ask.repository.runs.values() for artifact in run.artifacts])


@route("GET", f"{REPO}/actions/artifacts/{{artifact_id}}", "actions: read")
def get_artifact(ask: Ask) -> Answer:
    return Answer(200, _artifact(ask).show())


@route("GET", f"{REPO}/actions/artifacts/{{artifact_id}}/{{archive_format}}", "actions: read")
def download(ask: Ask) -> Answer:
    artifact = _artifact(ask)
    if ask.values["archive_format"] != "zip":
        raise not_found()
    if artifact.expired:
        raise Refused(410, "Artifact has expired")
    # Another host as far as a client can see, as in real life: whoever follows must leave the token behind.
    return Answer(302, headers={"Location": ask.state.url.replace("127.0.0.1", "localhost") + artifact.signed})


def _page(ask: Ask, artifacts: list[Artifact]) -> Answer:
    """Newest first; `name` is exact."""
    found = [artifact for artifact in reversed(artifacts) if ask.query.get("name", artifact.name) == artifact.name]
    return ask.page(found[::-1] if ask.query.get("direction") == "asc" else found, "artifacts", Artifact.show)


def _artifact(ask: Ask) -> Artifact:
    for run in ask.repository.runs.values():
        for artifact in run.artifacts:
            if artifact.id == ask.number("artifact_id"):
                return artifact
    raise not_found()
