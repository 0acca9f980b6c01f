"""Text to paste: numbers that are not known yet, words that are named, and configs that read back."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.config.file import read_config
from hyops_ci.operations.init.commands import (
    Adopter,
    envs_on,
    gate_command,
    ledger_remote,
    numbers,
    placeholders,
)
from hyops_ci.operations.init.runner_host import runner_commands, trust_document
from hyops_ci.planning.protection import Demand
from tests.unit.operations.init.adopting import REFS, smallest


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}", fullmatch=True))
def test_whoever_replaces_the_word_of_a_person_has_a_number_there(login: str) -> None:
    [(_, word)] = Adopter(reviewers=((login, 0),)).people()
    command = gate_command("acme/shop", Demand("dr-prod", 1, "main"), [{"type": "User", "id": word}])
    assert placeholders(command) == (word,)
    body = command.split("<<'JSON'\n")[1].partition("\nJSON\n")[0].replace(str(word), "1002")
    assert json.loads(body)["reviewers"] == [{"type": "User", "id": 1002}]


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=5))
def test_text_that_is_no_open_word_stays_text(document: dict[str, str]) -> None:
    written = json.dumps(document)
    if not placeholders(written):
        assert numbers(written) == written


@pytest.mark.parametrize(("there", "demanded", "ids"), [(0, 2, ["ID_OF_REVIEWER_1", "ID_OF_REVIEWER_2"]), (1, 2, [7, "ID_OF_REVIEWER_2"])])
def test_as_many_reviewers_as_are_demanded(there: int, demanded: int, ids: list[object]) -> None:
    command = gate_command("acme/shop", Demand("dr-prod", demanded), [{"type": "User", "id": 7}] * there)
    body = command.split("<<'JSON'\n")[1].partition("\nJSON\n")[0]
    assert [each["id"] for each in json.loads(re.sub(r"(ID_OF_\w+)", r'"\1"', body))["reviewers"]] == ids


def test_names_reach_a_shell_as_words() -> None:
    command = gate_command("acme/shop", Demand("dr prod/$(id)", 0, "main; id"), [])
    assert "environments/dr%20prod%2F%24%28id%29 " in command
    assert "-f name='main; id'" in command
    config = read_config(smallest().encode() + b'lanes: {gcp: {names: ["a; id"]}}\n')[0]
    assert "--name 'a; id' " in runner_commands(config, "gcp", Adopter("acme/shop"))


def test_what_a_host_recovers_is_what_its_lane_runs() -> None:
    extra = f"  erp/stage:\n    failover: {{lane: azure, blueprint: {REFS[0]}}}\n"
    config = read_config(smallest().replace("vault:", f"{extra}vault:").encode())[0]
    assert [each.name for each in envs_on(config, "gcp")] == ["prod"]
    assert [each.name for each in envs_on(config, "azure")] == ["stage"]
    assert trust_document(config, "azure", Adopter())["gates"] == {"stage": "dr-stage"}
    assert trust_document(config, "azure", Adopter())["authorities"][0]["roles"] == ["dr-check", "dr-stage"]


def test_a_user_of_hyops_goes_into_the_trust_file() -> None:
    """As the config says it: a host compares the two word for word."""
    config = read_config((smallest() + "host: {user: hyops, envs_base: /srv/hyops/envs}\n").encode())[0]
    assert trust_document(config, "gcp", Adopter())["host"] == {"user": "hyops", "envs_base": "/srv/hyops/envs"}
    assert "host" not in trust_document(read_config(smallest().encode())[0], "gcp", Adopter())


@pytest.mark.parametrize(
    ("named", "remote"),
    [
        ("", "https://github.com/acme/shop"),
        ("acme/ledger", "https://github.com/acme/ledger"),
        ("/srv/ledger.git", "/srv/ledger.git"),
        ("ssh://git@git.example.net/ledger", "ssh://git@git.example.net/ledger"),
    ],
)
def test_where_the_ledger_is(named: str, remote: str) -> None:
    config = read_config((smallest() + (f'ledger: {{repository: "{named}"}}\n' if named else "")).encode())[0]
    assert ledger_remote(config, Adopter("acme/shop")) == remote
