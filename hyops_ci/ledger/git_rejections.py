"""Permanent errors of a remote: the texts that mean each of them, and what to do about it.

The texts are those of git and ssh in the C locale, of curl with OpenSSL and GnuTLS, and of GitHub, GitLab, Gitea and Bitbucket.
The first that fits counts, so what is said more precisely stands before what is said of many things.
"""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal

RULES: Final = "ledger.rules"
TOKEN: Final = "ledger.token"


@dataclass(frozen=True)
class Rejection:
    """A permanent error: the texts that mean it, a regular expression, and the refusal it becomes."""

    gate: str
    words: str
    reason: str
    expected: str
    fix: str

    def fits(self, output: str) -> bool:
        """Return whether git's output means this."""
        return re.search(self.words, output, re.IGNORECASE | re.MULTILINE) is not None

    def refusal(self, found: str) -> Refusal:
        """Return it as a refusal."""
        return Refusal(
            self.gate,
            self.reason,
            exit_code=Exit.CONFLICT,
            found=found,
            expected=self.expected,
            fix=self.fix,
            docs="ledger.md",
        )


REJECTIONS: Final = (
    Rejection(
        "ledger.unreadable",
        # git says nothing else when it is ended for writing a file beyond its limit (`git_process.MAX_PACK`).
        r"\A\s*fatal: fetch-pack: invalid index-pack output\s*\Z|died of signal 25|file too large|out of memory|memory exhausted",
        "the branch holds more than a ledger does",
        "a branch of a few megabytes",
        "look at the branch; something else wrote to it",
    ),
    Rejection(
        RULES,
        r"GH007|email privacy",
        "the author's address of a transition is taken for a private one",
        "a repository that takes commits of dr-dispatch@localhost",
        "whose token this is: settings, Emails: do not block pushes that expose my email; or use an App's token",
    ),
    Rejection(
        "ledger.repository",
        r"directory file conflict|'refs/heads/[^']*' exists; cannot create|cannot create '?refs/heads|refname conflict",
        "another branch is in the way",
        "no branch called like the beginning of this one, such as dr-ledger, and none below it",
        "rename the branch that the text names",
    ),
    Rejection(
        "ledger.repository",
        r"currently checked out|refusing to update checked out branch",
        "the ledger's branch is checked out at the remote",
        "a bare repository, or one where another branch is checked out",
        "check out another branch there; better: git init --bare, and name that repository in ledger.repository",
    ),
    Rejection(
        "ledger.repository",
        r"hash algorithm|mismatched algorithms|object format",
        "the remote names its objects by sha256",
        "a repository of the object format sha1",
        "git init --bare --object-format=sha1 elsewhere, and name it in ledger.repository",
    ),
    Rejection(
        "ledger.repository",
        r"shallow (update not allowed|roots are not allowed|file has changed)|attempt to fetch/clone from a shallow",
        "the remote is a shallow clone",
        "a repository with the whole history",
        "git fetch --unshallow there, or git init --bare and hyops-ci ledger merge --follow --standby <path>",
    ),
    Rejection(
        "ledger.repository",
        r"no space left on device|quota|storage limit|size limit|GH001|exceeds .*file size",
        "the remote has no room",
        "free disk and quota at the remote",
        "make room there; a transition takes a few kilobytes",
    ),
    Rejection(
        "ledger.repository",
        r"repository corruption on the remote"
        # A path like this is that of the other side, where it is on this host: our own are whole.
        r"|(^remote: .*|\./objects/.*)(bad (tree )?object|is corrupt|is empty|missing (blob|tree|commit))",
        "the remote's repository is damaged",
        "a repository that git fsck finds whole",
        "git fsck there; restore it from a clone or a standby, with the same commits",
    ),
    Rejection(
        RULES,
        r"GH0(06|13):|rule violations|protected branch|protected ref|hook declined|deny updating",
        "a rule of the repository forbids this push",
        "rules for refs/heads/dr-ledger/** that forbid deletion and force-push, and nothing else",
        "take dr-ledger/** out of the other rulesets and branch protections; hyops-ci ledger init prints the one to keep",
    ),
    Rejection(
        "ledger.denied",
        r"was archived so it is",
        "the ledger's repository is archived",
        "a repository that can be written",
        "unarchive it, or name another one: ledger.repository",
    ),
    Rejection(
        "ledger.denied",
        r"SAML SSO|IP allow list",
        "the organization does not accept this token",
        "a token that the organization has authorized, from an address that it allows",
        "authorize the token for the organization, or let the runner's address in",
    ),
    Rejection(
        "ledger.denied",
        r"marked as read.only|deploy(ment)? key (does not have write|is read-only)|denied to deploy key|via a deployment key is read-only",
        "the SSH key of this host may only read the ledger",
        "a deploy key with write access",
        "add the key again with Allow write access, or another one that has it",
    ),
    Rejection(
        "ledger.denied",
        r"dubious ownership|unsafe repository",
        "the repository on this host belongs to another user, and git does not use it",
        "a repository of the user that runs hyops-ci, or one that the administrator calls safe",
        "as root: git config --system --add safe.directory <path>; or chown -R the repository to that user",
    ),
    Rejection(
        "ledger.untrusted",
        r"host key verification failed|host identification has changed|no .* host key is known for",
        "this host does not know the SSH key of the ledger's host",
        "its published key in known_hosts of the user that runs hyops-ci",
        "as that user: ssh-keyscan <host>, compare with the fingerprints that it publishes, append to ~/.ssh/known_hosts",
    ),
    Rejection(
        "ledger.untrusted",
        r"certificate verif|certificate problem|server verification failed|certificate subject name|no alternative certificate subject"
        r"|certificate (signer|has expired|is not trusted)|error setting certificate|error adding trust anchors"
        r"|certificate file|ca cert",
        "this host does not trust the certificate of the ledger's host",
        "a valid certificate for this name, by a CA that this host knows",
        "put the CA into the host's store (update-ca-certificates), or name its file in GIT_SSL_CAINFO of the runner",
    ),
    Rejection(
        "ledger.proxy",
        r"(HTTP code|response|returned error:) 407|HTTP code 4\d\d from proxy|CONNECT tunnel failed, response 4",
        "the proxy does not let this host through",
        "a proxy that lets the runner reach the ledger's host",
        "correct HTTPS_PROXY of the runner, with what the proxy asks for; or name the ledger's host in NO_PROXY",
    ),
    Rejection(
        "ledger.moved",
        r"returned error: 30[12378]",
        "the repository has another address now, or was renamed",
        "the address that answers; a token is sent along no redirect",
        "git ls-remote <ledger.repository> says where it redirects to: name that in ledger.repository",
    ),
    Rejection(
        TOKEN,
        r"permission denied \((publickey|password|keyboard|gssapi|hostbased)|too many authentication failures",
        "the ledger's host accepts no SSH key of this user",
        "a key of the user that runs hyops-ci, known to the ledger's host",
        "ssh -T <host> as that user shows which key is offered; add its public half there as a deploy key with write access",
    ),
    Rejection(
        TOKEN,
        r"returned error: 401|authentication failed|could not read (username|password)|invalid username|bad credentials",
        "the ledger's host does not accept the token",
        "a token that is valid now, in DR_TOKEN",
        "in a job: pass github.token, which lives as long as its job, and start a new run; in a shell: make a new token",
    ),
    Rejection(
        "ledger.denied",
        r"returned error: 403|permission to .* denied|access denied|access to repository not granted|not allowed to (push|upload)",
        "the token may not write the ledger",
        "a job with permissions: contents: write",
        "give the calling job contents: write, and the repository's workflow permissions must allow it (docs/ledger.md)",
    ),
    Rejection(
        "ledger.denied",
        r"insufficient permission|read-only file system|unable to create temporary object directory",
        "the ledger's repository cannot be written",
        "a repository that this user of this host may write",
        "give it to the user that runs hyops-ci",
    ),
    Rejection(
        "ledger.missing",
        r"returned error: 4(04|10)|repository .*not found|repository not found|project you were looking for could not be found",
        "there is no such repository, or this token cannot see it",
        "a repository that this token can read; a private one that it cannot see looks the same",
        "a job's own token sees its own repository only: for another one use an App's token; or correct ledger.repository",
    ),
    Rejection(
        "ledger.missing",
        r"does not appear to be a git repository|does not exist|invalid gitfile|not a git repository",
        "there is no such ledger",
        "a bare Git repository at this place",
        "git init --bare there, then hyops-ci ledger init; or correct ledger.repository",
    ),
)
