"""The fake notices what Google's description does not allow: a test on it could not pass otherwise by mistake."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.runners.gcp_fake.discovery import check_answer, methods, parsed

INSTANCES = "/compute/v1/projects/net-prod-1/zones/europe-west1-b/instances"


@pytest.mark.parametrize(
    ("verb", "target", "body", "words"),
    [
        ("POST", INSTANCES, {"name": "a", "nope": 1}, "nope"),
        ("POST", INSTANCES, {"disks": [{"initializeParams": {"diskSizeGb": 20}}]}, "diskSizeGb"),
        ("POST", INSTANCES, {"networkInterfaces": [{"stackType": "IPV5"}]}, "IPV5"),
        ("POST", f"{INSTANCES}?request_id=1", {}, "query parameters"),
        ("GET", f"{INSTANCES}?maxResults=many", None, "no integer"),
        ("GET", f"{INSTANCES}/a?pageToken=1", None, "query parameters"),
        ("GET", f'{INSTANCES}?filter=(name = "a") (zone eq "b.*")'.replace(" ", "%20").replace('"', "%22"), None, "mixes patterns"),
        ("PUT", f"{INSTANCES}/a/console", None, "no such method"),
        ("GET", f"{INSTANCES}/a", {"name": "a"}, "a body where none is taken"),
    ],
)
def test_a_request_of_another_form_is_noticed(verb: str, target: str, body: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parsed("compute.v1", verb, target, json.dumps(body).encode() if body is not None else b"")


@pytest.mark.parametrize("answer", [{"id": 7}, {"id": "x"}, {"status": "PURPLE"}, {"nope": ""}, {"labels": {"a": 1}}, []])
def test_an_answer_of_another_form_is_noticed(answer: Any) -> None:
    (method,) = [each for each in methods("compute.v1") if each.id == "compute.instances.get"]
    with pytest.raises(ValueError, match=r"compute\.instances\.get: answer"):
        check_answer(method, answer)


def test_what_the_description_allows_passes() -> None:
    method, call = parsed("compute.v1", "POST", f"{INSTANCES}?requestId=1&%24alt=json", b'{"name": "a", "disks": [{"diskSizeGb": "20"}]}')
    assert (method.id, call.path, call.query["requestId"]) == (
        "compute.instances.insert",
        {"project": "net-prod-1", "zone": "europe-west1-b"},
        "1",
    )
