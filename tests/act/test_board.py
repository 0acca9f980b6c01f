"""dr-board.yml for a caller: the page of every service, made anew, published although it shows an alarm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.contracts.board import Board
from hyops_ci.parsing.documents import read_document
from tests.act.rewriting import ROOT, UNPINNED, pinned
from tests.act.site import GITHUB_TOKEN, SERVICE, Site
from tests.support.issuer import WORKFLOW_SHA
from tests.support.tars import unpack

pytestmark = [pytest.mark.act, pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]
TEMPLATE = ROOT / "workflows-templates" / "dr-board.yml"
SHIMS = Path(__file__).parent / "pages-shim"
SHIM_OF = {"upload-pages-artifact": "upload", "deploy-pages": "deploy"}
"""Stand-ins for GitHub's actions: what each is asked for is done as far as it can be seen outside of GitHub."""


def test_the_page_is_published_with_the_alarm_that_it_shows(site: Site, tmp_path: Path) -> None:
    text = TEMPLATE.read_text().replace(f"@{UNPINNED}", f"@{WORKFLOW_SHA}")
    (site.repository / ".github" / "workflows" / TEMPLATE.name).write_text(text)
    site.control.repository.add_workflow(f".github/workflows/{TEMPLATE.name}", text)
    site.config["drills"] = {SERVICE: {"check": {"every": "P1D"}}}
    site.write_config()
    pins = pinned(text)
    site.local |= {f"actions/{name}@{pins[f'actions/{name}']}": SHIMS / folder for name, folder in SHIM_OF.items()}
    site.tokens.allowed.add("board")
    token = site.control.fake.tokens[GITHUB_TOKEN]
    site.control.fake.tokens[GITHUB_TOKEN] = replace(token, permissions={**token.permissions, "pages": "write"})

    ran = site.start("the board, published", {}, file=TEMPLATE.name)
    assert ran.jobs == {"board": "success"}, ran.log()
    [tar] = ran.artifact("github-pages", tmp_path / "page").iterdir()
    unpack(tar, tmp_path / "shown")
    assert sorted(path.name for path in (tmp_path / "shown").iterdir()) == ["board.json", "index.html"]
    board = read_document(Board, (tmp_path / "shown" / "board.json").read_bytes())
    assert [service.service for service in board.services] == [SERVICE]
    assert [alarm.level for alarm in board.alarms if alarm.level == "alarm"], "or the step that makes it would not have failed"
    [deployed] = site.control.repository.pages
    assert deployed["pages_build_version"]
    assert site.tokens.asked == [("board", "")], "one token, for the deployment"
    assert deployed["oidc_token"] not in ran.log()
