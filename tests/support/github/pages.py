"""Deployments of a repository's page: an artifact, asked for by a job whose token says in which environment it runs."""

from __future__ import annotations

import jwt

from tests.support.github.description import example
from tests.support.github.rendering import moved
from tests.support.github.routing import Answer, Ask, Refused, route

DEPLOYMENTS = "/repos/{owner}/{repo}/pages/deployments"


@route("POST", DEPLOYMENTS, "pages: write")
def deploy(ask: Ask) -> Answer:
    """400 for a job outside the environment of pages: its token says where it runs."""
    said = jwt.decode(ask.body["oidc_token"], options={"verify_signature": False})
    if said.get("environment") != ask.body.get("environment", "github-pages"):
        raise Refused(400, "The environment of the token is not that of the deployment")
    ask.repository.pages.append(ask.body)
    seed = moved(example("POST", DEPLOYMENTS), ask.state.url, repository=ask.repository.full_name)
    return Answer(
        200, seed | {"id": len(ask.repository.pages), "page_url": f"https://{ask.repository.owner.login}.github.io/{ask.repository.name}/"}
    )
