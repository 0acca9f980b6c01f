"""A runner's machine on Compute Engine. Nothing of Google's libraries is loaded before the first question (docs/runners-gcp.md)."""

from hyops_ci.runners.gcp.adapters import adapters_for as adapters_for
from hyops_ci.runners.gcp.adapters import connect as connect
