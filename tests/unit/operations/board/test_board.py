"""The board from real ledgers: runs, drills of the practice env, bundles by their digest, trends, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.cli.app import main
from hyops_ci.config.file import read_config
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.board import Board
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Fault
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.board.board import BoardFacts, MadeBoard, make_board
from hyops_ci.operations.board.runs import recurring, trends
from hyops_ci.operations.status import Places, status
from hyops_ci.parsing.documents import read_document
from hyops_ci.signing.dsse import public_of
from tests.ledger.ledger_setup import SERVICE, START, MemoryStore, acting, at, bare, key_of, on_host, request
from tests.unit.evidence import sample_run
from tests.unit.readiness.samples import MemoryChecks
from tests.unit.report.sample_board import run as board_run

DRILL = "pg-ha/drill"
NOW = START + timedelta(days=3)
HOST = f'host_keys: {{host: "{public_of(key_of("host"))}"}}\n'
OWED = "drills: {pg-ha/prod: {isolated: {every: P30D}}}\n"
CONFIG = f"""
services:
  pg-ha/prod:
    failover: {{lane: gcp, blueprint: dr/x@v1}}
    failback: {{lane: onprem, blueprint: dr/y@v1}}
  pg-ha/drill:
    failover: {{lane: gcp, blueprint: dr/x@v1}}
envs: {{drill: {{class: drill}}}}
objectives: {{pg-ha/prod: {{rto: PT30M, rpo: PT5M}}}}
{OWED}{HOST}"""


def config_of(text: str = CONFIG) -> DispatchConfig:
    return read_config(text.encode(), "dr-dispatch.yml")[0]


def took(seconds: int | None, level: str = "") -> Figures:
    given: dict[str, Any] = {"level": level, "request_to_proven": seconds, "rto": 1800, "verdict": "unproven" if seconds is None else "met"}
    return Figures(**given)


class Site:
    """Two ledgers in memory, written by a host."""

    def __init__(self) -> None:
        self.stores = {name: MemoryStore() for name in (SERVICE, DRILL)}
        self.ledgers = {name: acting(Ledger(store, name)) for name, store in self.stores.items()}
        for ledger in self.ledgers.values():
            ledger.init("onprem", at(-60))

    def end(self, service: str, number: int, state: State, figures: Figures | None, minutes: float, **move: Any) -> None:
        """A run of a service that ends so many minutes after 03:00."""
        ledger = self.ledgers[service]
        asked = request(number, service=service, drill=service == DRILL, at=at(minutes - 20))
        claim = ledger.claim(asked)
        ledger.advance(claim, State.EXECUTING, at=at(minutes - 10), mutating=True)
        ledger.advance(claim, state, at=at(minutes), figures=figures, **move)

    def board(self, *evidence: Path, **facts: Any) -> MadeBoard:
        found = status(config_of(), Places(self.ledgers.__getitem__, lambda _: MemoryChecks()), NOW, None)
        given = {"config": config_of(), "config_sha256": "sha256:" + "0" * 64, "services": found, "now": NOW, "evidence": evidence}
        return make_board(BoardFacts(**(given | facts)))


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_service_of_which_nothing_was_ever_asked(site: Site) -> None:
    made = site.board()
    prod, drill = made.board.services
    assert (prod.service, prod.serves, prod.lock, prod.runs, prod.rto, prod.rpo) == (SERVICE, "onprem", "free", (), 1800, 300)
    assert (drill.env_class, made.board.alarms, made.board.exit_code) == ("drill", (), 0)


def test_runs_and_the_drills_of_the_practice_env_are_one_history(site: Site) -> None:
    site.end(SERVICE, 1, State.FAILED, took(None), 30, bundle_sha256="sha256:" + "1" * 64)
    site.end(DRILL, 2, State.COMPLETED, took(1200, "isolated"), 90, bundle_sha256="sha256:" + "2" * 64)
    prod, drill = site.board().board.services
    assert [(each.run_id, each.service, each.drill, each.state) for each in prod.runs] == [
        ("1002-1", DRILL, True, "COMPLETED"),
        ("1001-1", SERVICE, False, "FAILED"),
    ]
    assert prod.runs[0].figures == took(1200, "isolated")
    assert [each.run_id for each in drill.runs] == ["1002-1"]
    assert [(each.of, each.drills, each.count, each.worst) for each in prod.trends] == [("rto", True, 1, 1200)]


def test_a_run_that_still_acts_is_no_run_that_ended(site: Site) -> None:
    claim = site.ledgers[SERVICE].claim(request(at=stamp(NOW - timedelta(minutes=2))))
    [prod, _] = site.board().board.services
    assert (prod.runs, prod.lock) == ((), "held")
    assert claim.run_id in prod.holder


def test_what_nobody_vouches_for_is_not_on_the_board(site: Site) -> None:
    site.end(SERVICE, 1, State.FAILED, took(None), 30)
    stranger = Ledger(site.stores[SERVICE], SERVICE)
    claim = stranger.claim(request(7, at=at(200)))
    stranger.advance(claim, State.EXECUTING, at=at(205), mutating=True)
    stranger.advance(claim, State.FAILED, at=at(210))
    [prod, _] = site.board().board.services
    assert (prod.runs, bool(prod.trouble)) == ((), True)
    assert [alarm.kind for alarm in site.board().board.alarms] == ["ledger.unvouched"]


def sealed(folder: Path) -> tuple[Path, str]:
    """The bundle of a complete run, with one approval and one deviation."""
    from hyops_ci.evidence.bundle import seal

    of, seen = sample_run.complete_run(folder / "run")
    done = seal(folder / "run", sample_run.result(of, seen), to=folder / "dr-evidence-212-1.tar", clock=sample_run.SetClock())
    return done.path, done.sha256


def test_a_bundle_is_read_where_its_digest_is_the_ledgers(site: Site, tmp_path: Path) -> None:
    path, digest = sealed(tmp_path)
    site.end(SERVICE, 1, State.FAILED, took(None), 30, bundle_sha256=digest)
    made = site.board(path.parent)
    [found] = made.board.services[0].runs
    assert (found.evidence, found.approvers, found.bundle_sha256) == ("dr-evidence-212-1.tar", ("jonas",), digest)
    assert len(found.deviations) == 1
    assert made.strange == ()


def test_a_bundle_that_no_ledger_names_says_nothing(site: Site, tmp_path: Path) -> None:
    path, digest = sealed(tmp_path)
    site.end(SERVICE, 1, State.FAILED, took(None), 30, bundle_sha256=digest)
    path.write_bytes(path.read_bytes() + bytes(512))
    (tmp_path / "more.tar").write_bytes(b"no archive")
    made = site.board(tmp_path)
    assert made.strange == ("dr-evidence-212-1.tar", "more.tar")
    assert made.board.services[0].runs[0].approvers == ()


def test_deviations_that_come_back() -> None:
    runs = [board_run(number, 4 - number, 10, deviations=tuple(texts)) for number, texts in ((3, "ab"), (2, "bb"), (1, "bc"))]
    assert [(each.text, each.runs) for each in recurring(runs)] == [("b", ("3-1", "2-1", "1-1"))]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_a_percentile_was_measured(values: list[int]) -> None:
    [found, *_] = trends([board_run(number, number, value) for number, value in enumerate(values)])
    assert {found.median, found.p90, found.worst} <= set(values)
    assert found.median <= found.p90 <= found.worst == max(values)
    for figure, share in ((found.median, 50), (found.p90, 90)):
        assert 100 * sum(value <= figure for value in values) >= share * len(values)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`hyops-ci` in a checkout whose config names a ledger over git."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "checkout" / ".github").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    remote = bare(tmp_path / "ledger.git")
    Path(".github/dr-dispatch.yml").write_text(f"{CONFIG.replace(OWED, '')}ledger: {{repository: {remote}}}\n")

    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words])
        return int(ended.value.code or 0), capsys.readouterr().out

    acting(Ledger.over_git(str(remote), DRILL, state_dir=tmp_path / "state")).init("onprem", at(-60))
    ledger = on_host(remote, state_dir=tmp_path / "state")
    ledger.init("onprem", at(-60))
    claim = ledger.claim(request())
    ledger.advance(claim, State.EXECUTING, at=at(1), mutating=True)
    ledger.advance(claim, State.FAILED, at=at(2), figures=took(None), bundle_sha256="sha256:" + "1" * 64)
    return call


def test_without_github_the_way_to_a_board_is_named(run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> Never:
        raise Fault("github.unreachable", "GitHub does not answer", exit_code=Exit.UNAVAILABLE, fix="see githubstatus.com, then a new run")

    monkeypatch.setattr("hyops_ci.operations.environments.environments", down)
    for name in ("GH_REPO", "GH_TOKEN"):
        monkeypatch.setenv(name, "acme/recovery")
    code, out = run("board", "--out", "one", "--format", "json")
    assert (code, json.loads(out)["error"]["gate"]) == (12, "github.unreachable")
    assert "hyops-ci board --offline" in json.loads(out)["error"]["fix"]
    assert run("board", "--offline", "--out", "one")[0] == 0


def test_the_command_writes_both_and_the_same_bytes_again(run: Callable[..., tuple[int, str]]) -> None:
    words = ("board", "--offline", "--at", "2026-11-28T07:40:00Z", "--out")
    code, out = run(*words, "one")
    assert (code, out.splitlines()[0]) == (0, "Nothing known stands in the way")  # no check was kept
    made = read_document(Board, Path("one/board.json").read_bytes())
    assert [(service.service, [each.state for each in service.runs]) for service in made.services] == [(SERVICE, ["FAILED"]), (DRILL, [])]
    run(*words, "two")
    for name in ("index.html", "board.json"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_an_alarm_is_an_exit_code_and_both_files_are_written(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    ledger = on_host(tmp_path / "ledger.git", state_dir=tmp_path / "state")
    ledger.advance(ledger.claim(request(2, at=at(3))), State.EXECUTING, at=at(4), mutating=True)
    code, out = run("board", "--at", "2026-11-28T07:40:00Z", "--out", "out", "--format", "json")
    document = json.loads(out)
    assert (code, document["alarms"][0]["kind"]) == (5, "lock.unknown")
    assert document == json.loads(Path("out/board.json").read_text())
    assert "lock.unknown" in Path("out/index.html").read_text()
