"""Names and contents of Git's objects, as git itself makes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.ledger import git_objects
from hyops_ci.ledger.git_objects import Commit, answers, is_tip_alone, name_of, read_commit, tree_of


def git(folder: Path, *words: str, data: bytes = b"") -> bytes:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.net")
    return subprocess.run(["git", *who, *words], cwd=folder, input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    git(folder, "init", "--quiet", "--bare")
    return folder


def test_names_are_gits(repository: Path) -> None:
    content = b"{}\n\0\xff"
    blob = git(repository, "hash-object", "-w", "--stdin", data=content).decode().strip()
    tree = git(repository, "mktree", data=f"100644 blob {blob}\ttip.json\n".encode()).decode().strip()
    first = git(repository, "commit-tree", tree, "-m", "tree x\nparent y").decode().strip()
    merge = git(repository, "commit-tree", tree, "-p", first, "-m", "m").decode().strip()
    assert name_of("blob", content) == blob
    assert tree_of(blob) == tree
    assert is_tip_alone(git(repository, "cat-file", "tree", tree))
    assert read_commit(first, git(repository, "cat-file", "commit", first)) == Commit(tree, ())
    assert read_commit(merge, git(repository, "cat-file", "commit", merge)) == Commit(tree, (first,))
    asked = f"{first}\n{blob}\n".encode()
    assert answers(git(repository, "cat-file", "--batch", data=asked)) == [git(repository, "cat-file", "commit", first), content]


def test_an_object_that_is_missing(repository: Path) -> None:
    with pytest.raises(ValueError, match="missing"):
        answers(git(repository, "cat-file", "--batch", data=b"e" * 40 + b"\n"))


@given(st.binary(max_size=200))
def test_a_commit_of_another_name_is_none(content: bytes) -> None:
    with pytest.raises(ValueError, match="holds something else"):
        read_commit("e" * 40, content)


@given(st.binary(max_size=200))
def test_any_content_of_its_own_name_is_a_commit_or_none(content: bytes) -> None:
    try:
        found = read_commit(name_of("commit", content), content)
    except ValueError:
        return
    assert content.startswith(b"tree " + found.tree.encode())


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_contents_come_back_as_they_are(contents: list[bytes]) -> None:
    printed = b"".join(b"%s blob %d\n%s\n" % (b"e" * 40, len(each), each) for each in contents)
    assert answers(printed) == contents


@pytest.mark.parametrize("entry", [b"100755 tip.json\0", b"120000 tip.json\0", b"40000 tip.json\0", b"100644 tip.jsom\0", b""])
def test_another_tree_is_not_ours(entry: bytes) -> None:
    assert not is_tip_alone(entry + b"x" * 20)
    assert not is_tip_alone(git_objects._ENTRY + b"x" * 20 + entry + b"x" * 20)
