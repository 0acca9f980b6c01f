from __future__ import annotations

import pytest

from hyops_ci.runners.gcp.host_keys import printed_keys
from hyops_ci.runners.gcp.site import derived, same_resource
from tests.runners.world import HOST_KEY

WHOLE = "https://www.googleapis.com/compute/v1/projects/net-1/global/networks/vpc"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (WHOLE, "projects/net-1/global/networks/vpc", True),
        ("projects/net-1/global/networks/vpc", "projects/net-1/global/networks/vpc", True),
        ("projects/net-1/global/networks/vpc", "projects/net-2/global/networks/vpc", False),
        (WHOLE, "projects/net-1/global/networks/vpc-2", False),
        (WHOLE, WHOLE.replace("net-1", "net-2"), False),
    ],
)
def test_a_resource_has_several_names(one: str, other: str, same: bool) -> None:
    assert same_resource(one, other) is same


def test_each_request_of_an_order_has_an_id_of_its_own() -> None:
    order = "5f0f5a54-7b0e-5d1c-8f2b-0d6a3c9e1b77"
    assert derived(order, "insert", "a") == derived(order, "insert", "a")
    assert len({derived(order, "insert", "a"), derived(order, "insert", "b"), order}) == 3


BLOCK = f"-----BEGIN SSH HOST KEY KEYS-----\n{HOST_KEY} root@runner\n-----END SSH HOST KEY KEYS-----\n"


@pytest.mark.parametrize(
    ("console", "keys"),
    [
        ("", ()),
        (HOST_KEY, ()),
        (BLOCK, (HOST_KEY,)),
        (BLOCK.replace("\n", "\r\n"), (HOST_KEY,)),
        (f"{BLOCK}\n{BLOCK}", (HOST_KEY,)),
        (f"{BLOCK}\n{BLOCK.replace('Host', 'Next')}", ()),
        (f"{BLOCK}\nJan 1 job[7]: {BLOCK.replace('Host', 'Next')}", ()),
        (BLOCK.partition("-----END")[0], ()),
        (BLOCK.replace(HOST_KEY, f"[   9.1] cloud-init[7]: {HOST_KEY}"), (HOST_KEY,)),
    ],
    ids=[
        "nothing",
        "outside a block",
        "a block",
        "of a serial line",
        "two boots",
        "two keys",
        "a block that a job printed",
        "cut off",
        "behind a time",
    ],
)
def test_host_keys_of_a_console(console: str, keys: tuple[str, ...]) -> None:
    assert printed_keys(console) == keys
