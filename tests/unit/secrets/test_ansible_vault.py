from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_ci.secrets.ansible_vault import HEADER, NotAVault, WrongPassword, decrypt, encrypt
from tests.support.examples import examples

VAULT = encrypt(b"A=1\n", b"password", salt=bytes(range(32)))


def test_the_container_is_1_1_in_80_columns() -> None:
    header, *lines, last = VAULT.split(b"\n")
    assert header == HEADER == b"$ANSIBLE_VAULT;1.1;AES256"
    assert last == b""
    assert all(len(line) == 80 for line in lines[:-1])
    assert b"".join(lines).islower() or b"".join(lines).isdigit()


def test_salts_are_fresh() -> None:
    assert encrypt(b"same", b"password") != encrypt(b"same", b"password")


@settings(max_examples=examples(25))
@given(st.binary(max_size=200), st.binary(min_size=1, max_size=40))
def test_round_trip(plain: bytes, password: bytes) -> None:
    assert decrypt(encrypt(plain, password), password) == plain


def test_the_wrong_password_is_told_from_a_broken_file() -> None:
    with pytest.raises(WrongPassword):
        decrypt(VAULT, b"passwore")


@pytest.mark.parametrize(
    "data, why",
    [
        (b"", "does not begin"),
        (b"A=1\n", "does not begin"),
        (HEADER, "cut off"),
        (HEADER + b"\nzz\n", "cut off"),
        (HEADER + b"\n616263\n", "cut off"),
        (VAULT[:-100], "cut off"),
        (VAULT.replace(b";1.1;", b";1.0;"), "format 1.1"),
        (VAULT.replace(b"AES256", b"AES"), "format 1.1"),
        (b"$ANSIBLE_VAULT;1.1\n", "format 1.1"),
    ],
)
def test_what_is_no_vault(data: bytes, why: str) -> None:
    with pytest.raises(NotAVault, match=why):
        decrypt(data, b"password")


def test_a_vault_id_is_read() -> None:
    assert decrypt(VAULT.replace(b";1.1;AES256", b";1.2;AES256;prod"), b"password") == b"A=1\n"


def test_any_changed_byte_of_the_body_is_noticed() -> None:
    start = VAULT.index(b"\n") + 1
    for at in range(start, len(VAULT) - 1, 7):
        changed = VAULT[:at] + (b"3" if VAULT[at : at + 1] != b"3" else b"6") + VAULT[at + 1 :]
        with pytest.raises((WrongPassword, NotAVault)):
            decrypt(changed, b"password")
