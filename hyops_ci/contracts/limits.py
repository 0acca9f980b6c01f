"""Limits that strict reading and the models share. Apart from `base`, so that the fast accept path loads no models."""

from __future__ import annotations

from typing import Final

MAX_INT: Final = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8259, section 6)."""
