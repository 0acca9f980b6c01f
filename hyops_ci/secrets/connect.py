"""From the plan's `SecretPlan` to an authority that can be asked."""

from __future__ import annotations

from importlib import import_module

from hyops_ci.contracts.plan import SecretPlan
from hyops_ci.secrets import authorities
from hyops_ci.secrets.port import Access, SecretAuthority


def open_authority(plan: SecretPlan, access: Access) -> SecretAuthority:
    """Return the authority of `plan`, not yet logged in: the first question logs in, `close` revokes.

    Raises:
        Refusal: exit 4 for an address in clear or a kind that is for the lab only, exit 8 with no way to log in.
    """
    opened: SecretAuthority = import_module(f"{authorities.__name__}.{plan.kind}").open_authority(plan, access)
    return opened
