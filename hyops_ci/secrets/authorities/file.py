"""Secrets from a file, for envs of class `lab` only: rehearsals and tests, never a production run (docs/design/contracts.md 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import SecretPlan, SecretRef
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.strict_json import TWICE, JsonError, parse
from hyops_ci.parsing.yaml_loader import StrictDateLoader, YamlError, load
from hyops_ci.secrets.port import Access
from hyops_ci.secrets.values import Secret, refuse_values, text_fault

MAX_BYTES: Final = 1024 * 1024


def open_authority(plan: SecretPlan, access: Access) -> FileAuthority:
    """Return the authority at the plan's path. Raises Refusal (exit 4) outside class `lab`."""
    if access.env_class is not EnvClass.LAB:
        raise Refusal(
            "secrets.file",
            "secrets come from a file in the lab only",
            exit_code=Exit.POLICY,
            found=f"vault.kind file in an env of class {access.env_class.value}",
            expected="class lab, or an authority outside the runner",
            fix="set `vault.kind: vault` with its address",
            docs="secrets.md",
        )
    return FileAuthority(Path(plan.path))


class FileAuthority:
    """The adapter of a local file: one JSON or YAML object of names and values."""

    origin = "file"
    login: Literal["none"] = "none"
    role = ""
    revoked: bool | None = None

    def __init__(self, path: Path) -> None:
        """The file is read on first use."""
        self._path = path

    def names(self, refs: Sequence[SecretRef]) -> Mapping[str, bool]:
        """Return for each key whether the file has it."""
        content = self._load()
        return {ref.key: ref.key in content for ref in refs}

    def read(self, refs: Sequence[SecretRef]) -> Sequence[Secret]:
        """Return every value. Raises Refusal naming each that is missing or not text."""
        content = self._load()
        if missing := [ref.key for ref in refs if ref.key not in content]:
            raise _refuse(self._path, f"no {', '.join(missing)}", "every name of the plan", exit_code=Exit.SECRETS)
        if faults := [f"{ref.key}: {fault}" for ref in refs if (fault := text_fault(content[ref.key]))]:
            raise refuse_values(faults)
        return [Secret(ref.key, content[ref.key]) for ref in refs]

    def close(self) -> None:
        """Do nothing: there is no login."""

    def _load(self) -> dict[str, Any]:
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise _refuse(self._path, f"{error.strerror}", "a readable file") from None
        content, problem = _parsed(data)
        if not problem and not (isinstance(content, dict) and all(isinstance(key, str) for key in content)):
            problem = "no object of names and values"
        if problem or not isinstance(content, dict):
            raise _refuse(self._path, problem, "one object of names and values, each name once")
        return content


def _parsed(data: bytes) -> tuple[object, str]:
    """Return the value of a JSON or YAML text, or the problem. Messages of the parsers could quote a secret, so they are not used."""
    if len(data) > MAX_BYTES:
        return None, f"{len(data)} bytes, at most {MAX_BYTES}"
    try:
        return (parse(data, most=MAX_BYTES) if data.lstrip().startswith(b"{") else load(data, StrictDateLoader)), ""
    except JsonError as error:
        return None, f"{error.found} stands twice" if error.rule == TWICE else "neither JSON nor YAML"
    except YamlError as error:
        return None, f"{error.where}neither JSON nor YAML"


def _refuse(path: Path, found: str, expected: str, exit_code: Exit = Exit.SECRETS) -> Refusal:
    return Refusal(
        "secrets.file",
        "the lab's secret file cannot be used",
        exit_code=exit_code,
        found=f"{path}: {found}",
        expected=expected,
        fix='correct the file: NAME: "value", one per line',
        docs="secrets.md",
    )
