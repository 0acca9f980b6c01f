"""An upgrade of a checkout: what it changes, what it asks for, and what it refuses before anything is asked of GitHub."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.operations.init.commands import Adopter, placeholders
from hyops_ci.operations.upgrade.checkout import write
from hyops_ci.operations.upgrade.upgrade import finish, on_host, upgrade
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.operations.upgrade.calling import OURS, Releases, calling, releases

__all__ = ["github_fake"]
KNOWN = Adopter("acme/recovery", 4711, 77)
TITLES = ["As root", "Vault", "Runner groups", "The callers", "Merged", "The checks are green"]


@pytest.fixture
def made(github_fake: FakeGitHub) -> Releases:
    return releases(github_fake)


@pytest.fixture
def client(github_fake: FakeGitHub, made: Releases) -> Client:
    return Client.connect(OURS, token=github_fake.add_token("contents: read", "metadata: read", actor="maria"), api_url=github_fake.url)


def test_a_checkout_moves_and_everything_else_is_asked_for_in_order(made: Releases, client: Client, tmp_path: Path) -> None:
    checkout = calling(tmp_path, made.old)
    done = upgrade(checkout, client, KNOWN, "v1.1.0", "")
    assert [each for (title, _), each in zip(done.steps, TITLES, strict=True) if not title.startswith(each)] == []
    assert done.others == ()
    text = "\n".join(text for _, text in done.steps)
    assert placeholders(text) == ()
    assert f"{OURS}/.github/workflows/dispatch.yml@{made.new}" in text
    assert f"{OURS}/.github/workflows/dispatch.yml@{made.old}" in text
    assert "gh workflow run dr.yml -f action=check" in text
    assert all(f" {each.file}" in done.steps[3][1] for each in done.changes)
    write(checkout, done.changes)
    again = upgrade(checkout, client, KNOWN, "v1.1.0", "")
    assert (again.changes, again.steps) == ((), ()), "nothing is left, and nobody is told to forget the old one yet"


def test_one_that_was_cut_off_goes_on(made: Releases, client: Client, tmp_path: Path) -> None:
    checkout = calling(tmp_path, made.old)
    done = upgrade(checkout, client, KNOWN, "v1.1.0", "")
    write(checkout, done.changes[:1])
    rest = upgrade(checkout, client, KNOWN, "v1.1.0", "")
    assert rest.changes == done.changes[1:]
    assert rest.target.was == made.old


def test_a_repository_that_only_asks_another_one_has_no_hosts(made: Releases, client: Client, tmp_path: Path) -> None:
    checkout = calling(tmp_path, made.old)
    for name in ("dr", "dr-decision", "dr-drill"):
        (checkout / ".github" / "workflows" / f"{name}.yml").unlink()
    done = upgrade(checkout, client, KNOWN, "v1.1.0", "")
    assert [title.partition(",")[0] for title, _ in done.steps] == ["The callers", "The checks are green"]
    write(checkout, done.changes)
    assert finish(checkout, KNOWN) == (made.new, ())


def test_what_is_not_known_of_the_repository_is_a_word_to_replace(made: Releases, client: Client, tmp_path: Path) -> None:
    done = upgrade(calling(tmp_path, made.old), client, Adopter(), "v1.1.0", "")
    assert set(placeholders("\n".join(text for _, text in done.steps))) == {"REPOSITORY_ID", "OWNER_ID"}


def test_at_the_end_the_pinned_commit_stays_alone(made: Releases, tmp_path: Path) -> None:
    now, steps = finish(calling(tmp_path, made.new), KNOWN)
    assert now == made.new
    assert [title.partition(":")[0].partition(",")[0] for title, _ in steps] == [
        "Vault",
        "Runner groups",
        "As root on the host of each runner",
    ]
    assert not any(made.old in text for _, text in steps)


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("jobs: {a: {runs-on: x}}\n", "upgrade.caller"),
        (f"jobs: {{a: {{uses: {OURS}/.github/workflows/dispatch.yml@v1}}}}\n", "upgrade.pin"),
    ],
)
def test_a_checkout_that_pins_nothing_is_refused_before_github_is_asked(
    text: str, gate: str, github_fake: FakeGitHub, client: Client, tmp_path: Path
) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "a.yml").write_text(text)
    with pytest.raises(Refusal) as refused:
        upgrade(tmp_path, client, KNOWN, "v1.1.0", "")
    assert (refused.value.gate, github_fake.calls) == (gate, [])


def test_a_host_without_a_trust_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "trust.json", tmp_path):
        with pytest.raises(Refusal, match="cannot be read") as refused:
            on_host(path, "4" * 40, alone=False)
        assert refused.value.gate == "upgrade.trust"
