"""What pip is asked for each kind of host, without asking it: the suite fetches the wheels of its own machine alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from packaging.tags import compatible_tags, cpython_tags
from packaging.version import Version

from tools.release.assets import INSTALLED
from tools.release.pinned import Pin, pins
from tools.release.platforms import PLATFORMS, PYTHONS, Platform, chosen, download

ROOT = Path(__file__).parents[4]
KNOWN = pins((ROOT / "requirements" / f"{name}.txt").read_text("utf-8") for name in INSTALLED)


def test_every_host_that_is_supported_has_one() -> None:
    assert len(PLATFORMS) == 8
    assert {str(each) for each in PLATFORMS} >= {"linux-x86_64-cp311", "linux-aarch64-cp314"}


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_a_platform_has_one_pin_of_each_package_that_it_needs(platform: Platform) -> None:
    found = {pin.name: pin for pin in chosen(KNOWN, platform)}
    assert {"click", "pydantic-core", "grpcio", "proxmoxer", "cffi", "deprecated"} <= set(found)
    assert set(found) == {pin.name for pin in KNOWN if pin.counts(platform.markers())}
    assert (Version(found["deprecated"].version).major == 1) is (platform.python == "3.11"), "as its two markers say"


def test_markers_are_those_of_the_host_and_not_of_who_asks() -> None:
    pin = Pin("x", "1", "python_full_version < '3.13' and platform_machine == 'aarch64' and sys_platform == 'linux'", ())
    assert [str(each) for each in PLATFORMS if chosen([pin], each)] == ["linux-aarch64-cp311", "linux-aarch64-cp312"]


def test_two_pins_of_one_package_are_no_folder() -> None:
    with pytest.raises(ValueError, match="x is pinned in two ways for linux-x86_64-cp312"):
        chosen([Pin("x", "1", "", ()), Pin("x", "2", "", ())], Platform("x86_64", "3.12"))


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_what_pip_is_asked(platform: Platform) -> None:
    words = download(platform, "requirements.txt", "wheels")
    assert words[0] == "download"
    assert {"--require-hashes", "--no-deps"} < set(words)
    given = dict(pairwise(words))
    assert given["--only-binary"] == ":all:"
    assert (given["--python-version"], given["--abi"], given["--implementation"]) == (platform.python, platform.tag, "cp")
    asked = [word for flag, word in pairwise(words) if flag == "--platform"]
    assert asked == platform.tags()
    assert not any("2_29" in tag or tag.startswith("linux") for tag in asked)


def test_the_wheels_of_this_release_load_on_those_hosts() -> None:
    """The tags that pip derives of these arguments hold what packages publish: stable ABI, none at all, and every manylinux."""
    platform = Platform("x86_64", "3.13")
    tags = {*map(str, cpython_tags((3, 13), ["cp313"], platform.tags())), *map(str, compatible_tags((3, 13), "cp313", platform.tags()))}
    assert {
        "cp313-cp313-manylinux_2_17_x86_64",
        "cp311-abi3-manylinux_2_28_x86_64",
        "cp39-abi3-manylinux2014_x86_64",
        "py3-none-any",
    } <= tags
    assert "cp313-cp313-manylinux_2_34_x86_64" not in tags


def test_the_pythons_are_those_that_the_project_supports() -> None:
    classifiers = (ROOT / "pyproject.toml").read_text("utf-8")
    assert [python for python in PYTHONS if f"Python :: {python}" in classifiers] == list(PYTHONS)
