"""With GitHub down: `hyops-ci run` under the host trust, with two approvals, and what it never takes."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from hyops_ci.approvals.request import answer
from hyops_ci.cli import github_job
from hyops_ci.cli.app import main
from hyops_ci.cli.github_job import host_trust
from hyops_ci.cli.run import commands_to_go_on
from hyops_ci.contracts.approval import ApprovalRequest, Person
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.evidence.contents import read_files
from hyops_ci.operations.break_glass import break_glass, require_trust
from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import example_decision
from hyops_ci.secrets.map import builtin_map, refs_for
from hyops_ci.signing.dsse import load_key, new_key
from hyops_ci.stages.conclude.stage import Conclusion
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.plan.stage import Ask
from tests.support.openbao import start_openbao

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
S = State
PEOPLE = ("jonas", "priya", "maria")


@dataclass
class Runner:
    """A runner host of class lab with a trust file, and the keys of three people; maria asks."""

    site: Site
    trust: dict[str, Any]

    def key(self, login: str) -> Path:
        return self.site.root / "keys" / f"{login}.pem"

    @property
    def config(self) -> Path:
        return self.site.repository / ".github" / "dr-dispatch.yml"

    def change_config(self, **fields: object) -> None:
        known = yaml.safe_load(self.config.read_text())
        self.config.write_text(yaml.safe_dump({**known, **fields}))

    def world(self, **trust: object) -> RunContext:
        known = HostTrust.model_validate_json(json.dumps({**self.trust, **trust}))
        return replace(self.site.world(), trust=known, min_quorum=2)

    def ask(self, *envelopes: dict[str, Any], decision: bytes = b"") -> Ask:
        content = decision or example_decision("failover", self.site.clock, 1)
        return Ask(self.site.repository, content, approvals=json.dumps(envelopes) if envelopes else "")

    def sign(self, folder: Path, login: str, verdict: str = "approve") -> dict[str, Any]:
        """One person's answer to what the run in `folder` asked. Maria needs a changed tool for hers: ours refuses her."""
        request = RunDir(folder / "run").read_model("request.json", ApprovalRequest)
        if login == "maria":
            request = request.model_copy(update={"requesters": ()})
        key = load_key(self.key(login))
        return answer(request, verdict, Person(login=login), key, now=self.site.clock.now(), comment="by phone")  # type: ignore[arg-type]  # verdicts come as text

    def asked(self, folder: Path) -> bytes:
        """A first run without answers: it leaves the request, and the decision that the second one takes again."""
        decision = example_decision("failover", self.site.clock, 1)
        ended = break_glass(self.ask(decision=decision), folder, self.world())
        assert ended.result.outcome is S.UNSIGNED
        return decision


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    site = Site(tmp_path / "site", SystemClock())
    with endpoint() as port:
        set_up(site, port)
        keys = {login: new_key(site.root / "keys" / f"{login}.pem") for login in PEOPLE if login != "jonas"}
        config = site.repository / ".github" / "dr-dispatch.yml"
        keys |= yaml.safe_load(config.read_text())["approvals"]["approvers"]
        approvers = [{"id": number, "login": login, "key": keys[login]} for number, login in enumerate(PEOPLE, 1)]
        trust = {
            "api_version": "hybridops/v1",
            "kind": "HostTrust",
            "repository_id": 1,
            "repository_owner_id": 2,
            "ref": "refs/heads/main",
            "workflow_shas": ["a" * 40],
            "runner_refs": ["gcp-ops-runner"],
            "approvers": approvers,
            "evidence_keys": [site.host_public],
            "ledger": str(site.root / "ledger.git"),
        }
        made = Runner(site, trust)
        made.change_config(approvals={"channels": ["signed"], "approvers": keys})
        yield made


def gate_of(ended: Conclusion) -> tuple[State, str, int]:
    refusal = ended.result.refusal
    assert ended.verdict.ok, ended.verdict.problems
    return ended.result.outcome, refusal.gate if refusal else "", ended.result.exit_code


def test_two_approvals_recover(runner: Runner, tmp_path: Path) -> None:
    decision = runner.asked(tmp_path / "first")
    answers = [runner.sign(tmp_path / "first", login) for login in ("jonas", "priya")]
    ended = break_glass(runner.ask(*answers, decision=decision), tmp_path / "second", runner.world())
    assert gate_of(ended)[::2] == (S.COMPLETED_WITH_EXCEPTIONS, 0)
    files = read_files(ended.bundle)
    plan, facts = json.loads(files["plan.json"]), json.loads(files["runner.json"])
    assert plan["approval"]["quorum"] == 2
    assert (facts["runner_ref"], facts["trusted"]) == ("gcp-ops-runner", True)
    assert sorted(name for name in files if name.startswith("approvals/")) == [
        "approvals/envelopes.json",
        "approvals/jonas.json",
        "approvals/priya.json",
    ]
    assert "this host does not pin its callers" not in ended.result.deviations


def test_one_approval_is_not_enough(runner: Runner, tmp_path: Path) -> None:
    decision = runner.asked(tmp_path / "first")
    one = runner.sign(tmp_path / "first", "jonas")
    ended = break_glass(runner.ask(one, decision=decision), tmp_path / "second", runner.world())
    assert gate_of(ended) == (S.UNSIGNED, "approval.quorum", 6)
    twice = break_glass(runner.ask(one, one, decision=decision), tmp_path / "third", runner.world())
    assert gate_of(twice) == (S.UNSIGNED, "approval.quorum", 6)
    assert runner.site.world().ledger("pg-ha/lab").tip().claim is None


def test_ones_own_approval_does_not_count(runner: Runner, tmp_path: Path) -> None:
    decision = runner.asked(tmp_path / "first")
    answers = [runner.sign(tmp_path / "first", login) for login in ("jonas", "maria")]
    ended = break_glass(runner.ask(*answers, decision=decision), tmp_path / "second", runner.world())
    assert gate_of(ended) == (S.UNSIGNED, "approval.quorum", 6)
    assert ended.result.refusal is not None
    assert "approval.self" in ended.result.refusal.found


def test_one_no_outweighs_two(runner: Runner, tmp_path: Path) -> None:
    decision = runner.asked(tmp_path / "first")
    answers = [runner.sign(tmp_path / "first", "jonas"), runner.sign(tmp_path / "first", "priya", "deny")]
    ended = break_glass(runner.ask(*answers, decision=decision), tmp_path / "second", runner.world())
    assert gate_of(ended) == (S.DENIED, "approval.denied", 6)
    assert ended.result.headline == "DENIED by priya"


def test_fewer_approvers_than_two_is_said_before_anybody_is_asked(runner: Runner, tmp_path: Path) -> None:
    keys = yaml.safe_load(runner.config.read_text())["approvals"]["approvers"]
    runner.change_config(approvals={"channels": ["signed"], "approvers": {"jonas": keys["jonas"], "maria": keys["maria"]}})
    ended = break_glass(runner.ask(), tmp_path / "run", runner.world())
    assert gate_of(ended) == (S.BLOCKED, "approval.gate", 4)


@pytest.mark.parametrize(
    "loosen",
    [
        lambda keys: {"policy": {"decision_lifetime": "PT2H"}},
        lambda keys: {"approvals": {"channels": ["signed"], "approvers": keys, "lifetime": "PT2H"}},
        lambda keys: {"approvals": {"channels": ["signed"], "approvers": keys, "quorum": 2}},
        lambda keys: {
            "approvals": {"channels": ["signed"], "approvers": {**keys, "eve": "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="}}
        },
    ],
    ids=["decision-lifetime", "approval-lifetime", "quorum", "a-throw-away-key"],
)
def test_a_config_looser_than_the_host_is_refused(
    loosen: Callable[[dict[str, str]], dict[str, object]], runner: Runner, tmp_path: Path
) -> None:
    runner.change_config(**loosen(yaml.safe_load(runner.config.read_text())["approvals"]["approvers"]))
    ended = break_glass(runner.ask(), tmp_path / "run", runner.world(quorum=3))
    assert gate_of(ended) == (S.BLOCKED, "trust.looser", 4)
    assert ended.result.headline.startswith("REFUSED trust.looser")


def test_a_looser_default_is_narrowed_without_a_word(runner: Runner, tmp_path: Path) -> None:
    world = runner.world(max_approval_lifetime="PT5M", max_decision_lifetime="PT10M")
    break_glass(runner.ask(), tmp_path / "run", world)
    plan = RunDir(tmp_path / "run" / "run").read_json("plan.json")
    assert plan["approval"]["lifetime"] == "PT5M"


def test_a_host_of_another_lane_is_refused(runner: Runner, tmp_path: Path) -> None:
    ended = break_glass(runner.ask(), tmp_path / "run", runner.world(runner_refs=["proxmox-ops-runner"]))
    assert gate_of(ended) == (S.NO_RUNNER, "trust.runner", 7)


def test_a_lab_authority_in_production_is_refused(runner: Runner, tmp_path: Path) -> None:
    runner.change_config(envs={"lab": {"class": "production"}})
    ended = break_glass(runner.ask(), tmp_path / "run", runner.world())
    assert gate_of(ended) == (S.BLOCKED, "authority.site", 4)


def test_a_key_that_the_host_no_longer_trusts_does_not_count(runner: Runner, tmp_path: Path) -> None:
    decision = runner.asked(tmp_path / "first")
    answers = [runner.sign(tmp_path / "first", login) for login in ("jonas", "priya")]
    people = [{**each, "not_after": "2026-01-01T00:00:00Z"} if each["login"] == "priya" else each for each in runner.trust["approvers"]]
    ended = break_glass(runner.ask(*answers, decision=decision), tmp_path / "second", runner.world(approvers=people))
    assert gate_of(ended) == (S.UNSIGNED, "approval.quorum", 6)


# ---------------------------------------------------------------------------------------- the trust file


def test_no_trust_no_run() -> None:
    with pytest.raises(Refusal) as refused:
        require_trust(None)
    assert (refused.value.gate, refused.value.exit_code) == ("trust.missing", 4)


def written(path: Path, content: bytes, mode: int = 0o644) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def owned(by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file belongs to this user, whoever runs the tests."""
    stat = Path.stat

    def told(self: Path, **words: bool) -> os.stat_result:
        facts = list(stat(self, **words))
        facts[4] = by
        return os.stat_result(facts)

    monkeypatch.setattr(Path, "stat", told)


def test_a_trust_file_of_root_is_read(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    owned(0, monkeypatch)
    trust = host_trust(written(tmp_path / "trust.json", json.dumps(runner.trust).encode()))
    assert trust is not None
    assert trust.runner_refs == ("gcp-ops-runner",)


def test_a_trust_file_that_is_not_there_pins_nothing(tmp_path: Path) -> None:
    assert host_trust(tmp_path / "trust.json") is None


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666], ids=oct)
def test_a_trust_file_that_others_can_write_is_refused(mode: int, runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    owned(0, monkeypatch)
    with pytest.raises(Refusal, match=r"trust\.file"):
        host_trust(written(tmp_path / "trust.json", json.dumps(runner.trust).encode(), mode))


def test_a_trust_file_of_somebody_else_is_refused(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = written(tmp_path / "trust.json", json.dumps(runner.trust).encode())
    owned(1000, monkeypatch)
    with pytest.raises(Refusal, match=r"trust\.file"):
        host_trust(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kind": "HostTrust"}', b"\xff\xfe\x00"], ids=repr)
def test_a_trust_file_that_is_none_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    owned(0, monkeypatch)
    with pytest.raises(Refusal) as refused:
        host_trust(written(tmp_path / "trust.json", content))
    assert refused.value.exit_code == 2


def test_a_folder_in_place_of_the_trust_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"trust\.file"):
        host_trust(tmp_path)


# ------------------------------------------------------------------------------------- the command itself


def run_command(*words: str | Path) -> tuple[int, str]:
    """Exit code and standard output of `hyops-ci run`."""
    with CliRunner().isolation() as (out, _, _), pytest.raises(SystemExit) as ended:
        main(["run", *map(str, words), "--format", "json"])
    return int(ended.value.code or 0), out.getvalue().decode()


def test_the_command_without_a_trust_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(github_job, "host_trust", lambda: None)
    code, said = run_command("--folder", tmp_path / "run")
    assert code == 4
    assert json.loads(said)["error"]["gate"] == "trust.missing"
    assert not (tmp_path / "run").exists()


def test_the_command_from_ask_to_recovery(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked for by a form's decision file, answered by two people, carried out."""
    monkeypatch.setattr(github_job, "host_trust", lambda: runner.world().trust)
    monkeypatch.setenv("HOME", str(runner.site.runner))
    decision = tmp_path / "decision.json"
    decision.write_bytes(example_decision("failover", runner.site.clock, 1))
    words = ("--decision", decision, "--checkout", runner.site.repository)
    code, said = run_command(*words, "--folder", tmp_path / "first")
    assert (code, json.loads(said)["outcome"]) == (6, "UNSIGNED")
    signed = []
    for login in ("jonas", "priya"):
        path = tmp_path / f"{login}.json"
        path.write_text(json.dumps([runner.sign(tmp_path / "first", login)]))
        signed += ["--approval", path]
    code, said = run_command(*words, *signed, "--folder", tmp_path / "second")
    ended = json.loads(said)
    assert (code, ended["outcome"], ended["evidence_valid"]) == (0, "COMPLETED_WITH_EXCEPTIONS", True)


def read_terminal(handle: int) -> bytes:
    """Some of what was printed there; nothing once all programs in it have ended."""
    try:
        return os.read(handle, 4096)
    except OSError:
        return b""


def test_a_connection_that_is_lost_ends_no_recovery(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The terminal is closed while HyOps works, which hangs up on everything in it: the run goes on, and what it did is sealed."""
    monkeypatch.setattr(github_job, "host_trust", lambda: runner.world().trust)
    monkeypatch.setenv("HOME", str(runner.site.runner))
    decision = tmp_path / "decision.json"
    decision.write_bytes(example_decision("failover", runner.site.clock, 1))
    words = ["--decision", str(decision), "--checkout", str(runner.site.repository)]
    assert run_command(*words, "--folder", tmp_path / "first")[0] == 6
    for login in ("jonas", "priya"):
        path = tmp_path / f"{login}.json"
        path.write_text(json.dumps([runner.sign(tmp_path / "first", login)]))
        words += ["--approval", str(path)]
    words += ["--folder", str(tmp_path / "second")]
    code = "import json, sys; from hyops_ci.cli import app, github_job; from hyops_ci.contracts.host_trust import HostTrust as T; "
    code += "trust = T.model_validate_json(sys.argv[1]); github_job.host_trust = lambda: trust; app.main(sys.argv[2:])"
    child, terminal = pty.fork()
    if not child:
        os.execv(
            sys.executable, [sys.executable, "-c", code, json.dumps(runner.trust), "run", *words, "--folder", str(tmp_path / "second")]
        )
    said = b""
    while b"lock taken" not in said:
        more = read_terminal(terminal)
        assert more, said
        said += more
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    files = read_files(tmp_path / "second" / "evidence.tar")
    assert json.loads(files["result.json"])["outcome"] == S.COMPLETED_WITH_EXCEPTIONS


def test_the_commands_that_an_unsigned_run_prints_carry_it_on(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pasted as they are printed, with the keys in their places: two answers, and the run goes on."""
    trust = runner.world().trust
    assert trust is not None
    monkeypatch.setattr(github_job, "host_trust", lambda: trust)
    monkeypatch.setenv("HOME", str(runner.site.runner))
    monkeypatch.chdir(tmp_path)
    asked = tmp_path / "asked.json"
    asked.write_bytes(example_decision("failover", runner.site.clock, 1))
    code, _ = run_command("--decision", asked, "--checkout", runner.site.repository, "--folder", tmp_path / "first")
    assert code == 6
    lines = [line.strip() for line in commands_to_go_on(tmp_path / "first" / "run", trust)]
    approving, going_on = [line for line in lines if "approve" in line.split()[:2]], lines[-1]
    assert len(approving) == 2
    for line in approving:
        command, _, file = line.partition(" > ")
        login = file.removesuffix(".json")
        words = shlex.split(command.replace(f"<key of {login}>", str(runner.key(login))))
        with CliRunner().isolation(input="y\n") as (out, err, _), pytest.raises(SystemExit) as ended:
            main([*words[1:], "--yes"])  # no terminal here to ask on
        assert not ended.value.code, err.getvalue()
        (tmp_path / file).write_bytes(out.getvalue())
    words = shlex.split(going_on)
    code, said = run_command(*words[2:], "--checkout", runner.site.repository, "--folder", tmp_path / "second")
    assert (code, json.loads(said)["outcome"]) == (0, "COMPLETED_WITH_EXCEPTIONS")


def commands_of(page: str) -> list[str]:
    """The commands of a page's `bash` blocks."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines()]


def test_the_page_for_the_night_command_by_command(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """docs/github-down.md as it is written, for the service of the rehearsal; and the next commands that the first one prints."""
    ask, sign, recover = commands_of("github-down.md")
    monkeypatch.setattr(github_job, "host_trust", lambda: runner.world().trust)
    monkeypatch.setenv("HOME", str(runner.site.runner))
    monkeypatch.chdir(runner.site.repository)

    def call(line: str) -> tuple[int, str, str]:
        words = shlex.split(line.replace("pg-ha/prod", "pg-ha/lab").replace("~", str(tmp_path)))
        words, into = (words[:-2], tmp_path / words[-1]) if ">" in words else (words, None)
        with CliRunner().isolation() as (out, err, _), pytest.raises(SystemExit) as ended:
            main(words[1:])
        if into:
            into.write_bytes(out.getvalue())
        return int(ended.value.code or 0), out.getvalue().decode(), err.getvalue().decode()

    code, said, progress = call(ask)
    assert (code, said.startswith("WAITING FOR A SIGNATURE")) == (6, True), said + progress
    asked = tmp_path / "inc-4242" / "asked" / "run"
    assert f"hyops-ci approve --request {asked}/request.json --key" in progress
    assert f"hyops-ci run --decision {asked}/decision.json --approval" in progress
    (runner.site.repository / "request.json").write_bytes((asked / "request.json").read_bytes())
    for login in ("jonas", "priya"):
        key = sign.replace("~/.config/dr-dispatch/key.pem", str(runner.key(login))).replace("jonas.json", f"{login}.json")
        assert call(key.replace(" >", " --yes >"))[0] == 0
    code, said, progress = call(
        recover.replace("jonas.json", str(tmp_path / "jonas.json")).replace("priya.json", str(tmp_path / "priya.json"))
    )
    assert (code, said.startswith("RECOVERED")) == (0, True), said + progress


def test_the_command_with_no_ledger_named_is_refused(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trust = runner.world(ledger=None).trust
    monkeypatch.setattr(github_job, "host_trust", lambda: trust)
    monkeypatch.setenv("HOME", str(runner.site.runner))
    decision = tmp_path / "decision.json"
    decision.write_bytes(example_decision("failover", runner.site.clock, 1))
    code, said = run_command("--decision", decision, "--checkout", runner.site.repository, "--folder", tmp_path / "run")
    ended = json.loads(said)
    assert (code, ended["refusal"]["gate"], ended["evidence_valid"]) == (2, "ledger.remote", True)


@pytest.mark.bao
def test_the_token_on_the_host_opens_vault_and_ends_with_the_run(runner: Runner, tmp_path: Path) -> None:
    """GitHub gives no identity here: the token that a person put on the host does, for both stages, and is revoked by the run."""
    with start_openbao() as bao:
        refs = refs_for(builtin_map(), "lab", ("dr", "shared"), [row.key for row in builtin_map().rows if row.scope in ("dr", "shared")])
        paths: dict[str, dict[str, object]] = {}
        for ref in refs:
            paths.setdefault(ref.path, {})[ref.field] = f"canary-of-{ref.key.lower()}"
        for path, fields in paths.items():
            bao.put(path, **fields)
        bao.add_env("lab", list(paths))
        facts = {"policies": ["dr-lab", "dr-check"], "no_default_policy": True, "explicit_max_ttl": "10m", "ttl": "10m"}
        token = str(bao.admin.auth.token.create(**facts)["auth"]["client_token"])
        file = tmp_path / "token"
        file.write_text(token)
        file.chmod(0o600)
        glass = {"method": "token-file", "path": str(file)}
        runner.change_config(vault={"address": bao.origin, "site": "gcp", "break_glass": glass})
        decision = runner.asked(tmp_path / "first")
        assert bao.works(token)
        answers = [runner.sign(tmp_path / "first", login) for login in ("jonas", "priya")]
        ended = break_glass(runner.ask(*answers, decision=decision), tmp_path / "second", runner.world())
        assert gate_of(ended)[::2] == (S.COMPLETED_WITH_EXCEPTIONS, 0)
        assert not bao.works(token)
    files = read_files(ended.bundle)
    manifest = json.loads(files["secrets.json"])
    assert (manifest["login"], manifest["origin"], manifest["revoked"]) == ("token-file", bao.origin, True)
    told = b"\n".join(files.values())
    assert b"canary-of-" not in told
    assert token.encode() not in told
