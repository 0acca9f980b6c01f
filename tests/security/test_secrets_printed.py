"""Attack: a module of HyOps, or its child, prints the secrets of the run where they would be read, kept or repeated.

HyOps is the stand-in behind a program that prints first. What a run leaves is searched whole: the job's log, the journal, the events, the
bundle, the report and the summary.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.evidence.contents import read_files
from hyops_ci.execution.journal import read_journal
from hyops_ci.report.html import html
from hyops_ci.report.text import markdown
from hyops_ci.stages.sealing import bundle_path
from tests.security.incident import RECOVERED, Incident, start_incident
from tests.support.spellings import ACCOUNT, FOUND, PEM, b64, wrapped

NAME = "PATRONI_SUPERUSER_PASSWORD"
PASSWORD = "grammar-fits.This_1"
"""Letters that the grammar of HyOps' lines takes as a step, a module, an action or a blueprint."""
FIELDS = {
    "step": "step={0} status=running",
    "module": "step=postgresql_restore status=running action=deploy module={0}",
    "action": "step=postgresql_restore status=running action={0} module=m",
    "reason": "step=postgresql_restore status=rerun reason={0}",
    "blueprint": "blueprint={0} mode=dr preflight_status=ok steps=2",
    "the end": "blueprint={0} mode=dr status=ok steps=2",
}


@dataclass(frozen=True)
class Printed:
    """A run whose HyOps printed, and all that it left."""

    state: State
    log: str
    places: dict[str, bytes]
    journal: Path

    def holding(self, *needles: bytes) -> list[str]:
        """Where one of them is."""
        return [name for name, content in self.places.items() if any(needle in content for needle in needles)]


def print_first(incident: Incident, lines: str, secrets: dict[str, str]) -> None:
    """Let HyOps' deploy print these bytes to both streams before it goes about its steps, with these values at the authority."""
    authority = incident.site.root / "authority.json"
    authority.write_text(json.dumps(json.loads(authority.read_text()) | secrets))
    program, said = incident.site.runner / "hyops", incident.site.runner / "said"
    program.rename(program.with_name("stand-in"))
    said.write_bytes(lines.encode("utf-8", "surrogateescape"))
    program.write_text(
        f'#!/bin/sh\nif [ "$2" = deploy ]; then cat "{said}"; cat "{said}" >&2; fi\nexec "{program.with_name("stand-in")}" "$@"\n'
    )
    program.chmod(0o755)


def recover(incident: Incident) -> Printed:
    """Carry out the run, conclude it, and gather what there is."""
    incident.reach_gate()
    log: list[str] = []
    world = replace(incident.world("execute"), say=log.append, hyops_line=log.append)
    state = incident.execute(incident.signed("jonas"), world=world).state
    ended = incident.conclude({"plan": "success", "check": "success", "execute": "success"})
    sealed = read_files(bundle_path(incident.folder))
    homes = ("authority.json", "said", "vault-password", "bootstrap.vault.env")
    journal = (incident.folder.root / "private" / "deploy").resolve()  # it outlives the run's folder, elsewhere
    looked = (*incident.folder.root.parent.rglob("*"), *journal.rglob("*"))
    files = {str(path): path.read_bytes() for path in looked if path.is_file() and path.name not in homes}
    shown = {"log": "\n".join(log), "summary": markdown(sealed), "report": html(sealed), "headline": ended.result.headline}
    assert (journal / "stdout.log").stat().st_size
    return Printed(state, "\n".join(log), files | sealed | {name: text.encode() for name, text in shown.items()}, journal)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, dict[str, str]], Printed]:
    """Runs of this module, each in an incident of its own."""

    def run(lines: str, secrets: dict[str, str]) -> Printed:
        with start_incident(tmp_path_factory.mktemp("night")) as incident:
            print_first(incident, lines, secrets)
            return recover(incident)

    return run


@pytest.fixture(scope="module")
def in_the_grammar(night: Callable[[str, dict[str, str]], Printed]) -> dict[str, Printed]:
    """A run for each field of HyOps' own lines."""
    return {field: night(line.format(PASSWORD) + "\n", {NAME: PASSWORD}) for field, line in FIELDS.items()}


@pytest.mark.parametrize("field", FIELDS)
def test_a_secret_in_a_line_of_hyops_grammar(in_the_grammar: dict[str, Printed], field: str) -> None:
    """What is read as a step is shown as progress, journalled and repeated in the evidence: it is read of the clean stream."""
    printed = in_the_grammar[field]
    assert printed.holding(PASSWORD.encode()) == []
    assert f"[redacted:{NAME}]" in printed.log
    # A step that nobody planned leaves the run unknown, by whatever name.
    assert (printed.state is State.INDETERMINATE) if field == "step" else (printed.state in RECOVERED)
    assert len(read_journal(printed.journal).lines) > 1


def test_what_hyops_says_without_a_secret_is_shown_and_kept(night: Callable[[str, dict[str, str]], Printed]) -> None:
    said = "ok: [primary]\nstep=postgresql_restore status=rerun reason=drift\nurl https://host.example/a?b=c\n"
    printed = night(said, {NAME: PASSWORD})
    assert printed.state in RECOVERED
    for line in said.splitlines():
        assert line.encode() in printed.places[str(printed.journal / "stdout.log")]
        assert f"hyops | {line}" in printed.log
    assert re.search(r"^\d/\d postgresql_restore rerun .*\(drift\)$", printed.log, re.MULTILINE)


def test_a_password_that_a_step_is_called_like_hides_no_step(night: Callable[[str, dict[str, str]], Printed]) -> None:
    """The plan says that word in any case; were it taken out, nobody could tell how the run ended."""
    printed = night("", {NAME: "postgresql"})
    assert printed.state in RECOVERED
    assert f"not hidden, since the plan says the same word: {NAME}" in printed.log
    assert json.loads(printed.places["redactions.json"])["words_of_the_plan"] == [NAME]


CREDENTIALS = {
    "vault-token": "hvs." + "aB3" * 30,
    "github-token": "ghp_" + "aB3" * 12,
    "jwt": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXBvIn0.c2lnbmF0dXJlLW9mLXRva2Vu",
    "url-password": "never-seen-before-1",
    "private-key": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
}


def test_a_credential_that_nobody_knows_of(night: Callable[[str, dict[str, str]], Printed]) -> None:
    """A token of a service that HyOps logged in to: it is told by its look, in the live log too."""
    key = CREDENTIALS["private-key"]
    said = [f"got {CREDENTIALS[name]}" for name in ("vault-token", "github-token", "jwt")]
    said += [f"dsn postgres://app:{CREDENTIALS['url-password']}@10.0.0.5/db"]
    said += ["-----BEGIN RSA PRIVATE KEY-----", key, key[:9] + "==", "-----END RSA PRIVATE KEY-----", "after the key"]
    printed = night("\n".join(said) + "\n", {})
    assert printed.holding(*(value.encode() for value in CREDENTIALS.values())) == []
    assert all(f"[redacted:{kind}]" in printed.log for kind in CREDENTIALS)
    assert "hyops | after the key" in printed.log
    assert printed.state in RECOVERED


SECRETS = {
    NAME: "p@ss\"w'o\\rd$9&<x>-0123456789",
    "PATRONI_REPLICATION_PASSWORD": "kX7/qQ+Zz9=Tr4vW81",
    "PG_BACKUP_GCS_SA_JSON": json.dumps(ACCOUNT, indent=2),
    "WAN_EDGE_SSH_PRIVATE_KEY": f"-----BEGIN PRIVATE KEY-----\n{wrapped(b64(bytes(range(250, 7, -1))), 64)}\n-----END PRIVATE KEY-----\n",
    "POWERDNS_API_KEY": base64.b64encode(b"iNN3r-Key:77/q9#Lm+x").decode(),
    "NETBOX_DB_PASSWORD": "user: netbox\npassword: hunter2-of-old\nhost: db.example\n",
}
INSIDE = {
    "private key": PEM,
    "decoded": "iNN3r-Key:77/q9#Lm+x",
    "a line": "password: hunter2-of-old",
    "email": ACCOUNT["client_email"],
}
"""Values that are inside of the secrets, and get out alone."""
FITTING = {
    name: [
        value for value in [*SECRETS.values(), *INSIDE.values()] if name not in ("colours", "wrapped", "all by number") or "\n" not in value
    ]
    for name in FOUND
}


HARMLESS = {
    line.strip().encode() for field in ("type", "project_id") for line in json.dumps({field: ACCOUNT[field]}, indent=2).splitlines()
}
"""Lines of the key file that stay."""


@pytest.fixture(scope="module")
def told(night: Callable[[str, dict[str, str]], Printed]) -> Printed:
    """One run whose HyOps prints every secret, and what is inside of it, in every spelling of docs/secrets.md."""
    said = [spell(value) for name in FOUND for value in FITTING[name] for spell in FOUND[name]]
    texts = [each.decode() if isinstance(each, bytes) else each for each in said]
    return night("\n".join(["debug:", *texts, "the last line", ""]), SECRETS)


@pytest.mark.parametrize("name", FOUND)
def test_a_spelling_of_a_secret(told: Printed, name: str) -> None:
    """Nothing that the run left holds a line of what was printed."""
    printed = [spell(value) for value in FITTING[name] for spell in FOUND[name]]
    texts = [each if isinstance(each, bytes) else each.encode() for each in printed]
    needles = {line.strip() for text in texts for line in text.splitlines() if len(line.strip()) >= 16} - HARMLESS
    assert needles
    for place, content in told.places.items():
        assert [needle for needle in needles if needle in content] == [], place


def test_a_run_whose_hyops_prints_every_spelling_is_one_like_any_other(told: Printed) -> None:
    """And no eight characters of a value can be read anywhere."""
    assert told.state in RECOVERED
    assert "hyops | the last line" in told.log
    assert "changed_at_sealing" not in json.loads(told.places["redactions.json"]), "a secret reached the disk, and only sealing took it out"
    assert all(f"[redacted:{name}]" in told.log for name in SECRETS)
    for value in [*SECRETS.values(), *INSIDE.values()]:
        lines = [line for line in value.splitlines() if "PRIVATE KEY" not in line and not value.startswith("{")]
        pieces = {line[at : at + 8].encode() for line in lines for at in range(len(line) - 7)} - {b"password"}
        assert [place for place, content in told.places.items() if any(piece in content for piece in pieces)] == [], value
