"""What is owed for a service between incidents: checks and drills, and how often (docs/design/contracts.md 2)."""

from hyops_ci.contracts.base import Model, ServiceId, Span


class CheckDrill(Model):
    """A check of the move that comes next, which is a service's readiness. Changes nothing."""

    every: Span
    """How long after one passed check the next is due: `P1D` or `PT12H`, at least an hour."""


class IsolatedDrill(Model):
    """A restore into an env of class drill: verified, measured, and removed again."""

    every: Span
    """How long after one passed drill the next is due: `P30D`, at least an hour."""
    service: ServiceId | None = None
    """The service that is restored, in an env of class drill; the only one of the same name in such an env where it is left out."""


class Drills(Model):
    """What is owed for one service. What is left out is not owed."""

    check: CheckDrill | None = None
    """How often its next move is checked."""
    isolated: IsolatedDrill | None = None
    """How often it is restored for practice."""
