"""Where a command finds GitHub: address, repository and token, from the environment of a job or of a person."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hyops_ci.cli.render import say
from hyops_ci.errors import Exit, Refusal

if TYPE_CHECKING:
    from hyops_ci.github.client import Client

TOKENS = ("DR_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
"""First of these that is set. A job's step gets DR_TOKEN; `gh auth token` gives a person theirs."""


def connect(repository: str = "") -> Client:
    """GitHub as this environment sees it. `repository` defaults to the job's, or GH_REPO. Raises Refusal (exit 2)."""
    from hyops_ci.github.client import API, Client

    found = repository or os.environ.get("GITHUB_REPOSITORY") or os.environ.get("GH_REPO", "")
    token = next((os.environ[name] for name in TOKENS if os.environ.get(name)), "")
    return Client.connect(found, token=token, api_url=os.environ.get("GITHUB_API_URL") or API, say=say)


def connect_for_runners(repository: str = "") -> Client | None:
    """GitHub with a token that may list runners: DR_RUNNER_TOKEN, or an App's key. None where nobody gave one.

    An App: DR_APP_ID, and DR_APP_KEY_FILE with its private key. A job's own token can never list runners (github-actions, F4).
    """
    from hyops_ci.github.client import API, AppKey, Client

    found = repository or os.environ.get("GITHUB_REPOSITORY") or os.environ.get("GH_REPO", "")
    address = os.environ.get("GITHUB_API_URL") or API
    if token := os.environ.get("DR_RUNNER_TOKEN"):
        return Client.connect(found, token=token, api_url=address, say=say)
    app, key_file = os.environ.get("DR_APP_ID"), os.environ.get("DR_APP_KEY_FILE")
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
    return Client.connect(found, app=AppKey(app, key), api_url=address, say=say)
