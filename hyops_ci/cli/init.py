"""`hyops-ci init`: everything that a service needs in its repository, and what is pasted elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import format_option

if TYPE_CHECKING:
    from hyops_ci.planning.adopting import Adopter

CORE = Path("/opt/hybridops/core/app")


@click.command("init")
@click.argument("service")
@click.option("--vault", required=True, help="Address of the secret authority, https://host.")
@click.option("--site", required=True, help="The site it stands in: not the one that may be gone.")
@click.option("--lane", type=click.Choice(["gcp", "azure", "aws"]), default="gcp", show_default=True, help="Where a failover goes.")
@click.option("--failover", default="", help="Blueprint of the failover; the lane's PostgreSQL one when absent.")
@click.option("--failback", default="dr/postgresql-ha-failback-onprem@v1", show_default=True, help="Blueprint of the failback.")
@click.option("--repository", default="", help="owner/name on GitHub; with a token in GH_TOKEN its ids are looked up.")
@click.option("--release", default="", help="Commit of dr-dispatch to pin, 40 hex digits.")
@click.option("--reviewer", "reviewers", multiple=True, help="Login of somebody who may approve; more than once for more.")
@click.option("--key", "keys", multiple=True, help="login=ed25519:... of somebody who signs (hyops-ci approve --new-key).")
@click.option("--core-root", type=click.Path(path_type=Path, file_okay=False), default=CORE, help="HyOps, whose blueprints are copied.")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path(), help="The checkout.")
@format_option
def command(
    service: str,
    vault: str,
    site: str,
    lane: str,
    failover: str,
    failback: str,
    repository: str,
    release: str,
    reviewers: tuple[str, ...],
    keys: tuple[str, ...],
    core_root: Path,
    into: Path,
    output: str,
) -> int:
    """Write config, caller workflow and overlays of SERVICE (name/env) where they are missing, and print the blocks to paste.

    Nothing that exists is changed; nothing outside the checkout is touched.
    """
    from hyops_ci.cli.render import emit
    from hyops_ci.stages.adopt import Wish, adopt

    if release and not (len(release) == 40 and set(release) <= set("0123456789abcdef")):
        raise click.UsageError("--release is a commit: 40 hex digits")
    env = service.partition("/")[2]
    own = Path(os.environ.get("HOME") or "/") / ".hybridops" / "envs" / env / "config" / "blueprints"
    wish = Wish(service, vault, site, lane, failover, failback, blueprints=(own, core_root / "blueprints"))
    done = adopt(wish, into, adopter(repository, release, reviewers, keys))
    lines = [*(f"wrote   {name}" for name in done.written), *(f"kept    {name}" for name in done.kept)]
    lines += [f"MISSING {name}" for name in done.missing]
    if done.addition:
        lines += ["", "add to .github/dr-dispatch.yml, under services:", done.addition]
    for number, (title, text) in enumerate(done.blocks, 1):
        lines += ["", f"## {number}. {title}", text.rstrip()]
    if done.open_words:
        lines += ["", f"replace {', '.join(done.open_words)}"]
    lines += ["", "then    hyops-ci environment check; hyops-ci runner status; on each runner: hyops-ci doctor --service " + service]
    emit(output, lines, document(done))
    return 0


def document(done: object) -> dict[str, object]:
    """The result as JSON."""
    from dataclasses import asdict

    from hyops_ci.stages.adopt import Adopted

    assert isinstance(done, Adopted)  # noqa: S101 - a narrower type would load the stage for `--help`
    found = asdict(done)
    return {**found, "blocks": [{"title": title, "text": text} for title, text in done.blocks]}


def adopter(repository: str, release: str, reviewers: tuple[str, ...], keys: tuple[str, ...]) -> Adopter:
    """What is known of the repository: its ids from GitHub where a token is at hand, else words to replace."""
    from hyops_ci.cli.connecting import TOKENS, connect
    from hyops_ci.planning.adopting import Adopter

    pairs = dict(_pair(key) for key in keys)
    logins = tuple(dict.fromkeys((*reviewers, *pairs)))
    if not repository or not any(os.environ.get(name) for name in TOKENS):
        named = repository or Adopter.repository
        return Adopter(named, release=release, reviewers=tuple((login, 0) for login in logins), keys=pairs)
    from hyops_ci.github.repository import person_id
    from hyops_ci.github.repository import repository as facts_of

    client = connect(repository)
    facts = facts_of(client)
    return Adopter(
        repository=repository,
        repository_id=facts.id,
        owner_id=facts.owner_id,
        default_branch=facts.default_branch,
        release=release,
        reviewers=tuple((login, person_id(client, login)) for login in logins),
        keys=pairs,
    )


def _pair(text: str) -> tuple[str, str]:
    login, sign, key = text.partition("=")
    if not sign or not key.startswith("ed25519:"):
        raise click.UsageError(f"--key {text!r} is not login=ed25519:...")
    return login, key
