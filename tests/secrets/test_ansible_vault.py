"""Our container and text beside the real `ansible-vault`, both ways."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_ci.secrets.ansible_vault import encrypt
from hyops_ci.secrets.bundle import open_bundle, read_values
from hyops_ci.secrets.bundle_text import render
from hyops_ci.secrets.password import Password
from hyops_ci.secrets.values import CUTS
from tests.secrets.conftest import VALUES
from tests.unit.secrets import hyops_reader

TOOL = str(Path(sys.executable).with_name("ansible-vault"))
HARD = VALUES | {
    "SHELL": "$HOME `id` ; & | < > *",
    "QUOTED": "\"in quotes\" and 'in quotes'",
    "SLASHES": "\\ \\\\ \\n \\",
    "CONTROL": "tab\tescape\x1b unit\x1f bell\x07",
    "UNICODE": "ü 中文 😀 \u00a0 \ufeff",
    "CRLF": "one\r\ntwo\r\nthree",
    "LONG": "x" * 50_000,
}


def ansible_vault(tmp_path: Path, *words: str, given: bytes = b"") -> bytes:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible"), "LANG": "C.UTF-8"}
    return subprocess.run([TOOL, *words], input=given, capture_output=True, check=True, env=environment, timeout=400).stdout


def test_ansible_vault_views_what_we_wrote(tmp_path: Path, bundle_path: Path, password: Password, password_file: Path) -> None:
    with open_bundle(bundle_path, password) as bundle:
        bundle.merge(HARD)
    seen = ansible_vault(tmp_path, "view", "--vault-password-file", str(password_file), str(bundle_path))
    assert seen == render(HARD).encode()
    assert hyops_reader.read(seen.decode()) == HARD


@pytest.mark.parametrize("vault_id", [False, True])
def test_we_read_what_ansible_vault_encrypted(
    tmp_path: Path, bundle_path: Path, password: Password, password_file: Path, vault_id: bool
) -> None:
    bundle_path.parent.mkdir()
    who = (
        ["--vault-id", f"prod@{password_file}", "--encrypt-vault-id", "prod"] if vault_id else ["--vault-password-file", str(password_file)]
    )
    ansible_vault(tmp_path, "encrypt", *who, "--output", str(bundle_path), "-", given=hyops_reader.written(HARD).encode())
    assert bundle_path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;prod\n" if vault_id else b"$ANSIBLE_VAULT;1.1;AES256\n")
    assert read_values(bundle_path.read_bytes(), password) == HARD


def test_what_we_refuse_is_what_the_real_way_corrupts(tmp_path: Path, password: Password, password_file: Path) -> None:
    values = {f"K{number}": f"before{character}after" for number, character in enumerate(CUTS)}
    vault = tmp_path / "corrupted"
    vault.write_bytes(encrypt(hyops_reader.written(values).encode(), password.secret))
    seen = ansible_vault(tmp_path, "view", "--vault-password-file", str(password_file), str(vault)).decode()
    assert hyops_reader.read(seen) == dict.fromkeys(values, '"before')
