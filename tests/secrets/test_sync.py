"""A whole sync on the real server: the bundle, the manifest, the end of the login, and where the values are not."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_ci import files
from hyops_ci.errors import DispatchError, Refusal
from hyops_ci.secrets.bundle import LOCK, open_bundle, read_values
from hyops_ci.secrets.password import Password
from hyops_ci.secrets.port import Purpose
from hyops_ci.secrets.sync import Synced, check_names, sync
from tests.secrets.conftest import KEYS, REFS, VALUES, open_as, plan_for
from tests.support.openbao import OpenBao, TokenFor
from tests.unit.secrets.doubles import FakeClock

pytestmark = pytest.mark.bao


def canaries(*tokens: str) -> list[str]:
    """What must appear nowhere: values, their lines, their base64, tokens."""
    plain = [*VALUES.values(), "canary password of the bundle", *tokens]
    lines = [line for text in plain for line in text.splitlines() if len(line) > 8]
    return [*plain, *lines, *(b64encode(text.encode()).decode() for text in plain)]


def none_of(words: list[str], text: str, where: str) -> None:
    for number, word in enumerate(words):
        assert word not in text, f"canary {number} in {where}"


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_a_check_then_a_sync_leave_no_login_and_no_trace(
    bao: OpenBao,
    bundle_path: Path,
    password: Password,
    tmp_path: Path,
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    learned: list[str] = []
    check = open_as(bao, Purpose.CHECK, learn=learned.append)
    assert check_names(plan_for(bao), check, KEYS) == dict.fromkeys(KEYS, True)
    token_for = TokenFor(bao, {"environment": "dr-prod"})
    authority = open_as(bao, token_for=token_for, learn=learned.append)
    with WatchArgv() as argv:
        synced = sync(plan_for(bao), authority, open_bundle(bundle_path, password), KEYS, clock=FakeClock())

    assert read_values(bundle_path.read_bytes(), password) == VALUES == dict(synced.values)
    manifest = synced.manifest
    assert [secret.key for secret in manifest.secrets] == sorted(KEYS)
    assert {secret.version for secret in manifest.secrets} == {"1"}
    assert (manifest.origin, manifest.site, manifest.role, manifest.login, manifest.revoked) == (bao.origin, "gcp", "dr-prod", "jwt", True)

    assert len(learned) == 2
    for token in learned:
        assert not bao.works(token)
        assert bao.request("get", "secret/data/hybridops/prod/dns", token).status_code == 403

    words = canaries(*learned, *token_for.tokens)
    none_of(words, json.dumps(manifest.document(), ensure_ascii=False), "manifest")
    none_of(words, f"{synced!r} {synced} {authority!r} {authority} {password!r} {vars(check)}", "repr")
    none_of(words, everything_logged.text, "log")
    out, err = capfd.readouterr()
    none_of(words, out + err, "stdout or stderr")
    none_of(words, "\n".join(argv), "argv")
    none_of(words, json.dumps(dict(os.environ)), "environment")
    assert list(temporary.iterdir()) == []
    for file in bundle_path.parents[2].rglob("*"):
        if file.is_file() and file.name != "vault-password":
            none_of(words, file.read_text("utf-8", "replace"), file.name)
    assert files.put_back(bundle_path)
    assert [file.name for file in bundle_path.parent.iterdir()] == [LOCK]


class WatchArgv:
    """Collects the command lines of this machine's processes that belong to this test run, while it is entered."""

    def __enter__(self) -> list[str]:
        self.seen: list[str] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self.seen

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self.thread.join(5)
        assert self.seen

    def _look(self) -> None:
        while True:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.append(process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
                except OSError:
                    continue
            if self.stop.wait(0.02):
                return


def test_the_next_run_sees_new_versions_and_keeps_the_rest(bao: OpenBao, bundle_path: Path, password: Password) -> None:
    def bring(*keys: str) -> Synced:
        return sync(plan_for(bao), open_as(bao), open_bundle(bundle_path, password), keys, clock=FakeClock())

    bring("POWERDNS_API_KEY", "NETBOX_DB_PASSWORD")
    path = next(ref.path for ref in REFS if ref.key == "POWERDNS_API_KEY")
    try:
        version = bao.put(path, POWERDNS_API_KEY="canary-of-the-second-version")
        manifest = bring("POWERDNS_API_KEY").manifest
    finally:
        bao.put(path, POWERDNS_API_KEY=VALUES["POWERDNS_API_KEY"])
        bao.admin.secrets.kv.v2.delete_metadata_and_all_versions(path.partition("/")[2], mount_point="secret")
        bao.put(path, POWERDNS_API_KEY=VALUES["POWERDNS_API_KEY"])
    assert manifest.secrets[0].version == str(version)
    assert (manifest.changed, manifest.kept) == (("POWERDNS_API_KEY",), ("NETBOX_DB_PASSWORD",))
    assert read_values(bundle_path.read_bytes(), password) == {
        "POWERDNS_API_KEY": "canary-of-the-second-version",
        "NETBOX_DB_PASSWORD": VALUES["NETBOX_DB_PASSWORD"],
    }


def test_what_is_withheld_is_read_and_never_gets_into_the_bundle(bao: OpenBao, bundle_path: Path, password: Password) -> None:
    own = "POWERDNS_API_KEY"
    synced = sync(plan_for(bao), open_as(bao), open_bundle(bundle_path, password), KEYS, withheld=[own], clock=FakeClock())
    assert read_values(bundle_path.read_bytes(), password) == dict(synced.values) == {k: v for k, v in VALUES.items() if k != own}
    assert synced.withheld == {own: VALUES[own]}
    assert VALUES[own] in synced.hidden
    assert VALUES[own] not in repr(synced)
    assert own in [secret.key for secret in synced.manifest.secrets]
    assert own not in synced.manifest.changed


def test_a_failure_leaves_every_byte_and_no_login(bao: OpenBao, bundle_path: Path, password: Password) -> None:
    sync(plan_for(bao), open_as(bao), open_bundle(bundle_path, password), ["POWERDNS_API_KEY"], clock=FakeClock())
    before = bundle_path.read_bytes()
    tokens: list[str] = []
    broken = (*REFS, REFS[0].model_copy(update={"key": "Z_KEY", "field": "Z_KEY"}))
    with pytest.raises(Refusal, match=r"secrets\.missing") as refused:
        sync(
            plan_for(bao, refs=broken),
            open_as(bao, learn=tokens.append),
            open_bundle(bundle_path, password),
            [*KEYS, "Z_KEY"],
            clock=FakeClock(),
        )
    assert bundle_path.read_bytes() == before
    assert not bao.works(tokens[0])
    none_of(canaries(*tokens), whole_text(refused.value), "the refusal and its traceback")


def test_a_wrong_password_logs_in_nowhere(bao: OpenBao, bundle_path: Path, password: Password) -> None:
    sync(plan_for(bao), open_as(bao), open_bundle(bundle_path, password), ["POWERDNS_API_KEY"], clock=FakeClock())
    token_for = TokenFor(bao, {"environment": "dr-prod"})
    with pytest.raises(Refusal, match=r"secrets\.bundle"):
        sync(plan_for(bao), open_as(bao, token_for=token_for), open_bundle(bundle_path, Password("x", b"wrong")), KEYS, clock=FakeClock())
    assert token_for.audiences == []


def test_a_login_that_cannot_be_revoked_is_said(bao: OpenBao, bundle_path: Path, password: Password) -> None:
    policy = 'path "auth/token/lookup-self" { capabilities = ["read"] }\npath "secret/data/hybridops/prod/dns" { capabilities = ["read"] }'
    bao.add_role("dr-stuck", policy, claims={"environment": "dr-prod"})
    plan = plan_for(bao, role="dr-stuck")
    manifest = sync(plan, open_as(bao, plan=plan), open_bundle(bundle_path, password), ["POWERDNS_API_KEY"], clock=FakeClock()).manifest
    assert manifest.revoked is False
    assert "the login could not be revoked; it ends by its own limit" in manifest.notes


def whole_text(error: DispatchError) -> str:
    """Everything that a careless handler could print of an error."""
    chain = "".join(traceback.format_exception(error))
    return "\n".join([*error.lines(), repr(error), json.dumps(error.to_json()), chain, repr(error.__context__), repr(error.__cause__)])


def test_killed_at_any_moment_the_bundle_is_the_old_or_the_new(bundle_path: Path, password: Password) -> None:
    """kill -9 while a child merges again and again: whatever is there opens, and no plaintext lies beside it."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from hyops_ci.secrets.bundle import open_bundle; from hyops_ci.secrets.password import Password\n"
        "for number in range(100000):\n"
        "    with open_bundle(Path(sys.argv[1]), Password('x', b'canary password of the bundle')) as bundle:\n"
        "        bundle.merge({'A_KEY': f'canary-value-{number}'})\n"
        "    print('.', end='', flush=True)\n"
    )
    root = str(Path(__file__).parents[2])
    for pause in (0.0, 0.013, 0.031):
        with subprocess.Popen([sys.executable, "-c", script, str(bundle_path), root], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.read(3) == b"..."
            threading.Event().wait(pause)
            child.kill()
        assert read_values(bundle_path.read_bytes(), password)["A_KEY"].startswith("canary-value-")
        for file in bundle_path.parent.iterdir():
            assert b"canary" not in file.read_bytes()


def test_times_are_utc(bao: OpenBao, bundle_path: Path, password: Password) -> None:
    class Now(FakeClock):
        def now(self) -> datetime:
            return datetime.now(UTC)

    manifest = sync(plan_for(bao), open_as(bao), open_bundle(bundle_path, password), ["POWERDNS_API_KEY"], clock=Now()).manifest
    assert manifest.started_at < manifest.ended_at
