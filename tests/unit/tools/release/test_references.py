"""Own references: every one names a repository and a ref in the tree for GitHub Enterprise Server, and actionlint takes it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_house import tracked
from tools.release.references import OWN, for_server, named, refers, unnamed

ROOT = Path(__file__).parents[4]
FILES = {path: (ROOT / path).read_bytes() for path in tracked() if refers(path)}
CALLERS = [path for path in FILES if path.startswith("workflows-templates/")]


def test_every_reference_of_the_tree_is_named(tmp_path: Path) -> None:
    made = for_server(FILES.items(), "platform/recovery", "v1.2.0")
    before = sum(len(OWN.findall(content.decode())) for content in FILES.values())
    assert before > 15
    text = "\n".join(content.decode() for content in made.values())
    assert unnamed(text) == []
    assert len(re.findall(r"uses: platform/recovery/\S+@v1\.2\.0$", text, re.M)) == before
    assert "uses: hybridops/" not in text
    for path, content in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    workflows = sorted(
        str(tmp_path / path) for path in made if path.startswith((".github/workflows/", "workflows-templates/")) and path.endswith(".yml")
    )
    done = subprocess.run(["actionlint", *workflows], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_named_is_in_the_tree() -> None:
    for content in for_server(FILES.items(), "platform/recovery", "v1.2.0").values():
        for place in re.findall(r"uses: platform/recovery/(\S+)@", content.decode()):
            assert (ROOT / place).is_file() or (ROOT / place / "action.yml").is_file(), place


@pytest.mark.parametrize("path", CALLERS)
def test_a_caller_keeps_the_commit_that_it_pins(path: str) -> None:
    text = FILES[path].decode()
    assert named(text, "platform/recovery", "v1.2.0") == text.replace("uses: hybridops/dr-dispatch/", "uses: platform/recovery/")


def test_other_files_are_left_as_they_are() -> None:
    page = b"      uses: $/actions/plan\n\xff"
    assert for_server([("docs/x.md", page), ("tests/x.yml", page)], "a/b", "v1.0.0") == {"docs/x.md": page, "tests/x.yml": page}


@pytest.mark.parametrize(
    "line", ['uses: "$/actions/plan"', "uses: $/actions/plan # why", "uses:  $/actions/plan", "- uses: $/actions/Plan"]
)
def test_a_spelling_that_is_not_known_is_no_release(line: str) -> None:
    with pytest.raises(ValueError, match="not known"):
        for_server([(".github/workflows/x.yml", f"      {line}\n".encode())], "a/b", "v1.0.0")
