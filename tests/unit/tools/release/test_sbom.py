"""The bill of materials: CycloneDX's own schema takes it, it names every pin with its hashes, and the same pins give the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools.release.assets import INSTALLED
from tools.release.pinned import pins
from tools.release.sbom import sbom

ROOT = Path(__file__).parents[4]
KNOWN = pins((ROOT / "requirements" / f"{name}.txt").read_text("utf-8") for name in INSTALLED)
COMMIT, SECONDS = "4b1c" + "1" * 36, 1_700_000_000


@pytest.fixture(scope="module")
def text() -> str:
    return sbom(KNOWN, "1.2.0", COMMIT, SECONDS)


def test_the_schema_takes_it(text: str) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"library"', '"book"', 1)) is not None, "and would not take anything"


def test_it_names_every_pin(text: str) -> None:
    document: dict[str, Any] = json.loads(text)
    components = {each["bom-ref"]: each for each in document["components"]}
    assert set(components) == {f"{pin.name}=={pin.version}" for pin in KNOWN}
    for pin in KNOWN:
        found = components[f"{pin.name}=={pin.version}"]
        assert found["purl"] == f"pkg:pypi/{pin.name}@{pin.version}"
        assert sorted(each["content"] for each in found["hashes"]) == list(pin.hashes)
        assert [each["value"] for each in found.get("properties", ())] == ([pin.marker] if pin.marker else [])
    [root] = [each for each in document["dependencies"] if each["ref"] == "hyops-ci"]
    assert sorted(root["dependsOn"]) == sorted(components)


def test_it_says_of_what_it_is(text: str) -> None:
    metadata = json.loads(text)["metadata"]
    assert metadata["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert metadata["component"]["version"] == "1.2.0"
    assert metadata["component"]["purl"] == f"pkg:github/hybridops/dr-dispatch@{COMMIT}"


def test_the_same_pins_are_the_same_bytes(text: str) -> None:
    assert sbom(reversed(KNOWN), "1.2.0", COMMIT, SECONDS) == text
    assert sbom(KNOWN, "1.2.0", "5" * 40, SECONDS) != text
