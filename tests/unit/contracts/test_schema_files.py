"""Where the published schemas are found: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

from hyops_ci.contracts import schema_files

ROOT = Path(__file__).parents[3]


def test_a_checkout_has_them_beside_the_package() -> None:
    assert schema_files.schema_file("plan") == ROOT / "schemas" / "plan.v1.schema.json"


def test_a_wheel_has_them_inside(tmp_path: Path) -> None:
    module = tmp_path / "hyops_ci" / "contracts" / "schema_files.py"
    inside = tmp_path / "hyops_ci" / "schemas" / "plan.v1.schema.json"
    for path in (module, inside):
        path.parent.mkdir(parents=True)
    module.write_bytes(Path(schema_files.__file__).read_bytes())
    inside.write_text("{}")
    assert runpy.run_path(str(module))["schema_file"]("plan") == inside.resolve()


def test_the_build_puts_them_there() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["force-include"]["schemas"] == "hyops_ci/schemas"
    assert "/schemas" in build["sdist"]["include"]
