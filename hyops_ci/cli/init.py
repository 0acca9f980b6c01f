"""`hyops-ci init`: everything that a service needs in its repository, and what is pasted elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import format_option, gather
from hyops_ci.contracts.lanes import CLOUDS
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.text import shell

if TYPE_CHECKING:
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.operations.init.commands import Adopter
    from hyops_ci.operations.init.files import InitResult

CORE = Path("/opt/hybridops/core/app")


@dataclass(frozen=True)
class InitOptions:
    """The service to set up, its approvers, and where files are written."""

    service: str
    vault: str
    site: str
    lane: str
    failover: str
    failback: str
    repository: str
    release: str
    reviewers: tuple[str, ...]
    keys: tuple[str, ...]
    core_root: Path
    into: Path
    auth_path: str
    decisions: bool
    notify: str
    notify_issue: int


@click.command("init")
@click.argument("service")
@click.option("--vault", default="", help="Address of the secret authority, https://host. Needed for a new config.")
@click.option("--site", default="", help="The site it stands in: not the one that may be gone. Needed for a new config.")
@click.option("--lane", type=click.Choice(list(CLOUDS)), default=CLOUDS[0], show_default=True, help="Where a failover goes.")
@click.option("--failover", default="", help="Blueprint of the failover; the lane's PostgreSQL one when absent.")
@click.option("--failback", default="dr/postgresql-ha-failback-onprem@v1", show_default=True, help="The way back; empty: there is none.")
@click.option("--repository", default="", help="owner/name on GitHub, else GH_REPO; with a token in GH_TOKEN its ids are looked up.")
@click.option("--release", default="", help="Commit of dr-dispatch to pin, 40 hex digits; else the one that the workflow pins.")
@click.option("--reviewer", "reviewers", multiple=True, help="Login of a person who may approve; repeatable.")
@click.option("--key", "keys", multiple=True, help="login=ed25519:... of a person who signs (hyops-ci approve --new-key).")
@click.option("--core-root", type=click.Path(path_type=Path, file_okay=False), default=CORE, help="HyOps, whose blueprints are copied.")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path(), help="The checkout.")
@click.option("--auth-path", default="", help="Where Vault takes the jobs' tokens, auth/<path>, if auth/jwt is in use for others.")
@click.option("--decisions", is_flag=True, help="Also write the workflow for decisions that arrive by repository_dispatch.")
@click.option("--notify", default="", help="Also tell this webhook of runs, https://host/path (docs/notify.md).")
@click.option("--notify-issue", type=click.IntRange(min=0), default=0, help="Also comment on this issue of the repository, its number.")
@format_option
@gather(InitOptions)
def command(options: InitOptions, output: str) -> int:
    """Write config, caller workflow, code owners and overlays of SERVICE (name/env) where they are missing; print the blocks to paste.

    Nothing that exists is changed; nothing outside the checkout is touched. Run it again at any time for the blocks.
    """
    from hyops_ci.cli.connect import home_folder
    from hyops_ci.cli.render import emit
    from hyops_ci.operations.init.files import adopt
    from hyops_ci.operations.init.request import InitRequest

    if options.release and not re.fullmatch("[0-9a-f]{40}", options.release):
        raise click.UsageError("--release is a commit: 40 hex digits")
    env = options.service.partition("/")[2]
    own = home_folder() / ".hybridops" / "envs" / env / "config" / "blueprints"
    blueprints = (own, options.core_root / "blueprints")
    if options.auth_path and not re.fullmatch("auth/[A-Za-z0-9_-]+", options.auth_path):
        raise click.UsageError("--auth-path is auth/<path>, of one part")
    request = InitRequest(
        options.service,
        options.vault,
        options.site,
        options.lane,
        options.failover,
        options.failback,
        blueprints=blueprints,
        core_root=options.core_root,
        auth_path=options.auth_path,
        decisions=options.decisions,
        notify=options.notify,
        issue=options.notify_issue,
    )
    options = replace(options, into=top_of(options.into))
    done = adopt(request, options.into, adopter(options))
    emit(output, result_lines(done, options.service), document(done))
    return 0


def top_of(folder: Path) -> Path:
    """Return the top of the checkout that a folder is in: GitHub reads `.github` there only. A folder in no checkout is itself."""
    return next((each for each in (folder.resolve(), *folder.resolve().parents) if (each / ".git").exists()), folder)


def result_lines(done: InitResult, service: str) -> list[str]:
    """Return the lines on what was done and what is left, in order."""
    lines = [*(f"wrote   {name}" for name in done.written), *(f"kept    {name}" for name in done.kept)]
    lines += [f"MISSING {name}" for name in done.missing]
    lines += [f"fill in {name}" for name in done.fill]
    lines += [f"no probe {name}" for name in done.unproven]
    for place, text in done.additions:
        lines += ["", f"add to {place}", text]
    for number, (title, text) in enumerate(done.blocks, 1):
        lines += ["", f"## {number}. {title}", text.rstrip()]
    if done.placeholders:
        lines += ["", f"replace {', '.join(done.placeholders)}"]
    then = shell("hyops-ci environment check; hyops-ci runner status; on each runner: hyops-ci doctor --service {}", service)
    return [*lines, "", f"then    {then}"]


def document(done: InitResult) -> dict[str, object]:
    """Return the result as JSON."""
    return {
        "written": done.written,
        "kept": done.kept,
        "missing": done.missing,
        "fill": done.fill,
        "unproven": done.unproven,
        "additions": [{"to": place, "text": text} for place, text in done.additions],
        "blocks": [{"title": title, "text": text} for title, text in done.blocks],
        "placeholders": done.placeholders,
    }


def adopter(options: InitOptions) -> Adopter:
    """Return what is known of the repository: ids from GitHub where there is a token, else placeholders."""
    from hyops_ci.cli.connect import TOKENS, connect, server_url
    from hyops_ci.operations.init.commands import Adopter
    from hyops_ci.operations.init.files import existing_config

    pairs = dict(_pair(key) for key in options.keys)
    there = existing_config(options.into)
    named_people = (*options.reviewers, *pairs, *(there.approvals.approvers if there else ()))
    logins = tuple(dict.fromkeys(named_people)) or owners_of(options.into)
    named = options.repository or os.environ.get("GH_REPO") or os.environ.get("GITHUB_REPOSITORY") or ""
    known = Adopter(named or Adopter.repository, release=options.release, keys=pairs, server=server_url())
    if not named or not any(os.environ.get(name) for name in TOKENS):
        return replace(known, reviewers=tuple((login, 0) for login in logins))
    from hyops_ci.github.environments import environment
    from hyops_ci.github.repository import person_id
    from hyops_ci.github.repository import repository as facts_of

    client = connect(named)
    facts = facts_of(client)
    if not named_people:  # whoever answers at the gate already
        gate = environment(client, gate_of(there, options.service))
        logins = tuple(person.login for person in gate.reviewers) or logins
    return replace(
        known,
        repository=facts.name,
        repository_id=facts.id,
        owner_id=facts.owner_id,
        default_branch=facts.default_branch,
        reviewers=tuple((login, person_id(client, login)) for login in logins),
    )


def gate_of(config: DispatchConfig | None, service: str) -> str:
    """Return the approval gate of a service; the usual one where there is no config yet."""
    from hyops_ci.config.settings import env_of, env_settings

    return env_settings(config, env_of(service)).gate if config is not None else f"dr-{env_of(service)}"


def owners_of(repository: Path) -> tuple[str, ...]:
    """Return the people who own the config by the code owners of a checkout. Teams are not among them."""
    from hyops_ci.config.file import CONFIG_PATH
    from hyops_ci.github.codeowners import owners
    from hyops_ci.operations.init.commands import REVIEWER
    from hyops_ci.stages.plan.inputs import code_owners_text

    named = owners(code_owners_text(repository), CONFIG_PATH)
    found = (owner.removeprefix("@") for owner in named if owner.startswith("@") and "/" not in owner)
    return tuple(owner for owner in found if owner != REVIEWER)


def _pair(text: str) -> tuple[str, str]:
    from hyops_ci.contracts.public_key import key_bytes

    login, _, key = text.partition("=")
    try:
        key_bytes(key)
    except ValueError as error:
        raise click.UsageError(f"--key {text!r} is not login=ed25519:...: the key {error}") from None
    return login, key
