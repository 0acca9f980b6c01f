"""The documentation holds together: links and anchors resolve, citations lead to sections, paths and numbers are true."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from hyops_ci.contracts.config import HyOps
from hyops_ci.contracts.run import ENDINGS
from hyops_ci.errors import Exit
from hyops_ci.github import runner_versions
from hyops_ci.github.actions import startup_failure
from hyops_ci.planning.case import load
from tests.unit.test_house import tracked
from tools.markdown import headings, links, section_link
from tools.refusal_pages import citations

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in tracked() if path.endswith(".md") and path.split("/")[0] in {"docs", path}]
CITING = [path for path in tracked() if re.search(r"\.(py|ya?ml|toml|sh|json|md)$|^dev$", path) and not path.startswith("requirements/")]
CITATION = re.compile(r"docs/design/([a-z-]+)\.md (\d+(?:\.\d+)?)")
PAGE = re.compile(r"(?<![\w./-])docs/([a-z-]+(?:/[a-z-]+)*\.md)(#[\w-]+)?")
UNKNOWN_FORMS = re.compile(
    r"(?<!/)\b(contracts|texts|workflows|architecture)(, section|, sections| section) \d|\b(contracts|texts|workflows|architecture), \d"
    r"|\bgithub-actions, [F\d]|\bF\d\d? (and|to) F\d"
    r"|(?<!-)\bseed,? (section )?\d|\bHyOps (facts|section),? |\bHyOps \d\d?\b(?!\.)|drift note,? \d"
)


@pytest.mark.parametrize("path", PAGES)
def test_links_of_a_page_resolve(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    for target in links(text):
        if re.match(r"https?://|mailto:", target):
            continue
        place, _, anchor = unquote(target).partition("#")
        file = (ROOT / path).parent / place if place else ROOT / path
        assert file.exists(), f"{path}: {target}"
        assert file.resolve().is_relative_to(ROOT), f"{path}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in {each.anchor for each in headings(file.read_text("utf-8"))}, f"{path}: {target}"


def test_who_waits_for_a_run_is_told_of_every_good_end() -> None:
    said = (DOCS / "dispatch.md").read_text("utf-8").partition("the exit code: 0 for")[2].partition(", else")[0]
    good = {ending.headline.partition(",")[0] for ending in ENDINGS.values() if ending.exit_code == 0}
    assert {words.strip() for words in re.split(r",| and ", said)} == good | {"DRILL PASSED"}


def test_the_pages_were_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/README.md", "docs/design/contracts.md"} <= set(PAGES)
    assert len([target for path in PAGES for target in links((ROOT / path).read_text("utf-8"))]) >= 200


def test_every_page_is_in_the_index() -> None:
    index = {target.partition("#")[0] for page in ("README.md", "design/README.md") for target in links((DOCS / page).read_text("utf-8"))}
    assert {page.name for page in DOCS.rglob("*.md")} - {"README.md"} <= {Path(each).name for each in index}


@pytest.mark.parametrize("top", sorted({path.split("/")[0] for path in CITING}))
def test_citations_lead_to_sections(top: str) -> None:
    for path in CITING:
        if path.split("/")[0] != top or path == "tests/unit/test_docs.py":
            continue
        text = (ROOT / path).read_text("utf-8", errors="replace")
        for match in CITATION.finditer(text):
            section_link(DOCS, f"{match[1]} {match[2]}")
        assert not (found := UNKNOWN_FORMS.search(text)), f"{path}: {found and found.group()}: write docs/design/<page>.md <section>"


def test_pages_that_code_names_are_there() -> None:
    for path in CITING:
        for match in PAGE.finditer((ROOT / path).read_text("utf-8")) if not path.startswith("tests/") else ():
            assert (DOCS / match[1]).is_file(), f"{path}: {match.group()}"


@pytest.mark.parametrize(
    "text", ["contracts, section 5", "texts, 5.6", "seed 2.7", "HyOps 18", "github-actions, F31", "HyOps facts, section 7"]
)
def test_a_citation_of_another_form_is_found(text: str) -> None:
    assert UNKNOWN_FORMS.search(f"as it says ({text}).")


@pytest.mark.parametrize("text", ["HyOps 0.1.4 leaves it", "docs/design/contracts.md 5", "HyOps `runtime/root.py`", "--seed 7"])
def test_other_text_is_not_a_citation(text: str) -> None:
    assert not UNKNOWN_FORMS.search(f"as it says ({text}).")


def test_gates_cite_sections() -> None:
    for kind in ("plan", "check"):
        for gate in load(kind):
            for citation in citations(gate.reference):
                section_link(DOCS, citation)


def test_a_section_that_is_not_there_is_refused() -> None:
    with pytest.raises(LookupError):
        section_link(DOCS, "contracts 99")
    with pytest.raises(LookupError):
        section_link(DOCS, "nothing 1")


def test_pages_that_refusals_name_are_there() -> None:
    for path in tracked():
        if path.startswith("hyops_ci/") and path.endswith(".py"):
            for page in re.findall(r'docs="([^"]*)"', (ROOT / path).read_text("utf-8")):
                assert not page or (DOCS / page).is_file(), f"{path}: docs={page}"


def test_the_config_page_says_of_every_field_what_it_means_and_takes() -> None:
    text = (DOCS / "config.md").read_text("utf-8").partition("## Every field")[2]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) >= 80
    assert not [row for row in rows if len(row) != 4 or not row[1].strip() or not row[2].strip()]
    assert "^" not in text, "a pattern is said in words"


def test_the_rules_are_held_where_the_trace_says() -> None:
    rows = [line for line in (DOCS / "design" / "anti-drift.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    paths = re.findall(r"`(tests/[^`]+)`", "\n".join(rows))
    assert len(paths) >= 20
    assert not [path for path in paths if not (ROOT / path).exists()]
    known = {gate.id for kind in ("plan", "check") for gate in load(kind)}
    named = {each for row in rows for each in re.findall(r"`([a-z]+\.[a-z-]+)`", row.split("|")[2])} - {"dispatch.yml"}
    assert named <= known


@pytest.mark.parametrize("path", PAGES)
def test_exit_codes_in_text_exist(path: str) -> None:
    codes = {int(code) for code in Exit} | {1}
    assert {int(number) for number in re.findall(r"\bexit (\d+)\b", (ROOT / path).read_text("utf-8"))} <= codes


@pytest.mark.parametrize("path", PAGES)
def test_files_that_a_page_names_are_there(path: str) -> None:
    for name in re.findall(
        r"`((?:hyops_ci|tests|tools|bench|actions|schemas|workflows-templates|requirements)/[\w./-]+)`", (ROOT / path).read_text("utf-8")
    ):
        assert (ROOT / name).exists(), f"{path}: {name}"


def test_the_workflow_of_the_readme_is_one_that_starts() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    shown = textwrap.dedent(text[text.index("    jobs:\n") :].partition("\n\n")[0])
    job = yaml.safe_load(shown)["jobs"]["dr"]
    assert job["permissions"] == startup_failure.NEEDED
    assert set(job["with"]) <= startup_failure.INPUTS
    assert (ROOT / job["uses"].partition("@")[0].partition("dr-dispatch/")[2]).is_file()
    for template, lines in (("dr-manual.yml", 43), ("dr-decision.yml", 27)):
        assert (ROOT / "workflows-templates" / template).read_text("utf-8").count("\n") == lines
        assert re.search(rf"\b{lines} (lines with|for\s)", text)


def test_the_glossary_is_sorted_and_says_each_term_once() -> None:
    terms = re.findall(r"^\| \*\*([^*]+)\*\*([^|]*) \|", (DOCS / "glossary.md").read_text("utf-8"), re.M)
    whole = [f"{term}{more}".lower() for term, more in terms]
    assert len(whole) > 60
    assert len(set(whole)) == len(whole)
    assert [term.lower() for term, _ in terms] == sorted(term.lower() for term, _ in terms)


def test_the_layout_names_every_package() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Layout")[2].partition("## ")[0]
    shown = set(re.findall(r"(?<![\w/])([\w-]+)/(?=[\s\w<])", text))
    tops = {path.split("/")[0] for path in tracked() if "/" in path} - {"requirements", "docs", ".ci", ".github"}
    packages = {path.split("/")[1] for path in tracked() if path.startswith("hyops_ci/") and path.count("/") > 1}
    assert tops | packages <= shown
    assert shown <= {part for path in tracked() for part in path.split("/")[:-1]}


def test_the_layout_has_the_order_of_the_layers() -> None:
    lines = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("    hyops_ci/")[2].partition("\n\n")[0].splitlines()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    rank = {name.strip("() "): number for number, layer in enumerate(layers) for name in layer.split("|")}
    order = [rank[name] for line in lines for name in re.findall(r"([a-z]+)(?:/|\.py)", line[:39]) if name in rank]
    assert len(order) > 20
    assert order == sorted(order)


def test_compatibility_says_what_the_code_demands() -> None:
    text = (DOCS / "compatibility.md").read_text("utf-8")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f"`{HyOps().versions.removeprefix('==')}`" in text
    assert runner_versions.TO_WORK in text
    assert runner_versions.TO_REGISTER in text
    supported = re.findall(r"Python :: (3\.\d+)", project)
    assert f"| Python | {', '.join(supported)} |" in text
    matrix = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == supported
    assert f"Python {supported[0]} or newer" in (ROOT / "README.md").read_text("utf-8")
