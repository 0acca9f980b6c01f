"""Versions of the runner agent: the required ones, and GitHub's deprecation schedule (docs/design/github.md 5).

A runner of a deprecated version looks online and gets no jobs: they stay queued. One that idles for months without
updates can end there unnoticed.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from hyops_ci.contracts.base import Model, moment
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.errors import reading

TO_REGISTER: Final = "2.329.0"
"""The oldest version that GitHub registers."""
TO_WORK: Final = "2.336.0"
"""The first that knows `uses: $/...`, which our workflow is written in; GitHub Enterprise Server has a rewritten one."""
SOON: Final = timedelta(days=30)
"""GitHub's own notice: a release must be installed within 30 days."""
_VERSION: Final = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


class Schedule(Model):
    """Until when a version gets jobs and may be registered; None: no end is set."""

    version: str
    runtime_ends: str | None = None
    registration_ends: str | None = None


def schedule(client: Client, version: str, *, org: str = "") -> Schedule | None:
    """Return GitHub's schedule for a version (since 2026-09-03; `administration: read`), None for a version that it does not know.

    `org`: asked of that organization, by its own permission. Raises Refusal without it; a GitHub Enterprise Server may know none.
    """
    if not _VERSION.fullmatch(version):
        return None
    place = endpoints.ORG_DEPRECATION if org else endpoints.DEPRECATION
    found = client.exists(place, version=version.removeprefix("v"), org=org)
    if found is None:
        return None
    with reading(place):
        runtime, registration = found.get("runtime_deprecates_at"), found.get("registration_deprecates_at")
        return Schedule(version=version, runtime_ends=_time(runtime), registration_ends=_time(registration))


def older(version: str, than: str) -> bool | None:
    """Return whether a version is below another, None where it cannot be read."""
    one, other = _VERSION.fullmatch(version), _VERSION.fullmatch(than)
    if one is None or other is None:
        return None
    return tuple(map(int, one.groups())) < tuple(map(int, other.groups()))


def objection(version: str, ends: Schedule | None, now: datetime) -> str:
    """Return why a runner with this agent gets no jobs of dispatch.yml; empty when it does, or nothing is known."""
    if older(version, TO_REGISTER):
        return f"agent {version} is below {TO_REGISTER}, the oldest that GitHub registers"
    if older(version, TO_WORK):
        return f"agent {version} is below {TO_WORK}, the first that knows `uses: $/...`"
    if ends and ends.runtime_ends and moment(ends.runtime_ends) <= now:
        return f"agent {version} gets no jobs since {ends.runtime_ends}"
    return ""


def registration_objection(version: str, ends: Schedule | None, now: datetime) -> str:
    """Return why GitHub would not register an agent of this version, or give it no jobs; empty when it would, or nothing is known."""
    if ends and ends.registration_ends and moment(ends.registration_ends) <= now:
        return f"agent {version} is not registered since {ends.registration_ends}"
    return objection(version, ends, now)


def warning(version: str, ends: Schedule | None, now: datetime) -> str:
    """Return what ends within 30 days, or empty."""
    if ends and ends.runtime_ends and now < moment(ends.runtime_ends) <= now + SOON:
        return f"agent {version} gets no jobs from {ends.runtime_ends}"
    if ends and ends.registration_ends and moment(ends.registration_ends) <= now + SOON:
        return f"agent {version} cannot be registered again from {ends.registration_ends}"
    return ""


def _time(found: object) -> str | None:
    """Return a valid time as it is written, else None."""
    try:
        moment(str(found))
    except ValueError:
        return None
    return str(found)
