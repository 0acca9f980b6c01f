"""Generators of committed files: `python -m tools.docs`, `python -m tools.schema`."""
