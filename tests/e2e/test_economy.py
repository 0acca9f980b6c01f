"""What one dispatch costs: calls of git that go to the remote, requests to GitHub, and starts of HyOps, stage by stage.

Each is part of an outage. The seconds themselves are in `./dev bench dispatch`.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.run import State
from hyops_ci.ledger.git_process import Git, GitResult
from hyops_ci.stages.conclude.stage import conclude
from hyops_ci.stages.sealing import bundle_path
from tests.security.incident import RECOVERED, start_incident

pytestmark = pytest.mark.e2e
NETWORK = ("ls-remote", "fetch", "push")


def test_what_each_stage_asks_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git: list[str] = []
    real = Git.run

    def run(self: Git, *words: str, **options: Any) -> GitResult:
        git.extend(words[:1] if words[0] in NETWORK else ())
        return real(self, *words, **options)

    monkeypatch.setattr(Git, "run", run)
    hyops = tmp_path / "hyops-calls"
    with start_incident(tmp_path / "incident") as incident:
        incident.configure(lambda config: config["host"].update(hyops=str(noted(Path(config["host"]["hyops"]), hyops))))

        def asked() -> tuple[list[str], list[str], int]:
            """The calls since the last time: of git, of HyOps, and how many of GitHub."""
            started = [words.removeprefix("blueprint ").split()[0] for words in hyops.read_text().splitlines()] if hyops.exists() else []
            found = (list(git), started, len(incident.fake.calls))
            git.clear()
            hyops.unlink(missing_ok=True)
            incident.fake.calls.clear()
            return found

        asked()
        assert incident.plan().state is State.PLANNED
        assert asked() == (["ls-remote", "ls-remote"], [], 5), "the ledger, and the branch of checks"
        assert incident.check().state is State.CHECKED
        assert asked() == (["ls-remote"], ["--version", "preflight"], 1)
        assert incident.execute(incident.signed("jonas")).state in RECOVERED
        assert asked() == (["ls-remote", "push", "push", "push"], ["--version", "preflight", "deploy"], 2), "the clock, and who asked"
        bundle = bundle_path(incident.folder)
        conclude(incident.fresh(), incident.world("conclude"), evidence=bundle, digest=digest_bytes(bundle.read_bytes()), results={})
        assert asked() == (["ls-remote"], [], 2)


def noted(program: Path, calls: Path) -> Path:
    """The same program behind one that writes down its arguments."""
    wrapper = calls.with_name("hyops")
    wrapper.write_text(f'#!/bin/sh\necho "$*" >>{shlex.quote(str(calls))}\nexec {shlex.quote(str(program))} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper
