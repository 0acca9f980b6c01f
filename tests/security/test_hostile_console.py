"""Attack: a machine's console, or its provider, draws on terminals, gives the runner commands, or repeats what it was told in confidence.

Whoever is root on a machine writes its console; it is read where a machine cannot be worked on, and only there.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hyops_ci.cli.render import emit, progress
from hyops_ci.cli.runner_reap import lines, machine_line
from hyops_ci.config.settings import lane_settings
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.operations.leftovers import Found
from hyops_ci.report.text import refusal_lines
from hyops_ci.runners.ports import Machine, MachineState
from hyops_ci.runners.reaping import Kind, Leftover
from hyops_ci.runners.ssh import prove
from hyops_ci.stages.ensure_runner.stage import ensure_runner
from hyops_ci.stages.ensure_runner.tools import Tools, ToolsRequest
from hyops_ci.text import listed
from tests.runners.memory_provider import MemoryProvider
from tests.runners.world import Trouble
from tests.security.test_hostile_text import COMMAND, ENDS, TEXTS, commands, outside_of_code
from tests.unit.operations.test_leftovers import CONFIG
from tests.unit.stages.ensure_runner.scene import KEY, TOKEN, Scene, missing_runner

HARMLESS = "Debian GNU/Linux 12 gcp-ops-runner ttyS0"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with missing_runner(tmp_path_factory.mktemp("console")) as made:
        yield made


def not_worked_on(scene: Scene, how: str, text: str, patch: pytest.MonkeyPatch) -> tuple[list[str], str]:
    """The job makes a machine whose console ends with this, and cannot work on it: the lines of its refusal, and what is kept of it."""
    patch.setenv("GITHUB_ACTIONS", "true")
    scene.begin_again()
    scene.approve()

    def nobody(machine: Machine) -> socket.socket:
        raise ConnectionRefusedError("no route")

    def tools(request: ToolsRequest) -> Tools:
        request.learn(TOKEN)
        say = request.context.say
        return replace(
            scene.tools(request), prove=lambda candidate, login, limit: prove(candidate, login, limit=limit, clock=scene.clock, say=say)
        )

    patch.setattr(MemoryProvider, "console", lambda self, machine: f"{HARMLESS}\n{text}\n{text}")
    scene.world.reach = nobody
    if how == "halfway":
        scene.world.cause(Trouble.HALFWAY)
    folder = scene.incident.fresh()
    for path in sorted(scene.incident.folder.root.rglob("*")):
        if path.is_file() and "part" not in path.name:
            folder.write(path.relative_to(scene.incident.folder.root).as_posix(), path.read_bytes())
    end = ensure_runner(folder, replace(scene.context(), say=progress), tools)
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.exit_code) == ("runner.halfway" if how == "halfway" else "runner.ssh", 7)
    kept = json.dumps([event.data for event in read_chain(folder.root)])
    assert '"console": "' in kept, "it is there for a diagnosis"
    return refusal_lines(end.state, end.refusal), kept


@pytest.mark.parametrize("how", ["no way in", "halfway"])
@pytest.mark.parametrize("name", [*TEXTS, "secrets"])
def test_a_console_of_somebody_else(
    scene: Scene, how: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown in log, refusal, summary and evidence: as text, without what was told in confidence."""
    text = f"login: {KEY} {TOKEN}" if name == "secrets" else TEXTS[name]
    shown, kept = not_worked_on(scene, how, text, monkeypatch)
    assert all(line.isprintable() for line in shown), shown
    assert len([line for line in re.split(r"[\n\r]", commands(shown)) if COMMAND.search(line)]) == 1
    assert all(line in ("", *ENDS, "### REFUSED", shown[0]) for line in outside_of_code("\n".join(listed(shown))).splitlines()), shown
    emit("text", shown, None)
    captured = capsys.readouterr()
    for said in (captured.out, captured.err):
        assert all(character.isprintable() or character == "\n" for character in said), said
        assert not [line for line in re.split(r"[\n\r]", said) if COMMAND.search(line)], said
        assert [secret for secret in (KEY, TOKEN) if secret in said + kept] == []


@pytest.mark.parametrize("how", ["no way in", "halfway"])
def test_a_console_without_tricks(scene: Scene, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, kept = not_worked_on(scene, how, "Reached target cloud-init", monkeypatch)
    assert "Reached target cloud-init" in "\n".join(shown)
    assert HARMLESS in kept


@pytest.mark.parametrize("name", TEXTS)
def test_words_of_a_provider(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`runner status` and `runner reap`, in a terminal."""
    text, lane = TEXTS[name], lane_settings(CONFIG, "gcp")
    found = Found((Leftover(Kind.MACHINE, text, text, text, "2026-11-23T06:19:00Z", text),), (text,), None)  # type: ignore[arg-type]  # a look is not shown
    said = lines(SimpleNamespace(lane=lane), found)  # type: ignore[arg-type]  # all that is shown of a search
    said += [machine_line(lane, text), machine_line(lane, Machine(text, MachineState.STOPPED, id="1", words=text))]
    emit("text", said, None)
    out = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in out), out
    assert len(out.splitlines()) == len(said) == 5
