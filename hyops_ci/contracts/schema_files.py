"""Where the published schemas lie. Apart from `schema`, so that reading one needs no models."""

from __future__ import annotations

from pathlib import Path


def schema_file(kind: str) -> Path:
    """Return the committed schema of a kind: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    name = f"{kind}.v1.schema.json"
    inside = package / "schemas" / name
    return inside if inside.exists() else package.parent / "schemas" / name
