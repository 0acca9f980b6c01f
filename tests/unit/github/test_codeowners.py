"""Code owners as GitHub documents them."""

from __future__ import annotations

import subprocess
import sys

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


def by_trying(pattern: str, text: str) -> bool:
    """What `*` and `?` mean, by trying every length."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(by_trying(pattern[1:], text[length:]) for length in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and by_trying(pattern[1:], text[1:])


@given(pattern=st.text(alphabet="ab*?", min_size=1, max_size=7), name=st.text(alphabet="ab", min_size=1, max_size=7))
def test_stars_and_marks_of_a_segment(pattern: str, name: str) -> None:
    owned = unowned(f"/{pattern} @maria", [name]) == ()
    assert owned is by_trying(pattern, name)


@given(
    folders=st.lists(st.sampled_from(["a", "b", "**"]), max_size=5),
    path=st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6),
)
def test_double_stars_stand_for_folders(folders: list[str], path: list[str]) -> None:
    letters = "".join(folders).replace("**", "*") + "b*"
    owned = unowned("/" + "/".join([*folders, "b"]) + " @maria", ["/".join(path)]) == ()
    assert owned is by_trying(letters, "".join(path))


@pytest.mark.parametrize("pattern", ["*?" * 14 + "Z", "*a" * 40 + "Z", "**/a/" * 40 + "Z", "*" * 5000 + "Z"])
def test_no_pattern_is_slow(pattern: str) -> None:
    """A regular expression needs minutes for these: every star may take any part of the path."""
    code = "import sys; from hyops_ci.github.codeowners import unowned; print(unowned(sys.argv[1] + ' @maria', [sys.argv[2], sys.argv[3]]))"
    paths = ".github/dr/" + "a" * 200, "a/" * 100 + "b"
    done = subprocess.run([sys.executable, "-c", code, pattern, *paths], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == repr(paths)
