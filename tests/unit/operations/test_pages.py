"""The documentation that travels with the program: every page and every refusal, in a checkout and in a wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from hyops_ci.errors import Exit, Refusal
from hyops_ci.operations import pages
from tools.refusal_pages import ids

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["ledger", "ledger.md", "docs/ledger.md", "ledger.md#alarms", "docs/ledger.md#alarms"])
def test_a_page_by_any_of_its_names(name: str) -> None:
    assert pages.page(name) == (ROOT / "docs" / "ledger.md").read_text("utf-8")


def test_no_name_is_the_index() -> None:
    assert pages.page("") == (ROOT / "docs" / "README.md").read_text("utf-8")
    assert pages.page("design/README.md") != pages.page("")


def test_every_refusal_has_what_to_do() -> None:
    for gate in sorted(ids()):
        lines = pages.page(gate).splitlines()
        assert lines[0] == gate
        assert {"exit", "says", "to do"} <= {line[2:10].strip() for line in lines[1:]}, lines


def test_a_refusal_reads_as_it_was_said() -> None:
    said = pages.page("runner.silent")
    assert "  exit     7\n" in said
    assert "hyops-ci docs runners.md" in said
    assert "&lt;" not in said + pages.page("github.unreachable")


@pytest.mark.parametrize("name", ["nothing", "../README", "/etc/passwd", "design", "refusal", "runner.silent |", "\x1b[2J"])
def test_another_name_is_refused_with_the_pages_that_there_are(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        pages.page(name)
    assert (refused.value.gate, refused.value.exit_code) == ("docs.page", Exit.USAGE)
    assert "github-down" in refused.value.expected


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["docs", "never"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "never.md").read_text("utf-8")


def test_what_refusals_point_to_is_in_the_wheel(tmp_path: Path) -> None:
    """Built without a network, unpacked, and asked with nothing of the checkout in reach."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=400, env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "hyops_ci").rglob("*.py"))
    named = sorted({*re.findall(r'docs="([a-z-]+\.md)"', source), *re.findall(r"(?<!\w)docs/([a-z-]+\.md)", source)})
    assert len(named) > 15
    ask = "import sys; sys.path.insert(0, sys.argv[1]); from hyops_ci.operations import pages\n"
    ask += "print(pages.folder()); [pages.page(each) for each in sys.argv[2:]]"
    words = [sys.executable, "-I", "-c", ask, str(tmp_path / "installed"), "", *named, *sorted(ids())]
    asked = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (asked.returncode, asked.stdout.strip()) == (0, str(tmp_path / "installed" / "hyops_ci" / "docs")), asked.stderr
