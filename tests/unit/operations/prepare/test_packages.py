"""An environment is exactly what the wheels say, whatever was there; and wheels are those of the requirements."""

from __future__ import annotations

import base64
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyops_ci.operations.prepare.packages import Incomplete, make_environment, read_wheels
from tests.support.examples import examples

LIBRARY = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
ONE = {"one/__init__.py": b"", "one/deep/er/data.bin": bytes(range(256)), "one-1.0.data/purelib/flat.py": b"X = 1\n"}
TWO = {"two.py": b"import one\n", "two-2.data/scripts/two": b"#!python\n", "two-2.data/platlib/two_c.so": b"\x7fELF"}
EXPECTED = {
    "one/__init__.py": b"",
    "one/deep/er/data.bin": bytes(range(256)),
    "flat.py": b"X = 1\n",
    "two.py": b"import one\n",
    "two_c.so": b"\x7fELF",
}


def wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> str:
    """Write a wheel; its line of requirements."""
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        lines = []
        for inside, content in files.items():
            archive.writestr(inside, content)
            lines.append(f"{inside},sha256={base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b'=').decode()},{len(content)}")
        archive.writestr(f"{name}-1.dist-info/RECORD", "\n".join([*lines, f"{name}-1.dist-info/RECORD,,"]))
    return f"{name}==1 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    text = "".join(wheel(folder, name, files) for name, files in (("one", ONE), ("two", TWO)))
    (folder / "other-1-py3-none-any.whl").write_bytes(b"of nobody")
    (folder / "notes.txt").write_text("no wheel")
    return text, folder


def test_one_wheel_of_each_requirement(wheels: tuple[str, Path], tmp_path: Path) -> None:
    text, folder = wheels
    assert {path for path in read_wheels(text, str(folder)) if ".dist-info" not in path} == set(EXPECTED)
    for path in folder.glob("*.whl"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "one-1-py3-none-any.whl").write_bytes(b"exchanged")
    with pytest.raises(Incomplete, match=r"^one$"):
        read_wheels(text, str(tmp_path))
    (tmp_path / "two-copy.whl").write_bytes((folder / "two-1-py3-none-any.whl").read_bytes())
    with pytest.raises(Incomplete, match=r"^one, two$"):
        read_wheels(text, str(tmp_path))
    with pytest.raises(Incomplete, match=r"^one, two$"):
        read_wheels(text, str(tmp_path / "nowhere"))


def tree(root: Path) -> dict[str, bytes | str]:
    """Every file and link below a folder, links by their target."""
    found: dict[str, bytes | str] = {}
    for at, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(at, name)
            if path.is_symlink():
                found[str(path.relative_to(root))] = str(path.readlink())
            elif path.is_file():
                found[str(path.relative_to(root))] = path.read_bytes()
    return found


places = st.sampled_from(
    [
        "bin/python",
        "bin/python3",
        "pyvenv.cfg",
        "lib",
        "bin",
        "compiled/x.pyc",
        LIBRARY,
        *(f"{LIBRARY}/{name}" for name in (*EXPECTED, "one", "one/deep", "sitecustomize.py", "x.pth", "__pycache__/two.cpython.pyc")),
    ]
)
changes = st.lists(st.tuples(places, st.sampled_from(["file", "empty", "link", "folder", "pipe", "gone"])), max_size=8)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=changes, built=st.booleans())
def test_whatever_is_there_the_same_environment_is_left(changes: list[tuple[str, str]], built: bool, wheels: tuple[str, Path]) -> None:
    packages = read_wheels(wheels[0], str(wheels[1]))
    with tempfile.TemporaryDirectory() as folder:
        fresh, root = Path(folder, "fresh"), Path(folder, "root")
        make_environment(str(fresh), packages)
        expected = tree(fresh)
        assert {name.removeprefix(f"{LIBRARY}/"): content for name, content in expected.items()}.items() >= EXPECTED.items()
        if built:
            make_environment(str(root), packages)
        (outside := Path(folder, "outside")).mkdir()
        (outside / "kept").write_text("kept")
        for place, how in changes:
            change(root / place, how, outside)
        make_environment(str(root), packages)
        assert tree(root) == expected
        assert (outside / "kept").read_text() == "kept", "links are not followed"


def change(path: Path, how: str, outside: Path) -> None:
    """Put something else in the place of a path, as far as that is possible."""
    if any(parent.is_symlink() or parent.is_file() or parent.is_fifo() for parent in path.parents):
        return
    if path.is_symlink() or path.is_file() or path.is_fifo():
        path.unlink()
    if path.exists() or how == "gone":
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        path.symlink_to(outside)
    elif how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"" if how == "empty" else b"something else")


def test_what_is_as_it_should_be_is_not_written_again(wheels: tuple[str, Path], tmp_path: Path) -> None:
    packages = read_wheels(wheels[0], str(wheels[1]))
    make_environment(str(tmp_path / "root"), packages)
    before = {path: path.lstat().st_mtime_ns for path in (tmp_path / "root").rglob("*")}
    make_environment(str(tmp_path / "root"), packages)
    assert {path: path.lstat().st_mtime_ns for path in (tmp_path / "root").rglob("*")} == before


def test_a_link_in_place_of_the_environment_is_replaced(wheels: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "root").symlink_to(tmp_path / "elsewhere")
    make_environment(str(tmp_path / "root"), read_wheels(wheels[0], str(wheels[1])))
    assert not (tmp_path / "root").is_symlink()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["kept"]
