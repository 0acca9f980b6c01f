from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.runner_machine import Installation
from hyops_ci.errors import DispatchError, Fault, Refusal
from hyops_ci.runners.bootstrap import AgentArchive, How, Registration, RunnerIdentity, SetupOrder, SetupResult, Step, release_table, set_up
from hyops_ci.runners.bootstrap.release import SCRIPT, packed
from hyops_ci.runners.bootstrap.setup import _Said
from hyops_ci.runners.ports import Machine, MachineState
from hyops_ci.runners.ssh import Candidate, ProvenHost, new_login, prove
from hyops_ci.signing.dsse import public_of
from tests.runners.host.site import RealClock
from tests.support.ssh_server import SshServer, line_of
from tests.unit.evidence.sample_run import JONAS

ROOT = Path(__file__).parents[4]
TOKEN = "AR0000000000000000000c4n4ryt0ken"
TRUST: dict[str, Any] = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 4242,
    "repository_owner_id": 77,
    "ref": "refs/heads/main",
    "workflow_shas": ["3f2a" + 36 * "0"],
    "runner_refs": ["gcp-ops-runner"],
    "approvers": [],
    "host": {"user": "hyops", "envs_base": "/srv/hyops/envs"},
}
ORDER = SetupOrder(json.dumps(TRUST).encode(), RunnerIdentity("https://github.com/acme/recovery", "ops-1", ("gcp-ops-runner", "x y")))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    (tmp_path / "bin").mkdir()
    made = SshServer("ops", "", tmp_path / "bin")
    yield made
    made.close()


@pytest.fixture
def host(server: SshServer) -> Iterator[ProvenHost]:
    login = new_login("ops")
    server.key = login.public
    machine = Machine("ops-1", MachineState.RUNNING, id="7")
    with prove(Candidate(machine, server, lambda: (line_of(server.host_key),)), login, limit=20, clock=RealClock()) as proven:
        yield proven


def answers(server: SshServer, setup: str, register: str = "exit 9") -> None:
    """A sudo that says what the script would: what it was given it keeps."""
    path = server.programs / "sudo"
    path.write_text(
        f'#!/bin/bash\nfor part; do :; done\ncat >"{server.programs}/$part.stdin"\nprintf "%s\\n" "$@" >"{server.programs}/$part.argv"\n'
        f"case $part in setup) {setup} ;; register) {register} ;; esac\n"
    )
    path.chmod(0o755)


def sent(server: SshServer, part: str) -> tuple[str, dict[str, bytes]]:
    """The first line, and the files of what followed."""
    first, _, rest = (server.programs / f"{part}.stdin").read_text().partition("\n")
    data = b64decode(rest)
    assert sha256(data).hexdigest() in (server.programs / f"{part}.argv").read_text().split()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return first, {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]  # each is a file


KEY = public_of(JONAS)
DONE = """
echo begin users; echo made user hyops; echo kept /opt/x; echo begin prepare
echo 'prepared {"steps": [["changed", "/etc/dr-dispatch/trust.json"]], "public_key": "KEY", "runner_refs": ["gcp-ops-runner"]}'
echo fact agent=2.340.0; echo fact left=a password; echo fact registration=none; echo fact done=setup
""".replace("KEY", KEY)


def test_what_is_done_and_said(server: SshServer, host: ProvenHost) -> None:
    answers(server, DONE, "echo made registration as ops-1; echo fact done=register")
    said: list[str] = []
    done = set_up(host, replace(ORDER, register=lambda: Registration(token=TOKEN)), said.append)
    assert done == SetupResult(
        steps=(
            Step(How.MADE, "user hyops"),
            Step(How.KEPT, "/opt/x"),
            Step(How.CHANGED, "/etc/dr-dispatch/trust.json"),
            Step(How.MADE, "registration as ops-1"),
        ),
        script_sha256=sha256(SCRIPT.read_bytes()).hexdigest(),
        agent_version="2.340.0",
        registered=True,
        public_key=KEY,
        left_to_people=("a password",),
    )
    assert done.changed
    assert "setting up: users" in said
    assert host.round_trips == 3
    first, files = sent(server, "setup")
    assert first == ""
    assert {"setup.sh", "order.sh", "trust.json", "release/actions/setup/setup.sh", "release/hyops_ci/__init__.py"} <= set(files)
    assert "release/requirements/hyops.txt" in files
    assert not [name for name in files if "__pycache__" in name]
    first, files = sent(server, "register")
    assert first == TOKEN
    assert set(files) == {"setup.sh", "order.sh"}, "a registration needs no release"
    everywhere = (
        "".join(path.read_text() for path in server.programs.glob("*.argv")) + repr(done) + "".join(said) + "".join(server.commands)
    )
    assert TOKEN not in everywhere


def test_the_order_reaches_the_script_as_it_is(server: SshServer, host: ProvenHost) -> None:
    answers(server, DONE)
    odd = RunnerIdentity("https://github.com/acme/recovery", "o'ps $(touch /tmp/x)", ("a b", "c"), "group `x`")
    set_up(host, replace(ORDER, identity=odd, agent=AgentArchive("2.340.0", "ab" * 32), installation=Installation(hyops=False)))
    _, files = sent(server, "setup")
    (server.programs / "order.sh").write_bytes(files["order.sh"])
    shown = 'source "$1"; printf "%s|" "$name" "$labels" "$group" "$agent_version" "$agent_sha256_arm64" "$hyops_version" "$only_say"'
    done = subprocess.run(["bash", "-euc", shown, "x", str(server.programs / "order.sh")], capture_output=True, text=True, check=True)
    assert done.stdout == f"o'ps $(touch /tmp/x)|a b,c|group `x`|2.340.0|{'ab' * 32}|||"


@pytest.mark.parametrize("facts", ["echo fact registration=same", "echo fact registration=other"])
def test_a_token_is_minted_only_where_it_is_needed(facts: str, server: SshServer, host: ProvenHost) -> None:
    minted: list[str] = []

    def register() -> Registration:
        minted.append(TOKEN)
        return Registration(token=TOKEN)

    answers(server, f"{facts}; echo fact done=setup", "echo fact done=register")
    done = set_up(host, replace(ORDER, register=register))
    assert (len(minted), done.registered) == ((0, False) if facts.endswith("same") else (1, True))
    set_up(host, replace(ORDER, register=register, only_say=True))
    assert len(minted) == (0 if facts.endswith("same") else 1)


def test_what_prepare_would_do_is_said_as_such(server: SshServer, host: ProvenHost) -> None:
    answers(server, DONE)
    steps = set_up(host, replace(ORDER, only_say=True)).steps
    assert Step(How.WOULD_CHANGE, "/etc/dr-dispatch/trust.json") in steps


def problem_of(host: ProvenHost, order: SetupOrder = ORDER) -> tuple[DispatchError, list[str]]:
    said: list[str] = []
    with pytest.raises(DispatchError) as problem:
        set_up(host, order, said.append)
    assert (problem.value.gate, int(problem.value.exit_code)) == ("runner.setup", 7)
    return problem.value, said


def test_a_host_that_cannot_be_made_so(server: SshServer, host: ProvenHost) -> None:
    answers(server, r"echo begin packages; printf 'refuse nft not there\tan image with it\tinstall it\n'; exit 70")
    problem, _ = problem_of(host)
    assert type(problem) is Refusal
    assert (problem.found, problem.expected, problem.fix) == ("nft not there", "an image with it", "install it")
    assert problem.reason == "ops-1 (id 7) cannot be made a runner: packages"


@pytest.mark.parametrize(
    "said", ["nonsense", "[]", "{}", '{"steps": 5}', '{"steps": [["made"]]}', '{"steps": [["lost", "/x"]]}', '{"steps": [[[], 1]]}']
)
def test_what_prepare_never_says(said: str, server: SshServer, host: ProvenHost) -> None:
    answers(server, f"echo begin prepare; echo 'prepared {said}'; echo fact registration=same; echo fact done=setup")
    problem, _ = problem_of(host)
    assert type(problem) is Fault
    assert "failed at prepare" in problem.reason
    assert said in problem.found


@given(
    st.lists(
        st.text(max_size=60) | st.sampled_from(["fact", "fact =", "refuse", "refuse \t", "prepared", "made", "begin ", "would make  "])
    )
)
def test_no_line_is_too_strange_to_be_heard(lines: list[str]) -> None:
    said = _Said(lambda _: None)
    for line in lines:
        said.hear(line)


@pytest.mark.parametrize("end", ["exit 1", "exit 70", "exit 0", "kill -9 $$"])
def test_a_step_that_failed(end: str, server: SshServer, host: ProvenHost) -> None:
    answers(server, f"echo begin agent; echo 'tar: no space left' >&2; {end}")
    problem, said = problem_of(host)
    assert type(problem) is Fault
    assert "failed at agent" in problem.reason
    assert "no space left" in problem.found
    assert "ops-1: tar: no space left" in said


def test_a_registration_that_failed_shows_no_token(server: SshServer, host: ProvenHost) -> None:
    answers(server, DONE, f"echo begin register; echo 'refused {TOKEN}' >&2; echo ::add-mask::{TOKEN} >&2; exit 1")
    problem, said = problem_of(host, replace(ORDER, register=lambda: Registration(token=TOKEN)))
    assert "refused ***" in problem.found
    assert TOKEN not in json.dumps(problem.to_json()) + "".join(said)
    assert TOKEN not in repr(Registration(token=TOKEN))


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (None, "host.user is None"),
        ({}, "host.user is None"),
        ({"user": "svc"}, "host.user is svc"),
        ({"user": "hyops", "hyops": "/usr/bin/hyops"}, "host.hyops /usr/bin/hyops"),
    ],
)
def test_a_trust_file_without_the_wall(there: dict[str, str] | None, found: str, server: SshServer, host: ProvenHost) -> None:
    answers(server, DONE)
    with pytest.raises(Refusal, match="HyOps as a user of its own") as problem:
        set_up(host, replace(ORDER, trust=json.dumps({**TRUST, "host": there}).encode()))
    assert found in problem.value.found
    assert host.round_trips == 1


def test_the_same_order_is_the_same_bytes() -> None:
    one, other = (packed({"a": "b"}, b"{}") for _ in range(2))
    assert one == other
    assert len(gzip.decompress(one)) < 6_000_000


def test_the_table_of_the_release() -> None:
    table = release_table()
    assert set(table.agent_sha256) == {"x64", "arm64"}
    for digest in (*table.agent_sha256.values(), table.hyops_tar_sha256):
        assert len(bytes.fromhex(digest)) == 32
    assert tuple(map(int, table.agent_version.split("."))) >= (2, 336, 0), "older ones do not know what dispatch.yml is written in"


UNPROVEN = """
from hyops_ci.runners.bootstrap import SetupOrder, set_up
from hyops_ci.runners.ports import Machine
from hyops_ci.runners.ssh import ProvenHost

def proven(host: ProvenHost, order: SetupOrder) -> None:
    set_up(host, order)

def unproven(machine: Machine, order: SetupOrder) -> None:
    set_up(machine, order)

def forged(order: SetupOrder) -> None:
    set_up(ProvenHost(object(), None, None, None), order)
"""


@pytest.mark.slow
def test_a_machine_that_was_not_proven_does_not_type_check(tmp_path: Path) -> None:
    (tmp_path / "unproven.py").write_text(UNPROVEN)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(tmp_path),
        "--no-error-summary",
    ]
    done = subprocess.run([*command, str(tmp_path / "unproven.py")], cwd=ROOT, capture_output=True, text=True, check=False)
    errors = [line.split("unproven.py:")[1] for line in done.stdout.splitlines() if "unproven.py:" in line and ": error:" in line]
    assert errors[0].startswith('10: error: Argument 1 to "set_up" has incompatible type "Machine"; expected "ProvenHost"'), done.stdout
    assert {line.split(":")[0] for line in errors} == {"10", "13"}, done.stdout
