"""Code owners as GitHub documents them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.github.codeowners import unowned

PATTERNS = [
    ("*", "a.js", True),
    ("*", "deep/in/a.js", True),
    ("*.js", "deep/in/a.js", True),
    ("*.js", "a.ts", False),
    ("/*", "a.js", True),
    ("/*", "deep/a.js", False),
    ("/build/logs/", "build/logs/x/y.txt", True),
    ("/build/logs/", "src/build/logs/x.txt", False),
    ("docs/*", "docs/getting-started.md", True),
    ("docs/*", "docs/build-app/troubleshooting.md", False),
    ("docs/*.md", "docs/a.md", True),
    ("apps/", "apps/a", True),
    ("apps/", "deep/apps/a/b", True),
    ("apps/", "apps", False),
    ("/apps/github", "apps/github/x/y", True),
    ("/apps/github", "apps/github", True),
    ("/apps/github", "apps/githubs", False),
    ("apps", "deep/apps/x", True),
    ("**/logs", "build/logs", True),
    ("**/logs", "logs/x", True),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a/**", "a/x/y", True),
    (".github/", ".github/dr-dispatch.yml", True),
    (".github", ".github/workflows/dr.yml", True),
    (".github/**", ".github/workflows/dr.yml", True),
    ("/.github/workflows/*.yml", ".github/workflows/dr.yml", True),
    ("/.github/*", ".github/workflows/dr.yml", False),
    (".GITHUB/", ".github/dr-dispatch.yml", False),
    ("fil?.md", "file.md", True),
    ("fil?.md", "fil/.md", False),
    (r"with\ space.md", "with space.md", True),
    ("a.b", "axb", False),
    ("a(b", "a(b", True),
]


@pytest.mark.parametrize(("pattern", "path", "owned"), PATTERNS)
def test_patterns(pattern: str, path: str, owned: bool) -> None:
    assert (unowned(f"{pattern} @acme/leads", [path]) == ()) is owned


@pytest.mark.parametrize(
    ("text", "owned"),
    [
        ("", False),
        ("# * @maria", False),
        ("* @maria # all of it", True),
        ("* @maria\n.github/ @jonas", True),
        ("* @maria\n.github/", False),
        (".github/\n* @maria", True),
        ("* maria@example.com", True),
        ("* @acme/dr.leads @jonas_acme", True),
        ("* maria", False),
        ("* @maria and @jonas", False),
        ("!.github/ @maria", False),
        ("[a-z]* @maria", False),
        (".github/[a-z]* @maria", False),
        ("*", False),
        ("   ", False),
        ("\u202e* @maria", False),
        ("*\t@maria\r\n", True),
    ],
)
def test_lines(text: str, owned: bool) -> None:
    assert (unowned(text, [".github/dr-dispatch.yml"]) == ()) is owned


@given(text=st.text(alphabet="ab/*?\\# \n@[!.") | st.text())
def test_any_text_is_an_answer(text: str) -> None:
    assert set(unowned(text, ["a/b.yml", ".github/x"])) <= {"a/b.yml", ".github/x"}


@given(text=st.text(alphabet="ab/*?# \n@."))
def test_the_last_line_wins(text: str) -> None:
    assert unowned(f"{text}\n* @maria", ["a/b", "a"]) == ()
    assert unowned(f"{text}\n*", ["a/b", "a"]) == ("a/b", "a")
