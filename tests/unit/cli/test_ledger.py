"""`hyops-ci ledger init`, `show` and `merge`: where a service is at home, who stands behind a tip, and two remotes made one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.cli import connect
from hyops_ci.cli.app import main
from hyops_ci.contracts.approval import Settlement
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.run import State
from hyops_ci.execution.journal import create, hold_lock
from hyops_ci.execution.kept_journals import keep
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.ruleset import RULES_OF_LEDGER, protection
from hyops_ci.ledger.settlement import sign_settlement
from hyops_ci.signing.dsse import load_key, new_key, public_of, sign
from tests.ledger.ledger_setup import SERVICE, request, signed, subject
from tests.support.host_key import people_settle

CONFIG = """
services:
  pg-ha/prod:
    failover: {lane: gcp, blueprint: dr/x@v1}
    failback: {lane: onprem, blueprint: dr/y@v1}
  web/prod:
    data_home: gcp
    failover: {lane: onprem, blueprint: dr/x@v1}
lanes:
  onprem: {failure_domain: frankfurt}
approvals: {channels: [signed], quorum: QUORUM, approvers: {jonas: "JONAS", priya: "PRIYA"}}
"""
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


Call = Callable[..., Said]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """`hyops-ci ledger`, in a home of its own, on the remote `ledger.git`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    create_repository(tmp_path / "ledger.git")

    def run(word: str, *words: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["ledger", word, "--remote", str(tmp_path / "ledger.git"), *(str(each) for each in words)])
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    keys = {name: new_key(tmp_path / f"{name}.pem") for name in ("jonas", "priya")}
    path = tmp_path / "dr-dispatch.yml"
    path.write_text(CONFIG.replace("QUORUM", "1").replace("JONAS", keys["jonas"]).replace("PRIYA", keys["priya"]))
    return path


@pytest.fixture
def ledger(tmp_path: Path, call: Call) -> Ledger:
    """Of pg-ha/prod, as this home sees it, made an hour ago."""
    state = tmp_path / "home" / ".local" / "state" / "dr-dispatch"
    found = Ledger.over_git(str(tmp_path / "ledger.git"), SERVICE, state_dir=state)
    found.init("frankfurt", stamp(NOW - timedelta(hours=1)))
    return found


# ---------------------------------------------------------------------------------------------- init


def test_home_is_where_the_config_says(call: Call, config: Path) -> None:
    """As a plan names the site: by its failure domain, not by the lane."""
    said = call("init", "--service", SERVICE, "--config", config, "--format", "json").json
    (made,) = said["ledgers"]
    assert (made["made"], made["branch"], made["tip"]["serves"]) == (True, "dr-ledger/pg-ha/prod", "frankfurt")
    assert said["ruleset"] == RULES_OF_LEDGER


def test_home_may_be_another_site_of_the_config(call: Call, config: Path) -> None:
    assert "serves from gcp" in call("init", "--service", SERVICE, "--config", config, "--home", "gcp").out
    wrong = call("init", "--service", "web/prod", "--config", config, "--home", "mars", "--format", "json")
    assert (wrong.code, wrong.json["error"]["gate"], wrong.json["error"]["expected"]) == (2, "lock.site", "frankfurt or gcp")
    unknown = call("init", "--service", "mail/prod", "--config", config, "--format", "json")
    assert (unknown.code, unknown.json["error"]["found"]) == (2, "--service mail/prod")


@pytest.mark.parametrize(
    "words", [("init",), ("show",), ("merge", "--standby", "x"), ("settle", "--serves", "gcp", "--reason", "x", "--key", "x")], ids=" ".join
)
def test_a_service_that_the_config_does_not_have_is_told_of_those_that_it_has(call: Call, config: Path, words: tuple[str, ...]) -> None:
    """A name that was typed wrong is no ledger that is missing, which is an alarm."""
    said = call(*words, "--service", "pgha/prod", "--config", config, "--format", "json")
    error = said.json["error"]
    assert (said.code, error["gate"], error["expected"]) == (2, "form.service", "pg-ha/prod or web/prod")


def test_the_ledger_of_a_service_that_left_the_config_is_shown(call: Call, config: Path, tmp_path: Path) -> None:
    assert call("init", "--service", SERVICE, "--config", config).code == 0
    other = tmp_path / "other.yml"
    other.write_text("services:\n  web/prod:\n    failover: {lane: gcp, blueprint: dr/x@v1}\n")
    assert call("show", "--service", SERVICE, "--config", other).code == 0


def test_all_of_them_and_again(call: Call, config: Path) -> None:
    call("init", "--service", SERVICE, "--config", config)
    said = call("init", "--all", "--config", config)
    assert said.code == 0
    assert said.out.splitlines()[:2] == [
        "kept dr-ledger/pg-ha/prod: it is there, epoch 0, serves from frankfurt",
        "made dr-ledger/web/prod: web/prod serves from gcp",
    ]
    again = call("init", "--all", "--config", config, "--format", "json").json
    assert [each["made"] for each in again["ledgers"]] == [False, False]
    one = call("init", "--service", SERVICE, "--config", config, "--format", "json")
    assert (one.code, one.json["error"]["gate"]) == (5, "ledger.exists")


def test_all_does_not_step_over_an_alarm(call: Call, config: Path, ledger: Ledger, tmp_path: Path) -> None:
    """A branch that this host saw and that is gone is no service without a ledger."""
    (tmp_path / "ledger.git" / "refs" / "heads" / ledger.branch).unlink()
    said = call("init", "--all", "--config", config, "--format", "json")
    assert (said.code, said.json["error"]["gate"]) == (5, "ledger.alarm")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--service", SERVICE),
        ("--all",),
        ("--all", "--service", SERVICE, "--config", "CONFIG"),
        ("--all", "--config", "CONFIG", "--home", "x"),
    ],
    ids=" ".join,
)
def test_half_a_question_is_a_usage_error(call: Call, config: Path, words: tuple[str, ...]) -> None:
    said = call("init", *(config if word == "CONFIG" else word for word in words))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage:")


def test_the_ruleset_is_one_that_github_takes() -> None:
    """Deletion and force-push, of exactly our branches, with nobody who may pass by."""
    assert RULES_OF_LEDGER["bypass_actors"] == []
    assert RULES_OF_LEDGER["conditions"]["ref_name"] == {
        "include": ["refs/heads/dr-ledger/**", "refs/heads/dr-readiness/**"],
        "exclude": [],
    }
    assert [rule["type"] for rule in RULES_OF_LEDGER["rules"]] == ["deletion", "non_fast_forward"]
    assert (RULES_OF_LEDGER["target"], RULES_OF_LEDGER["enforcement"]) == ("branch", "active")


@pytest.mark.parametrize(
    "remote", ["https://github.com/acme/recovery", "https://ghe.example.net/acme/recovery.git/", "git@github.com:acme/recovery.git"]
)
def test_what_protects_a_remote_on_github(remote: str) -> None:
    first, body, end = protection(remote).split("\n")
    assert first == "gh api repos/acme/recovery/rulesets -X POST --input - <<'JSON'"
    assert (json.loads(body), end) == (RULES_OF_LEDGER, "JSON")


@pytest.mark.parametrize(("remote", "place"), [("/srv/ledger.git", "/srv/ledger.git"), ("file:///srv/a b.git", "'/srv/a b.git'")])
def test_what_protects_a_remote_on_disk(remote: str, place: str) -> None:
    assert protection(remote).split("\n") == [
        f"git -C {place} config receive.denyNonFastForwards true",
        f"git -C {place} config receive.denyDeletes true",
        f"git -C {place} config core.fsync all",
    ]


# ---------------------------------------------------------------------------------------------- show


def stopped(ledger: Ledger) -> None:
    """A run that was cut off, and left a bundle."""
    claim = ledger.claim(request(1, at=stamp(NOW - timedelta(minutes=30)), home_site="frankfurt"))
    for state in (State.EXECUTING, State.INDETERMINATE):
        ledger.advance(claim, state, at=stamp(NOW - timedelta(minutes=20)), bundle_sha256="sha256:" + "9" * 64)


def test_the_bundle_of_the_last_transition_is_shown(call: Call, ledger: Ledger) -> None:
    stopped(ledger)
    said = call("show", "--service", SERVICE)
    assert f"  bundle     sha256:{'9' * 64}, sealed by run 1001-1" in said.out.splitlines()
    shown = call("show", "--service", SERVICE, "--history", "--format", "json").json
    assert shown["bundle_sha256"] == "sha256:" + "9" * 64
    assert [tip["state"] for tip in shown["tips"][:-1]] == ["INDETERMINATE", "EXECUTING", "CLAIMED"]
    assert (shown["settlement"], shown["answers"]) == (None, [])


def test_a_bundle_says_whether_a_host_signed_for_it(call: Call, ledger: Ledger, config: Path) -> None:
    """Whoever may push may name one with an end that needs no key."""
    private = Ed25519PrivateKey.generate()
    config.write_text(config.read_text() + f'host_keys: {{gcp: "{public_of(private)}"}}\n')
    ledger.sign = lambda payload, kind: sign(payload, kind, [private])
    stopped(ledger)
    show = ("show", "--service", SERVICE, "--config", config)
    assert f"  bundle     sha256:{'9' * 64}, sealed by run 1001-1, signed by its host" in call(*show).out.splitlines()
    ledger.settle(serves="frankfurt", home_site="frankfurt", reason="looked", settled_by="jonas", at=stamp(NOW - timedelta(minutes=10)))
    claim = ledger.claim(request(2, at=stamp(NOW - timedelta(minutes=9)), home_site="frankfurt"))
    ledger.sign = None
    ledger.advance(claim, State.FAILED, at=stamp(NOW - timedelta(minutes=8)), bundle_sha256="sha256:" + "8" * 64)
    assert "sealed by run 1002-1: signed by NO host" in call(*show).out


def test_a_settlement_is_verified_against_the_config(call: Call, ledger: Ledger, config: Path, tmp_path: Path) -> None:
    stopped(ledger)
    words = ("--service", SERVICE, "--serves", "gcp", "--reason", "dig shows gcp", "--config", config, "--key", tmp_path / "jonas.pem")
    assert call("settle", *words).code == 0
    unread = call("show", "--service", SERVICE)
    assert "  settled    signed by jonas, as it claims; not verified: no config given" in unread.out.splitlines()
    shown = call("show", "--service", SERVICE, "--config", config)
    assert "  settled    signed by jonas, verified" in shown.out.splitlines()
    assert "failed_over, serves from gcp  free  nobody  dig shows gcp" in shown.out
    settlement = call("show", "--service", SERVICE, "--config", config, "--format", "json").json["settlement"]
    assert settlement == {"by": "jonas", "signed": True, "verified": True}


@pytest.mark.parametrize(
    ("change", "key", "found"),
    [
        ({"epoch": 2}, "jonas", "another epoch"),
        ({"serves": "frankfurt"}, "jonas", "another serves"),
        ({"ledger_id": "sha256:" + "e" * 64}, "jonas", "another ledger_id"),
        ({"reason": "another"}, "jonas", "another reason"),
        ({}, "stranger", "0 of 1 signed it: none"),
        (None, "jonas", "it cannot be read"),
    ],
)
def test_a_settlement_that_is_not_its_approvers_is_refused(
    change: dict[str, Any] | None, key: str, found: str, call: Call, ledger: Ledger, config: Path, tmp_path: Path
) -> None:
    """Somebody with the right to push wrote it by hand."""
    stopped(ledger)
    if key == "stranger":
        new_key(tmp_path / "stranger.pem")
    given = {"service": SERVICE, "ledger_id": ledger.tip().ledger_id, "epoch": 1, "serves": "gcp", "reason": "seen", "at": stamp(NOW)}
    envelope = sign_settlement(Settlement(**(given | (change or {}))), [load_key(tmp_path / f"{key}.pem")])
    ledger.settle(
        serves="gcp",
        home_site="frankfurt",
        reason="seen",
        settled_by="jonas",
        at=stamp(NOW),
        settlement=envelope if change is not None else {"payload": "AAAA"},
    )
    said = call("show", "--service", SERVICE, "--config", config, "--format", "json")
    assert (said.code, said.json["error"]["gate"]) == (5, "ledger.settlement")
    assert found in said.json["error"]["found"]
    assert call("show", "--service", SERVICE).code == 0, "without a config nothing is claimed"


def test_nobody_settles_while_hyops_is_at_work_on_this_host(
    call: Call, ledger: Ledger, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people saw can change under them; from a host that knows nothing of it they are told so."""
    stopped(ledger)
    claim = ledger.tip().claim
    assert claim is not None
    monkeypatch.setattr(connect, "state_dir", lambda: tmp_path / "state")
    keep(tmp_path / "state", claim.run_id, tmp_path / "deploy")
    create(tmp_path / "deploy")
    held = hold_lock(tmp_path / "deploy")
    words = ("--service", SERVICE, "--serves", "gcp", "--reason", "dig", "--config", config, "--key", tmp_path / "jonas.pem")
    refused = call("settle", *words, "--format", "json")
    assert (refused.code, refused.json["error"]["gate"]) == (5, "lock.working")
    assert "STILL AT WORK" in refused.json["error"]["found"]
    os.close(held)
    settled = call("settle", *words)
    assert settled.code == 0
    assert f"HyOps of run {claim.run_id} left no last word on this host" in settled.out


def test_a_settlement_from_elsewhere_says_what_is_not_seen(call: Call, ledger: Ledger, config: Path, tmp_path: Path) -> None:
    stopped(ledger)
    words = ("--service", SERVICE, "--serves", "gcp", "--reason", "dig", "--config", config, "--key", tmp_path / "jonas.pem")
    assert "not seen from here: HyOps of run" in call("settle", *words).out


def test_a_settlement_of_too_few_is_refused(call: Call, ledger: Ledger, config: Path, tmp_path: Path) -> None:
    stopped(ledger)
    words = ("--service", SERVICE, "--serves", "gcp", "--reason", "dig", "--config", config, "--key", tmp_path / "jonas.pem")
    assert call("settle", *words).code == 0
    config.write_text(config.read_text().replace("quorum: 1", "quorum: 2"))
    said = call("show", "--service", SERVICE, "--config", config, "--format", "json")
    assert "1 of 2 signed it: jonas" in said.json["error"]["found"]


def test_a_word_of_a_workflow_is_not_called_signed(call: Call, ledger: Ledger, config: Path) -> None:
    """Settled under the approval gate of GitHub: there is no envelope, and the evidence of that run holds the approval."""
    stopped(ledger)
    ledger.settle(serves="gcp", home_site="frankfurt", reason="seen", settled_by="jonas", at=stamp(NOW))
    assert "  settled    by jonas, unsigned: the approval is in the evidence" in call("show", "--service", SERVICE, "--config", config).out


def test_answers_that_wait_are_shown_with_who_stands_behind_them(call: Call, ledger: Ledger, config: Path, tmp_path: Path) -> None:
    about, now = subject(ledger.tip().ledger_id), datetime.now(UTC).replace(microsecond=0)
    at = stamp(now - timedelta(minutes=50))
    until, past = stamp(now + timedelta(minutes=10)), stamp(now - timedelta(minutes=5))
    key = load_key(tmp_path / "jonas.pem")
    terms = {"approvers": [public_of(key)], "lifetime": 3600}
    for verdict, expires in (("approve", until), ("deny", past)):
        ledger.answer(signed(about, "jonas", verdict, key=key, expires_at=expires), subject=about, at=at, **terms)
    ledger.answer(signed(about, "priya", key=key, expires_at=until), subject=about, at=at, **terms)
    plan = about.plan_digest[7:15]
    unread = call("show", "--service", SERVICE).out.splitlines()[1:]
    assert unread == [
        f"  answer     approve of plan {plan}, until {until}; claims to be by jonas",
        f"  answer     deny of plan {plan}, was valid until {past}; claims to be by jonas",
        f"  answer     approve of plan {plan}, until {until}; claims to be by priya",
    ]
    said = call("show", "--service", SERVICE, "--config", config)
    assert said.out.splitlines()[1].endswith("jonas (verified)")
    assert said.out.splitlines()[3].endswith("NOT priya: their key did not sign it")
    answers = call("show", "--service", SERVICE, "--config", config, "--format", "json").json["answers"]
    assert [(each["login"], each["over"], each["verified"]) for each in answers] == [
        ("jonas", False, True),
        ("jonas", True, True),
        ("priya", False, False),
    ]


# --------------------------------------------------------------------------------------------- merge


def test_merge_after_a_run_with_github_down(call: Call, ledger: Ledger, config: Path, tmp_path: Path) -> None:
    create_repository(tmp_path / "standby.git")
    words = ("--standby", tmp_path / "standby.git", "--service", SERVICE, "--config", config)
    assert "the standby is behind; --follow brings it up" in call("merge", *words).out
    assert call("merge", *words, "--follow").out.startswith("followed: ")
    assert call("merge", *words).out == "nothing to do: both hold the same\n"
    standby = Ledger.over_git(str(tmp_path / "standby.git"), SERVICE, state_dir=tmp_path / "elsewhere")
    stopped(standby)
    said = call("merge", *words, "--format", "json").json
    assert (said["stood"], [tip["state"] for tip in said["moved"]]) == ("behind", ["INDETERMINATE", "EXECUTING", "CLAIMED"])
    assert said["tip"]["state"] == "INDETERMINATE"
    for each, serves in ((ledger, "gcp"), (standby, "frankfurt")):
        key = load_key(tmp_path / "jonas.pem")
        people_settle(each, key, serves=serves, home_site="frankfurt", reason="seen", settled_by="jonas", at=stamp(NOW))
    parted = call("merge", *words, "--format", "json")
    assert (parted.code, parted.json["error"]["gate"]) == (5, "ledger.fork")


def test_each_remote_gets_its_own_token_only(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of GitHub is not shown to whoever keeps the standby."""
    asked: dict[str, str] = {}

    def opened(cls: type[Ledger], remote: str, service: str, *, state_dir: Path, token: str = "") -> Ledger:
        asked[remote] = token
        raise SystemExit(0) if len(asked) == 2 else _Next

    class _Next(Exception):
        pass

    monkeypatch.setenv("DR_TOKEN", "ghs_primary")
    monkeypatch.setenv("DR_STANDBY_TOKEN", "standby-token")
    from hyops_ci.cli.ledger_options import open_ledger, open_standby

    monkeypatch.setattr(Ledger, "over_git", classmethod(opened))
    with pytest.raises(_Next):
        open_ledger("one", SERVICE)
    with pytest.raises(SystemExit):
        open_standby("two", SERVICE)
    assert asked == {"one": "ghs_primary", "two": "standby-token"}


def test_a_ledger_is_found_by_the_config_of_the_checkout(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_repository(tmp_path / "named.git")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "checkout" / ".github").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    where = f"ledger: {{repository: {tmp_path}/named.git}}\n"
    Path(".github/dr-dispatch.yml").write_text(config.read_text() + where)

    def ledger(*words: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(["ledger", *words])
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    made = ledger("init", "--all")
    assert (made.code, "made dr-ledger/pg-ha/prod: pg-ha/prod serves from frankfurt" in made.out) == (0, True)
    assert f"git -C {tmp_path}/named.git config" in made.out
    assert "vouched    new: nothing has happened" in ledger("show", "--service", SERVICE).out, "the config here says whose word counts"
    Path(".github/dr-dispatch.yml").unlink()
    lost = ledger("show", "--service", SERVICE)
    assert (lost.code, "ledger.remote" in lost.out + lost.err) == (2, True)


def test_a_path_means_the_same_from_every_folder(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this host has seen of a ledger is kept by where it is, and not by how it was called."""
    assert call("init", "--service", SERVICE, "--home", "onprem").code == 0
    remembered = sorted((tmp_path / "home").rglob("ledger-*.json"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["ledger", "show", "--remote", "ledger.git", "--service", SERVICE])
    assert ended.value.code in (0, None)
    assert sorted((tmp_path / "home").rglob("ledger-*.json")) == remembered
