"""The issuer's keys, over real HTTP: asked for, kept, asked for again, and what is believed of an answer."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from hyops_ci.errors import Exit, Fault
from hyops_ci.http.retry import ATTEMPTS
from hyops_ci.identity.issuer_keys import KEPT, NAME, IssuerKeys
from tests.support.issuer import DISCOVERY, JWKS, Issuer, SigningKey, serve_issuer, signing_key

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serve_issuer() as served:
        yield served


def keys_at(issuer: Issuer, folder: Path, seconds: float = 0, **changes: Any) -> IssuerKeys:
    return IssuerKeys(issuer.url, folder, START + timedelta(seconds=seconds), **{"sleep": lambda _: None, **changes})


def numbers(key: Any) -> Any:
    return key.public_numbers() if key is not None else None


def test_a_key_is_asked_for_and_kept(issuer: Issuer, tmp_path: Path) -> None:
    keys = keys_at(issuer, tmp_path / "state")
    assert numbers(keys("key-1")) == numbers(signing_key().private.public_key())
    assert keys.source == "issuer"
    assert issuer.asked == [DISCOVERY, JWKS]
    kept = tmp_path / "state" / NAME
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(kept.parent.iterdir()) == [kept]


def test_kept_keys_are_asked_for_again_and_a_withdrawn_one_is_gone(issuer: Issuer, tmp_path: Path) -> None:
    keys_at(issuer, tmp_path)("key-1")
    issuer.rotate("key-2")
    del issuer.published[0]
    issuer.asked.clear()
    later = keys_at(issuer, tmp_path, 1)
    assert later("key-1") is None
    assert issuer.asked == [DISCOVERY, JWKS]
    assert later.source == "issuer"


def test_an_unknown_key_is_asked_for_once(issuer: Issuer, tmp_path: Path) -> None:
    keys_at(issuer, tmp_path)("key-1")
    issuer.rotate("key-2")
    issuer.asked.clear()
    rotated = keys_at(issuer, tmp_path, 10)
    assert numbers(rotated("key-2")) == numbers(signing_key("key-2").private.public_key())
    assert issuer.asked == [DISCOVERY, JWKS]
    assert keys_at(issuer, tmp_path, 11)("key-9") is None
    assert issuer.asked == [DISCOVERY, JWKS] * 2


@pytest.mark.parametrize("seconds", [0, 1, KEPT])
def test_with_the_issuer_down_kept_keys_do(seconds: int, issuer: Issuer, tmp_path: Path) -> None:
    keys_at(issuer, tmp_path)("key-1")
    issuer.down = True
    keys = keys_at(issuer, tmp_path, seconds)
    assert keys("key-1") is not None
    assert keys.source == "kept 2026-11-24T03:00:00Z"


@pytest.mark.parametrize(
    ("kid", "seconds"), [("key-1", KEPT + 1), ("key-1", -1), ("key-9", 10)], ids=["too-old", "from-the-future", "unknown"]
)
def test_with_the_issuer_down_nothing_else_does(kid: str, seconds: int, issuer: Issuer, tmp_path: Path) -> None:
    keys_at(issuer, tmp_path)("key-1")
    issuer.down = True
    slept: list[float] = []
    with pytest.raises(Fault) as failed:
        keys_at(issuer, tmp_path, seconds, sleep=slept.append)(kid)
    assert (failed.value.gate, failed.value.exit_code) == ("host.issuer", Exit.UNAVAILABLE)
    assert "HTTP 503" in failed.value.found
    assert slept == [0.5, 1.5]


def test_nobody_there_and_nothing_kept(issuer: Issuer, tmp_path: Path) -> None:
    nobody = IssuerKeys("http://127.0.0.1:1", tmp_path, START, sleep=lambda _: None)
    with pytest.raises(Fault) as failed:
        nobody("key-1")
    assert "refused the connection; none kept on this host" in failed.value.found
    assert failed.value.__context__ is None


def test_passing_trouble_is_waited_out(issuer: Issuer, tmp_path: Path) -> None:
    issuer.failures = [503, 0]
    assert keys_at(issuer, tmp_path)("key-1") is not None
    assert issuer.asked == [DISCOVERY] * ATTEMPTS + [JWKS]


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 410])
def test_a_clear_no_is_not_asked_again_and_no_redirect_is_followed(status: int, issuer: Issuer, tmp_path: Path) -> None:
    issuer.failures = [status]
    with pytest.raises(Fault, match=r"host\.issuer"):
        keys_at(issuer, tmp_path)("key-1")
    assert issuer.asked == [DISCOVERY]


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://token.example.net"},
        {"issuer": None},
        {"jwks_uri": "https://eve.example.net/jwks"},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "file:///etc/passwd"},
    ],
    ids=str,
)
def test_a_description_that_leads_elsewhere_is_not_followed(described: dict[str, Any], issuer: Issuer, tmp_path: Path) -> None:
    issuer.described = described
    with pytest.raises(Fault, match=r"host\.issuer"):
        keys_at(issuer, tmp_path)("key-1")
    assert JWKS not in issuer.asked


@pytest.mark.parametrize("elsewhere", [".eve.example.net/jwks", "@eve.example.net/jwks"])
def test_keys_on_a_host_whose_name_begins_the_same_are_not_asked_for(elsewhere: str, issuer: Issuer, tmp_path: Path) -> None:
    issuer.described = {"jwks_uri": issuer.url + elsewhere}
    with pytest.raises(Fault, match=r"host\.issuer") as caught:
        keys_at(issuer, tmp_path)("key-1")
    assert f"its keys would be at {issuer.url}{elsewhere}" in caught.value.found, "nobody was asked"


BODIES = [b"", b"{", b"[]", b"null", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [7, null, {}]}', b"\xff\xfe", b"[" * 5000]


@pytest.mark.parametrize("body", [*BODIES, b" " * 300_000], ids=lambda body: repr(body[:20]))
def test_an_answer_without_keys_is_none(body: bytes, issuer: Issuer, tmp_path: Path) -> None:
    issuer.body = body
    with pytest.raises(Fault, match=r"host\.issuer"):
        keys_at(issuer, tmp_path)("key-1")
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC"},
        {"use": "enc"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kid": ""},
        {"kid": 7},
        {"n": "AQAB"},
        {"n": "!"},
        {"n": None},
        {"e": ""},
        {"d": "AQAB"},
    ],
    ids=str,
)
def test_a_key_of_another_kind_signs_nothing(change: dict[str, Any], issuer: Issuer, tmp_path: Path) -> None:
    issuer.rotate("key-2")
    issuer.published[0] = signing_key().jwk(**change)
    keys = keys_at(issuer, tmp_path)
    assert keys(str(issuer.published[0]["kid"])) is None
    assert keys("key-2") is not None


def test_a_short_key_and_one_that_is_no_secret_any_more_sign_nothing(issuer: Issuer, tmp_path: Path) -> None:
    issuer.rotate("key-2")
    short = SigningKey(rsa.generate_private_key(65537, 1024), "short")
    issuer.published += [short.jwk(), RSAAlgorithm.to_jwk(signing_key("key-3").private, as_dict=True) | {"kid": "told"}]
    keys = keys_at(issuer, tmp_path)
    assert [keys(kid) is None for kid in ("short", "told", "key-2")] == [True, True, False]


def test_a_name_of_two_keys_names_neither(issuer: Issuer, tmp_path: Path) -> None:
    issuer.published.append(signing_key("key-2").jwk(kid="key-1"))
    issuer.published.append(signing_key("key-3").jwk())
    keys = keys_at(issuer, tmp_path)
    assert keys("key-1") is None
    assert keys("key-3") is not None


# -------------------------------------------------------------------------------- the keys on the host


def forged(issuer: Issuer, **changes: Any) -> str:
    """What somebody with a key of their own would like the host to have kept."""
    return json.dumps({"issuer": issuer.url, "at": int(START.timestamp()), "keys": [signing_key("key-2").jwk(kid="key-1")], **changes})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path, text: path.chmod(0o666),
        lambda path, text: path.chmod(0o620),
        lambda path, text: path.write_text(""),
        lambda path, text: path.write_text("[]"),
        lambda path, text: path.write_text(text.replace('"at"', '"when"')),
        lambda path, text: path.write_text(text.replace("http://", "https://")),
        lambda path, text: (path.rename(path.with_name("elsewhere")), path.symlink_to("elsewhere")),
        lambda path, text: (path.unlink(), path.mkdir()),
    ],
    ids=["world-writable", "group-writable", "empty", "a-list", "without-a-time", "of-another-issuer", "a-link", "a-folder"],
)
def test_kept_keys_that_others_could_have_written_are_not_used(
    spoil: Callable[[Path, str], object], issuer: Issuer, tmp_path: Path
) -> None:
    path = tmp_path / NAME
    path.write_text(forged(issuer))
    path.chmod(0o600)
    spoil(path, path.read_text())
    assert numbers(keys_at(issuer, tmp_path)("key-1")) == numbers(signing_key().private.public_key())
    assert issuer.asked == [DISCOVERY, JWKS]


def test_a_host_that_cannot_keep_keys_asks_each_time(issuer: Issuer, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("a file where the folder should be")
    for _ in range(2):
        assert keys_at(issuer, folder)("key-1") is not None
    assert issuer.asked == [DISCOVERY, JWKS] * 2


def test_no_environment_variable_changes_whom_it_asks(issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert keys_at(issuer, tmp_path)("key-1") is not None
