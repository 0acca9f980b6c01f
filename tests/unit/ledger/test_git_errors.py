"""The words of git, GitHub and SSH, each to its own gate; and words that only look like them."""

from __future__ import annotations

import pytest

from hyops_ci.errors import Exit
from hyops_ci.ledger.git_errors import quoted, refusal, slow_down, trouble

BRANCH = "dr-ledger/pg-ha/prod"
SAID = {
    "ledger.token": [
        "fatal: Authentication failed for 'https://github.com/acme/recovery.git/'",
        "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
        "remote: Invalid username or token. Password authentication is not supported for Git operations.\nfatal: Authentication failed",
        "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
    ],
    "ledger.denied": [
        (
            "remote: Permission to acme/recovery.git denied to github-actions[bot].\n"
            "fatal: unable to access 'https://github.com/acme/recovery.git/': The requested URL returned error: 403"
        ),
        "remote: Write access to repository not granted.\nfatal: unable to access 'x': The requested URL returned error: 403",
        "ERROR: Permission to acme/recovery.git denied to deploy key",
        (
            "remote: error: insufficient permission for adding an object to repository database ./objects\n"
            "To /srv/ledger.git\n!\tx:y\t[remote rejected] (unpacker error)"
        ),
        "remote: This repository was archived so it is read-only.\nfatal: unable to access 'x': The requested URL returned error: 403",
    ],
    "ledger.rules": [
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/dr-ledger/pg-ha/prod.\n"
            "!\tx:y\t[remote rejected] (push declined due to repository rule violations)"
        ),
        "!\tx:y\t[remote rejected] (protected branch hook declined)",
        "remote: error: GH006: Protected branch update failed for refs/heads/dr-ledger/pg-ha/prod.",
        "!\tx:y\t[remote rejected] (pre-receive hook declined)",
    ],
    "ledger.missing": [
        "remote: Repository not found.\nfatal: repository 'https://github.com/acme/none.git/' not found",
        "fatal: '/srv/none.git' does not appear to be a git repository",
        "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
        "fatal: invalid gitfile format: /srv/ledger.tar\nfatal: Could not read from remote repository.",
    ],
}
PASSES = [
    "fatal: unable to access 'http://127.0.0.1:40/403/401/': Failed to connect to 127.0.0.1 port 40: Connection refused",
    "fatal: unable to access 'https://github.com/x/': The requested URL returned error: 503",
    "fatal: unable to access 'https://github.com/acme/archived-gh013-403/': The requested URL returned error: 502",
    "fatal: unable to access 'https://github.com/x/': The requested URL returned error: 429",
    "remote: You have exceeded a secondary rate limit.\nfatal: unable to access 'x': The requested URL returned error: 403",
    "fatal: unable to access 'https://github.com/x/': Could not resolve host: github.com",
    "error: RPC failed; curl 92 HTTP/2 stream 5 was not closed cleanly",
    "no answer in time",
    "",
]


@pytest.mark.parametrize(("gate", "said"), [(gate, said) for gate, all_said in SAID.items() for said in all_said])
def test_a_no_is_told_by_its_words(gate: str, said: str) -> None:
    no = refusal(said, BRANCH)
    assert no is not None
    assert (no.gate, no.exit_code) == (gate, Exit.CONFLICT)
    assert no.found.startswith(f"{BRANCH}: ")
    assert no.expected
    assert no.fix
    assert no.docs == "ledger.md"


@pytest.mark.parametrize("said", PASSES)
def test_what_may_pass_is_no_no(said: str) -> None:
    assert refusal(said, BRANCH) is None
    fault = trouble(said, 4)
    assert fault.exit_code is Exit.UNAVAILABLE
    assert fault.gate == ("ledger.limited" if slow_down(said) else "ledger.unreachable")
    assert fault.found.startswith("4 tries; ")


def test_each_fix_is_another() -> None:
    """Whoever reads one of these can do something that would not mend another."""
    fixes = {no.fix for all_said in SAID.values() for said in all_said if (no := refusal(said, BRANCH)) is not None}
    assert len(fixes) >= 7


def test_the_remote_is_quoted_before_git() -> None:
    assert quoted("fatal: x\nremote: \nremote: error: GH013: no\nremote: - Signed commits only.\nremote: See https://x.y") == (
        "GH013: no; Signed commits only."
    )
    assert quoted("To x\n!\ta:b\t[remote rejected] (hook declined)\nerror: failed to push some refs") == "hook declined"
    assert quoted("hint: a\nfatal: b") == "fatal: b"
    assert quoted("") == "no message"
