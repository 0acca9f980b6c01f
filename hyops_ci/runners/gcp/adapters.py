"""One lane's machine, way out and way in on Google Cloud, put together."""

from __future__ import annotations

from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.gcp_projects import GcpProjects
from hyops_ci.contracts.runner_machine import GcpMachine
from hyops_ci.runners.bastion import ThroughBastion
from hyops_ci.runners.gcp.access import ThroughIap
from hyops_ci.runners.gcp.cloud import Cloud
from hyops_ci.runners.gcp.credentials import IdentityToken, of_job, of_person
from hyops_ci.runners.gcp.egress import CloudNat
from hyops_ci.runners.gcp.machines import Machines
from hyops_ci.runners.gcp.site import Say, Site
from hyops_ci.runners.ports import Access, Adapters, Owner, Reach
from hyops_ci.runners.troubles import lacking


def adapters_for(machine: GcpMachine, reach: Reach) -> Adapters:
    """Return what reaches Google Cloud for this machine. Raises Refusal where the config names no projects."""
    projects = reach.config.gcp
    if projects is None:
        raise lacking("no gcp: the projects are not named")
    return connect(machine, projects, reach.owner, reach.identity(), reach.clock, reach.say)


def connect(
    machine: GcpMachine, projects: GcpProjects, owner: Owner, identity_token: IdentityToken | None, clock: Clock, say: Say
) -> Adapters:
    """Return what reaches Google Cloud for this lane.

    `identity_token` returns the job's own token for an audience; None, from a shell: the application default credentials of the person.
    Either way the account `bootstrap_account` is who asks.
    """
    site = Site(machine, projects, owner, clock, say)
    cloud = Cloud(site, lambda: of_person(site) if identity_token is None else of_job(site, identity_token))
    access: Access = ThroughBastion(machine.bastion, clock) if machine.bastion else ThroughIap(cloud)
    return Adapters(Machines(cloud), CloudNat(cloud), access)
