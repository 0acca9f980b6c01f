"""Three services in two waves: one approval for all, a claim and evidence for each, and no wave before the one in front of it is proven."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from hyops_ci.cli.app import cli
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.recovery import RecoveryRecord
from hyops_ci.errors import Refusal
from hyops_ci.operations.recovery.context import Recovery
from hyops_ci.operations.recovery.go_on import go_on
from hyops_ci.operations.recovery.pending import pending_runs
from hyops_ci.operations.recovery.record import RECORD, keep, problems, record, without_evidence
from hyops_ci.operations.recovery.start import Reasons, start
from hyops_ci.operations.rehearse.scenarios import RESTORE
from hyops_ci.parsing.documents import read_document
from hyops_ci.stages.context import SystemClock
from tests.e2e.several_services import ID, NAME, SERVICES, WITHIN, Night, approved, checked, start_night
from tests.security.incident import CALLER
from tools.controls_page import fields, norms
from tools.schema_paths import in_document

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with start_night(tmp_path) as made:
        yield made


def test_three_services_come_back_in_two_waves(night: Night, tmp_path: Path) -> None:
    checked(night)
    shown = approved(night)
    assert shown.startswith(f"APPROVE?  RECOVERY {NAME}: failover of 3 services in 2 waves\nAsked      maria; recovery {ID}")
    assert shown.count("APPROVE?  FAILOVER") == 3
    assert "wave 2 of 2: it begins when pg-ha/lab is proven" in shown

    recovery = night.recovery("priya")
    tips = night.while_runs_go(lambda: go_on(recovery, within=WITHIN))

    assert list(night.waves.values()) == SERVICES
    assert set(night.positions().values()) == {"failed_over"}
    made = keep(recovery, record(recovery, tips), tmp_path / "record")
    assert (made.outcome, made.headline) == ("DONE", f"RECOVERED: all 3 services of {NAME} are proven")
    assert all(each.evidence and each.evidence_sha256 for wave in made.waves for each in wave.services)
    assert (list(problems(tmp_path / "record")), list(without_evidence(tmp_path / "record"))) == ([], [])
    lies(made, tmp_path / "record")
    controls = [path for norm in norms() for row in norm.rows for kind, path in fields(row) if kind == "recovery-record"]
    assert controls
    assert all(all(in_document(made.document(), path)) for path in controls), "docs/controls.md names what a record has"
    again = go_on(night.recovery("priya"), within=WITHIN)
    assert record(recovery, again).outcome == "DONE"
    assert len(night.waves) == 3, "what is proven is not started again"
    with pytest.raises(Refusal, match="every service of the plan is where it is to go"):
        start(night.recovery(), Reasons("once more"), within=WITHIN)


def test_nothing_begins_half_approved_and_what_stops_in_the_second_wave_is_recovered_by_the_next(night: Night, tmp_path: Path) -> None:
    checked(night)
    approved(night, "pg-ha/lab", "web/east")
    with pytest.raises(Refusal, match="not everything that is left of the recovery is approved") as refused:
        go_on(night.recovery("priya"), within=WITHIN)
    assert (refused.value.gate, refused.value.exit_code) == ("recovery.unapproved", 6)
    assert refused.value.found.startswith("api/west: ")
    assert night.waves == {}

    approved(night)
    night.before_execute = lambda service: night.incident.site.script(
        {RESTORE: {"fail": "no such backup set"}} if service == "web/east" else {}
    )
    recovery = night.recovery("priya")
    made = record(recovery, night.while_runs_go(lambda: go_on(recovery, within=WITHIN)))
    assert (made.outcome, list(night.waves.values())) == ("STOPPED", SERVICES)
    assert made.headline == "STOPPED in wave 2 of 2: web/east STOPPED"
    assert night.positions() == {"pg-ha/lab": "failed_over", "web/east": "primary", "api/west": "failed_over"}
    assert list(problems(kept(recovery, made, tmp_path / "stopped"))) == [], "a run that stopped left evidence, too"
    assert not_shown_by_what_stopped(tmp_path / "stopped") == [
        f"web/east: it came there after run {number}-1, which ended FAILED; its own ledger shows how"
        for number, service in night.waves.items()
        if service == "web/east"
    ]

    with pytest.raises(Refusal) as refused:
        go_on(night.recovery("priya"), within=WITHIN)
    assert refused.value.gate == "recovery.unapproved", "an answer counts once"
    rest = f"{ID[:-4]}cd34"
    night.before_execute = lambda _: night.incident.site.script({})
    started = night.while_runs_go(lambda: start(night.recovery(recovery_id=rest), Reasons("INC-4242, mended"), within=WITHIN))
    assert [run.decision_id for run in started] == [f"{rest}-web.east"]
    approved(night, recovery_id=rest)
    recovery = night.recovery("priya", rest)
    assert record(recovery, night.while_runs_go(lambda: go_on(recovery, within=WITHIN))).outcome == "DONE"


def test_whoever_is_cut_off_stops_nothing_and_the_next_one_starts_nothing_twice(night: Night) -> None:
    checked(night)
    approved(night)

    def cut_off(line: str) -> None:
        if line.startswith("recovers pg-ha/lab"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go_on(replace(night.recovery("priya"), say=cut_off), within=WITHIN)
    waiting = record(night.recovery(), night.recovery().tips())
    assert (waiting.outcome, waiting.headline) == ("WAITING", "WAITING in wave 1 of 2: pg-ha/lab open; 1 later wave not begun")

    recovery = night.recovery("jonas")
    assert record(recovery, night.while_runs_go(lambda: go_on(recovery, within=WITHIN))).outcome == "DONE"
    assert list(night.waves.values()) == SERVICES


def test_answers_that_a_run_took_meanwhile_are_not_missed(night: Night) -> None:
    """Somebody else's run claims between the look at the ledgers and the look at the answers."""
    checked(night)
    approved(night)
    first = pending_runs(night.recovery(), ("pg-ha/lab",))["pg-ha/lab"]
    night.incident.repository.workflows[0].start("main", "workflow_dispatch", "jonas", {"resume": str(first.run.run_id)})

    def taken_meanwhile(line: str) -> None:
        night.said.append(line)
        while line == "wave 1 of 2: pg-ha/lab" and night.positions()["pg-ha/lab"] != "failed_over":
            Event().wait(0.05)

    recovery = replace(night.recovery("priya"), say=taken_meanwhile)
    assert record(recovery, night.while_runs_go(lambda: go_on(recovery, within=WITHIN))).outcome == "DONE"
    assert list(night.waves.values()) == SERVICES
    assert "wave 1 of 2: pg-ha/lab" in night.said


def test_a_check_that_does_not_pass_leaves_nothing_to_approve(night: Night) -> None:
    night.incident.site.forget_state("org/gcp/wan-hub-network")
    with pytest.raises(Refusal, match="not every service of the recovery could begin") as refused:
        checked(night)
    assert refused.value.gate == "recovery.checks"
    assert all(service in refused.value.found for service in SERVICES)
    with pytest.raises(Refusal, match="cannot be approved as a whole") as refused:
        approved(night)
    assert refused.value.gate == "recovery.incomplete"
    assert night.waves == {}


def lies(made: RecoveryRecord, folder: Path) -> None:
    """What a kept record says is compared with the evidence beside it, and with itself."""
    first, *rest = made.waves
    [known] = first.services

    def told(**other: object) -> list[str]:
        (folder / RECORD).write_bytes(canonical(made.model_copy(update=other).document()))
        return list(problems(folder))

    def found(whole: str = "DONE", **other: object) -> list[str]:
        service = known.model_copy(update=other)
        return told(outcome=whole, waves=(first.model_copy(update={"services": (service,)}), *rest))

    assert found() == []
    assert told(action="failback") == [f"{each}: the record says failback_onprem, its evidence failover" for each in SERVICES]
    assert len(told(recovery_plan="all-of-it")) == 4, "each service, and the headline"
    for waves in ((), (first, *(each.model_copy(update={"services": ()}) for each in rest))):
        assert told(waves=waves)[0] == "it has no wave, or one without a service, as no recovery plan has"
    assert told(headline="RECOVERED: all 4 services of site-loss are proven")[0].startswith("it says DONE: RECOVERED: all 4 services")
    assert told(waves=(rest[0], first))[0] == "its waves are 2, 1, and not one after the other from 1"
    second = first.model_copy(update={"number": 3})
    assert told(waves=(first, *rest, second))[0] == "pg-ha/lab stands in it more than once"
    assert found(whole="STOPPED") == [f"it says STOPPED: {made.headline}; not proven are none"]
    assert found(standing="open") == [f"it says DONE: {made.headline}; not proven are pg-ha/lab"]
    for field, value in (("outcome", "FAILED"), ("run_id", "1-1")):
        [problem] = found(**{field: value})
        assert "pg-ha/lab: the record says" in problem
        assert value in problem
    assert found(run_id="", run_url="", outcome="", evidence="", evidence_sha256=None) == []
    assert list(without_evidence(folder)) == [
        "pg-ha/lab: it was there before this recovery, as the record says; its own ledger and evidence show it"
    ]
    (folder / RECORD).write_bytes(canonical(made.document()))


def not_shown_by_what_stopped(folder: Path) -> list[str]:
    """Return what is said of a record by which all is proven, beside the evidence of a run that did not recover."""
    made = read_document(RecoveryRecord, (folder / RECORD).read_bytes())
    proven = [tuple(one.model_copy(update={"standing": "proven"}) for one in each.services) for each in made.waves]
    waves = [each.model_copy(update={"services": services}) for each, services in zip(made.waves, proven, strict=True)]
    words = {"outcome": "DONE", "headline": f"RECOVERED: all 3 services of {NAME} are proven", "waves": tuple(waves)}
    (folder / RECORD).write_bytes(canonical(made.model_copy(update=words).document()))
    assert list(problems(folder)) == [], "settled afterwards it would be true"
    return list(without_evidence(folder))


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[" * 50_000, b"\xff\xfe", b'{"at": NaN}', b" " * (1 << 21)])
def test_what_is_no_record_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / RECORD).write_bytes(content)
    with pytest.raises(Refusal, match="no record of a recovery") as refused:
        list(problems(tmp_path))
    assert (refused.value.gate, refused.value.exit_code) == ("recovery.record", 11)
    assert str(tmp_path / RECORD) in refused.value.found


def kept(recovery: Recovery, made: RecoveryRecord, folder: Path) -> Path:
    keep(recovery, made, folder)
    return folder


def test_the_commands_that_the_page_prints(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/recovery-plans.md, command by command, each by the person who says it there; the ledger of this site is on disk."""
    printed = re.findall(r"^    hyops-ci (recovery .*?)(?:  +#.*)?$", (ROOT / "docs" / "recovery-plans.md").read_text(), re.M)
    assert [line.split()[1] for line in printed] == ["start", "approve", "go-on", "verify"]
    site, known = night.incident.site, {"<ID>": "", "~/.config/dr-dispatch/key.pem": str(tmp_path / "incident" / "jonas.pem")}
    monkeypatch.chdir(site.repository)
    monkeypatch.setattr(SystemClock, "sleep", lambda _, seconds: Event().wait(min(seconds, 0.05)))
    for name, value in {"GITHUB_API_URL": night.incident.fake.url, "GH_REPO": CALLER, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    def say(login: str, line: str, *more: str) -> tuple[int, str]:
        monkeypatch.setenv("GH_TOKEN", night.token(login))
        words = shlex.split(line.replace("<ID>", known["<ID>"]).replace(*next(iter(list(known.items())[1:]))))
        code = night.while_runs_go(lambda: cli.main([*words, *more], standalone_mode=False))
        return int(code or 0), capsys.readouterr().out

    ledger = ("--remote", str(site.root / "ledger.git"))
    code, out = say("maria", printed[0], *ledger, "--format", "json")
    known["<ID>"] = json.loads(out)["recovery_id"]
    assert (code, len(json.loads(out)["runs"])) == (0, 3)
    with pytest.raises(Refusal, match="no terminal to ask on") as unasked:
        say("jonas", printed[1], *ledger)
    assert unasked.value.exit_code == 6
    capsys.readouterr()
    code, out = say("jonas", printed[1], *ledger, "--yes")
    assert (code, out) == (0, f"signed: approve by jonas, 3 services; then: hyops-ci recovery go-on {known['<ID>']}\n")
    code, out = say("priya", f"recovery status {known['<ID>']}", *ledger)
    assert (code, out.splitlines()[0]) == (6, "WAITING in wave 1 of 2: pg-ha/lab open; 1 later wave not begun")
    code, out = say("priya", printed[2], *ledger)
    assert (code, out.splitlines()[0]) == (0, f"RECOVERED: all 3 services of {NAME} are proven")
    assert say("priya", printed[3]) == (0, "VALID\n")
    with pytest.raises(Refusal, match="every service of the plan is where it is to go") as refused:
        say("jonas", printed[1], *ledger, "--yes")
    assert (refused.value.gate, refused.value.exit_code) == ("recovery.done", 0), "there is nothing left to sign"

    folder = site.repository / f"recovery-{known['<ID>']}"
    early = json.loads((folder / RECORD).read_text())
    early["waves"] = [each | {"number": number} for number, each in enumerate(reversed(early["waves"]), 1)]
    (folder / RECORD).write_text(json.dumps(early))
    code, out = say("priya", printed[3])
    assert code == 11
    assert out.startswith("INVALID: pg-ha/lab: began at ")
    bundle = next(folder.glob("dr-evidence-*.tar"))
    bundle.write_bytes(bundle.read_bytes() + b"\0")
    assert f"{bundle.name} is not the bundle that its ledger names" in say("priya", printed[3])[1]
