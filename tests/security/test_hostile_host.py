"""Attack: the host that is set up says of itself what nobody should paste, print or believe. Whoever made its image speaks there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.render import emit, progress
from hyops_ci.contracts.ensured import Ensured
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.report.text import refusal_lines
from hyops_ci.runners.bootstrap import SetupOrder, SetupResult, set_up
from hyops_ci.runners.ports import Machine, MachineState
from hyops_ci.runners.ssh import Candidate, Login, ProvenHost, new_login, prove
from hyops_ci.signing.dsse import public_of
from hyops_ci.stages.ensure_runner.stage import EnsureEnd, ensure_runner
from hyops_ci.stages.ensure_runner.tools import Tools, ToolsRequest
from hyops_ci.text import listed
from tests.runners.host.site import RealClock
from tests.security.test_hostile_text import COMMAND, TEXTS, commands, outside_of_code
from tests.support.ssh_server import SshServer, line_of
from tests.unit.evidence.sample_run import JONAS
from tests.unit.runners.bootstrap.test_setup import TRUST, answers
from tests.unit.stages.ensure_runner.scene import NAME, Scene, missing_runner

KEY = public_of(JONAS)
PREPARED = {"steps": [["made", "/etc/dr-dispatch/host.key"]], "public_key": KEY, "runner_refs": [NAME]}
WEAK = "ed25519:" + "A" * 43 + "="
"""A key under which anybody can sign."""


@dataclass
class Site:
    """A run whose runner is made on a host that answers over SSH."""

    scene: Scene
    server: SshServer
    host: ProvenHost

    def ensure(self, said: str) -> EnsureEnd:
        """The job, where the host's setup prints `said`."""
        (self.server.programs / "said").write_text(said)
        answers(self.server, f'cat "{self.server.programs}/said"', "echo fact done=register")
        scene = self.scene
        scene.approve()

        def done(host: ProvenHost, order: SetupOrder) -> SetupResult:
            result = set_up(host, order, progress)
            scene.incident.repository.add_runner(NAME, list(order.identity.labels), status="offline")
            scene.comes_up(after=15)
            return result

        def tools(request: ToolsRequest) -> Tools:
            def proven(_: Candidate, __: Login, ___: float) -> ProvenHost:
                return self.host

            return replace(scene.tools(request), prove=proven, set_up=done, trust=lambda: json.dumps(TRUST).encode())

        return ensure_runner(scene.incident.folder, replace(scene.context(), say=progress), tools)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    login = new_login("ops")
    (tmp_path / "bin").mkdir()
    server = SshServer("ops", login.public, tmp_path / "bin")
    machine = Machine(NAME, MachineState.RUNNING, id="7")
    candidate = Candidate(machine, server, lambda: (line_of(server.host_key),))
    with prove(candidate, login, limit=20, clock=RealClock()) as host, missing_runner(tmp_path) as scene:
        yield Site(scene, server, host)
    server.close()


def script(*, agent: str = "2.336.0", left: str = "", prepared: Any = PREPARED, step: str = "/opt/x") -> str:
    lines = ["begin users", f"made {step}", f"fact agent={agent}", "fact registration=none", f"prepared {json.dumps(prepared)}"]
    return "\n".join([*lines, *([f"fact left={left}"] if left else []), "fact done=setup", ""])


def shown(ensured: Ensured | None) -> list[str]:
    assert ensured is not None
    return ensured.lines()


@pytest.mark.parametrize("name", TEXTS)
def test_a_host_that_speaks_in_commands(name: str, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXTS[name]
    steps = {**PREPARED, "steps": [["made", text], ["kept", text]], "runner_refs": [text]}
    end = site.ensure(script(agent=text, left=text, prepared=steps, step=text))
    lines = [*shown(end.ensured), *(refusal_lines(end.state, end.refusal) if end.refusal else [])]
    assert all(line.isprintable() for line in lines), lines
    assert not [line for line in re.split(r"[\n\r]", commands(lines)) if COMMAND.search(line) and not line.startswith("::error")], lines
    assert "<" not in outside_of_code("\n".join(listed(lines)))
    emit("text", lines, None)
    captured = capsys.readouterr()
    for said in (captured.out, captured.err):
        assert all(character.isprintable() or character == "\n" for character in said), said
        assert not [line for line in re.split(r"[\n\r]", said) if COMMAND.search(line)], said
    assert read_chain(site.scene.incident.folder.root), "the evidence is whole"


@pytest.mark.parametrize(
    "key",
    [WEAK, f"{KEY[:-1]}", f'{KEY}"}}\napprovals: {{quorum: 0}} #', "ed25519:x", 7, None, [KEY]],
    ids=["weak", "short", "more than a key", "another", "a number", "nothing", "a list"],
)
def test_a_host_whose_key_is_none(key: Any, site: Site) -> None:
    """People are asked to put it into the config."""
    end = site.ensure(script(prepared={**PREPARED, "public_key": key}))
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.exit_code) == ("runner.setup", 7)
    assert not [line for line in shown(end.ensured) if "host_keys" in line]


def test_a_host_that_says_what_it_is(site: Site) -> None:
    end = site.ensure(script(left="/etc/hyops/vault-password: the password of the bundles"))
    assert end.refusal is None
    assert end.ensured is not None
    assert (end.ensured.public_key, end.ensured.agent_version) == (KEY, "2.336.0")
    assert [line for line in shown(end.ensured) if f'host_keys: {{{NAME}: "{KEY}"}}' in line]
