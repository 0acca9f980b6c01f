"""Every command: help, usage, refusals in both forms, and never a traceback, whatever is given."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyops_ci.cli.app import COMMANDS, cli, main
from hyops_ci.operations.rehearse.sandbox import EXAMPLE
from hyops_ci.signing.dsse import new_key
from tests.support.examples import examples


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        """The one JSON value on stdout, which is a refusal."""
        value: dict[str, Any] = json.loads(self.out)["error"]
        return value


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """One command in this process, in an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def call(*words: str | Path) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return Said(int(ended.value.code or 0), said.out, said.err)

    return call


def commands() -> list[tuple[str, ...]]:
    """Each command and sub-command by its words."""
    found: list[tuple[str, ...]] = []
    context = click.Context(cli)
    for name in COMMANDS:
        known = cli.get_command(context, name)
        found += [(name, sub) for sub in known.commands] if isinstance(known, click.Group) else [(name,)]
    return found


def options_of(words: tuple[str, ...]) -> list[click.Parameter]:
    known: click.Command | None = cli
    for word in words:
        assert isinstance(known, click.Group)
        known = known.get_command(click.Context(known), word)
    assert known is not None
    return known.params


# --------------------------------------------------------------------------------------- help and usage


def test_the_first_page_names_every_command(run: Run) -> None:
    said = run("--help")
    assert said.code == 0
    assert [name for name in COMMANDS if name not in said.out] == []
    assert [text for _, text in COMMANDS.values() if "_" in text] == []  # no name of the code in a text for people
    assert run("--version").out.startswith("hyops-ci")


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_names_every_option(words: tuple[str, ...], run: Run) -> None:
    said = run(*words, "--help")
    assert (said.code, said.err) == (0, "")
    for parameter in options_of(words):
        for name in parameter.opts if isinstance(parameter, click.Option) else ():
            assert name in said.out


@pytest.mark.parametrize("group", sorted({words[0] for words in commands() if len(words) == 2}))
def test_the_help_of_a_group_has_whole_sentences(group: str, run: Run) -> None:
    said = run(group, "--help").out.partition("Commands:")[2]
    assert "..." not in said
    assert [words[1] for words in commands() if words[0] == group and f"  {words[1]} " not in said] == []


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_prints_as_text_or_json(words: tuple[str, ...]) -> None:
    choices = [parameter.type for parameter in options_of(words) if "--format" in parameter.opts]
    assert [list(choice.choices) for choice in choices if isinstance(choice, click.Choice)] == [["text", "json"]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_bad_usage_is_exit_2(words: tuple[str, ...], run: Run) -> None:
    said = run(*words, "--no-such-option")
    assert (said.code, said.out) == (2, "")
    assert "No such option" in said.err
    assert run(*words, "--format", "xml").code == 2


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_bad_usage_as_json(words: tuple[str, ...], run: Run) -> None:
    said = run(*words, "--no-such-option", "--format", "json")
    assert (said.code, said.err, said.error["gate"], said.error["exit_code"]) == (2, "", "command.usage", 2)
    assert said.error["found"].startswith("No such option")
    assert said.error["fix"] == f"hyops-ci {' '.join(words)} --help"


ID = "site-20260101T000000Z-abcd"
READS_A_CONFIG = (
    *(("status",), ("board", "--out", "x"), ("config", "explain"), ("drill", "due"), ("environment", "check")),
    *(("readiness", "due"), ("readiness", "heartbeat")),
    *(
        ("recovery", "start", "x", "--reason", "x"),
        ("recovery", "status", ID),
        ("recovery", "go-on", ID),
        ("recovery", "approve", ID, "--key", "x"),
    ),
    *(("runner", name) for name in ("lanes", "look", "reap", "status")),
    ("runner", "bootstrap", "--lane", "gcp", "--reason", "runner-recovery"),
)


@pytest.mark.parametrize("words", READS_A_CONFIG, ids=" ".join)
def test_a_config_that_is_not_here(words: tuple[str, ...], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls it in another folder, or has none yet, is told so."""
    monkeypatch.chdir(tmp_path)
    for name in ("GH_REPO", "GH_TOKEN"):
        monkeypatch.setenv(name, "acme/recovery")
    said = run(*words, "--format", "json")
    assert (said.code, said.error["gate"]) == (2, "intake.file")
    assert said.error["found"] == ".github/dr-dispatch.yml: No such file or directory"
    assert said.error["fix"].startswith("call it in the top folder of the checkout; hyops-ci init ")
    (tmp_path / ".github" / "dr-dispatch.yml").mkdir(parents=True)
    assert "Is a directory" in run(*words).err


@pytest.mark.parametrize("words", [("nonsense",), ("evidence", "nonsense"), ("ledger",), ("validate",), ("approve",)], ids=" ".join)
def test_half_a_command_is_exit_2(words: tuple[str, ...], run: Run) -> None:
    said = run(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err


OF_ONE_SERVICE = [
    ("ledger", "show"),
    ("ledger", "merge", "--standby", "x"),
    ("ledger", "settle", *("--serves", "x", "--reason", "x", "--key", "x")),
]


@pytest.mark.parametrize("words", OF_ONE_SERVICE, ids=" ".join)
def test_a_service_that_nothing_names_is_asked_for(
    words: tuple[str, ...], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not looked for under some other name: a ledger that is missing is an alarm."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet", "--bare", "remote.git"], check=True)
    said = run(*words, "--remote", tmp_path / "remote.git")
    assert (said.code, said.out) == (2, "")
    assert "Missing option '--service'" in said.err
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "dr-dispatch.yml").write_text("services:\n\tpg/lab: {}\n")
    said = run(*words, "--remote", tmp_path / "remote.git", "--format", "json")
    assert (said.code, said.error["gate"]) == (2, "intake.yaml")  # which would have named one


def test_a_decision_to_wait_is_recorded_and_no_lane_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "dr-dispatch.yml").write_bytes((EXAMPLE / "dr-dispatch.yml").read_bytes())
    words = ("--action", "hold", "--service", "pg-ha/lab", "--reason", "x", "--checkout", tmp_path, "--folder", tmp_path / "x")
    said = run("plan", *words)
    assert (said.code, said.out.splitlines()[0]) == (0, "RECORDED and nothing is planned: the decision is to wait")


def test_the_scenarios_of_a_rehearsal_as_json(run: Run) -> None:
    said = run("rehearse", "--scenario", "list", "--format", "json")
    assert json.loads(said.out)["denied"] == "the approver denies"


@pytest.mark.parametrize("name", ["a b", "ünï", "per%cent", "quo'te", "new\nline"])
def test_a_rehearsal_says_where_it_cannot_be(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    said = run("rehearse", "--folder", tmp_path / name)
    assert (said.code, "another --folder" in " ".join(said.err.split())) == (2, True), said
    assert not (tmp_path / name).exists()
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    said = run("rehearse")
    assert (said.code, "another --folder" in " ".join(said.err.split())) == (2, True), said
    assert not list((tmp_path / name).iterdir())


# ------------------------------------------------------------------------------------------- refusals


def test_a_refusal_as_text_and_as_json(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text('{"kind": "Decision", "signals": [NaN]}')
    text = run("validate", path)
    assert (text.code, text.out) == (3, "")
    assert text.err.splitlines()[0].startswith("REFUSED intake.number (exit 3): ")
    assert [line.split()[0] for line in text.err.splitlines()[1:]] == ["found", "expected", "fix"]
    for words in (("--format", "json"), ("--format=json",)):
        said = run("validate", path, *words)
        assert (said.code, said.err) == (3, "")
        assert (said.error["gate"], said.error["exit_code"]) == ("intake.number", 3)


def garbage(tmp_path: Path) -> dict[str, Path]:
    """Things that are not what a command wants."""
    made = {"missing": tmp_path / "missing", "folder": tmp_path / "folder"}
    made["folder"].mkdir(exist_ok=True)
    contents = {
        "empty": b"",
        "binary": bytes(range(256)) * 8,
        "brace": b"{",
        "deep": b"[" * 100_000,
        "list": b"[]",
        "other": b'{"kind": "Plan"}',
        "yaml": b"a: &a [*a]",
        "tar": b"evidence.json" + b"\0" * 2000,
    }
    for name, content in contents.items():
        made[name] = tmp_path / f"{name}.tar"
        made[name].write_bytes(content)
    return made


KINDS = ("missing", "folder", "empty", "binary", "brace", "deep", "list", "other", "yaml", "tar")
TAKES_A_FILE: dict[str, tuple[str, ...]] = {
    "validate": ("validate", "FILE"),
    "validate --config": ("validate", str(EXAMPLE / "decision.json"), "--config", "FILE"),
    "config explain": ("config", "explain", "FILE"),
    "evidence verify": ("evidence", "verify", "FILE"),
    "evidence show": ("evidence", "show", "FILE"),
    "evidence report": ("evidence", "report", "FILE"),
    "rehearse --config": ("rehearse", "--config", "FILE", "--folder", "FOLDER"),
    "approve --request": ("approve", "--request", "FILE", "--key", "KEY", "--yes"),
    "ledger settle --key": (
        *("ledger", "settle", "--remote", "/nonexistent", "--service", "pg-ha/lab", "--serves", "gcp"),
        *("--reason", "looked", "--config", str(EXAMPLE / "dr-dispatch.yml"), "--key", "FILE"),
    ),
    "ledger show --remote": ("ledger", "show", "--remote", "FILE", "--service", "pg-ha/lab"),
    "ledger init --remote": ("ledger", "init", "--remote", "FILE", "--service", "pg-ha/lab", "--home", "onprem"),
    "plan --decision": ("plan", "--decision", "@FILE", "--checkout", "REPOSITORY", "--folder", "FOLDER"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", TAKES_A_FILE)
def test_a_file_that_is_something_else(command: str, kind: str, run: Run, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    new_key(key)
    repository = tmp_path / "repository"
    (repository / ".github").mkdir(parents=True)
    (repository / ".github" / "dr-dispatch.yml").write_bytes((EXAMPLE / "dr-dispatch.yml").read_bytes())
    places = {"FILE": garbage(tmp_path)[kind], "FOLDER": tmp_path / "work", "KEY": key, "REPOSITORY": repository}
    words = []
    for word in TAKES_A_FILE[command]:
        for name, path in places.items():
            word = word.replace(name, str(path)) if word in (name, f"@{name}") else word
        words.append(word)
    text, said = run(*words), None
    if (tmp_path / "work").exists():
        words = [word.replace(str(tmp_path / "work"), str(tmp_path / "work-2")) for word in words]
    said = run(*words, "--format", "json")
    assert text.code == said.code
    assert text.code in (2, 3, 5, 6, 11, 12)
    assert isinstance(json.loads(said.out), dict)


def test_a_key_that_is_no_approvers(run: Run, tmp_path: Path) -> None:
    new_key(tmp_path / "key.pem")
    words = TAKES_A_FILE["ledger settle --key"]
    said = run(*(str(tmp_path / "key.pem") if word == "FILE" else word for word in words), "--format", "json")
    assert (said.code, said.error["gate"]) == (6, "approval.key")


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))))
@pytest.mark.parametrize("words", [("validate",), ("config", "explain"), ("evidence", "verify"), ("evidence", "show")], ids=" ".join)
def test_no_bytes_give_a_traceback(words: tuple[str, ...], content: bytes, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "given"
    path.write_bytes(content)
    said = run(*words, path, "--format", "json")
    assert said.code in (2, 3, 11)
    assert isinstance(json.loads(said.out), dict)


# ------------------------------------------------------------------------------------- what commands do


def test_validate_accepts_without_the_libraries_that_explain() -> None:
    """The accept path is a start-up cost on every call: neither pydantic nor jsonschema is loaded for it (issue: speed)."""
    code = (
        "import sys\nfrom hyops_ci.cli.app import main\n"
        f"try:\n    main(['validate', {str(EXAMPLE / 'decision.json')!r}])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "heavy = {name.partition('.')[0] for name in sys.modules} & {'pydantic', 'jsonschema', 'cryptography', 'yaml', 'rich'}\n"
        "print(sorted(heavy))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=EXAMPLE.parents[3])
    assert ended.stdout.splitlines() == ["ok: decision", "[]"]


def test_validate_reads_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with (EXAMPLE / "decision.json").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        said = run("validate", "-", "--format", "json")
    assert (said.code, json.loads(said.out)) == (0, {"valid": True, "kind": "decision"})


def test_validate_through_a_config(run: Run) -> None:
    words = (EXAMPLE / "decision.json", "--config", EXAMPLE / "dr-dispatch.yml", "--at", "2026-11-23T03:05:00Z")
    said = run("validate", *words, "--format", "json")
    assert json.loads(said.out)["service"] == "pg-ha/lab"
    late = run("validate", *words[:3], "--at", "2026-12-23T03:05:00Z", "--format", "json")
    assert late.code == 3
    assert run("validate", *words[:3], "--at", "yesterday").code == 2
    assert run("validate", *words[:3], "--at", "9999-12-31T23:59:59Z").code == 2


def test_validate_says_that_the_config_does_not_know_the_service(run: Run, tmp_path: Path) -> None:
    theirs = tmp_path / "dr-dispatch.yml"
    theirs.write_text((EXAMPLE / "dr-dispatch.yml").read_text().replace("pg-ha/lab", "web/lab"))
    said = run("validate", EXAMPLE / "decision.json", "--config", theirs, "--at", "2026-11-23T03:05:00Z", "--format", "json")
    assert (said.code, said.error["gate"], said.error["found"]) == (4, "config.service", "failover of pg-ha/lab")


def test_config_explain_prints_what_the_page_has(run: Run, tmp_path: Path) -> None:
    """A reader takes it over into a config: `none`, `false` and words, not `None`, `False` and a list of Python's."""
    page = (Path(__file__).parents[3] / "docs" / "config.md").read_text("utf-8")
    config = tmp_path / "dr-dispatch.yml"
    config.write_text(textwrap.dedent(page[page.index("    services:") : page.index("6 values come")]))
    table = re.findall(r"^\| `(/[^`]*)` \| `([^`]*)` \| (\w+) \|$", page, re.M)
    said = run("config", "explain", config).out.splitlines()
    assert [line.split() for line in said] == [f"{pointer} {origin} {value}".split() for pointer, value, origin in table]


def test_config_explain_says_where_each_value_comes_from(run: Run) -> None:
    said = run("config", "explain", EXAMPLE / "dr-dispatch.yml", "--format", "json")
    origins = {row["origin"] for row in json.loads(said.out)}
    assert {"file", "default", "name"} <= origins


def test_approve_makes_a_key_and_shows_its_public_half_only(run: Run, tmp_path: Path) -> None:
    said = run("approve", "--new-key", tmp_path / "key.pem")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("ed25519:")
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    again = run("approve", "--new-key", tmp_path / "key.pem")
    assert again.code == 2, "a key that is there is never written over"


def test_a_ledger_from_its_making(run: Run, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "ledger.git"], check=True)
    named = ("--remote", tmp_path / "ledger.git", "--service", "pg-ha/lab")
    assert run("ledger", "show", *named, "--format", "json").error["gate"] == "ledger.missing"
    made = run("ledger", "init", *named, "--home", "onprem", "--format", "json")
    assert (made.code, json.loads(made.out)["ledgers"][0]["tip"]["serves"]) == (0, "onprem")
    assert run("ledger", "init", *named, "--home", "onprem", "--format", "json").error["gate"] == "ledger.exists"
    shown = run("ledger", "show", *named)
    assert "epoch 0  primary, serves from onprem  free  nobody" in shown.out


RECORDS = Path(__file__).parents[2] / "cases" / "intake"


def test_validate_refuses_a_dry_run_without_a_config_too(run: Run, tmp_path: Path) -> None:
    record = json.loads((RECORDS / "accept" / "sample-decision-record-cutover" / "input.json").read_bytes())
    emitted = tmp_path / "record.json"
    emitted.write_text(json.dumps(record))
    assert run("validate", emitted).code == 0
    for change, why in (
        ({"status": "proposed"}, "a dry run"),
        ({"execution_mode": "local-hyops"}, "already executed"),
        ({"status": "queued-local-exec"}, "already executed"),
    ):
        emitted.write_text(json.dumps(record | change))
        said = run("validate", emitted)
        assert said.code == 3, change
        assert why in said.err


def test_validate_prints_what_intake_warns_of(run: Run) -> None:
    words = (
        RECORDS / "accept" / "empty-approval-is-no-approval" / "input.json",
        "--config",
        RECORDS / "configs" / "default.yml",
        "--at",
        "2026-11-23T13:40:00Z",
    )
    said = run("validate", *words)
    assert said.code == 0
    assert "warning: a request hides" in said.out
    assert "warning: the record calls itself approved" in said.out
    assert len(json.loads(run("validate", *words, "--format", "json").out)["warnings"]) == 2


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ({"endpoint_dns_name": "x\ny"}, "port 5432"),
        ({"endpoint_dns_name": "x" * 195}, "port 5432"),
        ({"endpoint_dns_name": "db.example.net", "postgresql_port": True}, "port True"),
        ({"endpoint_dns_name": "db.example.net", "postgresql_port": 65536}, "port 65536"),
        ({"record_fqdn": 7}, "7 port 5432"),
    ],
)
def test_an_endpoint_that_is_no_name_is_refused(run: Run, tmp_path: Path, inputs: dict[str, Any], found: str) -> None:
    overlay = {"kind": "BlueprintSpec", "blueprint_ref": "dr/x@v1", "mode": "hybrid"}
    overlay["steps"] = [{"id": "dns", "module_ref": "m/x", "action": "deploy", "inputs": inputs}]  # type: ignore[assignment]  # a document of any form
    place = tmp_path / ".github"
    (place / "dr" / "prod").mkdir(parents=True)
    (place / "dr" / "prod" / "x.yml").write_text(json.dumps(overlay))
    config = place / "dr-dispatch.yml"
    config.write_text("services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/x@v1}}}\n")
    said = run("config", "explain", config)
    assert (said.code, found in said.err) == (4, True), said.err
