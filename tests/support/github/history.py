"""Tags with the commits behind them, and how two commits lie to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.github.description import Json, example
from tests.support.github.rendering import moved
from tests.support.github.routing import Answer, Ask, Refused, not_found, route

if TYPE_CHECKING:
    from tests.support.github.repositories import Repository

HOME = "/repos/{owner}/{repo}"


@route("GET", f"{HOME}/git/tags/{{tag_sha}}", "contents: read")
def get_tag_object(ask: Ask) -> Answer:
    """What an annotated tag is of."""
    found = ask.repository.tag_objects.get(ask.values["tag_sha"])
    if found is None:
        raise not_found()
    shown = moved(example("GET", f"{HOME}/git/tags/{{tag_sha}}"), ask.state.url, repository=ask.repository.full_name)
    points = {"type": "commit", "sha": found[1], "url": f"{ask.repository.url}/git/commits/{found[1]}"}
    return Answer(200, shown | {"tag": found[0], "sha": ask.values["tag_sha"], "object": points})


@route("GET", f"{HOME}/tags", "metadata: read")
def list_tags(ask: Ask) -> Answer:
    """Every tag with its commit, through annotated ones."""
    repository = ask.repository

    def show(tag: str) -> Json:
        commit = repository.tags[tag]
        place = f"{repository.url}/{{}}/refs/tags/{tag}"
        balls = {f"{kind}ball_url": place.format(f"{kind}ball") for kind in ("tar", "zip")}
        return {"name": tag, "node_id": f"REF_{tag}", "commit": {"sha": commit, "url": f"{repository.url}/commits/{commit}"}, **balls}

    return ask.page(sorted(repository.tags, reverse=True), "", show)


@route("GET", f"{HOME}/compare/{{base}}...{{head}}", "contents: read")
def compare(ask: Ask) -> Answer:
    """How the second commit lies to the first. Branches of `forks/` are commits of forks: GitHub finds those here, too."""
    repository = ask.repository
    names = ask.values["base"], ask.values["head"]
    try:
        base, head = (_line(repository, repository.resolve(name)) for name in names)
    except Refused as refused:
        raise not_found() from refused
    ahead = [each for each in head if each not in base]
    behind = [each for each in base if each not in head]
    common = [each for each in head if each in base]
    if not common:
        raise Refused(404, f"No common ancestor between {names[0]} and {names[1]}.")
    status = "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else "identical"
    shown = moved(example("GET", f"{HOME}/compare/{{base}}...{{head}}"), ask.state.url, repository=repository.full_name)
    shown["merge_base_commit"]["sha"] = common[0]
    shown |= {"status": status, "ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead), "commits": [], "files": []}
    return Answer(200, shown)


def _line(repository: Repository, commit: str) -> list[str]:
    """A commit and all before it, newest first."""
    line = [commit]
    while line[-1] in repository.parents:
        line.append(repository.parents[line[-1]])
    return line
