"""Every refusal of the source is found with its exit code, however its id is put together; docs and code name only what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from hyops_ci.errors import Exit
from tools.refusal_pages import PACKAGE, ids, refusals_page
from tools.refusal_sites import by_gate, sites

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
TRICKY = '''
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal

_REASONS = {"age": "too old", "size": "too large"}


class Twice(Refusal):
    """A kind."""


class Thrice(Twice):
    """A kind of a kind."""


class Row:
    gate: str
    reason: str


ROWS = (Row("row.one", "first row"), Row("row.two", "second row"))


def plain(limited):
    raise Fault("plain.limited" if limited else "plain.silent", "slow down" if limited else "no answer", exit_code=Exit.UNAVAILABLE)


def _refuse(rule, reason, code=Exit.POLICY):
    raise Thrice(f"made.{rule}", reason, exit_code=code, fix="start a new run")


def _outer(rule):
    _refuse(rule, _REASONS[rule], Exit.DECISION)


def callers():
    _refuse("here", "said here")
    _outer("age")
    _outer("size")


def row(no):
    raise Refusal(no.gate, no.reason, exit_code=Exit.CONFLICT)


def once_more(error):
    code = error.exit_code if error.exit_code is Exit.UNAVAILABLE else Exit.RUNNER
    return type(error)("again.token", error.reason, exit_code=code)


def hidden(record):
    raise Refusal(record["gate"], "again", exit_code=Exit(record["code"]))
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "package"
    root.mkdir()
    (root / "tricky.py").write_text(TRICKY)
    (root / "other.py").write_text("from package.tricky import _refuse\n\n\ndef elsewhere():\n    _refuse('there', f'said {1} there')\n")
    return root


def test_ids_are_read_however_they_are_made(package: Path) -> None:
    found, unread = sites(package)
    read = {gate: {(site.exits, site.reasons) for site in at} for gate, at in by_gate(found).items()}
    assert read == {
        "plain.limited": {(("UNAVAILABLE",), ("slow down",))},
        "plain.silent": {(("UNAVAILABLE",), ("no answer",))},
        "made.here": {(("POLICY",), ("said here",))},
        "made.there": {(("POLICY",), ("said {} there",))},
        "made.age": {(("DECISION",), ("too old",))},
        "made.size": {(("DECISION",), ("too large",))},
        "row.one": {(("CONFLICT",), ("first row",))},
        "row.two": {(("CONFLICT",), ("second row",))},
        "again.token": {(("UNAVAILABLE", "RUNNER"), ())},
    }
    assert [each.expression for each in unread] == ["record['gate']"]


def test_only_these_places_take_their_id_from_elsewhere() -> None:
    unread = {(each.place.partition(":")[0].removeprefix("hyops_ci/"), each.expression) for each in sites(PACKAGE)[1]}
    assert unread == {
        ("github/api/client.py", "endpoint"),  # Unanswered: its id is its own
        ("github/api/errors.py", "INSTALLATION"),
        ("planning/case.py", "self.id"),  # gates of plan and check: listed as such
        ("contracts/run.py", "self.gate"),  # a refusal that was recorded, as it came
    }


def test_every_id_that_a_page_names_exists() -> None:
    families = {each.partition(".")[0] for each in ids()}
    events = {"hyops.deploy", "journal.torn"}
    for page in sorted(DOCS.glob("*.md")):
        for line in page.read_text("utf-8").splitlines():
            for name in re.findall(r"^\| `([a-z]+(?:\.[a-z-]+)+)` \| \d", line) if page.name != "refusals.md" else ():
                assert name in ids(), f"{page.name}: {name}"
            for name in re.findall(r"REFUSED ([a-z]+\.[a-z._-]+)", line):
                assert name in ids() | events or name.partition(".")[0] not in families, f"{page.name}: {name}"


def test_exit_codes_beside_an_id_are_its_own() -> None:
    codes = {gate: {int(code) for code in row.split(",") if code.strip().isdigit()} for gate, row in _rows()}
    seen = 0
    for page in sorted(DOCS.glob("*.md")):
        for line in page.read_text("utf-8").splitlines() if page.name != "refusals.md" else ():
            beside = re.findall(r"`([a-z]+(?:\.[a-z-]+)+)`(?:, exit | \(exit |\), exit | )(\d+)\b", line)
            row = re.match(r"\| `([a-z]+(?:\.[a-z-]+)+)` \| (\d+(?:, \d+)*) \|", line)
            beside += [(row[1], code) for code in row[2].split(", ")] if row else []
            beside += re.findall(r"REFUSED ([a-z]+(?:\.[a-z-]+)+) \(exit (\d+)\)", line)
            for gate, code in beside:
                assert int(code) in codes.get(gate, {int(code)}), f"{page.name}: {gate} is exit {codes[gate]}, not {code}"
                seen += gate in codes
    assert seen > 100


def _rows() -> list[tuple[str, str]]:
    return re.findall(r"^\| `([a-z._-]+)` \| ([^|]+) \|", refusals_page(DOCS), re.M)


def test_refusals_of_the_setup_are_listed_with_its_exit_code() -> None:
    script = (ROOT / "actions" / "setup" / "setup.sh").read_text("utf-8")
    named = set(re.findall(r"refuse (setup\.[a-z]+) ", script))
    assert {"setup.python", "setup.packages"} <= named <= ids()
    assert len(re.findall(r"refuse setup\.", script)) == len(re.findall(r'refuse setup\.[a-z]+ "', script)), "each with a text"
    assert set(re.findall(r"\bexit (\d+)", script)) == {str(int(Exit.RUNNER))}


def test_every_id_has_an_exit_code_and_a_text() -> None:
    rows = re.findall(r"^\| `([a-z._-]+)` \| ([^|]*) \| ((?:[^|]|\\\|)*) \|", refusals_page(DOCS), re.M)
    assert {row[0] for row in rows} == ids()
    assert len(rows) > 200
    assert [row for row in rows if not row[1].strip() or len(row[2].strip()) < 5] == []


def test_every_id_has_what_to_do() -> None:
    rows = re.findall(r"^\| `([a-z._-]+)` \| [^|]* \| (?:[^|]|\\\|)* \| ((?:[^|]|\\\|)*) \|", refusals_page(DOCS), re.M)
    assert {row[0] for row in rows} == ids()
    assert [row[0] for row in rows if len(row[1].strip()) < 5] == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_exit_codes_are_named_in_code(path: Path) -> None:
    if path.name == "stand_in.py":  # its exit codes are those of HyOps
        return
    numbers = {int(code) for code in Exit} - {0}

    def literal(node: ast.expr | None) -> bool:
        if isinstance(node, ast.IfExp):
            return literal(node.body) or literal(node.orelse)
        return isinstance(node, ast.Constant) and type(node.value) is int and node.value in numbers

    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        at = f"line {getattr(node, 'lineno', 0)}: name the member of Exit"
        if isinstance(node, ast.Return) and path.parent.name == "cli":
            assert not literal(node.value), at
        if isinstance(node, ast.keyword) and node.arg == "exit_code":
            assert not literal(node.value), at
        if isinstance(node, ast.Compare) and "exit_code" in ast.unparse(node.left):
            assert not any(literal(each) for each in node.comparators), at
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"sys.exit", "SystemExit"}:
            assert not any(literal(each) for each in node.args), at
