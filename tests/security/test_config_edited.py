"""Attack: somebody edits what decides a run, where nobody has to look at it (docs/design/contracts.md 2)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.run import State
from tests.security.incident import GATE, WORKFLOW, Incident, assert_recovered, assert_refused
from tests.support.github.repositories import plain_rule, pull_request_rule


def production(config: dict[str, Any]) -> None:
    """The same env, not a lab's: nothing is asked of the authority by a plan."""
    config["envs"] = {"lab": {"class": "production"}}
    config["verification"] = {service: [{"kind": "tcp", "target": "pg.example.net:5432"}] for service in config["verification"]}
    config["vault"] = {"address": "https://vault.example.net", "site": "gcp"}


def push_only(incident: Incident) -> None:
    incident.repository.protect(rules=[plain_rule("deletion"), plain_rule("non_fast_forward")])


def unprotected(incident: Incident) -> None:
    incident.repository.branches["main"].protected, incident.repository.branches["main"].rules = False, []


def on_a_branch(incident: Incident) -> None:
    incident.repository.commit({"README.md": "mine"}, "let-me-in")
    incident.start(branch="let-me-in", actor="mallory")


def on_a_protected_branch(incident: Incident) -> None:
    """Rules may hold for every branch: they guard the config only where it is merged."""
    on_a_branch(incident)
    incident.repository.protect("let-me-in")


def renamed(incident: Incident) -> None:
    """The default branch was another one when the event was made."""
    incident.repository.commit({"README.md": "mine"}, "mine")
    incident.repository.protect("mine")
    incident.repository.default_branch = "mine"


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        (on_a_branch, "ref refs/heads/let-me-in"),
        (on_a_protected_branch, "ref refs/heads/let-me-in"),
        (unprotected, "ref refs/heads/main, not protected"),
        (push_only, "no rule demands a pull request"),
        (renamed, "ref refs/heads/main"),
    ],
)
def test_a_config_that_nobody_had_to_look_at(incident: Incident, attack: Callable[[Incident], None], found: str) -> None:
    incident.configure(production)
    attack(incident)
    assert_refused(incident, incident.plan(), "config.ref", 4, found)


def test_the_reviewed_config_is_planned_in_production(incident: Incident) -> None:
    incident.configure(production)
    assert incident.plan().state is State.PLANNED


def test_a_tag_called_like_the_default_branch(incident: Incident) -> None:
    incident.configure(production)
    assert_refused(incident, incident.plan(ref="refs/tags/main"), "config.ref", 4, "ref refs/tags/main")


def test_code_owners_removed_in_the_same_commit(incident: Incident) -> None:
    """Owners are read at the commit itself, so that the change that removes them shows: as a note that the approver reads."""
    owners = incident.site.repository / ".github" / "CODEOWNERS"
    owners.write_text("/.github/ @acme/dr-owners\n")
    incident.repository.protect(rules=[pull_request_rule(reviews=0)])
    assert incident.plan().state is State.PLANNED
    kept = str(incident.folder.read_json("gates.json"))
    assert "no review of" not in kept
    owners.unlink()
    incident.start()
    assert incident.plan().state is State.PLANNED
    noted = str(incident.folder.read_json("gates.json"))
    assert "no review of .github/** is required" in noted
    assert f"no code owner: .github/dr-dispatch.yml, .github/dr/lab/postgresql-ha-failover-gcp.yml, {WORKFLOW}" in noted


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail what takes longer, wherever it is."""

    def too_late(*_: object) -> None:
        pytest.fail(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_code_owners_that_nobody_lives_to_match(incident: Incident) -> None:
    """Nothing of it is an error: 27 characters, of which a regular expression tries every way to share out a path."""
    owners = incident.site.repository / ".github" / "CODEOWNERS"
    owners.write_text("/.github/ @acme/dr-owners\n" + ("*?" * 15 + "Z @mallory\n") * 50)
    with at_most(30):
        assert incident.plan().state is State.PLANNED
    assert "no code owner" not in str(incident.folder.read_json("gates.json")), "the first line owns them, the others match nothing"


# ------------------------------------------------------------------------- a config that says more than its reviewer saw


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\r"])
def test_a_line_that_hides_in_a_comment(incident: Incident, mark: str) -> None:
    """GitHub, git and every YAML 1.2 reader show a comment; PyYAML ends it there, and the class of an env is another."""
    incident.configure(production)
    path = incident.site.repository / ".github" / "dr-dispatch.yml"
    config = yaml.safe_load(path.read_text())
    del config["envs"]
    hidden = f"# see docs/adopt.md for the classes{mark}envs: {{lab: {{class: lab}}}}\n"
    path.write_text(hidden + yaml.safe_dump(config), newline="")
    assert_refused(incident, incident.plan(), "intake.yaml", 2, f"U+{ord(mark):04X}")


@pytest.mark.parametrize("value", ["a\u202eb", "\x1b[31m", "\x00", "a\u200bb"])
def test_a_value_that_is_not_seen(incident: Incident, value: str) -> None:
    """In the overlay, whose inputs are what HyOps does."""
    path = next((incident.site.repository / ".github" / "dr").rglob("*failover*.yml"))
    overlay = yaml.safe_load(path.read_text())
    overlay["steps"][0]["inputs"]["note"] = value
    path.write_text(yaml.safe_dump(overlay, allow_unicode=False))
    assert_refused(incident, incident.plan(), "intake.yaml", 2, f"U+{next(ord(one) for one in value if not one.isprintable()):04X}")


def test_the_same_text_where_it_is_seen(incident: Incident) -> None:
    path = next((incident.site.repository / ".github" / "dr").rglob("*failover*.yml"))
    overlay = yaml.safe_load(path.read_text())
    overlay["steps"][0]["inputs"]["note"] = "le site de secours : 5 °C, 停電"
    path.write_text("# see docs/adopt.md\n" + yaml.safe_dump(overlay, allow_unicode=True))
    assert incident.plan().state is State.PLANNED


# ---------------------------------------------------------------- a config that is merged, and asks for more than the host allows


def more_approvers(incident: Incident) -> None:
    """mallory's key in one pull request, mallory's yes in the next run."""
    known = incident.trust["approvers"]
    incident.approvers("jonas", "mallory")
    incident.trust["approvers"] = known


def another_key(incident: Incident) -> None:
    """The approver's name over the attacker's key."""
    known = incident.trust["approvers"]
    incident.keys["jonas"] = incident.keys["mallory"]
    incident.approvers("jonas")
    incident.trust["approvers"] = known


def smaller_quorum(incident: Incident) -> None:
    incident.approvers("jonas", "priya", quorum=1)
    incident.trust["quorum"] = 2


def longer_life(incident: Incident) -> None:
    incident.configure(lambda config: config["approvals"].update(lifetime="PT23H"))


def older_decisions(incident: Incident) -> None:
    incident.configure(lambda config: config.update(policy={"decision_lifetime": "PT23H"}))


def another_gate(incident: Incident) -> None:
    incident.repository.add_environment("dr-mine", reviewers=[incident.fake.account("mallory")])
    incident.configure(lambda config: config["envs"]["lab"].update(github_environment="dr-mine"))


def another_authority(incident: Incident) -> None:
    incident.trust["authorities"] = [{"origin": "https://vault.example.net", "roles": ["dr-lab", "dr-check"]}]
    incident.configure(lambda config: config.update(vault={"address": "https://evil.example.net", "site": "gcp"}))


def another_role(incident: Incident) -> None:
    incident.trust["authorities"] = [{"origin": "https://vault.example.net", "roles": ["dr-lab", "dr-check"]}]
    incident.configure(lambda config: config.update(vault={"address": "https://vault.example.net", "site": "gcp", "role": "root"}))


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        (more_approvers, "approvals.approvers.mallory: a key that the host does not know"),
        (another_key, "approvals.approvers.jonas: a key that the host does not know"),
        (smaller_quorum, "quorum: 1"),
        (longer_life, "lifetime: PT23H"),
        (older_decisions, "policy.decision_lifetime: PT23H"),
        (another_gate, "dr-mine"),
        (another_authority, "vault.address: https://evil.example.net"),
        (another_role, "vault.role: root"),
    ],
)
def test_a_config_that_asks_for_more_than_the_host_allows(incident: Incident, attack: Callable[[Incident], None], found: str) -> None:
    attack(incident)
    incident.pinned = True
    assert incident.plan().state is State.PLANNED, "nobody who plans knows the host"
    assert_refused(incident, incident.check(), "trust.looser", 4, found)


def test_a_gate_that_was_opened_after_the_plan(incident: Incident) -> None:
    incident.approvers(channels=("environment",))
    incident.reach_gate()
    incident.review("jonas")
    incident.gate.prevent_self_review = False
    assert_refused(incident, incident.execute(), "gate.weaker", 4, "self-review allowed")


def test_the_same_review_at_the_gate_as_it_was(incident: Incident) -> None:
    incident.approvers(channels=("environment",))
    incident.reach_gate()
    incident.review("jonas")
    assert_recovered(incident, incident.execute())
    assert incident.gate.name == GATE


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"reviewers": []}, "0 reviewers"),
        ({"prevent_self_review": False}, "self-review"),
        ({"branches": None}, "any branch"),
    ],
)
def test_an_approval_gate_that_stops_nobody(incident: Incident, change: dict[str, Any], found: str) -> None:
    incident.configure(production)
    incident.approvers(channels=("environment",))
    for name, value in change.items():
        setattr(incident.gate, name, value)
    assert_refused(incident, incident.plan(), "approval.gate", 4, found)
