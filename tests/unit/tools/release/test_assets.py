"""pip takes only what has a hash that is named, for any platform; the packages are made in tests/act/test_release.py, twice."""

from __future__ import annotations

import tarfile
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from hyops_ci.errors import Fault
from tests.support.released import VERSION, remote_and_clone
from tools.release import assets
from tools.release.platforms import Platform
from tools.release.repository import Checkout

ARM = Platform("aarch64", "3.13")


def wheel(folder: Path, tag: str, name: str = "thing") -> str:
    """Make a wheel and return its sha256."""
    path = folder / f"{name}-1.0-{tag}.whl"
    with ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip finds instead of an index."""
    folder = tmp_path / "published"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def checkout(folder: Path, *lines: str) -> Checkout:
    files = {f"requirements/{name}.txt": "".join(f"{line}\n" for line in lines) for name in assets.INSTALLED}
    return Checkout(remote_and_clone(folder, files | {"hyops_ci/__init__.py": f'__version__ = "{VERSION}"\n'}))


def test_the_wheels_of_another_platform_are_fetched_here(tmp_path: Path, published: Path) -> None:
    arm, anywhere = wheel(published, "cp313-cp313-manylinux_2_28_aarch64"), wheel(published, "py3-none-any", "pure")
    intel, newer = wheel(published, "cp313-cp313-manylinux_2_28_x86_64"), wheel(published, "cp313-cp313-manylinux_2_34_aarch64")
    pins = (f"thing==1.0 --hash=sha256:{arm} --hash=sha256:{intel} --hash=sha256:{newer}", f"pure==1.0 --hash=sha256:{anywhere}")
    known = checkout(tmp_path, *pins, f"old==1 ; python_full_version < '3.12' --hash=sha256:{arm}")
    made = assets.wheelhouse(known, tmp_path, ARM)
    assert made.name == f"hyops_ci-{VERSION}-wheelhouse-linux-aarch64-cp313.tar"
    with tarfile.open(made) as tar:
        top = made.name.removesuffix(".tar")
        assert tar.getnames() == [f"{top}/pure-1.0-py3-none-any.whl", f"{top}/thing-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"]
        assert {entry.mtime for entry in tar} == {1_700_000_000}
    before = made.read_bytes()
    assert assets.wheelhouse(known, tmp_path, ARM).read_bytes() == before


@pytest.mark.parametrize("digest", ["0" * 64, ""])
def test_a_wheel_of_another_hash_is_no_release(tmp_path: Path, published: Path, digest: str) -> None:
    found = wheel(published, "py3-none-any" if digest else "cp313-cp313-manylinux_2_28_x86_64")
    known = checkout(tmp_path, f"thing==1.0 --hash=sha256:{digest or found}")
    with pytest.raises(Fault, match=r"release\.wheels: -m pip failed"):
        assets.wheelhouse(known, tmp_path, ARM)
    assert not list(tmp_path.glob("*.tar"))
