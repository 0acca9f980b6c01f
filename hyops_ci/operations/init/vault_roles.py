"""What an administrator pastes at the authority: the policies and roles of one env (docs/vault-role.md says why each line is there).

Exact paths, exact claims, no globs. The same text stands in the docs, and a test runs it on a real server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.text import heredoc, shell

EVENTS: Final = ("workflow_dispatch", "repository_dispatch", "schedule")
VALUES: Final = "dr-values"
"""Folder in which a person puts the values of secrets, for as long as it takes to store them."""
OWN: Final = (("auth/token/lookup-self", "read"), ("auth/token/revoke-self", "update"))
"""What a run needs to look at its own token and to give it back."""


@dataclass(frozen=True)
class CallerWorkflow:
    """The workflow whose jobs may log in. Ids are GitHub's numbers, as text where they are not known yet."""

    repository_id: str
    owner_id: str
    ref: str
    workflow: str
    """owner/name/path of the reusable workflow."""
    shas: tuple[str, ...]
    """Commits of it that callers pin."""


def policy(name: str, mount: str, paths: Sequence[str], *, values: bool) -> str:
    """Return the command that writes a policy: values of exactly these KV v2 paths, or only the names of their fields."""
    kind = "data" if values else "subkeys"
    rules = [*((f"{mount}/{kind}/{path}", "read") for path in paths), *OWN]
    width = max(len(path) for path, _ in rules) + 2
    lines = [f'path {json.dumps(path):<{width}} {{ capabilities = ["{verb}"] }}' for path, verb in rules]
    return heredoc(shell("vault policy write {} -", name), "POLICY", "\n".join(lines))


def issuer(url: str, auth_path: str) -> str:
    """Return the commands that make an authority believe the tokens of GitHub's jobs; once for each authority.

    A mount that is there already may be another's: then the first command fails, and its config is not written over.
    """
    mount = auth_path.removeprefix("auth/")
    enable = "vault auth enable jwt" if mount == "jwt" else shell("vault auth enable -path={} jwt", mount)
    taken = '# "path is already in use": if it is for others, a path of its own: hyops-ci init ... --auth-path auth/dr-dispatch\n'
    return f"{taken}{enable} &&\n" + shell("vault write {} oidc_discovery_url={} bound_issuer={}\n", f"{auth_path}/config", url, url)


def values(mount: str, names: Mapping[str, Sequence[str]]) -> str:
    """Return the commands that put secrets in their places, path -> names: values come from files, never from argv or a shell's history."""
    keys = [name for each in names.values() for name in each]
    puts = [
        shell("vault kv put -mount={} {}", mount, path) + "".join(shell(" {}", f"{name}=@{VALUES}/{name}") for name in each)
        for path, each in names.items()
    ]
    return (
        f"# one file for each value, of its name and without a line end: {', '.join(keys)}\n"
        + shell("(umask 077; mkdir {})\n", VALUES)
        + "# put replaces what is at a path; vault kv patch adds to it\n"
        + " &&\n".join([*puts, shell("rm -r {}", VALUES)])
        + "\n"
    )


def role(
    name: str,
    caller: CallerWorkflow,
    *,
    auth_path: str,
    audiences: Sequence[str],
    environments: Sequence[str],
    also: Sequence[str] = (),
    machines: Sequence[str] = ("self-hosted",),
) -> str:
    """Return the command that writes a JWT role: one exact job, behind a GitHub environment, of one exact workflow, or of those of `also`.

    `machines`: whose machine the job may be on, by GitHub's words.
    """
    claims: dict[str, object] = {
        "repository_id": caller.repository_id,
        "repository_owner_id": caller.owner_id,
        "ref": caller.ref,
        "ref_protected": "true",
        "event_name": list(EVENTS),
        "environment": _one_or_list(environments),
        "job_workflow_ref": [f"{workflow}@{sha}" for workflow in (caller.workflow, *also) for sha in caller.shas],
        "job_workflow_sha": list(caller.shas),
        "runner_environment": _one_or_list(machines),
        "run_attempt": "1",
    }
    rows = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in claims.items())
    document = (
        "{\n"
        '  "role_type": "jwt",\n'
        '  "user_claim": "sub",\n'
        f'  "bound_audiences": {json.dumps(list(audiences))},\n'
        '  "bound_claims_type": "string",\n'
        f'  "bound_claims": {{\n{rows}\n  }},\n'
        f'  "token_policies": {json.dumps([name])},\n'
        '  "token_no_default_policy": true,\n'
        '  "token_type": "service",\n'
        '  "token_ttl": "15m",\n'
        '  "token_explicit_max_ttl": "15m"\n'
        "}"
    )
    return heredoc(shell("vault write {} -", f"{auth_path}/role/{name}"), "ROLE", document)


def _one_or_list(values: Sequence[str]) -> object:
    return values[0] if len(values) == 1 else list(values)
