from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.contracts.config import EnvClass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.authorities.file import FileAuthority, open_authority
from hyops_ci.secrets.port import Access, Purpose
from tests.unit.secrets.doubles import plan_of

REFS = plan_of("A_KEY", "B_KEY").refs


def authority(tmp_path: Path, text: str | bytes) -> FileAuthority:
    path = tmp_path / "lab-secrets"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return FileAuthority(path)


@pytest.mark.parametrize("env_class", [EnvClass.PRODUCTION, EnvClass.DRILL])
def test_only_a_lab_takes_a_file(tmp_path: Path, env_class: EnvClass) -> None:
    with pytest.raises(Refusal) as refused:
        open_authority(plan_of("A_KEY", kind="file", path=str(tmp_path / "x"), addresses=()), Access(env_class, Purpose.EXECUTE))
    assert refused.value.exit_code is Exit.POLICY


@pytest.mark.parametrize(
    "text", ['{"A_KEY": "value a", "B_KEY": "value b"}', "A_KEY: value a\nB_KEY: 'value b'\n", '---\n"A_KEY": "value a"\nB_KEY: value b']
)
def test_json_and_yaml(tmp_path: Path, text: str) -> None:
    lab = authority(tmp_path, text)
    assert dict(lab.names(REFS)) == {"A_KEY": True, "B_KEY": True}
    assert [(secret.key, secret.value) for secret in lab.read(REFS)] == [("A_KEY", "value a"), ("B_KEY", "value b")]
    lab.close()
    assert lab.revoked is None


@pytest.mark.parametrize(
    "text, gate, says",
    [
        ("A_KEY: canary value", "secrets.file", "no B_KEY"),
        ("A_KEY: 2026-11-23\nB_KEY: canary", "secrets.value", "A_KEY: is no text"),
        ("A_KEY: 42\nB_KEY: canary", "secrets.value", "A_KEY: is a number"),
        ("A_KEY: canary\nA_KEY: canary\n", "secrets.file", "line 2, column 1: neither JSON nor YAML"),
        ('{"A_KEY": "canary", "A_KEY": "canary"}', "secrets.file", "key 'A_KEY' stands twice"),
        ("A_KEY: &a canary\nB_KEY: *a\n", "secrets.file", "line 2, column 8: neither JSON nor YAML"),
        ("A_KEY: 22:22:22\nB_KEY: canary\n", "secrets.file", "line 1, column 8: neither JSON nor YAML"),
        ("[" * 100_000, "secrets.file", "neither JSON nor YAML"),
        ('{"A_KEY": ' + "[" * 100_000, "secrets.file", "neither JSON nor YAML"),
        ("- canary", "secrets.file", "no object"),
        ("canary", "secrets.file", "no object"),
        ("", "secrets.file", "no object"),
        ("1: canary", "secrets.file", "line 1, column 1: neither JSON nor YAML"),
        ('{"A_KEY": "canary"', "secrets.file", "neither JSON nor YAML"),
        ("A_KEY: [canary", "secrets.file", "neither JSON nor YAML"),
        ("A_KEY: !!python/object:os.system canary", "secrets.file", "neither JSON nor YAML"),
        (b"A_KEY: \xff", "secrets.file", "neither JSON nor YAML"),
        (b"#" * (1024 * 1024 + 1), "secrets.file", "at most"),
    ],
)
def test_bad_files_are_refused_without_their_content(tmp_path: Path, text: str | bytes, gate: str, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        authority(tmp_path, text).read(REFS)
    shown = "\n".join(refused.value.lines())
    assert refused.value.gate == gate
    assert says in shown
    assert "canary" not in shown
    assert "canary" not in repr(refused.value.__context__)


def test_a_date_in_quotes_is_the_text_that_it_is_written_as(tmp_path: Path) -> None:
    lab = authority(tmp_path, "A_KEY: '2026-11-23'\nB_KEY: '22:22:22'\n")
    assert [secret.value for secret in lab.read(REFS)] == ["2026-11-23", "22:22:22"]


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"secrets\.file"):
        FileAuthority(tmp_path / "absent").names(REFS)
