"""The secret map: which authority path holds which environment key (HyOps `secrets/command.py: _load_map`).

The file is HyOps' own format, so one file serves both. HyOps reads it leniently; each place where that
loses a row or moves an address is a refusal here, with the line and the reason:

    scope,ENV_KEY,REF        header, only as the first row
    dr,POWERDNS_API_KEY,secret/hybridops/{env}/dns#POWERDNS_API_KEY

Pure: no network, no clock, no environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Final

from hyops_ci.contracts.child_names import steers_as_secret
from hyops_ci.contracts.plan import SecretRef
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.reference import KEY, PLACE, expand, parse_ref
from hyops_ci.text import HIDDEN

MAX_BYTES: Final = 256 * 1024
MAX_ROWS: Final = 2000
DOCS: Final = "secrets.md"

_SCOPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Row:
    """One row as written, placeholders still in it."""

    line: int
    scope: str
    key: str
    ref: str


@dataclass(frozen=True)
class SecretMap:
    """A valid map file. `source` is its name in refusals."""

    source: str
    rows: tuple[Row, ...]


def builtin_bytes() -> bytes:
    """Return the map of the shipped DR blueprints, as it travels with a plan."""
    return files("hyops_ci.secrets").joinpath("dr-secrets.csv").read_bytes()


def builtin_map(mount: str = "secret") -> SecretMap:
    """Return the built-in map with its one mount replaced by `mount` (`vault.mount`)."""
    read = read_map(builtin_bytes(), "built-in secret map")
    rows = tuple(Row(row.line, row.scope, row.key, mount + row.ref[row.ref.index("/") :]) for row in read.rows)
    return SecretMap(read.source, rows)


def read_map(data: bytes, source: str = "secret map") -> SecretMap:
    """Return the rows of a map file. Raises Refusal (exit 2) `secrets.map.*` for what HyOps would read differently."""
    if len(data) > MAX_BYTES:
        raise _refuse("size", source, 0, f"{len(data)} bytes", f"at most {MAX_BYTES} bytes", "split the map by blueprint")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse("text", source, 0, f"byte {error.start} is not UTF-8", "UTF-8", "save the file as UTF-8") from None
    rows: list[Row] = []
    header_allowed = True
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if hit := HIDDEN.search(raw):
            found = f"U+{ord(hit.group()):04X} in line {number}"
            raise _refuse("text", source, number, found, "visible characters", "retype the line: what cannot be seen cannot be reviewed")
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.lower().startswith("scope,"):
            _check_header(line, source, number, header_allowed)
        else:
            rows.append(_row(line, source, number))
        header_allowed = False
    if len(rows) > MAX_ROWS:
        raise _refuse("size", source, 0, f"{len(rows)} rows", f"at most {MAX_ROWS} rows", "split the map by blueprint")
    return SecretMap(source, tuple(rows))


def refs_for(
    secret_map: SecretMap, env: str, profiles: Sequence[str], required: Iterable[str], mount: str | None = None
) -> tuple[SecretRef, ...]:
    """Return where each `required` key is kept for `env`, sorted by key; only rows of the selected `profiles` count.

    Profiles do not inherit (HyOps: `dr` does not include `shared`). With `mount`, every reference must lie in it. Raises
    Refusal: exit 2 for a map that contradicts itself or an empty profile, exit 8 naming the keys that no selected row maps.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,37}", env):
        raise _refuse(
            "env", secret_map.source, 0, f"env {env!r}", "the name of an env", "name the env: HyOps expands an empty one to nothing"
        )
    for profile in profiles:
        _check_profile(secret_map, profile)
    found: dict[str, tuple[SecretRef, Row]] = {}
    for row in secret_map.rows:
        if row.scope in profiles:
            ref = _resolve(row, secret_map.source, env, mount)
            before = found.setdefault(row.key, (ref, row))
            if before[0] != ref:
                _conflict(secret_map.source, before[1], row)
    wanted = sorted(set(required))
    if missing := [key for key in wanted if key not in found]:
        raise _missing(secret_map, profiles, missing)
    return tuple(found[key][0] for key in wanted)


def _check_header(line: str, source: str, number: int, allowed: bool) -> None:
    columns = [part.strip().lower() for part in line.split(",")]
    if not allowed or len(columns) != 3 or columns[1] != "env_key":
        raise _refuse(
            "header",
            source,
            number,
            line,
            "`scope,ENV_KEY,REF` as the first row, or no header",
            "a scope cannot be called `scope`: HyOps would skip this row in silence",
        )


def _row(line: str, source: str, number: int) -> Row:
    parts = [part.strip() for part in line.split(",")]
    if any(quote in line for quote in "\"'"):
        raise _refuse(
            "quote", source, number, line, "no quotes", "HyOps does not read CSV quoting: the quote would become part of the name"
        )
    if len(parts) < 3:
        raise _refuse("row", source, number, line, "scope,ENV_KEY,REF", "write all three columns")
    if len(parts) > 3:
        raise _refuse("columns", source, number, line, "three columns", "HyOps ignores what follows the third comma; put notes on a # line")
    scope, key, ref = parts
    if not (scope and key and ref):
        raise _refuse("row", source, number, line, "no empty column", "write all three columns")
    if not _SCOPE.fullmatch(scope) or scope.lower() == "all":
        raise _refuse(
            "scope", source, number, scope, "a plain name other than `all`", "`all` selects every row in HyOps and cannot name one"
        )
    if not KEY.fullmatch(key):
        raise _refuse("key", source, number, key, "letters, digits and _ (HyOps writes any name; a shell cannot read it)", "rename the key")
    if steers_as_secret(key):
        fix = "rename the key: this one changes what the child process does"
        raise _refuse("reserved", source, number, key, "a name that steers nothing", fix)
    if hit := re.search("[{}]", PLACE.sub("", ref)):
        fix = "only these four are replaced, as they stand; HyOps' str.format would fail or reach into objects here"
        raise _refuse("placeholder", source, number, f"{ref} ({hit.group()} left over)", "{env} {scope} {env_key} {env_key_slug}", fix)
    return Row(number, scope, key, ref)


def _check_profile(secret_map: SecretMap, profile: str) -> None:
    if not any(row.scope == profile for row in secret_map.rows):
        scopes = sorted({row.scope for row in secret_map.rows})
        raise _refuse(
            "profile",
            secret_map.source,
            0,
            f"no row of profile {profile}; scopes here: {', '.join(scopes) or 'none'}",
            "at least one row for each selected profile",
            "correct `vault.profiles` or the map; profiles do not inherit, and `all` is not one",
        )


def _resolve(row: Row, source: str, env: str, mount: str | None) -> SecretRef:
    try:
        ref = parse_ref(row.key, row.ref, expand(row.ref, env=env, scope=row.scope, key=row.key))
    except ValueError as error:
        raise _refuse(
            "ref", source, row.line, f"{row.ref} ({error})", "<mount>/<path>[#FIELD]", "write the logical path of the secret"
        ) from None
    if mount is not None and ref.path.partition("/")[0] != mount:
        raise _refuse("mount", source, row.line, ref.path, f"a path in mount {mount}", "correct the reference or `vault.mount`")
    return ref


def _conflict(source: str, first: Row, second: Row) -> None:
    raise _refuse(
        "conflict",
        source,
        second.line,
        f"{second.key}: line {first.line} {first.ref}, line {second.line} {second.ref}",
        "one place for each key in the selected profiles",
        "remove one row, or select one profile",
    )


def _missing(secret_map: SecretMap, profiles: Sequence[str], missing: list[str]) -> Refusal:
    elsewhere = [f"{row.key} is in profile {row.scope}" for row in secret_map.rows if row.key in missing]
    fix = f"add rows to the map ({secret_map.source})" + (f"; not selected: {', '.join(elsewhere)}" if elsewhere else "")
    return Refusal(
        "secrets.map.missing",
        f"the secret map does not know {len(missing)} of the names that the blueprint or a probe needs",
        exit_code=Exit.SECRETS,
        found=f"no row for {', '.join(missing)} in profiles {', '.join(profiles)}",
        expected="a row for every required_env of the blueprint, and for every login of a probe",
        fix=fix,
        docs=DOCS,
    )


_REASONS: Final = {
    "size": "too large to be a secret map",
    "text": "not plain text",
    "header": "a row that HyOps would skip as a header",
    "quote": "quotes in a format without quoting",
    "row": "an incomplete row",
    "columns": "a row with more than three columns",
    "scope": "not a scope",
    "key": "not an environment key",
    "reserved": "a key that would steer the child process",
    "placeholder": "braces that are not one of the four placeholders",
    "ref": "not the address of a secret",
    "mount": "a secret outside the configured mount",
    "conflict": "two places for one key",
    "profile": "a profile without a row",
    "env": "no env to expand",
}


def _refuse(rule: str, source: str, line: int, found: str, expected: str, fix: str) -> Refusal:
    where = f"{source}, line {line}: {found}" if line else f"{source}: {found}"
    return Refusal(f"secrets.map.{rule}", _REASONS[rule], exit_code=Exit.USAGE, found=where, expected=expected, fix=fix, docs=DOCS)
