"""The part `gcp` of the config: which project of Google Cloud is for what."""

from hyops_ci.contracts.base import Model, Short


class GcpProjects(Model):
    """The project roles, named apart (docs/design/anti-drift.md 2.1)."""

    host: Short
    """The project of the shared network."""
    control: Short
    """The project of secrets and backups."""
    workload: Short
    """The project in which the service runs."""
