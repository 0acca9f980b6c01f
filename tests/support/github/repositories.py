"""Repositories, their branches with what protects them, and files at a commit."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.github.description import Json, example
from tests.support.github.environments import Environment, Protection, make_environment
from tests.support.github.rendering import moved
from tests.support.github.routing import Answer, Ask, Refused, not_found, route
from tests.support.github.runs import Run, make_run
from tests.support.github.workflows import Workflow, make_workflow

if TYPE_CHECKING:
    from typing import Unpack

    from tests.support.github.accounts import Account
    from tests.support.github.releases import Release, ReleaseOptions
    from tests.support.github.runners import Runner
    from tests.support.github.runs import RunOptions
    from tests.support.github.state import State

Tree = Mapping[str, bytes]


@dataclass
class Branch:
    """A branch: where it points, and what guards it."""

    name: str
    sha: str
    protected: bool = False
    """Classic protection, or a ruleset: GitHub says `protected: true` for both."""
    rules: list[Json] = field(default_factory=list)
    """What `GET rules/branches` lists; see `pull_request_rule`."""


def pull_request_rule(*, reviews: int = 1, code_owners: bool = True, dismiss_stale: bool = True, last_push: bool = True) -> Json:
    """The rule that a change comes by a pull request."""
    parameters = {
        "required_approving_review_count": reviews,
        "require_code_owner_review": code_owners,
        "dismiss_stale_reviews_on_push": dismiss_stale,
        "require_last_push_approval": last_push,
        "required_review_thread_resolution": False,
        "allowed_merge_methods": ["squash"],
    }
    return {"type": "pull_request", "parameters": parameters}


def plain_rule(kind: str) -> Json:
    """A rule without parameters: `deletion`, `non_fast_forward`, `required_linear_history`, `required_signatures`."""
    return {"type": kind}


@dataclass(eq=False)
class Repository:
    """One repository; made by `State.add_repository`."""

    state: State = field(repr=False)
    id: int
    name: str
    owner: Account
    private: bool
    default_branch: str = "main"
    archived: bool = False
    branches: dict[str, Branch] = field(default_factory=dict, repr=False)
    tags: dict[str, str] = field(default_factory=dict, repr=False)
    trees: dict[str, Tree] = field(default_factory=dict, repr=False)
    """Files of each commit."""
    parents: dict[str, str] = field(default_factory=dict, repr=False)
    """Commit -> the one before it; the first of a repository has none."""
    releases: list[Release] = field(default_factory=list, repr=False)
    """Newest last."""
    tag_objects: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    """Annotated tags by their SHA: name and commit."""
    environments: dict[str, Environment] = field(default_factory=dict, repr=False)
    workflows: list[Workflow] = field(default_factory=list, repr=False)
    runs: dict[int, Run] = field(default_factory=dict, repr=False)
    secrets: dict[str, str] = field(default_factory=dict)
    issues: dict[int, list[str]] = field(default_factory=dict)
    """Number of an issue -> its comments."""
    pages: list[Json] = field(default_factory=list, repr=False)
    """What was asked for of each deployment of its page."""
    runners: list[Runner] = field(default_factory=list, repr=False)

    @property
    def full_name(self) -> str:
        """owner/name."""
        return f"{self.owner.login}/{self.name}"

    @property
    def url(self) -> str:
        """Its address in the API."""
        return f"{self.state.url}/repos/{self.full_name}"

    @property
    def page(self) -> str:
        """Its address for people."""
        return f"https://github.com/{self.full_name}"

    @property
    def head(self) -> str:
        """The commit of the default branch."""
        return self.branches[self.default_branch].sha

    @property
    def gates_work(self) -> bool:
        """Whether its environments may have reviewers: public, or of an enterprise (GitHub docs, deployments and environments)."""
        return not self.private or self.owner.plan == "enterprise"

    def commit(self, files: Mapping[str, str | bytes], branch: str = "") -> str:
        """Add a commit with `files` on top of `branch`, which begins at the default branch when it is new; gives its SHA."""
        name = branch or self.default_branch
        parent = self.branches.get(name) or self.branches.get(self.default_branch)
        tree = dict(self.trees[parent.sha]) if parent else {}
        tree |= {path: content.encode() if isinstance(content, str) else content for path, content in files.items()}
        sha = hashlib.sha1(repr((self.id, name, len(self.trees), sorted(tree.items()))).encode(), usedforsecurity=False).hexdigest()
        self.trees[sha] = tree
        if parent is not None:
            self.parents[sha] = parent.sha
        self.branches.setdefault(name, Branch(name, sha)).sha = sha
        return sha

    def protect(self, branch: str = "", *, rules: Sequence[Json] | None = None) -> Branch:
        """Protect a branch by a ruleset: by default pull requests with code owners, no deletion, no force push."""
        found = self.branches[branch or self.default_branch]
        default = [pull_request_rule(), plain_rule("deletion"), plain_rule("non_fast_forward")]
        found.protected, found.rules = True, list(default if rules is None else rules)
        return found

    def add_environment(self, name: str, **protection: Unpack[Protection]) -> Environment:
        """An environment; see `Protection` for what guards it (nothing by default)."""
        return make_environment(self, name, protection)

    def add_workflow(self, path: str, text: str, *, branch: str = "") -> Workflow:
        """Commit a workflow file and register it; its triggers and inputs are read from `text`."""
        return make_workflow(self, path, text, branch)

    def add_run(self, workflow: Workflow | str = ".github/workflows/dr.yml", **options: Unpack[RunOptions]) -> Run:
        """A workflow run; see `RunOptions`."""
        return make_run(self, workflow, options)

    def add_runner(self, name: str, labels: Sequence[str] = (), **changes: Any) -> Runner:
        """A self-hosted runner of the repository; `changes` are fields of `Runner` (status, busy, version, ephemeral, os)."""
        from tests.support.github.runners import make_runner

        return make_runner(self, name, labels, **changes)

    def add_release(self, tag: str, commit: str = "", **changes: Unpack[ReleaseOptions]) -> Release:
        """Publish a release of a commit, of the newest one by default, and its tag; see `ReleaseOptions`."""
        from tests.support.github.releases import publish

        return publish(self, tag, commit or self.head, changes)

    def resolve(self, ref: str) -> str:
        """The commit of a branch, tag or SHA. Raises 404."""
        short = ref.removeprefix("refs/").removeprefix("heads/").removeprefix("tags/")
        if short in self.branches:
            return self.branches[short].sha
        sha = self.tags.get(short, ref)
        if sha not in self.trees:
            raise Refused(404, f"No commit found for the ref {ref}")
        return sha

    def show(self) -> Json:
        """As GitHub shows it inside other things (`minimal-repository`)."""
        seed = example("GET", "/repos/{owner}/{repo}/actions/runs/{run_id}")["repository"]
        shown: Json = moved(seed, self.state.url, repository=self.full_name)
        return shown | {
            "id": self.id,
            "node_id": f"R_{self.id}",
            "name": self.name,
            "full_name": self.full_name,
            "owner": self.owner.show(),
            "private": self.private,
            "description": None,
        }


@route("GET", "/repos/{owner}/{repo}", "metadata: read")
def get_repository(ask: Ask) -> Answer:
    repository = ask.repository
    seed = example("GET", "/repos/{owner}/{repo}")
    for nested in ("organization", "parent", "source", "template_repository", "temp_clone_token"):
        seed.pop(nested, None)
    shown = moved(seed, ask.state.url, repository=repository.full_name) | repository.show()
    shown |= {"default_branch": repository.default_branch, "visibility": "private" if repository.private else "public", "language": None}
    if repository.owner.type == "Organization":
        shown["organization"] = repository.owner.show()
    return Answer(200, shown | {"archived": repository.archived})


@route("GET", "/repos/{owner}/{repo}/branches/{branch}", "contents: read")
def get_branch(ask: Ask) -> Answer:
    repository, branch = ask.repository, _branch(ask)
    shown = moved(example("GET", "/repos/{owner}/{repo}/branches/{branch}"), ask.state.url, repository=repository.full_name)
    shown |= {"name": branch.name, "protected": branch.protected, "protection_url": f"{repository.url}/branches/{branch.name}/protection"}
    shown["protection"] = {"enabled": branch.protected and not branch.rules}
    shown["commit"] |= {"sha": branch.sha, "url": f"{repository.url}/commits/{branch.sha}"}
    shown["_links"] = {"self": f"{repository.url}/branches/{branch.name}", "html": f"{repository.page}/tree/{branch.name}"}
    return Answer(200, shown)


@route("GET", "/repos/{owner}/{repo}/branches/{branch}/protection", "administration: read")
def get_protection(ask: Ask) -> Answer:
    """Classic protection only; a ruleset is not told here."""
    branch = _branch(ask)
    if not branch.protected or branch.rules:
        raise Refused(404, "Branch not protected")
    return Answer(200, {"url": f"{ask.repository.url}/branches/{branch.name}/protection", "enabled": True})


@route("GET", "/repos/{owner}/{repo}/rules/branches/{branch}", "metadata: read")
def list_rules(ask: Ask) -> Answer:
    """An empty list for a branch without rules, also for one that does not exist."""
    branch = ask.repository.branches.get(ask.values["branch"])
    source = {"ruleset_source_type": "Repository", "ruleset_source": ask.repository.full_name, "ruleset_id": 42}
    return ask.page(branch.rules if branch else [], "", lambda rule: source | rule)


@route("GET", "/repos/{owner}/{repo}/contents/{path}", "contents: read")
def get_content(ask: Ask) -> Answer:
    repository, path = ask.repository, ask.values["path"].strip("/")
    ref = ask.query.get("ref", repository.default_branch)
    tree = repository.trees[repository.resolve(ref)]
    if path in tree:
        if "raw" in ask.accept:
            return Answer(200, raw=tree[path], media="application/vnd.github.raw+json; charset=utf-8")
        return Answer(200, _file(repository, path, tree[path], ref, whole=True))
    below = sorted({path + "/" + name.removeprefix(path + "/").split("/")[0] for name in tree if name.startswith(path + "/")})
    if not below:
        raise not_found()
    return Answer(200, [_file(repository, name, tree.get(name), ref) for name in below])


def _file(repository: Repository, path: str, content: bytes | None, ref: str, *, whole: bool = False) -> Json:
    """A file, or a folder (no content). Above 1 MB GitHub leaves the content out (GitHub docs, repository contents)."""
    sha = hashlib.sha1(b"blob %d\0%b" % (len(content or b""), content or b""), usedforsecurity=False).hexdigest()
    url, page = f"{repository.url}/contents/{path}?ref={ref}", f"{repository.page}/blob/{ref}/{path}"
    shown: Json = {"type": "dir" if content is None else "file", "size": len(content or b""), "name": path.rpartition("/")[2]}
    shown |= {"path": path, "sha": sha, "url": url, "html_url": page, "git_url": f"{repository.url}/git/blobs/{sha}"}
    shown |= {"download_url": None, "_links": {"self": url, "html": page, "git": shown["git_url"]}}
    if whole and content is not None:
        large = len(content) > 1024 * 1024
        shown |= {"encoding": "none" if large else "base64", "content": "" if large else base64.encodebytes(content).decode()}
    return shown


def _branch(ask: Ask) -> Branch:
    branch = ask.repository.branches.get(ask.values["branch"])
    if branch is None:
        raise Refused(404, "Branch not found")
    return branch
