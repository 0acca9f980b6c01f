"""Every scenario of the rehearsal through the command line: what is said, what is sealed, what the ledger holds, what stays secret."""

from __future__ import annotations

import json
import random
import re
import tarfile
from pathlib import Path

import pytest
import yaml

from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.run import State
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.figures import MEASURED
from hyops_ci.evidence.verify import verify
from hyops_ci.execution.kept_journals import last_word
from hyops_ci.operations.rehearse.sandbox import EXAMPLE
from hyops_ci.operations.rehearse.scenarios import SCENARIOS
from hyops_ci.report.text import markdown
from tests.e2e.rehearsal import SERVICE, Rehearsal, Rehearsed, forms, hyops_ci, places, processes_of, rehearse, secrets_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
S = State

UNTOUCHED = ("primary", "onprem", 0, 0, None)
GONE_OVER = ("failed_over", "gcp", 1, 1, S.COMPLETED_WITH_EXCEPTIONS)
EXPECTED: dict[str, tuple[State, int, str, tuple[object, ...]]] = {
    "recovered": (S.COMPLETED_WITH_EXCEPTIONS, 0, "RECOVERED, 4 deviations  pg-ha/lab serves from gcp since ", GONE_OVER),
    "denied": (S.DENIED, 6, "DENIED by jonas", UNTOUCHED),
    "expired": (S.EXPIRED, 6, "NOBODY APPROVED by ", UNTOUCHED),
    "unsigned": (S.UNSIGNED, 6, "WAITING FOR A SIGNATURE", UNTOUCHED),
    "no-runner": (S.NO_RUNNER, 7, "REFUSED hyops.env-dir (exit 7): ", UNTOUCHED),
    "secrets-down": (S.FAILED, 8, "STOPPED before clients moved: secrets.file: ", ("primary", "onprem", 0, 1, S.FAILED)),
    "preflight-blocked": (S.BLOCKED, 9, "REFUSED states.ok (exit 9): ", UNTOUCHED),
    "restore-skipped": (S.BLOCKED, 4, "REFUSED restore.skipped (exit 4): clients would move to a database from ", UNTOUCHED),
    "failed-step": (
        S.FAILED,
        9,
        "STOPPED before clients moved: step 3/6 postgresql_restore failed after ",
        ("primary", "onprem", 0, 1, S.FAILED),
    ),
    "cancelled": (S.CANCELLED, 130, "STOPPED before clients moved: step 3/6 postgresql_restore", ("primary", "onprem", 0, 1, S.CANCELLED)),
    "failed-cutover": (
        S.FAILED,
        9,
        "STOPPED after clients moved: step 5/6 postgresql_dns_cutover failed after ",
        ("primary", "onprem", 0, 1, S.FAILED),
    ),
    "cancelled-late": (
        S.CANCELLED,
        130,
        "STOPPED after clients moved: run.cancelled: cancelled while the service was being verified; HyOps had ended well",
        ("primary", "onprem", 0, 1, S.CANCELLED),
    ),
    "failed-probe": (
        S.NOT_PROVEN,
        13,
        "NOT PROVEN: HyOps says that pg-ha/lab is at gcp; 127.0.0.1:",
        ("primary", "onprem", 0, 1, S.NOT_PROVEN),
    ),
    "indeterminate": (
        S.INDETERMINATE,
        10,
        "UNKNOWN: look before you touch. Cut off inside step 5/6 postgresql_dns_cutover",
        ("primary", "onprem", 0, 1, S.INDETERMINATE),
    ),
    "drill": (
        S.COMPLETED_WITH_EXCEPTIONS,
        0,
        "DRILL PASSED, 3 deviations  isolated pg-ha/lab ",
        ("primary", "onprem", 0, 1, S.COMPLETED_WITH_EXCEPTIONS),
    ),
    "drill-failed": (
        S.FAILED,
        9,
        "STOPPED in a drill of pg-ha/lab: step 3/6 postgresql_restore failed after ",
        ("primary", "onprem", 0, 1, S.FAILED),
    ),
    "drill-not-cleaned": (
        S.NOT_CLEANED,
        14,
        "NOT CLEANED UP  the drill of pg-ha/lab left gcp_pg_egress ",
        ("primary", "onprem", 0, 1, S.NOT_CLEANED),
    ),
    "drill-after-a-cut": (
        S.COMPLETED_WITH_EXCEPTIONS,
        0,
        "DRILL PASSED, 3 deviations  isolated pg-ha/lab ",
        ("primary", "onprem", 0, 1, S.COMPLETED_WITH_EXCEPTIONS),
    ),
    "settled": (S.SETTLED, 0, "SETTLED", ("failed_over", "gcp", 1, 1, None)),
    "silent-runner": (S.NO_RUNNER, 7, "REFUSED runner.silent (exit 7): no runner took the job in 120 s", UNTOUCHED),
    "duplicate": (S.DUPLICATE, 0, "ALREADY HANDLED by run local-", GONE_OVER),
    "failback": (S.COMPLETED_WITH_EXCEPTIONS, 0, "RECOVERED, ", ("primary", "onprem", 2, 2, S.COMPLETED_WITH_EXCEPTIONS)),
    "hold": (S.RECORDED, 0, "RECORDED", UNTOUCHED),
}
"""Scenario -> outcome, exit code, start of the headline (docs/design/texts.md 1), and the ledger: position, serves, moves, epoch, state."""


QUICK = {"recovered", "denied", "failed-step", "duplicate", "hold"}
"""Those that `./dev test quick` rehearses, too: tests/e2e/test_one_story.py looks at the same."""


def test_every_scenario_has_its_expectation() -> None:
    assert set(EXPECTED) == set(SCENARIOS)


@pytest.mark.parametrize("scenario", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in EXPECTED])
def test_a_scenario_ends_as_it_should(scenario: str, rehearsed: Rehearsed) -> None:
    rehearsal, (outcome, code, headline, _) = rehearsed(scenario), EXPECTED[scenario]
    assert rehearsal.ended.returncode == code, rehearsal.ended.stderr
    assert "Traceback" not in rehearsal.ended.stderr
    assert (rehearsal.said["outcome"], rehearsal.said["exit_code"]) == (outcome, code)
    assert rehearsal.said["headline"].startswith(headline)
    assert rehearsal.said["evidence_valid"] is True
    assert rehearsal.said["problems"] == []
    is_ledger_of(rehearsal, scenario)
    is_proven(rehearsal, scenario)
    keeps_its_secrets(rehearsal)
    assert processes_of(rehearsal.folder) == []


def is_ledger_of(rehearsal: Rehearsal, scenario: str) -> None:
    """The tip as expected; a run that held the claim left its bundle's digest."""
    tip, expected = rehearsal.tip(), EXPECTED[scenario][3]
    assert (tip.position, tip.serves, tip.moves, tip.epoch, tip.state) == expected
    if tip.claim is None:
        assert rehearsal.said["claim_id"] == ""
    elif scenario != "duplicate":
        assert (tip.claim.claim_id, tip.bundle_sha256) == (rehearsal.said["claim_id"], rehearsal.said["bundle_sha256"])
        keeps_its_figures(rehearsal, tip)
    assert tip.past_no_return == (
        scenario
        in ("recovered", "duplicate", "failback", "indeterminate", "failed-cutover", "failed-probe", "cancelled-late", "drill-not-cleaned")
    )


def keeps_its_figures(rehearsal: Rehearsal, tip: Tip) -> None:
    """What the ledger says of a run's times is what its evidence says."""
    measured = json.loads(read_files(rehearsal.bundle)["objectives.json"])
    assert tip.figures is not None
    said = tip.figures.document()
    assert {name: said.get(name) for name in MEASURED} == {name: measured["figures"].get(name, {}).get("seconds") for name in MEASURED}
    assert (tip.figures.verdict == "unproven") == (measured["figures"]["request_to_proven"]["seconds"] is None)


def is_proven(rehearsal: Rehearsal, scenario: str) -> None:
    """The verifier accepts the bundle in a process of its own, and the report says what HyOps was."""
    verified = hyops_ci("evidence", "verify", rehearsal.bundle)
    assert (verified.returncode, verified.stdout.splitlines()[0]) == (0, "VALID")
    files = read_files(rehearsal.bundle)
    report = Path(rehearsal.said["report"]).read_text(encoding="utf-8")
    assert f"hyops-ci evidence verify {rehearsal.bundle.name}<" in report, "the file that is there"
    for told in (rehearsal.ended.stderr, markdown(files), report):
        assert re.search(r":\d\d\.\d+Z", told) is None, "a person reads whole seconds"
    assert json.loads(files["result.json"])["outcome"] == rehearsal.said["outcome"]
    checked = "check.json" in files and scenario != "settled"  # a settlement asks no HyOps
    assert rehearsal.said["stand_in"] is checked
    if checked:
        assert "STAND-IN" in report.upper()
    assert "STAND-IN" in rehearsal.ended.stderr


def keeps_its_secrets(rehearsal: Rehearsal) -> None:
    """No value anywhere but at home."""
    patterns = {form: value for value in secrets_of(rehearsal.folder) for form in forms(value)}
    for place, content in places(rehearsal):
        assert not [value for form, value in patterns.items() if form in content], place


def test_the_last_word_of_hyops_outlives_the_folder_of_its_run(rehearsed: Rehearsed) -> None:
    """GitHub's runner empties its temporary folder when a job ends, and HyOps may end after that."""
    rehearsal = rehearsed("recovered")
    said = last_word(rehearsal.folder / "host", str(json.loads(read_files(rehearsal.bundle)["result.json"])["run_id"]))
    assert "ended with rc 0, status ok, last step postgresql_dns_status ok at " in said


def test_the_search_for_secrets_finds_one(rehearsed: Rehearsed, tmp_path: Path) -> None:
    """A search that cannot find anything proves nothing."""
    folder = tmp_path / "rehearsal"
    rehearsal = rehearse(folder, "--scenario", "unsigned")
    (folder / "run-1" / "leak.txt").write_bytes(b"x" + forms(secrets_of(folder)[0])[2])
    with pytest.raises(AssertionError, match=r"leak\.txt"):
        keeps_its_secrets(rehearsal)


def test_the_texts_of_a_good_run(tmp_path: Path) -> None:
    ended = hyops_ci("rehearse", "--stand-in", "--folder", tmp_path / "rehearsal")
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert lines[0].startswith("RECOVERED, 4 deviations  pg-ha/lab serves from gcp since ")
    assert "HyOps was a STAND-IN: nothing was recovered" in lines[0]
    labels = [line[2:12].strip() for line in lines[1:]]
    assert [label for label in dict.fromkeys(labels) if label] == ["Proven", "Not proven", "Time", "Differs", "Next", "Evidence", "Report"]
    assert "Objective 30m00s: met" in ended.stdout
    said = ended.stderr
    for word in (
        "planned: gcp -> gcp-ops-runner",
        "approved by jonas",
        f"lock taken: {SERVICE} epoch 1",
        "secrets: 6 of 6",
        "preflight ok: 5 run, 1 skip",
    ):
        assert word in said


def test_the_list_of_scenarios() -> None:
    ended = hyops_ci("rehearse", "--scenario", "list")
    assert ended.returncode == 0
    assert [line.split()[0] for line in ended.stdout.splitlines()] == list(SCENARIOS)


def test_an_unknown_scenario_and_a_used_folder_are_usage_errors(tmp_path: Path) -> None:
    unknown = hyops_ci("rehearse", "--scenario", "earthquake")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "recovered" in unknown.stderr
    (tmp_path / "mine.txt").write_text("keep me")
    used = hyops_ci("rehearse", "--folder", tmp_path)
    assert (used.returncode, used.stdout) == (2, "")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# ------------------------------------------------------------------------------------- any changed byte


def interesting_bytes(bundle: Path) -> list[int]:
    """Of each file: bytes of its header, its first, one inside, its last, its padding; and the end of the container."""
    chosen = random.Random(4242)
    places: set[int] = set()
    with tarfile.open(bundle) as tar:
        for member in tar:
            data, size = member.offset_data, member.size
            places |= {member.offset, member.offset + 100, member.offset + 124, member.offset + 156, member.offset + 500, data - 1}
            places |= {data + at for at in (0, size // 2, chosen.randrange(size), size - 1)} if size else set()
            places |= {data + size} if size % 512 else set()
    end = bundle.stat().st_size
    return sorted(places | {end - 1, end - 512, end - 1024})


def test_any_single_changed_byte_is_found(rehearsed: Rehearsed, tmp_path: Path) -> None:
    whole = rehearsed("recovered").bundle.read_bytes()
    changed = tmp_path / "evidence.tar"
    changed.write_bytes(whole)
    assert verify(changed).exit_code == 0
    unseen = []
    for place in interesting_bytes(rehearsed("recovered").bundle):
        with changed.open("r+b") as file:
            file.seek(place)
            file.write(bytes([whole[place] ^ 1]))
            file.flush()
            if verify(changed).exit_code != 11:
                unseen.append(place)
            file.seek(place)
            file.write(whole[place : place + 1])
    assert unseen == []
    for cut in (whole[:-1], whole + b"\0", whole[:512], b""):
        changed.write_bytes(cut)
        assert verify(changed).exit_code == 11


def test_a_changed_byte_is_exit_11_on_the_command_line(rehearsed: Rehearsed, tmp_path: Path) -> None:
    whole = bytearray(rehearsed("denied").bundle.read_bytes())
    whole[len(whole) // 2] ^= 0x40
    changed = tmp_path / "evidence.tar"
    changed.write_bytes(whole)
    text = hyops_ci("evidence", "verify", changed)
    assert (text.returncode, text.stdout.partition(":")[0]) == (11, "INVALID")
    said = hyops_ci("evidence", "verify", changed, "--format", "json")
    assert said.returncode == 11
    assert json.loads(said.stdout)["valid"] is False


# ------------------------------------------------------------------------------------------ other inputs


def decision(**fields: object) -> bytes:
    value = json.loads((EXAMPLE / "decision.json").read_text(encoding="utf-8"))
    return json.dumps({**value, **fields}).encode()


def test_a_decision_of_ones_own_on_its_own_day(tmp_path: Path) -> None:
    own = tmp_path / "decision.json"
    own.write_bytes(decision(decision_id="our-own-decision-7", rationale="we practise"))
    rehearsal = rehearse(tmp_path / "rehearsal", "--decision", own, "--at", "2026-11-23T03:05:00Z")
    assert rehearsal.ended.returncode == 0, rehearsal.ended.stderr
    assert rehearsal.said["decision_id"] == "our-own-decision-7"
    result = json.loads(read_files(rehearsal.bundle)["result.json"])
    assert result["started_at"].startswith("2026-11-23T03:05:0")
    late = rehearse(tmp_path / "late", "--decision", own, "--at", "2026-11-24T03:05:00Z")
    assert late.ended.returncode == 3
    assert late.said["outcome"] == "REJECTED"
    assert late.said["evidence_valid"] is True


def test_a_decision_that_is_none_is_refused_with_evidence(tmp_path: Path) -> None:
    own = tmp_path / "decision.json"
    own.write_bytes(b'{"api_version": "hybridops/v1", "kind": "Decision", "signals": [NaN]}')
    rehearsal = rehearse(tmp_path / "rehearsal", "--decision", own)
    assert (rehearsal.ended.returncode, rehearsal.said["outcome"]) == (3, "REJECTED")
    assert rehearsal.said["refusal"]["gate"].startswith("intake.")
    assert hyops_ci("evidence", "verify", rehearsal.bundle).returncode == 0


def test_a_config_of_ones_own_is_rehearsed_on_local_things_only(tmp_path: Path) -> None:
    """Host, authority, approvers and class of the given config are replaced: a rehearsal reaches nothing real."""
    home = tmp_path / "repository" / ".github"
    (home / "dr" / "prod").mkdir(parents=True)
    for overlay in (EXAMPLE / "overlays").iterdir():
        (home / "dr" / "prod" / overlay.name).write_bytes(overlay.read_bytes())
    config = yaml.safe_load((EXAMPLE / "dr-dispatch.yml").read_text())
    config["services"] = {"pg-ha/prod": config["services"]["pg-ha/lab"]}
    config |= {"envs": {"prod": {"class": "production"}}, "objectives": {"pg-ha/prod": {"rto": "PT1H"}}}
    config["vault"] = {"kind": "vault", "address": "https://vault.example.net", "site": "gcp"}
    config["host"] = {"core_root": "/nonexistent/core", "hyops": "/nonexistent/hyops"}
    (home / "dr-dispatch.yml").write_text(yaml.safe_dump(config))
    own = tmp_path / "decision.json"
    own.write_bytes(decision(service="pg-ha/prod"))
    rehearsal = rehearse(tmp_path / "rehearsal", "--config", home / "dr-dispatch.yml", "--decision", own, "--at", "2026-11-23T03:05:00Z")
    assert rehearsal.ended.returncode == 0, rehearsal.ended.stdout + rehearsal.ended.stderr
    plan = json.loads(read_files(rehearsal.bundle)["plan.json"])
    assert (plan["service"], plan["env_class"], plan["secrets"]["kind"]) == ("pg-ha/prod", "lab", "file")


@pytest.mark.parametrize("content", [b"", b"services: [", b"\xff\xfe", b"services: {}"], ids=["empty", "broken", "binary", "nothing"])
def test_a_config_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    own = tmp_path / "dr-dispatch.yml"
    own.write_bytes(content)
    ended = hyops_ci("rehearse", "--config", own, "--format", "json", "--folder", tmp_path / "rehearsal")
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"]["exit_code"] == 2
    assert "Traceback" not in ended.stderr
