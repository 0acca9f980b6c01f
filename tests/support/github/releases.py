"""Releases with their assets, and the tags that they are made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from tests.support.github.description import Json, example
from tests.support.github.rendering import moved
from tests.support.github.routing import Answer, Ask, Refused, not_found, route

if TYPE_CHECKING:
    from tests.support.github.repositories import Repository

REPO = "/repos/{owner}/{repo}"
HOME = f"{REPO}/releases"
READ, WRITE = "contents: read", "contents: write"


class ReleaseOptions(TypedDict, total=False):
    """How a published release differs from a plain one."""

    draft: bool
    prerelease: bool
    annotated: bool
    """Its tag is an object of its own."""
    made_of: str
    """`target_commitish`: the commit it was made of, or a branch; the commit by default."""
    immutable: bool
    """As the repository's settings have it since some day: by default."""


@dataclass(eq=False)
class Release:
    """One release; a draft is seen by those alone who may write."""

    repository: Repository = field(repr=False)
    id: int
    tag: str
    title: str
    notes: str
    draft: bool
    assets: dict[str, bytes] = field(default_factory=dict, repr=False)
    prerelease: bool = False
    made_of: str = "main"
    immutable: bool = True

    def show(self) -> Json:
        """In full."""
        url, page = f"{self.repository.url}/releases/{self.id}", f"{self.repository.page}/releases/tag/{self.tag}"
        shown: Json = moved(example("POST", HOME, 201), self.repository.state.url, repository=self.repository.full_name)
        told = {"url": url, "html_url": page, "assets_url": f"{url}/assets", "upload_url": f"{url}/assets{{?name,label}}", "id": self.id}
        told |= {"tag_name": self.tag, "name": self.title, "body": self.notes, "draft": self.draft, "prerelease": self.prerelease}
        told |= {"target_commitish": self.made_of, "immutable": self.immutable}
        return shown | told | {"assets": [self.show_asset(name) for name in self.assets]}

    def asset_id(self, name: str) -> int:
        """Of one asset, among all of the repository."""
        return self.id * 100 + list(self.assets).index(name)

    def show_asset(self, name: str) -> Json:
        """One asset."""
        seed = moved(example("POST", f"{HOME}/{{release_id}}/assets", 201), self.repository.state.url, repository=self.repository.full_name)
        content = self.assets[name]
        page = f"{self.repository.page}/releases/download/{self.tag}/{name}"
        told = {"name": name, "label": "", "size": len(content), "digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}
        told |= {"id": self.asset_id(name), "url": f"{self.repository.url}/releases/assets/{self.asset_id(name)}"}
        shown: Json = seed | told | {"browser_download_url": page}
        return shown


def releases_of(repository: Repository) -> list[Release]:
    """All of them, the oldest first."""
    return repository.releases


def publish(repository: Repository, tag: str, commit: str, options: ReleaseOptions) -> Release:
    """A release and its tag, as somebody made them before."""
    draft, prerelease, made_of = options.get("draft", False), options.get("prerelease", False), options.get("made_of", commit)
    made = Release(repository, repository.state.next_id(), tag, tag, "", draft, prerelease=prerelease, made_of=made_of)
    made.immutable = options.get("immutable", True)
    releases_of(repository).append(made)
    repository.tags[tag] = commit
    if options.get("annotated"):
        sha = hashlib.sha1(f"{tag} {commit}".encode(), usedforsecurity=False).hexdigest()
        repository.tag_objects[sha] = (tag, commit)
    return made


@route("GET", HOME, READ)
def list_releases(ask: Ask) -> Answer:
    """Newest first, drafts for those who may write."""
    seen = [each for each in reversed(releases_of(ask.repository)) if not each.draft or ask.token.may(WRITE)]
    return ask.page(seen, "", Release.show)


@route("POST", HOME, WRITE)
def make_release(ask: Ask) -> Answer:
    """422 where a published release has the tag. A tag that is not there is made of the default branch."""
    repository, tag = ask.repository, ask.body["tag_name"]
    if any(each.tag == tag and not each.draft for each in releases_of(repository)):
        raise Refused(422, "Validation Failed", [{"resource": "Release", "code": "already_exists", "field": "tag_name"}])
    draft = ask.body.get("draft", False)
    made = Release(repository, ask.state.next_id(), tag, ask.body.get("name", tag), ask.body.get("body", ""), draft)
    made.made_of = ask.body.get("target_commitish", repository.default_branch)
    if not draft:
        repository.tags.setdefault(tag, repository.head)
    releases_of(repository).append(made)
    return Answer(201, made.show())


@route("GET", f"{HOME}/tags/{{tag}}", READ)
def get_by_tag(ask: Ask) -> Answer:
    """A published one."""
    for each in releases_of(ask.repository):
        if each.tag == ask.values["tag"] and not each.draft:
            return Answer(200, each.show())
    raise not_found()


@route("PATCH", f"{HOME}/{{release_id}}", WRITE)
def change(ask: Ask) -> Answer:
    """Publish a draft: from then on its tag is taken."""
    found = _release(ask)
    found.draft = ask.body.get("draft", found.draft)
    if not found.draft:
        found.repository.tags.setdefault(found.tag, found.repository.head)
    return Answer(200, found.show())


@route("POST", f"{HOME}/{{release_id}}/assets", WRITE)
def upload(ask: Ask) -> Answer:
    """The body is the file."""
    found, name = _release(ask), ask.query["name"]
    if name in found.assets:
        raise Refused(422, "Validation Failed", [{"resource": "ReleaseAsset", "code": "already_exists", "field": "name"}])
    found.assets[name] = ask.body
    return Answer(201, found.show_asset(name))


@route("GET", f"{HOME}/assets/{{asset_id}}", READ)
def get_asset(ask: Ask) -> Answer:
    """The file itself where bytes are accepted."""
    for each in releases_of(ask.repository):
        for name, content in each.assets.items():
            if each.asset_id(name) == ask.number("asset_id"):
                binary = "octet-stream" in ask.accept
                return Answer(200, raw=content, media="application/octet-stream") if binary else Answer(200, each.show_asset(name))
    raise not_found()


@route("GET", f"{REPO}/commits/{{ref}}", READ)
def get_commit(ask: Ask) -> Answer:
    """What a branch, tag or SHA names."""
    shown = moved(example("GET", f"{REPO}/commits/{{ref}}"), ask.state.url, repository=ask.repository.full_name)
    return Answer(200, shown | {"sha": ask.repository.resolve(ask.values["ref"]), "files": []})


@route("GET", f"{REPO}/git/ref/{{ref}}", READ)
def get_reference(ask: Ask) -> Answer:
    return Answer(200, _reference(ask, _tag(ask.values["ref"])))


@route("POST", f"{REPO}/git/refs", WRITE)
def make_reference(ask: Ask) -> Answer:
    tag = _tag(ask.body["ref"].removeprefix("refs/"))
    if tag in ask.repository.tags:
        raise Refused(422, "Reference already exists")
    ask.repository.tags[tag] = ask.body["sha"]
    return Answer(201, _reference(ask, tag))


@route("PATCH", f"{REPO}/git/refs/{{ref}}", WRITE)
def move_reference(ask: Ask) -> Answer:
    """What is no fast-forward needs `force`; no history is kept here, so every move does."""
    tag = _tag(ask.values["ref"])
    if tag not in ask.repository.tags:
        raise Refused(422, "Reference does not exist")
    if not ask.body.get("force"):
        raise Refused(422, "Update is not a fast forward")
    ask.repository.tags[tag] = ask.body["sha"]
    return Answer(200, _reference(ask, tag))


def _tag(ref: str) -> str:
    if not ref.startswith("tags/"):
        raise not_found()
    return ref.removeprefix("tags/")


def _reference(ask: Ask, tag: str) -> Json:
    if tag not in ask.repository.tags:
        raise not_found()
    sha, url = ask.repository.tags[tag], ask.repository.url
    objects = [name for name, of in ask.repository.tag_objects.items() if of == (tag, sha)]
    kind, sha = ("tag", objects[0]) if objects else ("commit", sha)
    target = {"type": kind, "sha": sha, "url": f"{url}/git/{kind}s/{sha}"}
    return {"ref": f"refs/tags/{tag}", "node_id": "REF_1", "url": f"{url}/git/refs/tags/{tag}", "object": target}


def _release(ask: Ask) -> Release:
    for each in releases_of(ask.repository):
        if each.id == ask.number("release_id"):
            return each
    raise not_found()
