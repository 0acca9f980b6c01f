"""Errors from responses: the refusal with the missing permission, or the fault.

Other tools report 401, 403 and 404 alike as "not found"; here each has its own reason and fix.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.api.endpoints import APP_KEY, INSTALLATION, Endpoint
from hyops_ci.github.api.responses import (
    Conflict,
    Forbidden,
    NotFound,
    Rejected,
    Response,
    Unanswered,
    Unauthorized,
    call_text,
    rate_limit_wait,
    server_time,
)

WITHOUT_GITHUB: Final = (
    "with GitHub down, on the runner: hyops-ci run --action failover --service <name>/<env> --reason ... --checkout <checkout>"
)


def error_for(endpoint: Endpoint, answer: Response, place: str) -> Refusal | Fault:
    """Return the refusal or fault for an unsuccessful response."""
    message = answer.message
    found = f"{call_text(endpoint, place)}: {answer.outcome}{f', {message}' if message else ''}"
    if answer.rate_limited:
        free = datetime.fromtimestamp(server_time(answer) + min(rate_limit_wait(answer) or 0.0, 86400.0), UTC)
        return Fault(
            "github.limit",
            "this token has asked GitHub too much",
            exit_code=Exit.UNAVAILABLE,
            found=f"{found}; free again at {free:%H:%M:%SZ}",
            expected="calls left within 2 minutes",
            fix=f"a new run after that, or a token of its own for this; not waiting, on the runner: {WITHOUT_GITHUB.partition(': ')[2]}",
            docs="github-api.md",
        )
    if answer.transient:
        reason, expected = "GitHub does not answer", "an answer within 2 minutes"
        fix = f"see githubstatus.com, then a new run; {WITHOUT_GITHUB}"
        if answer.lasting:
            reason, expected = "this host cannot ask GitHub", "a proxy of http or https, and certificates that are there"
            fix = "correct the variable, on a runner in its agent's .env (docs/hosts.md)"
        return Fault(
            "github.unreachable",
            reason,
            exit_code=Exit.UNAVAILABLE,
            found=found,
            expected=expected,
            fix=fix,
            docs="github-api.md",
        )
    kind, gate, code, reason, expected, fix = _meaning(endpoint, answer)
    permission = permissions_named(answer) or endpoint.permission
    return kind(
        gate,
        reason,
        exit_code=code,
        found=found,
        expected=expected.format(permission=permission),
        fix=fix.format(permission=permission),
        docs="github-api.md",
    )


def permissions_named(answer: Response) -> str:
    """Return the permissions that GitHub names as missing: `a=read,b=read; c=write` is (a and b) or c. Empty where it names none."""
    return answer.headers.get("x-accepted-github-permissions", "").replace("=", ": ").replace("; ", " or ").replace(",", " and ")


@contextmanager
def reading(endpoint: Endpoint) -> Iterator[None]:
    """Turn errors of reading a response, which does not fit its description, into a Fault (exit 12)."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # The text of the error would repeat the value, which may be a token.
        raise malformed(endpoint, "", type(error).__name__) from None


def malformed(endpoint: Endpoint, place: str, found: str) -> Fault:
    """Return the fault for a successful response that does not fit GitHub's description."""
    return Fault(
        "github.answer",
        "GitHub's answer is not what its API describes",
        exit_code=Exit.UNAVAILABLE,
        found=f"{call_text(endpoint, place)}: {found}",
        expected="what docs.github.com/rest describes",
        fix=f"see that GITHUB_API_URL is GitHub's; {WITHOUT_GITHUB}",
        docs="github-api.md",
    )


_Meaning = tuple[type[Refusal], str, Exit, str, str, str]
_GRANT: Final = "grant `{permission}` to the calling job; administration and organization permissions need a GitHub App's token"
_MEANINGS: Final[dict[int, _Meaning]] = {
    401: (
        Unauthorized,
        "github.token",
        Exit.USAGE,
        "GitHub does not know this token",
        "a token that is valid now, with {permission}",
        "make a new token; a job's own token ends with the job",
    ),
    403: (Forbidden, "github.permission", Exit.POLICY, "this token may not do that", "a token with {permission}", _GRANT),
    404: (
        NotFound,
        "github.missing",
        Exit.POLICY,
        "GitHub shows no such thing to this token",
        "that it exists, and a token that sees it: {permission}",
        "check the name; GitHub says the same for what a token without `{permission}` may not see",
    ),
    409: (Conflict, "github.conflict", Exit.CONFLICT, "GitHub cannot do that now", "another state of the thing", "look at it on GitHub"),
    410: (
        NotFound,
        "github.gone",
        Exit.POLICY,
        "GitHub no longer has it",
        "something within its retention",
        "a new run; what is older than the retention exists in copies only",
    ),
}
_APP: Final[_Meaning] = (
    Unauthorized,
    "github.app",
    Exit.USAGE,
    "GitHub does not know this App",
    "the App's id, its own key, and a clock that is right",
    "compare DR_APP_ID and DR_APP_KEY_FILE, or `registration` of the config, with the App's page; timedatectl shows the clock",
)
_NOT_INSTALLED: Final[_Meaning] = (
    NotFound,
    "github.app",
    Exit.POLICY,
    "the App is not installed on this repository",
    "an installation that has the repository",
    "the App's page, Install App: choose the repository",
)
_MOVED: Final[_Meaning] = (
    Rejected,
    "github.moved",
    Exit.USAGE,
    "the repository has another name now",
    "the name that it has today",
    "name it as its page does; a rename or a transfer moved it",
)
_OTHER: Final[_Meaning] = (
    Rejected,
    "github.rejected",
    Exit.USAGE,
    "GitHub refused what was sent",
    "what GitHub's message says",
    "correct it; the message is GitHub's own",
)


def _meaning(endpoint: Endpoint, answer: Response) -> _Meaning:
    if endpoint.permission == APP_KEY and answer.status in {401, 404}:
        return _APP if answer.status == 401 else _NOT_INSTALLED
    if answer.status in {301, 302, 307, 308}:
        return _MOVED
    meaning = _MEANINGS.get(answer.status, _OTHER)
    if answer.status == 403 and "x-github-sso" in answer.headers:
        return (*meaning[:4], "a token that single sign-on has let in", "on GitHub, settings of the token: Configure SSO")
    if answer.status == 403 and "allow list" in answer.message.lower():
        return (*meaning[:4], "an address on the organization's IP allow list", "have this host's address added to it")
    return meaning


def error_table() -> Iterator[tuple[str, int, str, str]]:
    """Yield gate, exit code, reason and fix of every error, for the docs."""
    for _, gate, code, reason, _, fix in (*_MEANINGS.values(), _APP, _NOT_INSTALLED, _MOVED, _OTHER):
        yield gate, int(code), reason, fix.format(permission="...")
    troubles = (error_for(INSTALLATION, Response(0), ""), error_for(INSTALLATION, Response(429), ""))
    for error in (*troubles, Unanswered(INSTALLATION, "", ""), malformed(INSTALLATION, "", "")):
        yield error.gate, int(error.exit_code), error.reason, error.fix
