"""What this host gives every run, row by row of docs/hosts.md: locale, git, proxy, certificates, umask, and folders where programs start.

Seen from the shell that asks: the agent has what its `.env` says.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hyops_ci.contracts.plan import Plan
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import shown
from hyops_ci.execution.command import utf8_locale
from hyops_ci.ledger.git_process import WANTED, git_version, sends_tokens
from hyops_ci.portable import ca_store, user_name

OF_GITHUB: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Name certificates in place of the host's, for GitHub alone."""
SOCKS: Final = "socks"


@dataclass(frozen=True)
class Finding:
    """One line."""

    good: bool
    text: str


def surroundings(environ: Mapping[str, str], plan: Plan) -> Iterator[Finding]:
    """Yield a line for each row that can be seen from a shell of the host. No value that may hold a password is shown whole."""
    yield _locale(environ)
    yield _git()
    yield from _proxies(environ, plan)
    yield from _certificates(environ, plan)
    yield _umask()
    yield _programs(environ)
    yield _user(environ)


def _locale(environ: Mapping[str, str]) -> Finding:
    name = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    mended = utf8_locale(environ)
    if not mended:
        return Finding(True, f"locale {shown(name)}")
    try:
        there = locale.setlocale(locale.LC_CTYPE)
        locale.setlocale(locale.LC_CTYPE, mended["LC_ALL"])
        locale.setlocale(locale.LC_CTYPE, there)
    except locale.Error:
        return Finding(
            False, f"locale {shown(name)} is not UTF-8, and the host has no {mended['LC_ALL']}: Ansible will not start. Add a UTF-8 locale"
        )
    return Finding(True, f"locale {shown(name)} is not UTF-8: HyOps gets LC_ALL={mended['LC_ALL']}")


def _git() -> Finding:
    version = git_version()
    if not version:
        return Finding(False, "no git on the PATH: the ledger cannot be read")
    if not sends_tokens(version):
        return Finding(False, f"git {shown(version)}; the ledger needs {WANTED} where it takes a token")
    return Finding(True, f"git {shown(version)}")


def _proxies(environ: Mapping[str, str], plan: Plan) -> Iterator[Finding]:
    """The environment's proxy is for GitHub, its tokens, the issuer and git; Vault's is the config's; HyOps gets what is handed on."""
    every, https = _named(environ, "ALL_PROXY"), _named(environ, "HTTPS_PROXY")
    for name, value in (("ALL_PROXY", every), ("HTTPS_PROXY", https)):
        if value.lower().startswith(SOCKS):
            yield Finding(False, f"{name} {_place(value)} is no proxy that can be used: http or https")
    if not https:
        yield Finding(True, "no HTTPS_PROXY: GitHub and git are asked directly")
    elif not https.lower().startswith(SOCKS):
        spared = _named(environ, "NO_PROXY")
        handed = "HyOps gets it" if "HTTPS_PROXY" in plan.env_pass else "HyOps does not get it (host.env_pass)"
        yield Finding(
            True, f"HTTPS_PROXY {_place(https)}{f', not for {shown(spared)}' if spared else ''}: GitHub, git and issuer; {handed}"
        )
    if plan.secrets.addresses:
        way = f"through vault.proxy {_place(plan.secrets.proxy)}" if plan.secrets.proxy else "directly (vault.proxy names a proxy)"
        yield Finding(True, f"{plan.secrets.addresses[0][0]} is asked {way}")


def _certificates(environ: Mapping[str, str], plan: Plan) -> Iterator[Finding]:
    store = ca_store() or "Python's own certificates, this host has no store"
    named = next(((name, environ[name]) for name in OF_GITHUB if environ.get(name)), None)
    if named is not None and not Path(named[1]).exists():
        yield Finding(False, f"{named[0]} names {shown(named[1])}, which is not there: GitHub cannot be asked")
    github = f"{named[0]} {shown(named[1])}" if named is not None else store
    yield Finding(True, f"certificates: GitHub by {github}; authority and issuer by {store}")
    if "SSL_CERT_FILE" in plan.env_pass:
        value = environ.get("SSL_CERT_FILE", "")
        there = bool(value) and Path(value).is_file()
        yield Finding(
            there, f"HyOps gets SSL_CERT_FILE {shown(value) or '(not set here)'}{'' if there or not value else ', which is not there'}"
        )


def _umask() -> Finding:
    """Ask by setting: there is no other way that every system has. Nothing else of this process writes meanwhile."""
    mask = os.umask(0o022)
    os.umask(mask)
    return Finding(True, f"umask {mask:04o}; what hyops-ci makes has modes of its own")


def _programs(environ: Mapping[str, str]) -> Finding:
    """The set-up of a job starts `hyops-ci` from one of these (actions/setup/setup.sh)."""
    cache = environ.get("RUNNER_TOOL_CACHE") or f"{environ.get('HOME', '')}/.cache"
    places = [place for place in dict.fromkeys((environ.get("RUNNER_TEMP", ""), cache, "/tmp")) if place]  # noqa: S108 - looked at
    starts = [place for place in places if _starts(Path(place))]
    if not starts:
        return Finding(False, f"no program starts from {', '.join(map(shown, places))} (noexec): mount one of them exec")
    barred = [place for place in places if place not in starts]
    return Finding(True, f"programs start from {shown(starts[0])}{f', not from {shown(barred[0])} (noexec)' if barred else ''}")


def _starts(place: Path) -> bool:
    """Return whether programs may start below a folder; of one that is still to be made its nearest parent says so."""
    there = next((each for each in (place, *place.parents) if each.is_dir()), Path("/"))
    return not os.statvfs(there).f_flag & os.ST_NOEXEC


def _user(environ: Mapping[str, str]) -> Finding:
    home = environ.get("HOME", "")
    return Finding(
        True, f"user {user_name()}, home {shown(home)}" if home else f"user {user_name()}, HOME not set: the system's entry is used"
    )


def _named(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.lower()) or environ.get(name) or ""


def _place(address: str) -> str:
    """Return scheme, host and port of a proxy: what stands before an @ is a password."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = f":{parts.port}" if parts.port else ""
        return shown(f"{f'{parts.scheme}://' if parts.scheme else ''}{parts.hostname or ''}{port}")
    except ValueError:
        return "(no address)"
