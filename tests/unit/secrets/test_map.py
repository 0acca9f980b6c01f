from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.plan import SecretRef
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.map import builtin_bytes, builtin_map, read_map, refs_for
from tests.unit.secrets.cases import case_files, facts

SHIPPED = {
    # HyOps 0.1.4: union of required_env of each shipped DR blueprint
    "postgresql-ha-failover-gcp": [
        "NETBOX_DB_PASSWORD",
        "PATRONI_REPLICATION_PASSWORD",
        "PATRONI_SUPERUSER_PASSWORD",
        "PG_BACKUP_GCS_SA_JSON",
        "POWERDNS_API_KEY",
        "WAN_EDGE_SSH_PRIVATE_KEY",
    ],
    "postgresql-cloudsql-promote-gcp": ["POWERDNS_API_KEY", "WAN_EDGE_SSH_PRIVATE_KEY"],
    "postgresql-cloudsql-standby-gcp": ["PATRONI_REPLICATION_PASSWORD"],
    "postgresql-ha-backup-gcp": ["PATRONI_REPLICATION_PASSWORD", "PATRONI_SUPERUSER_PASSWORD", "PG_BACKUP_GCS_SA_JSON"],
}


@pytest.mark.parametrize("path", case_files("accept", "map-*.csv"), ids=lambda path: path.stem)
def test_accepts(path: Path) -> None:
    data = path.read_bytes()
    case = facts(data)
    expected = sorted(tuple(line.split()) for line in case["expect"])
    refs = refs_for(read_map(data), case["env"][0], case["profiles"][0].split(","), [key for key, *_ in expected])
    assert [(ref.key, ref.path, ref.field) for ref in refs] == expected


@pytest.mark.parametrize("path", case_files("refuse", "map-*.csv"), ids=lambda path: path.stem)
def test_refuses(path: Path) -> None:
    data = path.read_bytes()
    case = facts(data)
    required = [key for key in case["required"][0].split(",") if key]
    with pytest.raises(Refusal) as refused:
        refs_for(read_map(data, path.name), case["env"][0], case["profiles"][0].split(","), required)
    assert refused.value.gate == case["gate"][0]
    text = "\n".join(refused.value.lines())
    assert case["says"][0] in text
    assert path.name in text
    assert refused.value.exit_code == (Exit.SECRETS if refused.value.gate.endswith("missing") else Exit.USAGE)


@pytest.mark.parametrize("blueprint", SHIPPED)
def test_the_builtin_map_serves_each_shipped_dr_blueprint(blueprint: str) -> None:
    refs = refs_for(builtin_map(), "prod", ("dr", "shared"), SHIPPED[blueprint], "secret")
    assert [ref.key for ref in refs] == SHIPPED[blueprint]
    assert all(ref.path.startswith("secret/hybridops/prod/") and ref.field == ref.key for ref in refs)


def test_the_builtin_map_moves_with_the_mount() -> None:
    refs = refs_for(builtin_map("kv-dr"), "stage", ("dr",), ["POWERDNS_API_KEY"], "kv-dr")
    assert refs[0].path == "kv-dr/hybridops/stage/dns"


def test_a_reference_outside_the_configured_mount_is_refused() -> None:
    with pytest.raises(Refusal, match="mount") as refused:
        refs_for(read_map(b"dr,A_KEY,other/a\n"), "prod", ("dr",), ["A_KEY"], "secret")
    assert refused.value.gate == "secrets.map.mount"


def test_only_what_is_required_is_referred_to() -> None:
    refs = refs_for(builtin_map(), "prod", ("dr", "shared"), ["POWERDNS_API_KEY", "POWERDNS_API_KEY"])
    assert [ref.key for ref in refs] == ["POWERDNS_API_KEY"]


def test_a_map_of_unusual_size_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        read_map(b"#" * (256 * 1024 + 1))
    assert refused.value.gate == "secrets.map.size"
    with pytest.raises(Refusal) as refused:
        read_map(b"dr,A,secret/a\n" * 2001)
    assert refused.value.gate == "secrets.map.size"


def test_the_builtin_map_is_plain_csv_that_hyops_reads_too() -> None:
    rows = [line.split(",") for line in builtin_bytes().decode().splitlines() if line and not line.startswith(("#", "scope,"))]
    assert len(rows) == 7
    assert all(len(row) == 3 for row in rows)


LINES = st.one_of(
    st.text(max_size=40),
    st.builds(
        ",".join,
        st.lists(
            st.sampled_from(
                ["dr", "shared", "scope", "A_KEY", "B_KEY", "ENV_KEY", "secret/{env}/a#F", "secret/data/a", "{", "", " ", "#", "x"]
            ),
            max_size=5,
        ),
    ),
)


@given(st.lists(LINES, max_size=8).map("\n".join), st.sampled_from([(), ("A_KEY",), ("A_KEY", "B_KEY")]))
def test_any_text_is_answered_with_references_or_a_refusal(text: str, required: tuple[str, ...]) -> None:
    refused: Refusal | None = None
    refs: tuple[SecretRef, ...] = ()
    try:
        refs = refs_for(read_map(text.encode("utf-8", "surrogatepass")), "prod", ("dr",), required)
    except Refusal as error:
        refused = error
    if refused:
        assert refused.gate.startswith("secrets.map.")
        assert refused.found
    else:
        assert tuple(ref.key for ref in refs) == required
