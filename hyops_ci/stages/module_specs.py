"""An overlay as HyOps reads it: merged over the module specs that HyOps brings."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from hyops_ci import files
from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import EffectiveBlueprint
from hyops_ci.execution.records import MAX_FILE
from hyops_ci.files import UnsafeFile
from hyops_ci.parsing.strict_yaml import read_yaml


def effective(document: Any, overlay_sha256: str, core_root: Path) -> EffectiveBlueprint:
    """Return the overlay merged over the module specs of the HyOps in `core_root`."""
    bare = read_blueprint(document, overlay_sha256)
    specs = {}
    for module_ref in {step.module_ref for step in bare.steps}:
        path = core_root / "modules" / module_ref / "spec.yml"
        # What is no file that can be read counts as missing: a gate says so.
        with suppress(OSError, UnsafeFile):
            content = files.read(path, MAX_FILE, follow=True)
            specs[module_ref] = (read_yaml(content, str(path)), digest_bytes(content))
    return read_blueprint(document, overlay_sha256, specs)
