"""The software bill of materials: what a release installs, in CycloneDX JSON. Pure: the same pins give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tools.release.pinned import Pin
from tools.release.references import REPOSITORY

PRODUCT: Final = "hyops-ci"


def sbom(known: Iterable[Pin], version: str, commit: str, seconds: int) -> str:
    """Return the document. `known`: every pin of every platform and lane; `seconds` since 1970: the time of the commit.

    A component's hashes are those of every file that is accepted for it, one for each platform; its marker says where it is installed.
    """
    owner, name = REPOSITORY.split("/")
    product = Component(
        name=PRODUCT,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=PRODUCT,
        licenses=[LicenseExpression("Apache-2.0")],
        purl=PackageURL("github", owner, name, commit),
    )
    components = [_component(pin) for pin in known]
    bom = Bom(components=components, serial_number=uuid5(NAMESPACE_URL, f"https://github.com/{REPOSITORY}/commit/{commit}"))
    bom.metadata.timestamp = datetime.fromtimestamp(seconds, UTC)
    bom.metadata.component = product
    bom.register_dependency(product, components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(pin: Pin) -> Component:
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{pin.name}=={pin.version}",
        purl=PackageURL("pypi", None, pin.name, pin.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.hashes],
        properties=[Property(name="hyops-ci:marker", value=pin.marker)] if pin.marker else None,
    )
