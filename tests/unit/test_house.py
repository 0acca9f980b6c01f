"""The rules of the house that import-linter cannot say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = ("intake", "config", "blueprints", "planning", "parsing", "contracts")
PRINTERS = ("cli", "github/actions/commands.py", "operations/rehearse/stand_in.py")
HEAVY = {
    "hvac",
    "github",
    "google",
    "azure",
    "boto3",
    "botocore",
    "proxmoxer",
    "fabric",
    "paramiko",
    "websockets",
    "ahocorasick_rs",
    "jinja2",
}
MAX_LINES = 300

# What no file may say; the examples below are put together from halves, so that this file does not say it either.
FORBIDDEN_TEXT = {
    "host of a package registry": re.compile(
        r"pypi\.org/|pythonhosted\.org|registry\.(npmjs|yarnpkg)|crates\.io/|proxy\.golang|repo1?\.maven|deb\.debian", re.I
    ),
    "index option": re.compile(r"^\s*(-i|--(extra-)?index-url|--find-links|registry\s*=)\s*\S*http", re.M),
    "resolved address in a lock file": re.compile(r'"resolved":\s*"http'),
    "path of a machine": re.compile(
        r"(?<![\w./$}-])/(work|root)/|/tmp/[v]env\b|/tmp/[h]yops/core|(?<![\w./$}-])/home/(?!runner\b|hyops\b|gha-runner\b|opsadmin\b|user\b)[a-z]"
    ),
}


@cache
def tracked() -> tuple[str, ...]:
    """Paths of all files that are, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return tuple(sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file()))


def python_files(*tops: str) -> list[str]:
    return [path for path in tracked() if path.endswith(".py") and path.split("/")[0] in tops]


LIBRARY = python_files("hyops_ci")
SOURCES = python_files("hyops_ci", "bench", "tools", "tests")


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"), path)


def room_of(path: str) -> str:
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def test_the_library_was_found() -> None:
    assert "hyops_ci/errors.py" in LIBRARY
    assert "tests/unit/test_house.py" in SOURCES


@pytest.mark.parametrize("path", SOURCES)
def test_module_is_named_for_what_it_holds(path: str) -> None:
    names = set(Path(path).with_suffix("").parts)
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc", "shared"}


@pytest.mark.parametrize("path", LIBRARY)
def test_module_says_what_it_is(path: str) -> None:
    text = ast.get_docstring(tree(path))
    assert text, "a module begins with a docstring"
    assert text.split("\n")[0].endswith((".", ":")), "its first line is a sentence"


@pytest.mark.parametrize("path", LIBRARY)
def test_module_holds_one_idea(path: str) -> None:
    lines = (ROOT / path).read_text("utf-8").count("\n")
    assert lines <= MAX_LINES, f"{lines} lines: which two ideas are in it?"


@pytest.mark.parametrize("path", [p for p in LIBRARY if not p.removeprefix("hyops_ci/").startswith(PRINTERS)])
def test_only_the_command_line_prints(path: str) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "sys.stdout.write", "sys.stderr.write", "click.echo"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", [p for p in LIBRARY if room_of(p) in PURE])
def test_pure_rooms_read_no_clock_and_no_environment(path: str) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute | ast.Name):
            text = ast.unparse(node)
            assert not re.search(r"\bos\.(environ|getenv)|\b(datetime|date)\.(now|utcnow|today)$", text), f"line {node.lineno}: {text}"
            assert text not in {"environ", "getenv"}, f"line {node.lineno}: {text}"


SILENCED = re.compile(r"# (?:type: ignore(?P<mypy>\[[a-z, -]+\])?|noqa(?P<ruff>: [A-Z]+\d+(?:, ?[A-Z]+\d+)*)?)(?P<reason>.*)")


def test_a_check_is_silenced_by_its_name_and_with_a_reason() -> None:
    bare = []
    for path in tracked():
        if path.endswith(".py") and path != "tests/unit/test_house.py":
            for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), 1):
                hit = SILENCED.search(line)
                if hit and not ((hit["mypy"] or hit["ruff"]) and len(hit["reason"].strip(" -#")) > 3):
                    bare.append(f"{path}:{number}")
    assert bare == []


NARROWS = "hyops_ci/stages/planned_run.py"


@pytest.mark.parametrize("path", [p for p in LIBRARY if room_of(p) == "stages" and p != NARROWS])
def test_no_stage_reads_the_config_as_it_was_written(path: str) -> None:
    """A host's trust narrows it first, in one place: what reads the raw file takes limits that the host does not allow."""
    names = {alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom | ast.Import) for alias in node.names}
    assert not names & {"read_config", "parsed_config", "narrow", "hyops_ci.config.file"}


def test_heavy_packages_wait_until_they_are_needed() -> None:
    doors = [p for p in LIBRARY if room_of(p) in {"cli", "operations", "stages"} or p.endswith("/__init__.py")]
    modules = [p.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for p in doors if "__main__" not in p]
    program = "import sys\n" + "".join(f"import {name}\n" for name in modules) + "print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hyops_ci" in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())


def test_no_lock_file_that_names_registries() -> None:
    assert not [path for path in tracked() if Path(path).name in {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock", "yarn.lock"}]


@pytest.mark.parametrize("what", sorted(FORBIDDEN_TEXT))
def test_no_file_says(what: str) -> None:
    pattern = FORBIDDEN_TEXT[what]
    found = []
    for path in tracked():
        text = (ROOT / path).read_text("utf-8", errors="replace")
        found += [f"{path}: {match.group(0)}" for match in pattern.finditer(text)]
    assert not found


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("host of a package registry", "see https://pypi" + ".org/simple/x"),
        ("index option", "--extra-index" + "-url https://x"),
        ("resolved address in a lock file", '"resolved"' + ': "https://x"'),
        ("path of a machine", "cd /" + "work/main"),
        ("path of a machine", "/home" + "/jane/x"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    assert FORBIDDEN_TEXT[what].search(text)


@pytest.mark.parametrize("path", [p for p in tracked() if p.startswith("requirements/") and p.endswith(".txt")])
def test_every_pin_has_hashes(path: str) -> None:
    entries = (ROOT / path).read_text("utf-8").replace("\\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==\S+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+", entry), entry


def test_actions_of_others_are_pinned_by_commit_once_and_name_their_release() -> None:
    pins: dict[str, set[str]] = {}
    for path in tracked():
        if path.endswith(".yml") and (path == "action.yml" or path.startswith((".github/", "actions/", "workflows-templates/"))):
            for name, pin in re.findall(r"uses: ([\w.-]+/[^@\s]+)@(.+)$", (ROOT / path).read_text("utf-8"), re.M):
                if not name.startswith("hybridops/dr-dispatch"):
                    pins.setdefault(name, set()).add(pin)
    assert {"actions/checkout", "actions/upload-artifact", "actions/download-artifact"} <= set(pins)
    assert [(name, pin) for name, found in pins.items() for pin in found if not re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", pin)] == []
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


OWN_JSON = {
    "hyops_ci/redaction/spellings.py": "the value of a secret: whatever of it can be read is hidden, and nothing depends on it",
    "hyops_ci/http/client.py": "answers of services: bounded there, NaN refused; parsing stands above it",
    "hyops_ci/config/file.py": "the published schema, a file of the package",
    "hyops_ci/intake/validate.py": "the published schema, a file of the package",
    "hyops_ci/operations/rehearse/scenarios.py": "the example, a file of the package",
    "hyops_ci/operations/rehearse/sandbox.py": "the example, a file of the package",
    "hyops_ci/operations/rehearse/stand_in.py": "what the rehearsal wrote",
    "hyops_ci/execution/journal.py": "lines that the supervisor wrote",
    "hyops_ci/execution/records.py": "answers of HyOps, which writes NaN: one of them is no reason to call a recovery unknown",
    "hyops_ci/json_file.py": "the same states and records, bounded there: HyOps writes NaN",
    "hyops_ci/hyops_access/wire.py": "values that the reader of parsing has read: made bytes and times, as JSON writes them",
    "hyops_ci/execution/supervisor.py": "an order from the process that started it, through a pipe",
}
"""Where JSON is read by another reader than that of `parsing`, and why it may be."""


def json_readers(path: str) -> set[str]:
    called = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    whole = {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    return (called & {"model_validate_json", "from_json"} if "parsing" not in path else set()) | (whole & {"json.loads", "json.load"})


@pytest.mark.parametrize("path", [path for path in LIBRARY if room_of(path) != "parsing"])
def test_bytes_from_outside_are_read_by_one_reader(path: str) -> None:
    """Two equal keys, NaN, depth without end: `hyops_ci.parsing` refuses them, and every other reader takes some of them."""
    assert bool(json_readers(path)) is (path in OWN_JSON), json_readers(path)
