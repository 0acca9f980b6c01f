"""What making a runner asks of the authority follows from the config."""

from __future__ import annotations

import pytest

from hyops_ci.config.bootstrap import bootstrap_class, bootstrap_places, bootstrap_secrets
from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.config import DispatchConfig, EnvClass

GCP = "failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}"


def config(text: str) -> DispatchConfig:
    return parsed_config(text.encode())


def test_the_role_is_not_that_of_an_env() -> None:
    found = bootstrap_secrets(
        config(f'services: {{a/prod: {{{GCP}}}}}\nvault: {{address: "https://v.example.net", site: gcp, role: mine}}')
    )
    assert found is not None
    assert (found.role, found.check_role, found.refs) == ("dr-bootstrap", "", ())
    assert bootstrap_secrets(config(f"services: {{a/prod: {{{GCP}}}}}")) is None


@pytest.mark.parametrize(
    ("envs", "expected"),
    [
        ("{}", EnvClass.PRODUCTION),
        ("{a: {class: lab}, b: {class: lab}}", EnvClass.LAB),
        ("{a: {class: lab}, b: {class: drill}}", EnvClass.DRILL),
        ("{a: {class: lab}}", EnvClass.PRODUCTION),
    ],
)
def test_the_most_careful_env_of_the_lane_counts(envs: str, expected: EnvClass) -> None:
    made = config(f"services: {{x/a: {{{GCP}}}, x/b: {{{GCP}}}}}\nenvs: {envs}")
    assert bootstrap_class(made, "gcp") is expected
    assert bootstrap_class(made, "onprem") is EnvClass.PRODUCTION, "nothing recovers there"


def test_a_lane_without_a_machine_takes_no_providers_token() -> None:
    made = config(f'services: {{a/prod: {{{GCP}}}}}\nregistration: {{app_id: 31, key: "dr/app#key"}}')
    assert bootstrap_places(made, "gcp") == bootstrap_places(made) == ("dr/app#key",)
