"""Attack: what travels between the jobs is exchanged, or is made to reach out of its folder (docs/design/workflows.md 2).

The digest travels another way than the bytes, so an exchanged artifact is refused unread. But a job of a stranger brings a digest that
fits; it is refused by its token only after the unpacking, which therefore trusts nobody.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyops_ci.cli.app import main
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.github.artifacts import artifact_files
from hyops_ci.operations.rehearse.scenarios import example_decision
from hyops_ci.stages.handover import RunDir, contents, unpack
from tests.security.incident import Incident, assert_recovered, assert_refused, assert_untouched

GIB = 1 << 30


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, **more: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content) if kind in (tarfile.REGTYPE, tarfile.AREGTYPE) else 0
    for field, value in more.items():
        setattr(info, field, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as out:
        for info, content in members:
            out.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sparse() -> bytes:
    """512 bytes that say of themselves that they are eight gigabytes: the header of an old GNU sparse file."""
    info, _ = member("plan.json", b"", tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % (8 * GIB)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"\0" * 1024


def pax_sparse() -> bytes:
    """The same by a header of PAX: a realsize of eight gigabytes, a map without data."""
    info, _ = member("plan.json", b"")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": str(8 * GIB), "GNU.sparse.map": f"{8 * GIB},0"}
    return tar((info, b""))


HOSTILE: dict[str, bytes] = {
    "above": tar(member("../outside")),
    "above-inside": tar(member("a/../../outside")),
    "absolute": tar(member("/tmp/outside-of-everything")),
    "absolute-twice": tar(member("//tmp/outside-of-everything")),
    "dot": tar(member(".")),
    "not-as-written": tar(member("./plan.json")),
    "doubled-slash": tar(member("sources//config")),
    "symlink": tar(member("link", b"", tarfile.SYMTYPE, linkname="/etc/passwd")),
    "through-a-symlink": tar(member("out", b"", tarfile.SYMTYPE, linkname=".."), member("out/outside")),
    "hardlink": tar(member("plan.json"), member("link", b"", tarfile.LNKTYPE, linkname="plan.json")),
    "device": tar(member("null", b"", tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "pipe": tar(member("pipe", b"", tarfile.FIFOTYPE)),
    "folder": tar(member("sources", b"", tarfile.DIRTYPE)),
    "twice": tar(member("plan.json", b"{}"), member("plan.json", b"[]")),
    "below-a-file": tar(member("plan.json"), member("plan.json/more")),
    "journal": tar(member("private/deploy/journal")),
    "escapes": tar(member("plan\x1b[2J.json")),
    "newline": tar(member("plan.json\n::error::x")),
    "pax": tar(member("plan.json", pax_headers={"comment": "more than a run packs"})),
    "pax-name": tar(member("a", pax_headers={"path": "../outside"})),
    "zero-byte": tar(member("plan.json", pax_headers={"path": "plan.json\0/../outside"})),
    "sparse": sparse(),
    "pax-sparse": pax_sparse(),
    "compressed": b"\x1f\x8b\x08" + b"\0" * 600,
    "no-tar": b"PK\x03\x04" + b"\0" * 600,
    "cut-off": tar(member("plan.json", b"x" * 2000))[:1000],
    "negative-size": tar(member("plan.json", b"{}"))[:124] + b"\xff" * 12 + tar(member("plan.json", b"{}"))[136:],
}


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_tar_that_reaches_out_or_swells_is_refused_and_writes_nothing(tmp_path: Path, name: str) -> None:
    data = HOSTILE[name]
    (tmp_path / "handover.tar").write_bytes(data)
    with pytest.raises(Refusal) as refused:
        unpack(tmp_path / "handover.tar", sha256(data), tmp_path / "job" / "run")
    assert refused.value.gate in ("handover.member", "handover.form")
    assert refused.value.exit_code == 4
    assert "\n".join(refused.value.lines()).replace("\n", "").isprintable()
    assert everything(tmp_path) <= {"handover.tar"}


def test_the_tar_that_a_run_packs_is_taken(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a")
    run.write("plan.json", b"{}")
    run.write("parts/plan/events.jsonl", b"one\n")
    run.write("sources/" + "x" * 90 + "/" + "y" * 90, b"long")
    digest = run.pack(tmp_path / "handover.tar")
    taken = unpack(tmp_path / "handover.tar", digest, tmp_path / "job" / "run")
    assert everything(taken.root) == everything(run.root)


def taken(data: bytes) -> dict[str, bytes]:
    """The files, none where the bytes are refused by name; anything else is no answer."""
    with suppress(Refusal):
        return contents(data)
    return {}


@given(st.binary(max_size=2000), st.integers(0, 1023), st.integers(1, 255))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_files_or_a_refusal(noise: bytes, place: int, flip: int) -> None:
    broken = bytearray(tar(member("plan.json", b"{}"), form=tarfile.USTAR_FORMAT))
    broken[place] ^= flip
    for data in (noise, bytes(broken)):
        assert all(".." not in name.split("/") and name[:1] != "/" for name in taken(data))


def test_a_folder_where_something_lies_already_is_not_used(tmp_path: Path) -> None:
    """On a standing runner a job of somebody else may have been there before: its files would be the run's."""
    digest = RunDir(tmp_path / "a").pack(tmp_path / "handover.tar")
    (tmp_path / "job" / "run" / "private").mkdir(parents=True)
    with pytest.raises(Refusal, match=r"run\.folder"):
        unpack(tmp_path / "handover.tar", digest, tmp_path / "job" / "run")


def test_a_folder_that_leads_elsewhere_is_not_used(tmp_path: Path) -> None:
    digest = RunDir(tmp_path / "a").pack(tmp_path / "handover.tar")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match=r"run\.folder"):
        unpack(tmp_path / "handover.tar", digest, tmp_path / "job" / "run")
    assert everything(tmp_path / "elsewhere") == set()


# ------------------------------------------------------------------------------------------ as a step of a job, exchanged


def step(incident: Incident, monkeypatch: pytest.MonkeyPatch, command: str, handover: bytes, digest: str, planned: str = "") -> int:
    """The command as the composite action calls it, on a runner with a temporary folder of its own."""
    temp = incident.site.root.parent / "temp"
    (temp / "in").mkdir(parents=True)
    (temp / "in" / "handover.tar").write_bytes(handover)
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": str(incident.run.id),
        "GITHUB_REPOSITORY": "acme/recovery",
        "GITHUB_OUTPUT": str(temp / "output"),
        "RUNNER_TEMP": str(temp),
        "HOME": str(incident.site.runner),
        "DR_HANDOVER": str(temp / "in" / "handover.tar"),
        "DR_HANDOVER_DIGEST": digest,
        "DR_PLAN_HANDOVER_DIGEST": planned,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main([command])
    return int(ended.value.code or 0)


def one_byte(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    return bytes(changed)


def more_members(data: bytes) -> bytes:
    return data + tar(member("claim.json", b"{}"))


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("change", [one_byte, more_members, cut], ids=lambda change: change.__name__)
@pytest.mark.parametrize("command", ["check", "execute", "conclude"])
def test_an_exchanged_artifact_is_refused_unread(
    long_night: Incident, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, change: Callable[[bytes], bytes]
) -> None:
    long_night.folder = RunDir(tmp_path / "run")
    digest = RunDir(long_night.at_the_gate).pack(tmp_path / "handover.tar")
    before, packed = everything(long_night.site.root), (tmp_path / "handover.tar").read_bytes()
    temp = long_night.site.root.parent / "temp"
    try:
        assert step(long_night, monkeypatch, command, change(packed), digest) == 4
        assert not (temp / "dr-dispatch").exists()
    finally:
        shutil.rmtree(temp)
    assert everything(long_night.site.root) == before
    assert_untouched(long_night)


def test_the_handover_of_another_run(long_night: Incident, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A true one, and it was checked: but of the run before."""
    long_night.again()
    digest = RunDir(long_night.at_the_gate).pack(tmp_path / "known.tar")
    other = RunDir(tmp_path / "other")
    for name in ("plan.json", "decision.json"):
        other.write(name, (long_night.at_the_gate / name).read_bytes())
    other.pack(tmp_path / "other.tar")
    with pytest.raises(Refusal) as refused:
        unpack(tmp_path / "other.tar", digest, tmp_path / "job" / "run")
    assert (refused.value.gate, refused.value.exit_code) == ("handover.digest", 4)
    assert not (tmp_path / "job").exists()


# ------------------------------------------- exchanged by the machine that took the check, whose word the digest of its handover is


def edited(run: RunDir, name: str, **changed: object) -> None:
    run.write_json(name, run.read_json(name) | changed)


PLANNED: dict[str, Callable[[RunDir], object]] = {
    "the gate": lambda run: edited(run, "gate.json", reviewers=[], prevent_self_review=False, can_admins_bypass=True),
    "no gate": lambda run: (run.root / "gate.json").unlink(),
    "who asked": lambda run: edited(run, "origin.json", requesters=[]),
    "when": lambda run: edited(run, "origin.json", received_at="2026-01-01T00:00:00Z"),
    "the bytes of the decision": lambda run: run.write("decision.raw", b"{}"),
    "the whole plan": lambda run: edited(run, "plan.json", restore_point="20260914-010101F"),
    "the config": lambda run: run.write("sources/config", run.read("sources/config") + b"# another ledger"),
    "facts of the job": lambda run: edited(run, "job.json", actor="priya"),
    "what the plan told": lambda run: run.write("parts/plan/events.jsonl", b""),
    "gates that let pass": lambda run: run.write("gates.json", b"{}"),
    "answers that nobody brought": lambda run: run.write_json("approvals/envelopes.json", []),
    "a file more": lambda run: run.write_json("settlement.json", {}),
    "what was done about its runner": lambda run: run.write_json("ensured.json", {"reason": "runner-recovery"}),
    "what the job that made its runner told": lambda run: run.write("parts/ensure-runner/events.jsonl", b""),
}
"""What the plan wrote, and what a check leaves alone."""


@pytest.mark.parametrize("lie", PLANNED)
@pytest.mark.parametrize("command", ["execute", "conclude"])
def test_a_check_that_hands_over_something_else_than_was_planned(
    at_the_gate: Incident,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    lie: str,
) -> None:
    PLANNED[lie](at_the_gate.folder)
    digest = at_the_gate.folder.pack(tmp_path / "handover.tar")
    temp = at_the_gate.site.root.parent / "temp"
    try:
        assert step(at_the_gate, monkeypatch, command, (tmp_path / "handover.tar").read_bytes(), digest, at_the_gate.planned) == 4
        assert "REFUSED handover.plan (exit 4)" in capsys.readouterr().err
        assert not (temp / "dr-dispatch").exists()
    finally:
        shutil.rmtree(temp)
    assert_untouched(at_the_gate)


@pytest.mark.parametrize("job", ["execute", "conclude"])
def test_the_digest_of_the_plan_comes_from_the_plans_own_job(job: str) -> None:
    """Not from the check's outputs, which its machine writes; and the plan runs where no machine of anybody's can take it."""
    jobs = yaml.safe_load((Path(__file__).parents[2] / ".github" / "workflows" / "dispatch.yml").read_text("utf-8"))["jobs"]
    (given,) = (step["with"] for step in jobs[job]["steps"] if step.get("id") == job)
    assert given["plan_handover_digest"] == "${{ needs.plan.outputs.handover_digest }}"
    assert "plan" in jobs[job]["needs"]
    assert jobs["plan"]["runs-on"] == "ubuntu-latest"


def test_a_check_that_hands_over_what_was_planned(incident: Incident, tmp_path: Path) -> None:
    """The twin: with nothing but the check's own files beside it."""
    incident.reach_gate()
    digest = incident.folder.pack(tmp_path / "handover.tar")
    yes = incident.signed("jonas")
    incident.folder = unpack(tmp_path / "handover.tar", digest, tmp_path / "job" / "run", planned=incident.planned)
    assert_recovered(incident, incident.execute(yes))


# ---------------------------------------------------------------------- exchanged inside a handover whose digest was made to fit


@pytest.mark.parametrize("source", ["config", "overlay", "secret_map"])
def test_a_source_that_is_not_the_planned_one(at_the_gate: Incident, source: str) -> None:
    path = at_the_gate.folder.root / "sources" / source
    path.write_bytes(path.read_bytes() + b"\n")
    assert_refused(
        at_the_gate, at_the_gate.execute(at_the_gate.signed("jonas")), "handover.source", 4, f"the {source} that arrived", problem="sources"
    )


@pytest.mark.parametrize("field", ["issuer", "expires_at"])
def test_a_decision_that_is_not_the_planned_one(at_the_gate: Incident, field: str) -> None:
    """Its issuer may not approve, and its end is the last moment for that."""
    known = at_the_gate.folder.read_json("decision.json")
    at_the_gate.folder.write_json("decision.json", known | {field: {"issuer": "escalation", "expires_at": "2999-01-01T00:00:00Z"}[field]})
    ended = at_the_gate.execute(at_the_gate.signed("jonas"))
    assert_refused(at_the_gate, ended, "handover.source", 4, "the decision that arrived", problem="decision.json is not the decision")


def test_productions_overlay_exchanged_for_a_harmless_one(incident: Incident) -> None:
    """What a drill is compared with travels with the plan: emptied on the way, the drill could work on production's backup."""
    overlays = incident.site.repository / ".github" / "dr"
    shutil.copytree(overlays / "lab", overlays / "prod")
    production = {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}}
    incident.configure(lambda config: config["services"].update({"pg-ha/prod": production}))
    decision = json.loads(example_decision("failover", incident.site.clock, 1))
    decision["exercise"] = {"kind": "drill", "level": "isolated", "drill_id": "drill-2026-11"}
    incident.plan(json.dumps(decision).encode())
    (sibling,) = (incident.folder.root / "sources" / "siblings").iterdir()
    sibling.write_bytes(sibling.read_bytes().replace(b"/pgbackrest", b"/elsewhere"))
    assert_refused(incident, incident.check(), "handover.source", 4, "the sibling that arrived", problem="sources/siblings/")


def test_a_plan_that_was_edited_after_the_check(at_the_gate: Incident) -> None:
    yes = at_the_gate.signed("jonas")
    plan = at_the_gate.folder.read_json("plan.json")
    at_the_gate.folder.write_json("plan.json", plan | {"restore_point": "20260914-010101F"})
    assert_refused(at_the_gate, at_the_gate.execute(yes), "check.changed", 4, problem="plan")


def test_a_check_that_was_edited_after_it_was_made(at_the_gate: Incident) -> None:
    yes = at_the_gate.signed("jonas")
    check = at_the_gate.folder.read_json("check.json")
    restore = next(step for step in check["steps"] if step["id"] == "postgresql_restore")
    restore |= {"outcome": "skip", "why": "edited"}
    at_the_gate.folder.write_json("check.json", check)
    problem = "the event CHECKED has another check_digest"
    assert_refused(at_the_gate, at_the_gate.execute(yes), "approval.subject", 6, "another check_digest", problem=problem)


def test_what_hyops_would_do_has_changed_since_the_approval(incident: Incident) -> None:
    """HyOps says so itself, asked with the real secrets: after the claim, before its deploy."""
    assert incident.plan().state is State.PLANNED
    assert incident.check().state is State.CHECKED
    yes = incident.signed("jonas")
    incident.site.forget_state("org/gcp/wan-cloud-nat")
    ended = incident.execute(yes)
    assert ended.refusal is not None
    assert (ended.state, ended.refusal.gate, ended.refusal.exit_code) == (State.FAILED, "check.changed", 4), ended
    assert "gcp_pg_egress: skip then, run now" in ended.refusal.found
    assert list((incident.folder.root / "private").glob("deploy/*")) == [], "HyOps was not started"
    tip = incident.ledger().tip()
    assert (tip.state, tip.mutating, tip.position) == (State.FAILED, False, "primary")


def test_a_claim_that_was_handed_over_is_none(at_the_gate: Incident) -> None:
    """Nobody becomes the holder of the lock by a file: the ledger says who is."""
    ledger_says = at_the_gate.ledger().tip()
    at_the_gate.folder.write("claim.json", b"{}")
    ended = at_the_gate.execute()
    assert ended.refusal is not None
    assert ended.refusal.gate == "approval.unsigned"
    assert at_the_gate.ledger().tip() == ledger_says


def test_the_same_handover_unchanged(at_the_gate: Incident) -> None:
    assert_recovered(at_the_gate, at_the_gate.execute(at_the_gate.signed("jonas")))


def test_an_artifact_that_lists_more_files_than_any_of_ours(incident: Incident) -> None:
    """The list is refused by its end, before a reader goes through it."""
    incident.reach_gate()
    incident.hand_over()
    incident.run.add_artifact("long", {f"{number}": b"" for number in range(20_000)})
    with pytest.raises(Refusal, match=r"artifact\.zip") as refused:
        artifact_files(incident.client(), incident.run.id, "long")
    assert "a list of files of" in refused.value.found
    assert list(artifact_files(incident.client(), incident.run.id, f"dr-check-{incident.run.id}-1")) == ["handover.tar"]


@pytest.mark.parametrize("name", ["sparse", "pax-sparse", "symlink", "cut-off"])
def test_a_tar_that_an_approver_is_given(name: str, incident: Incident, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`approve --request` reads it as strictly as a stage does, and the honest one as well."""
    incident.reach_gate()
    (tmp_path / "hostile.tar").write_bytes(HOSTILE[name])
    (tmp_path / "honest.tar").write_bytes(incident.hand_over())
    for file, code, words in (("hostile.tar", 6, "approval.request (exit 6)"), ("honest.tar", 0, "NOT COMPARED WITH GITHUB")):
        with pytest.raises(SystemExit) as ended:
            main(["approve", "--request", str(tmp_path / file), "--key", str(incident.site.root.parent / "jonas.pem"), "--yes"])
        said = capsys.readouterr()
        assert (int(ended.value.code or 0), "Traceback" in said.err) == (code, False), said.err
        assert words in said.err
