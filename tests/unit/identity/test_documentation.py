"""`docs/host-trust.md` holds a file that is valid, every field of it, every claim that is compared, and every gate."""

from __future__ import annotations

import re
from pathlib import Path

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.identity import claims, issuer_keys, replay, token
from hyops_ci.signing.dsse import public_of
from tests.unit.evidence.sample_run import JONAS
from tests.unit.identity.test_claims import COMPARED

PAGE = (Path(__file__).parents[3] / "docs" / "host-trust.md").read_text(encoding="utf-8")


def test_its_file_is_valid_once_it_has_keys() -> None:
    [example] = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    filled = example.replace("ed25519:<base64 of the 32 public bytes>", public_of(JONAS))
    assert filled != example, "a key that can be copied would be somebody's"
    assert HostTrust.model_validate_json(filled).workflow_ref is not None


def test_it_names_every_field_and_claim() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(HostTrust.model_fields) - {"api_version", "kind"} <= named
    assert set(COMPARED) <= named
    assert set(token.REQUIRED) <= named


def test_it_names_every_gate_and_file() -> None:
    code = "".join(Path(each.__file__).read_text(encoding="utf-8") for each in (claims, issuer_keys, replay, token))
    gates = set(re.findall(r"\"(host\.[a-z]+)\"", code))
    assert gates == {"host.caller", "host.issuer", "host.token"}
    assert gates <= set(re.findall(r"`([a-z.]+)`", PAGE))
    assert {issuer_keys.NAME, replay.NAME} <= set(re.findall(r"`([a-z.-]+)`", PAGE))


def test_its_times_are_the_codes() -> None:
    assert (token.LEEWAY, token.MAX_LIFETIME, issuer_keys.KEPT) == (30, 3600, 7 * 86400)
    assert all(words in PAGE for words in ("30 s either way", "an hour of life", "last 7 days"))
