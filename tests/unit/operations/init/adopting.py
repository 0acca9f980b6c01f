"""What the tests of adoption share: a checkout, the example's blueprints as HyOps keeps them, and the blocks without open words."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hyops_ci.operations.init.commands import Adopter
from hyops_ci.operations.init.config_text import config_text
from hyops_ci.operations.init.files import InitResult
from hyops_ci.operations.init.request import InitRequest
from hyops_ci.operations.rehearse.sandbox import EXAMPLE

SERVICE = "pg-ha/prod"
RELEASE = "3f2a" + "0" * 36
KEY = "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="
REFS = ("dr/postgresql-ha-failover-gcp@v1", "dr/postgresql-ha-failback-onprem@v1")
KNOWN = Adopter("acme/recovery", 4711, 77, release=RELEASE, reviewers=(("jonas", 1002), ("priya", 1003)))
WORDS = {"OWNER/REPOSITORY": "acme/recovery", "REPOSITORY_ID": "4711", "OWNER_ID": "77", "COMMIT_OF_THE_RELEASE": RELEASE}


def blueprints(folder: Path) -> Path:
    """A folder laid out as HyOps' `blueprints/`, with the example's overlays."""
    for ref in REFS:
        path = folder / ref / "blueprint.yml"
        path.parent.mkdir(parents=True)
        path.write_bytes((EXAMPLE / "overlays" / f"{ref.partition('@')[0].rpartition('/')[2]}.yml").read_bytes())
    return folder


def request(folder: Path, service: str = SERVICE, **changes: str | int) -> InitRequest:
    """A service that goes to GCP, with overlays to copy."""
    said: dict[str, str | int] = {"vault": "https://vault.example.net", "site": "gcp", **changes}
    return InitRequest(service, blueprints=(folder,), **said)  # type: ignore[arg-type]  # keywords of several types


def smallest(lane: str = "gcp", failback: str = REFS[1], adopter: Adopter = Adopter()) -> str:  # noqa: B008 - it is frozen
    """The config that init would write for the service."""
    return config_text(InitRequest(SERVICE, "https://vault.example.net", "gcp", lane, REFS[0], failback), adopter)


def block(done: InitResult, words: str) -> str:
    """The one block with these words in its title."""
    [text] = [text for title, text in done.blocks if words in title]
    return text


def host_trust(text: str) -> str:
    """The trust file that a block hands over."""
    return text.split("<<'JSON'\n")[1].partition("\nJSON\n")[0]


def filled(text: str) -> str:
    """A block as somebody pastes it: every open word replaced by what it stands for."""
    for word, value in WORDS.items():
        text = re.sub(rf"\b{word}\b", value, text)
    return re.sub(r"\bID_OF_[A-Z0-9_-]+\b", "1002", text)


def posted(text: str) -> list[tuple[str, str, object]]:
    """(method, path, body) of each `gh api` command in a block that sends something."""
    found: list[tuple[str, str, object]] = []
    for path, method, body in re.findall(r"^gh api repos/(\S+) -X (\w+) --input - <<'JSON'\n(.*?)\nJSON$", text, re.MULTILINE | re.DOTALL):
        found.append((method, f"/repos/{path}", json.loads(body)))
    for method, path, body in re.findall(r"^gh api -X (\w+) repos/(\S+) --input - <<'JSON'\n(.*?)\nJSON$", text, re.MULTILINE | re.DOTALL):
        found.append((method, f"/repos/{path}", json.loads(body)))
    for method, path, name, value in re.findall(r"^gh api -X (\w+) repos/(\S+) -f (\w+)=(\S+)$", text, re.MULTILINE):
        found.append((method, f"/repos/{path}", {name: value}))
    return found
