"""The way out: Cloud NAT of the network, in the host project. Looked at; made, router and NAT, only where the config says `make: true`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Fault
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.gcp.cloud import Cloud, NotThere, Taken
from hyops_ci.runners.gcp.operations import Operations
from hyops_ci.runners.gcp.site import same_resource
from hyops_ci.runners.ports import MARK, EgressState
from hyops_ci.text import shell

if TYPE_CHECKING:
    from google.cloud import compute_v1

MAKE_SECONDS: Final = 300.0
"""Seconds that router and NAT may take."""
EVERY_SUBNETWORK: Final = frozenset({"ALL_SUBNETWORKS_ALL_IP_RANGES", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES"})


@dataclass(frozen=True)
class CloudNat:
    """`hyops_ci.runners.ports.Egress`."""

    cloud: Cloud

    def look(self) -> EgressState:
        """Return whether the router has the NAT, and the NAT takes the machine's subnetwork."""
        router = self._router()
        return self._judged(router)

    def make(self) -> EgressState:
        """Make what is missing of router and NAT; what is there stays as it is.

        Raises Refusal `runner.egress` where the config does not tell to, or somebody made it otherwise.
        """
        router = self._router()
        found = self._judged(router)
        if found.ready:
            return found
        settings = self.cloud.site.machine.nat
        other = router is not None and (self._nat(router) is not None or not same_resource(router.network, self.cloud.site.network))
        if not settings.make or other:  # what somebody made otherwise is not changed
            raise troubles.no_way_out(found.words, self._command(router))
        self.cloud.site.say(f"making Cloud NAT {self._resource}")
        self._make(router)
        made = self.look()
        if not made.ready:
            raise troubles.nonsense(self._resource, f"made, and {made.words}")
        return made

    @property
    def _resource(self) -> str:
        site = self.cloud.site
        return f"{site.network_project}/{site.region}/{site.machine.nat.router}/{site.machine.nat.name}"

    def _router(self) -> compute_v1.Router | None:
        site = self.cloud.site
        from hyops_ci.runners.gcp.clients import compute_v1

        request = compute_v1.GetRouterRequest(project=site.network_project, region=site.region, router=site.machine.nat.router)
        try:
            return self.cloud.ask(self._resource, self.cloud.routers.get, request)
        except NotThere:
            return None

    def _nat(self, router: compute_v1.Router) -> compute_v1.RouterNat | None:
        return next((each for each in router.nats if each.name == self.cloud.site.machine.nat.name), None)

    def _judged(self, router: compute_v1.Router | None) -> EgressState:
        site = self.cloud.site
        if router is None:
            return EgressState(False, f"no router {site.machine.nat.router} in {site.network_project}, {site.region}")
        if not same_resource(router.network, site.network):
            return EgressState(False, f"router {router.name} is on another network: {router.network}")
        nat = self._nat(router)
        if nat is None:
            return EgressState(False, f"router {router.name} has no NAT {site.machine.nat.name}")
        if nat.source_subnetwork_ip_ranges_to_nat in EVERY_SUBNETWORK or any(
            same_resource(each.name, site.subnetwork) for each in nat.subnetworks
        ):
            return EgressState(True, f"Cloud NAT {nat.name} of router {router.name}")
        return EgressState(False, f"NAT {nat.name} does not take subnetwork {site.machine.subnetwork}")

    def _make(self, router: compute_v1.Router | None) -> None:
        """A router that somebody made gets one more NAT; those that it has are sent along as they are."""
        from hyops_ci.runners.gcp.clients import compute_v1

        cloud, site = self.cloud, self.cloud.site
        owner = site.owner
        nat = compute_v1.RouterNat(
            name=site.machine.nat.name,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
            subnetworks=[compute_v1.RouterNatSubnetworkToNat(name=site.subnetwork, source_ip_ranges_to_nat=["PRIMARY_IP_RANGE"])],
        )
        here = {"project": site.network_project, "region": site.region}
        try:
            if router is None:
                new = compute_v1.Router(
                    name=site.machine.nat.router,
                    network=site.network,
                    description=f"{MARK}: way out of runner {owner.runner_ref}, lane {owner.lane}, repository {owner.repository_id}",
                    nats=[nat],
                )
                insert = compute_v1.InsertRouterRequest(**here, router_resource=new)
                operation = cloud.ask(self._resource, cloud.routers.insert_unary, insert)
            else:
                patch = compute_v1.PatchRouterRequest(
                    **here, router=router.name, router_resource=compute_v1.Router(nats=[*router.nats, nat])
                )
                operation = cloud.ask(self._resource, cloud.routers.patch_unary, patch)
        except Taken:
            return  # made meanwhile: what is there is judged again
        except NotThere as missing:
            raise troubles.unmakeable(self._resource, str(missing)) from None
        if not Operations(cloud).in_region(self._resource, operation, Deadline(site.clock, MAKE_SECONDS)):
            raise self._unended(operation)

    def _unended(self, operation: compute_v1.Operation) -> Fault:
        return troubles.no_answer(self._resource, f"operation {operation.name} has not ended after {MAKE_SECONDS:.0f} s")

    def _command(self, router: compute_v1.Router | None) -> str:
        """Return what makes the missing part by hand."""
        site = self.cloud.site
        nat = site.machine.nat
        place = (nat.router, site.network_project, site.region)
        if router is not None and not same_resource(router.network, site.network):
            return shell("gcloud compute routers describe {} --project={} --region={}", *place)
        found = self._nat(router) if router is not None else None
        if found is not None:
            taken = [each.name.rpartition("/")[2] for each in found.subnetworks]  # the command sets the whole list
            return shell(
                "gcloud compute routers nats update {} --router={} --project={} --region={} --nat-custom-subnet-ip-ranges={}",
                nat.name,
                *place,
                ",".join([*taken, site.machine.subnetwork]),
            )
        make_nat = shell(
            "gcloud compute routers nats create {} --router={} --project={} --region={} --nat-custom-subnet-ip-ranges={}"
            " --auto-allocate-nat-external-ips",
            nat.name,
            *place,
            site.machine.subnetwork,
        )
        if router is not None:
            return make_nat
        make_router = shell("gcloud compute routers create {} --project={} --region={} --network={}", *place, site.machine.network)
        return f"{make_router} && {make_nat}"
