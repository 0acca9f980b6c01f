"""Self-hosted runners, their groups, versions and registration."""

from __future__ import annotations

import time

from tests.support.github.caller import Caller
from tests.support.github.description import load
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub


def test_ten_thousand_runners(recovery: Repository, call: Caller) -> None:
    for n in range(10_000):
        recovery.add_runner(f"dr-{n}", ["dr"])
    load()  # which is read once, by whoever validates first
    began = time.process_time()  # of both ends; what others do on this machine meanwhile is no work of theirs
    last = call("GET", "/repos/acme/recovery/actions/runners?per_page=100&page=100")
    [found] = call("GET", "/repos/acme/recovery/actions/runners?name=dr-9999").json()["runners"]
    assert time.process_time() - began < 2
    assert (last.json()["total_count"], len(last.json()["runners"])) == (10_000, 100)
    assert sorted(last.links) == ["first", "prev"]
    assert found["labels"][-1] == {"id": 11, "name": "dr", "type": "custom"}


def test_pages_are_linked(recovery: Repository, call: Caller) -> None:
    for n in range(7):
        recovery.add_runner(f"dr-{n}")
    path, seen = "/repos/acme/recovery/actions/runners?per_page=3", []
    while path:
        page = call("GET", path)
        seen += [each["name"] for each in page.json()["runners"]]
        path = page.links.get("next", {}).get("url", "").removeprefix(call.fake.url)
    assert seen == [f"dr-{n}" for n in range(7)]


def test_runner_is_removed_unless_busy(recovery: Repository, call: Caller) -> None:
    runner = recovery.add_runner("dr-1", busy=True)
    address = f"/repos/acme/recovery/actions/runners/{runner.id}"
    assert call("DELETE", address).status_code == 422
    runner.busy = False
    assert [call("DELETE", address).status_code for _ in range(2)] == [204, 404]


def test_registration(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    for home in ("/repos/acme/recovery", "/orgs/acme"):
        for kind in ("registration-token", "remove-token"):
            made = call("POST", f"{home}/actions/runners/{kind}")
            assert (made.status_code, made.json()["token"]) == (201, github_fake.runner_tokens[-1])
        assert [each["os"] for each in call("GET", f"{home}/actions/runners/downloads").json()]


def test_groups_say_whom_they_serve(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    github_fake.add_repository("acme/other", private=True)
    group = recovery.owner.add_group("dr", [recovery])
    recovery.owner.add_runner("org-1", ["dr"], group=group)
    recovery.owner.add_runner("org-2", ["dr"])

    def names(query: str) -> list[str]:
        return [each["name"] for each in call("GET", f"/orgs/acme/actions/runner-groups{query}").json()["runner_groups"]]

    assert names("") == ["Default", "dr"]
    assert names("?visible_to_repository=recovery") == ["Default", "dr"]
    assert names("?visible_to_repository=other") == ["Default"]
    listed = call("GET", f"/orgs/acme/actions/runner-groups/{group.id}/runners").json()["runners"]
    assert [each["name"] for each in listed] == ["org-1"]
    served = call("GET", f"/orgs/acme/actions/runner-groups/{group.id}/repositories").json()["repositories"]
    assert [each["full_name"] for each in served] == ["acme/recovery"]
    assert call("GET", "/orgs/acme/actions/runners").json()["total_count"] == 2
    assert call("GET", "/repos/acme/recovery/actions/runners").json()["total_count"] == 0


def test_end_of_a_runner_version(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    github_fake.add_runner_version("2.328.0", runtime_ends="2025-12-16T17:40:26Z")
    github_fake.add_runner_version("2.337.0")
    found = [call("GET", f"/repos/acme/recovery/actions/runners/deprecations/{version}") for version in ("2.328.0", "2.337.0", "9.9.9")]
    assert [answer.status_code for answer in found] == [200, 200, 404]
    assert [answer.json()["runtime_deprecates_at"] for answer in found[:2]] == ["2025-12-16T17:40:26Z", None]
