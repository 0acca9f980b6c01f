"""What is asked of Google Cloud, and what becomes of its answers, beyond the contract of every provider."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.errors import Fault, Refusal
from hyops_ci.runners.gcp import connect
from hyops_ci.runners.gcp.permissions import CALLS
from hyops_ci.runners.ports import MachineState
from tests.runners.contract import ProviderContract
from tests.runners.gcp_fake.accounts import ACCOUNT, JOB_TOKEN
from tests.runners.gcp_fake.answers import Answer
from tests.runners.gcp_fake.world import PROJECTS, ZONES, GcpWorld, gcp_world
from tests.runners.world import HOST_KEY, KEY, NAME, NEXT_KEY, ORDER, OWNER, Trouble, World

PRINTED = f"""[   12.3] cloud-init[712]: ci-info: no authorized SSH keys fingerprints found for user debian.
-----BEGIN SSH HOST KEY KEYS-----
{HOST_KEY} root@gcp-ops-runner
-----END SSH HOST KEY KEYS-----
"""


def items(world: GcpWorld) -> dict[str, str]:
    return {each["key"]: each["value"] for each in world.box(NAME).resource["metadata"]["items"]}


def test_the_machine_is_private_shielded_and_labelled() -> None:
    with gcp_world() as world:
        world.connect().provider.create(ORDER)
        made = world.box(NAME).resource
        (interface,) = made["networkInterfaces"]
        assert "accessConfigs" not in interface
        assert "ipv6AccessConfigs" not in interface
        assert interface["network"] == "projects/net-prod-1/global/networks/prod-vpc"
        assert interface["subnetwork"] == "projects/net-prod-1/regions/europe-west1/subnetworks/mgmt-ew1"
        assert made["shieldedInstanceConfig"] == {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True}
        assert made["serviceAccounts"] == [
            {"email": "dr-runner@net-prod-1.iam.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/userinfo.email"]}
        ]
        assert OWNER.labels().items() <= made["labels"].items()
        assert made["tags"]["items"] == ["iap-ssh"]
        (disk,) = made["disks"]
        assert disk["autoDelete"]
        assert disk["initializeParams"]["diskSizeGb"] == "50"
        assert OWNER.labels().items() <= disk["initializeParams"]["labels"].items()


def test_its_metadata_opens_it_to_this_runs_key_alone_and_for_an_hour() -> None:
    with gcp_world() as world:
        world.connect().provider.create(ORDER)
        found = items(world)
        assert found.pop("ssh-keys").startswith("opsadmin:ssh-ed25519 ")
        assert found == {
            "block-project-ssh-keys": "TRUE",
            "enable-guest-attributes": "TRUE",
            "enable-oslogin": "FALSE",
            "serial-port-enable": "FALSE",
            "serial-port-logging-enable": "TRUE",
        }
        assert world.logins(NAME)
        world.clock.sleep(3600)
        assert world.logins(NAME) == set()


def test_what_somebody_else_wrote_into_the_metadata_stays() -> None:
    with gcp_world() as world:
        made = world.connect().provider.create(ORDER)
        world.box(NAME).resource["metadata"]["items"].append({"key": "owner-team", "value": "platform"})
        world.connect().provider.admit(made, "opsadmin", NEXT_KEY)
        world.connect().provider.revoke(made)
        assert items(world)["owner-team"] == "platform"
        assert "ssh-keys" not in items(world)


def test_metadata_that_changes_meanwhile_is_read_again() -> None:
    with gcp_world() as world:
        provider = world.connect().provider
        made = provider.create(ORDER)
        world.services.refused["compute.instances.setMetadata"] = Answer(412, "fingerprint", "conditionNotMet")
        world.clock.at(world.clock.seconds + 1, world.services.refused.clear)
        provider.admit(made, "opsadmin", NEXT_KEY)
        assert len(world.logins(NAME)) == 1


def test_a_key_of_os_login_leaves_those_of_other_machines() -> None:
    with gcp_world(login="os-login") as world:
        provider = world.connect().provider
        made = provider.create(ORDER)
        assert "ssh-keys" not in items(world)
        assert items(world)["enable-oslogin"] == "TRUE"
        other = replace(made, name="gcp-ops-runner-2")
        world.put("gcp-ops-runner-2", OWNER)
        provider.admit(other, "opsadmin", KEY)
        assert provider.admit(made, "opsadmin", NEXT_KEY) == "sa_115300000000000000001"
        assert world.accounts.live_keys() == {" ".join(KEY.split()[:2]), " ".join(NEXT_KEY.split()[:2])}
        provider.revoke(made)
        assert world.accounts.live_keys() == {" ".join(KEY.split()[:2])}
        world.clock.sleep(3600)
        assert world.accounts.live_keys() == set()


def test_requests_carry_ids_that_follow_from_the_order() -> None:
    ids = []
    for _ in range(2):
        with gcp_world() as world:
            world.cause(Trouble.NO_ROOM)
            world.connect().provider.create(ORDER)
            ids.append([call.query["requestId"] for call in world.services.calls if call.id == "compute.instances.insert"])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2, "each zone is asked by another one"


@pytest.mark.parametrize("code", ["QUOTA_EXCEEDED", "PERMISSIONS_ERROR", "RESOURCE_NOT_FOUND", "INTERNAL_ERROR"])
def test_only_want_of_room_leads_to_the_next_zone(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with gcp_world() as world:
        monkeypatch.setattr(world.compute, "_why_not", lambda zone: (code, "no"))
        with pytest.raises((Refusal, Fault)):
            world.connect().provider.create(ORDER)
        assert {call.path["zone"] for call in world.services.calls if call.id == "compute.instances.insert"} == {ZONES[0]}


@pytest.mark.parametrize(
    ("answer", "gate"),
    [
        (Answer(403, "Quota 'CPUS' exceeded.", "quotaExceeded"), "runner.quota"),
        (Answer(400, "Invalid value for field 'resource.machineType'", "invalid"), "runner.order"),
        (Answer(403, "Required 'compute.subnetworks.use' permission", "forbidden"), "runner.permission"),
        (Answer(401, "Request had invalid authentication credentials.", "authError"), "runner.permission"),
    ],
    ids=lambda each: str(each),
)
def test_a_no_of_the_service_has_its_gate_and_the_resource(answer: Any, gate: str) -> None:
    with gcp_world() as world:
        world.services.refused["compute.instances.insert"] = answer
        with pytest.raises(Refusal) as caught:
            world.connect().provider.create(ORDER)
        assert caught.value.gate == gate
        assert caught.value.found.startswith(f"net-prod-1/{ZONES[0]}/{NAME}: ")
        assert world.machines() == []


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"{}", b'{"name": 7}', b'{"name": "another"}', b"{", b"<html>"])
def test_whatever_is_answered_it_is_a_machine_or_a_fault(body: bytes) -> None:
    with gcp_world() as world:
        world.put(NAME, OWNER)
        world.services.garbage = body
        world.cause(Trouble.NONSENSE)
        provider = world.connect().provider
        for ask in (lambda: provider.describe(NAME), lambda: provider.create(ORDER)):
            with pytest.raises(Fault) as caught:
                ask()
            assert caught.value.gate == "runner.provider"
            assert NAME in caught.value.found


def test_a_token_that_ran_out_is_replaced() -> None:
    """Google's library asks for another when a request is answered with 401."""
    with gcp_world() as world:
        provider = world.connect().provider
        provider.create(ORDER)
        world.clock.sleep(2 * 3600)
        assert provider.describe(NAME).state is MachineState.RUNNING
        assert len(world.accounts.tokens) == 2


def test_a_job_that_the_identity_provider_does_not_believe_is_refused_without_its_token() -> None:
    with gcp_world() as world:
        world.accounts.believes = False
        with pytest.raises(Refusal) as caught:
            world.connect().provider.describe(NAME)
        assert caught.value.gate == "runner.permission"
        assert "attribute condition" in caught.value.found
        assert JOB_TOKEN not in "\n".join(caught.value.lines())
        assert world.services.calls[-1].id == "sts.token"


def test_no_token_reaches_what_people_read() -> None:
    with gcp_world() as world:
        world.services.refused["compute.instances.insert"] = Answer(400, f"bad token {JOB_TOKEN} and ya29.c.account-0", "invalid")
        with pytest.raises(Refusal) as caught:
            world.connect().provider.create(ORDER)
        for planted in (JOB_TOKEN, "ya29."):
            assert planted not in "\n".join([*caught.value.lines(), *world.said])


def test_the_token_is_that_of_the_account_and_lives_an_hour() -> None:
    with gcp_world() as world:
        world.connect().provider.describe(NAME)
        (call,) = [call for call in world.services.calls if call.id.endswith("generateAccessToken")]
        assert call.path["name"] == f"projects/-/serviceAccounts/{ACCOUNT}"
        assert call.body == {"scope": ["https://www.googleapis.com/auth/cloud-platform"], "lifetime": "3600s"}


def test_host_keys_that_come_late_are_read_from_the_console_until_then() -> None:
    with gcp_world() as world:
        provider = world.connect().provider
        made = provider.create(ORDER)
        assert provider.host_keys(made) == ()
        world.boots(NAME, (), PRINTED)
        assert provider.host_keys(made) == (HOST_KEY,)
        world.boots(NAME, (HOST_KEY, "ecdsa-sha2-nistp256 AAAAE2VjZHNh"), PRINTED)
        assert provider.host_keys(made) == (HOST_KEY, "ecdsa-sha2-nistp256 AAAAE2VjZHNh")


def test_a_suspended_machine_is_resumed() -> None:
    with gcp_world() as world:
        world.put(NAME, OWNER)
        world.box(NAME).stands = "SUSPENDED"
        provider = world.connect().provider
        assert provider.start(provider.describe(NAME)).state is MachineState.RUNNING


def test_a_machine_that_stops_is_started_when_it_has() -> None:
    with gcp_world() as world:
        world.put(NAME, OWNER)
        world.box(NAME).stands = "STOPPING"
        world.clock.at(20, lambda: setattr(world.box(NAME), "stands", "TERMINATED"))
        provider = world.connect().provider
        assert provider.start(provider.describe(NAME)).state is MachineState.RUNNING


def test_every_call_has_its_permissions() -> None:
    """What the page of the account's role lists is what the code asks, no more and no less."""
    seen: set[str] = set()
    for login in ("metadata", "os-login"):
        with gcp_world(login=login) as world:
            world.way_out(False)
            world.connect(may_make_egress=True).egress.make()
            world.compute.routers["net-prod-1", "europe-west1", "prod-router"]["nats"] = []
            world.connect(may_make_egress=True).egress.make()
            provider = world.connect().provider
            made = provider.create(ORDER)
            provider.admit(made, "opsadmin", KEY)
            provider.admit(made, "opsadmin", NEXT_KEY)
            provider.host_keys(made)
            provider.owned()
            with world.connect().access.connect(made, 5):
                pass
            provider.revoke(made)
            for state in ("TERMINATED", "SUSPENDED"):
                world.box(NAME).stands = state
                provider.start(made)
            provider.delete(made)
            seen |= {call.id for call in world.services.calls}
            seen |= {f"iap.tunnel.{path.rpartition('/')[2]}" for path, _ in world.relay.asked}
    assert seen == CALLS.keys()
    assert all(re.fullmatch(r"[a-z]+(\.[A-Za-z]+){2}", each) for needed in CALLS.values() for each in needed)


@pytest.mark.parametrize("there", ["nothing", "router", "nat", "another network"])
def test_the_refusal_of_a_way_out_names_what_is_missing_and_what_makes_it(there: str) -> None:
    create_nat = (
        "gcloud compute routers nats create prod-nat --router=prod-router --project=net-prod-1 --region=europe-west1"
        " --nat-custom-subnet-ip-ranges=mgmt-ew1 --auto-allocate-nat-external-ips"
    )
    create_router = "gcloud compute routers create prod-router --project=net-prod-1 --region=europe-west1 --network=prod-vpc"
    update_nat = (
        "gcloud compute routers nats update prod-nat --router=prod-router --project=net-prod-1 --region=europe-west1"
        " --nat-custom-subnet-ip-ranges=data-ew1,mgmt-ew1"
    )
    with gcp_world() as world:
        router = world.compute.routers["net-prod-1", "europe-west1", "prod-router"]
        if there == "nothing":
            world.way_out(False)
        elif there == "router":
            router["nats"] = []
        elif there == "nat":
            (nat,) = router["nats"]
            nat |= {
                "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
                "subnetworks": [
                    {"name": "https://www.googleapis.com/compute/v1/projects/net-prod-1/regions/europe-west1/subnetworks/data-ew1"}
                ],
            }
        else:
            router |= {"network": router["network"].replace("prod-vpc", "lab-vpc"), "nats": []}
        with pytest.raises(Refusal) as caught:
            world.connect(may_make_egress=there in {"nat", "another network"}).egress.make()
        assert caught.value.gate == "runner.egress"
        describe = "gcloud compute routers describe prod-router --project=net-prod-1 --region=europe-west1"
        wanted = {"nothing": f"{create_router} && {create_nat}", "router": create_nat, "nat": update_nat}.get(there, describe)
        assert caught.value.fix.endswith(f": {wanted}")
        assert not [call for call in world.services.calls if call.id.endswith((".insert", ".patch"))]


def test_a_router_that_is_there_keeps_its_other_nats() -> None:
    with gcp_world() as world:
        router = world.compute.routers["net-prod-1", "europe-west1", "prod-router"]
        router["nats"] = [{**router["nats"][0], "name": "another-nat"}]
        assert world.connect(may_make_egress=True).egress.make().ready
        another, ours = world.compute.routers["net-prod-1", "europe-west1", "prod-router"]["nats"]
        assert another["name"] == "another-nat"
        assert ours["subnetworks"] == [
            {"name": "projects/net-prod-1/regions/europe-west1/subnetworks/mgmt-ew1", "sourceIpRangesToNat": ["PRIMARY_IP_RANGE"]}
        ]


def test_a_person_becomes_the_same_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a shell: by application default credentials, which ask for nothing of Google's before the account is needed."""
    import google.auth
    from google.oauth2.credentials import Credentials

    own = Credentials(token="ya29.of-maria")  # type: ignore[no-untyped-call]  # the library has no types
    monkeypatch.setattr(google.auth, "default", lambda scopes: (own, None))
    with gcp_world() as world:
        world.accounts.federated.add("ya29.of-maria")
        adapters = connect(world.machine(), PROJECTS, OWNER, None, world.clock, world.said.append)
        assert adapters.provider.create(ORDER).state is MachineState.RUNNING
        assert "sts.token" not in {call.id for call in world.services.calls}
        assert world.accounts.audiences == []


def test_a_shell_without_credentials_is_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with gcp_world() as world, pytest.raises(Refusal) as caught:
        connect(world.machine(), PROJECTS, OWNER, None, world.clock, world.said.append).provider.describe(NAME)
    assert caught.value.gate == "runner.permission"
    assert "no credentials" in caught.value.found


@pytest.mark.parametrize(
    "name",
    [
        "test_a_key_is_let_in_and_taken_back",
        "test_an_order_of_another_run_adopts_this_owners_machine",
        "test_another_owners_machine_is_not_started_nor_logged_in_to",
        "test_errors_now_and_then_are_tried_again",
    ],
)
def test_what_the_contract_says_of_logins_holds_for_os_login(name: str) -> None:
    class OnOsLogin(ProviderContract):
        def world(self) -> AbstractContextManager[World]:
            return gcp_world(login="os-login")

    getattr(OnOsLogin(), name)()


@pytest.mark.parametrize("method", ["insert", "start", "resume", "setMetadata", "delete"])
def test_a_request_whose_answer_is_lost_is_sent_again_and_counts_once(method: str) -> None:
    with gcp_world() as world:
        provider = world.connect().provider
        if method != "insert":
            world.put(NAME, OWNER)
            world.box(NAME).stands = {"start": "TERMINATED", "resume": "SUSPENDED"}.get(method, "RUNNING")
        world.services.lost.add(f"compute.instances.{method}")
        made = provider.create(ORDER)
        provider.admit(made, "opsadmin", NEXT_KEY)
        assert world.machines() == [NAME]
        assert world.logins(NAME) == {" ".join(NEXT_KEY.split()[:2])}
        provider.delete(made)
        assert world.machines() == []
        assert world.services.lost == set()


def test_a_machine_that_somebody_gave_an_address_outside_is_refused_and_may_be_deleted() -> None:
    with gcp_world() as world:
        world.put(NAME, OWNER, MachineState.STOPPED)
        world.box(NAME).resource["networkInterfaces"][0]["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "natIP": "203.0.113.7"}]
        provider = world.connect().provider
        found = provider.describe(NAME)
        assert found.outside == "203.0.113.7"
        for ask in (lambda: provider.create(ORDER), lambda: provider.start(found), lambda: provider.admit(found, "opsadmin", KEY)):
            with pytest.raises(Refusal) as caught:
                ask()
            assert caught.value.gate == "runner.exposed"
            assert "203.0.113.7" in caught.value.found
        assert provider.describe(NAME).state is MachineState.STOPPED, "nothing was started"
        provider.delete(found)
        assert world.machines() == []
