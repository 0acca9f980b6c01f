"""Limits that strict reading and the models share. Apart from `base`, so that the fast accept path loads no models."""

from __future__ import annotations

from typing import Final

MAX_INT: Final = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8259, section 6)."""

MIN_FREE_BYTES: Final = 2 * 1024**3
"""Bytes that must be free where HyOps works."""
MIN_FREE_BESIDE: Final = 512 * 1024**2
"""Where HyOps does not work: journal, evidence, and what HyOps and Ansible put into the folder for temporary files."""
