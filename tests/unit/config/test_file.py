"""The config and the trust file: `tests/cases/config/{accept,refuse}/*.yml` are configs; a refused one says in comments what is found."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.config import file
from hyops_ci.config.file import parsed_config, read_config, read_trust
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.errors import Exit, Refusal

CASES = Path(__file__).parents[2] / "cases" / "config"
ACCEPT, REFUSE = sorted((CASES / "accept").iterdir()), sorted((CASES / "refuse").iterdir())
EXAMPLE = Path(__file__).parents[3] / "hyops_ci" / "operations" / "rehearse" / "example" / "dr-dispatch.yml"
TRUST = json.loads((CASES.parent / "contracts" / "accept" / "host-trust" / "full.json").read_bytes())


@pytest.mark.parametrize("path", [*ACCEPT, EXAMPLE], ids=lambda path: path.stem)
def test_accepted(path: Path) -> None:
    config, raw = read_config(path.read_bytes(), path.name)
    assert set(config.services) == set(raw["services"])
    assert DispatchConfig.model_validate_json(json.dumps(config.document())) == config


@pytest.mark.parametrize("path", REFUSE, ids=lambda path: path.stem)
def test_refused(path: Path) -> None:
    data = path.read_bytes()
    says = dict(line[2:].split(": ", 1) for line in data.decode().splitlines()[:3])
    with pytest.raises(Refusal) as caught:
        read_config(data, ".github/dr-dispatch.yml")
    refusal = caught.value
    assert (refusal.gate, refusal.exit_code) == (says["gate"], Exit.USAGE)
    assert says["found"] in refusal.found
    assert says["expected"] in refusal.expected
    assert ".github/dr-dispatch.yml" in refusal.reason
    assert refusal.fix


def test_a_trust_file_is_read_or_trusts_nobody() -> None:
    assert read_trust(json.dumps(TRUST).encode(), "/etc/dr-dispatch/trust.json").repository_id == 4711
    with pytest.raises(Refusal) as caught:
        read_trust(json.dumps(TRUST | {"quorum": 0}).encode(), "/etc/dr-dispatch/trust.json")
    for wrong in (json.dumps(TRUST | {"quorum": 0}), "trusted"):
        with pytest.raises(Refusal) as refused:
            read_trust(wrong.encode(), "/etc/dr-dispatch/trust.json")
        assert "docs/host-trust.md" in refused.value.fix
    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.found == "/quorum: 0"
    assert "trust.json" in caught.value.reason


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_are_a_config(data: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_config(data, "x.yml")
    assert caught.value.exit_code is Exit.USAGE


@given(st.data())
def test_a_changed_config_is_read_or_refused(data: st.DataObject) -> None:
    content = EXAMPLE.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    with contextlib.suppress(Refusal):
        read_config(content[:at] + data.draw(st.binary(max_size=3)) + content[at + 1 :], "x.yml")


def test_one_file_is_parsed_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    known = file.read_yaml
    monkeypatch.setattr(file, "read_yaml", lambda data, path, **more: (parsed.append(data), known(data, path, **more))[1])
    content = b"services: {pg-ha/once: {failover: {lane: gcp, blueprint: dr/x@v1}}}"
    assert parsed_config(content) is parsed_config(content)
    assert parsed == [content]
    with pytest.raises(Refusal):
        parsed_config(content + b"\nno: such key")
