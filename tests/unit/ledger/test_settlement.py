"""The word that settles is signed by people of the config, enough of them, over one epoch of one ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Settlement
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.settlement import one_login_each, read_settlement, settling_approvers, sign_settlement
from hyops_ci.signing.dsse import load_key, new_key, open_envelope, public_of

WORD = Settlement(
    service="pg/lab", ledger_id="sha256:" + "1" * 64, epoch=7, serves="gcp", reason="dig and psql show gcp", at="2026-11-23T03:04:31Z"
)


def people(tmp_path: Path, *names: str) -> dict[str, str]:
    return {name: new_key(tmp_path / f"{name}.pem") for name in names}


def test_it_reads_back_with_its_signers(tmp_path: Path) -> None:
    known = people(tmp_path, "jonas", "priya")
    keys = [load_key(tmp_path / "jonas.pem"), load_key(tmp_path / "priya.pem")]
    assert settling_approvers(keys, known, 2) == ("jonas", "priya")
    assert read_settlement(sign_settlement(WORD, keys), known.values()) == (WORD, tuple(known.values()))


def test_one_person_with_two_uses_of_a_key_is_one(tmp_path: Path) -> None:
    known = people(tmp_path, "jonas", "priya")
    with pytest.raises(Refusal, match=r"approval\.quorum") as refused:
        settling_approvers([load_key(tmp_path / "jonas.pem")] * 2, known, 2)
    assert refused.value.exit_code is Exit.APPROVAL


def test_two_names_of_one_person_are_no_quorum(tmp_path: Path) -> None:
    """By one key, or by one login in two spellings: who reads the settlement again counts as who makes it."""
    jonas, night = people(tmp_path, "jonas", "night").values()
    for known in ({"jonas": jonas, "night": jonas}, {"jonas": jonas, "Jonas": night}):
        keys = [load_key(tmp_path / "jonas.pem"), load_key(tmp_path / "night.pem")]
        with pytest.raises(Refusal, match=r"approval\.quorum"):
            settling_approvers([key for key in keys if public_of(key) in known.values()], known, 2)
        assert len(one_login_each(known, known)) == 1


def test_a_strangers_key_is_refused(tmp_path: Path) -> None:
    known = people(tmp_path, "jonas")
    people(tmp_path, "stranger")
    with pytest.raises(Refusal, match=r"approval\.key"):
        settling_approvers([load_key(tmp_path / "stranger.pem")], known, 1)


def test_it_is_no_approval(tmp_path: Path) -> None:
    known = people(tmp_path, "jonas")
    with pytest.raises(ValueError, match="no envelope"):
        open_envelope(sign_settlement(WORD, [load_key(tmp_path / "jonas.pem")]), APPROVAL_PAYLOAD, known.values())


def test_changed_words_have_no_signer(tmp_path: Path) -> None:
    known = people(tmp_path, "jonas")
    envelope = sign_settlement(WORD, [load_key(tmp_path / "jonas.pem")])
    other = sign_settlement(WORD.model_copy(update={"serves": "onprem"}), [load_key(tmp_path / "jonas.pem")])
    assert read_settlement({**envelope, "payload": other["payload"]}, known.values())[1] == ()
