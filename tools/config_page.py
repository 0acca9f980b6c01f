"""`docs/config.md`: the smallest config and everything that follows from it."""

from __future__ import annotations

from collections.abc import Iterable

from hyops_ci.config.explain import Setting, explain
from hyops_ci.contracts.config import DispatchConfig
from tools.config_fields import fields_page


def _cell(row: Setting) -> str:
    return row.text().replace("|", "\\|")


def _table(rows: Iterable[Setting]) -> str:
    """Return the settings as a Markdown table."""
    lines = ["| setting | value | from |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{row.pointer}` | `{_cell(row)}` | {row.origin} |" for row in rows)]) + "\n"


def config_page() -> str:
    """Return the page."""
    smallest = {
        "services": {
            "pg-ha/prod": {
                "failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"},
                "failback": {"lane": "onprem", "blueprint": "dr/postgresql-ha-failback-onprem@v1"},
            }
        },
        "vault": {"address": "https://vault.example.net", "site": "gcp"},
    }
    rows = explain(DispatchConfig.model_validate(smallest, strict=False), smallest)
    return (
        "# The config: five lines, and all that follows from them\n\n"
        "Generated from the models; `hyops-ci config explain` prints the table for your own file. "
        "What each field means: [every field](#every-field).\n\n"
        "    services:\n"
        "      pg-ha/prod:\n"
        "        failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}\n"
        "        failback: {lane: onprem, blueprint: dr/postgresql-ha-failback-onprem@v1}\n"
        '    vault: {address: "https://vault.example.net", site: gcp}\n\n'
        f"{sum(row.origin == 'file' for row in rows)} values come from these lines, {sum(row.origin != 'file' for row in rows)} follow. "
        "From: `file` is said there, `default` is ours, `overlay` is read from the HyOps overlay, `name` follows from a name.\n\n"
        + _table(rows)
        + "\n## Every field\n\nA field that is not `required` may be left out. Unknown fields are refused. Times of day are UTC.\n\n"
        + fields_page()
    )
