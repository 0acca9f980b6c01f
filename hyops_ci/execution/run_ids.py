"""The ids that HyOps gives its runs. Apart from the other readers: the supervisor process loads this, and no model."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_STAMP: Final = re.compile(r"-(\d{8}T\d{6}Z)-[0-9a-f]{8}")


def started_at(run_id: str) -> datetime | None:
    """Return when a HyOps run began, from its id (`apply-20261123T135214Z-3284b2c9`); whole seconds, UTC."""
    if not (found := _STAMP.search(run_id)) or found.end() != len(run_id):
        return None
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
