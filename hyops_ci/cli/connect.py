"""Where a command finds GitHub: address, repository and token, from the environment of a job or of a person."""

from __future__ import annotations

import os
import re
from errno import EACCES
from pathlib import Path
from typing import TYPE_CHECKING

from hyops_ci.cli.render import say
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyops_ci.github.api.client import AppKey, Client
    from hyops_ci.ledger.ledger import Ledger
    from hyops_ci.operations.approve import PendingRun

TOKENS = ("DR_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
"""First of these that is set, for GitHub's API and ledgers on its server. A step gets DR_TOKEN; `gh auth token` gives a person theirs."""


def connect(repository: str = "") -> Client:
    """GitHub as this environment sees it. `repository` defaults to the job's, or GH_REPO. Raises Refusal (exit 2)."""
    return client(repository_named(repository), token=_token(*TOKENS))


def client(repository: str, *, token: str = "", app: AppKey | None = None, tell: Callable[[str], None] = say) -> Client:
    """Return GitHub's API at the address of this environment, for a token or an App. Raises Refusal (exit 2)."""
    from hyops_ci.github.api.client import API, Client

    return Client.connect(repository, token=token, app=app, api_url=os.environ.get("GITHUB_API_URL") or API, say=tell)


def connect_for_runners(repository: str = "") -> Client | None:
    """GitHub with a token that may list runners: DR_RUNNER_TOKEN, an App's key, or in a shell a person's own. None without one.

    An App: DR_APP_ID, and DR_APP_KEY_FILE with its private key. A job's own token can never list runners (docs/design/github.md 4).
    """
    from hyops_ci.github.api.client import AppKey

    found = repository_named(repository)
    app, key_file = os.environ.get("DR_APP_ID"), os.environ.get("DR_APP_KEY_FILE")
    in_shell = os.environ.get("GITHUB_ACTIONS") != "true"
    if token := _token("DR_RUNNER_TOKEN") or ("" if app or not in_shell else _token(*TOKENS)):
        return client(found, token=token)
    if not app or not key_file:
        return None
    try:
        key = Path(key_file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise Refusal(
            "github.app",
            "the App's key cannot be read",
            exit_code=Exit.USAGE,
            found=f"DR_APP_KEY_FILE: {type(error).__name__}",
            expected="a PEM file",
            fix="name the private key that the App's page gave you",
        ) from None
    return client(found, app=AppKey(app, key))


def repository_named(named: str = "") -> str:
    """Return the repository that was named, else the job's, else GH_REPO."""
    return named or os.environ.get("GITHUB_REPOSITORY") or os.environ.get("GH_REPO", "")


def _token(*names: str) -> str:
    """Return the first of these variables that is set, without the line end that a file or a pipe leaves at its end."""
    return next((token for name in names if (token := os.environ.get(name, "").strip())), "")


def server_url() -> str:
    """GitHub's pages and repositories, as this environment knows them: the only place that a token is sent to beside the API."""
    return (os.environ.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")


@dataclass(frozen=True)
class Place:
    """A run, as its page's address names it."""

    server: str
    repository: str
    run_id: int


def run_at(text: str) -> Place:
    """Return the run that an address or a number names. Raises Refusal (exit 2)."""
    found = re.fullmatch(r"(https?://[^/?#@]+)/([^/?#]+/[^/?#]+)/actions/runs/([0-9]{1,18})(?:[/?#].*)?", text)
    if found and found[1] == server_url():
        return Place(found[1], found[2], int(found[3]))
    if re.fullmatch("[0-9]{1,18}", text):
        return Place(server_url(), os.environ.get("GH_REPO", ""), int(text))
    raise Refusal(
        "approve.run",
        "not the address of a run" if found is None else "that run is on another server than this token",
        exit_code=Exit.USAGE,
        found=text,
        expected=f"{server_url()}/<owner>/<repository>/actions/runs/<number>, or the number with GH_REPO set",
        fix="copy the address of the run's page"
        if found is None
        else "set GITHUB_SERVER_URL and GITHUB_API_URL to that server, if it is yours",
    )


def remote_at(named: str, server: str) -> str:
    """Return a ledger's remote: a path or URL as it is, `owner/name` on the server."""
    return named if named.startswith("/") or "://" in named else f"{server}/{named}"


def token_for(remote: str, server: str, *names: str) -> str:
    """Return the token for a remote that a config named: it is for GitHub's server, whatever the config says, and for nowhere else."""
    return _token(*names) if remote.startswith(f"{server}/") else ""


def ledger_token(remote: str, *, person: bool) -> str:
    """Return the token for a ledger in a shell: a person's for GitHub's server, and DR_TOKEN for wherever that person named.

    `person`: the remote was named on the command line, or by root on this host, and not by a config.
    """
    return token_for(remote, server_url(), *TOKENS) or (_token("DR_TOKEN") if person else "")


def home_folder() -> Path:
    """Return the home of this user: HOME, else what the system has for them; a service often has no HOME. Raises Refusal (exit 2)."""
    if named := os.environ.get("HOME"):
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        raise Refusal(
            "host.home",
            "this user has no home folder",
            exit_code=Exit.USAGE,
            found="HOME is not set, and the system has no entry for this user",
            expected="a folder that only this user writes to",
            fix="set HOME for the service of the runner, in its .env",
            docs="host-trust.md",
        ) from None


def state_dir() -> Path:
    """Return the folder where this host keeps the ledger heads that it saw. Raises Refusal (exit 2) where this user cannot write there."""
    folder = home_folder() / ".local" / "state" / "dr-dispatch"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, "Permission denied")
    except OSError as error:
        raise Refusal(
            "host.state",
            "this user has no folder to remember in what it has seen of the ledger",
            exit_code=Exit.USAGE,
            found=f"{folder}: {error.strerror}",
            expected="a folder that this user writes to and that outlives the job",
            fix="set HOME for the service of the runner, in its .env, to a folder of its own user",
            docs="host-trust.md",
        ) from None
    return folder


def ledger_at(pending: PendingRun, server: str, named: str) -> Ledger:
    """Return the ledger of a pending run, reached with the person's own token. A path or address in `named` comes first.

    The config that a run carries may name any address: the token goes to GitHub's server only.
    """
    from hyops_ci.ledger.ledger import Ledger

    remote = remote_at(named or pending.config.ledger.repository or pending.run.repository, server)
    token = token_for(remote, server_url(), *TOKENS)
    return Ledger.over_git(remote, pending.request.subject.service, state_dir=state_dir(), token=token)
