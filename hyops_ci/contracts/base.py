"""What every document shares: frozen models, clean text, times and durations as strings.

Times and durations stay strings inside documents, so that the bytes that were signed are the bytes that
are read again; `moment` and `seconds` give them meaning.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from annotated_types import GroupedMetadata
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from hyops_ci.contracts.digest import SHA256, digest
from hyops_ci.contracts.limits import MAX_INT as MAX_INT

FORBIDDEN: Final = "[\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]"
"""C0 and C1 controls, line and paragraph separators, bidi controls (docs/design/contracts.md 0)."""
_FORBIDDEN = re.compile(FORBIDDEN)

YEAR: Final = "(19[7-9][0-9]|2[0-9]{3})"
"""1970 to 2999. What is added to a time of a document, or taken from it, then never leaves the calendar, whoever wrote the time."""
_MOMENT: Final = rf"^{YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?Z$"
MOMENT: Final = "an RFC 3339 time in UTC such as 2026-11-23T03:04:31Z, of the years 1970 to 2999, at most six digits after the point"
_DURATION: Final = r"^PT([0-9]{1,4}H([0-9]{1,5}M)?([0-9]{1,6}S)?|[0-9]{1,5}M([0-9]{1,6}S)?|[0-9]{1,6}S)$"
_SPAN: Final = rf"^P[0-9]{{1,4}}D$|{_DURATION}"
_DURATION_PARTS = re.compile(r"P(?:(\d+)D|T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)")


def _clean(value: object) -> object:
    if isinstance(value, str) and (hit := _FORBIDDEN.search(value)):
        raise ValueError(f"holds the control character U+{ord(hit.group()):04X}")
    return value


def _calendar(value: str) -> str:
    moment(value)
    return value


def moment(text: str) -> datetime:
    """Return the instant that a document's time names, UTC. Raises ValueError for all but an RFC 3339 time in UTC, 1970 to 2999."""
    if not re.fullmatch(_MOMENT, text, re.ASCII):
        raise ValueError(f"must be {MOMENT}")
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)


def stamp(when: datetime) -> str:
    """RFC 3339 UTC text of an instant, whole seconds or microseconds as it has them."""
    return when.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def whole_second(at: str) -> str:
    """Return the text of an instant for people: without the fraction of its second."""
    return re.sub(r"\.\d+(?=Z$)", "", at)


def seconds(duration: str) -> int:
    """Seconds of an ISO 8601 duration such as `PT15M` or `P30D`. Raises ValueError for any other text."""
    found = _DURATION_PARTS.fullmatch(duration)
    if not found or not any(found.groups()):
        raise ValueError("must be days such as P30D, or hours, minutes and seconds such as PT15M")
    days, hours, minutes, secs = (int(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + secs


def duration(whole_seconds: int) -> str:
    """ISO 8601 text of whole seconds, the inverse of `seconds`."""
    hours, rest = divmod(whole_seconds, 3600)
    minutes, secs = divmod(rest, 60)
    parts = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes) + f"{secs}S" * bool(secs or not whole_seconds)
    return "PT" + parts


class Text(GroupedMetadata):
    """What a string must be: `Annotated[str, Text(regex)]`. Control characters are refused first, then `regex` and lengths apply.

    The order matters: `$` matches before a trailing newline in one of our two validators and not in the other. Lengths are in characters;
    nothing in it may match `never`, which then needs a `patternErrorMessage`; `schema` is added to the published JSON Schema.
    """

    def __init__(
        self, regex: str | None = None, *, at_least: int | None = None, at_most: int | None = None, never: str = "", **schema: Any
    ) -> None:
        self.regex = regex
        self._constraints = StringConstraints(pattern=regex, min_length=at_least, max_length=at_most)
        self._never, self._expected = never, schema["patternErrorMessage"] if never else ""
        unwanted = {"pattern": f"{FORBIDDEN}|{never}", "title": self._expected} if never else {"pattern": FORBIDDEN}
        self._schema = {"not": unwanted, **schema}

    def __iter__(self) -> Iterator[object]:
        yield from (self._constraints, BeforeValidator(_clean), Field(json_schema_extra=self._schema))
        if self._never:
            yield AfterValidator(self._without)

    def _without(self, value: str) -> str:
        if re.search(self._never, value):
            raise ValueError(f"must be {self._expected}")
        return value


Clean = Annotated[str, Text()]
Short = Annotated[str, Text(at_least=1, at_most=200)]
Utc = Annotated[str, Text(_MOMENT, format="date-time", patternErrorMessage=MOMENT), AfterValidator(_calendar)]
Duration = Annotated[str, Text(_DURATION)]
Span = Annotated[
    str, Text(_SPAN, patternErrorMessage="days such as P30D, at most four digits, or hours, minutes and seconds such as PT12H")
]
Digest = Annotated[str, Text(SHA256)]
Sha = Annotated[str, Text(r"^[0-9a-f]{40}$")]
Name = Annotated[str, Text(r"^[a-z0-9][a-z0-9-]{0,37}$")]
SERVICE: Final = r"^[a-z0-9][a-z0-9-]{0,37}/[a-z0-9][a-z0-9-]{0,37}$"
SERVICE_MEANS: Final = "<name>/<env>, such as pg-ha/prod: lower-case letters, digits and dashes, 38 or less of each"
"""What a person who wrote another name is told."""
ServiceId = Annotated[str, Text(SERVICE)]
DecisionId = Annotated[str, Text(r"^[A-Za-z0-9][A-Za-z0-9._-]{7,127}$")]
RunId = Annotated[str, Text(r"^([0-9]{1,20}-[0-9]{1,4}|local-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})$")]
Label = Annotated[str, Text(r"^[A-Za-z0-9._-]{1,100}$")]
EnvKey = Annotated[str, Text(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
STATE_REF: Final = r"^[a-z0-9][a-z0-9/_-]{0,127}(#[a-z0-9][a-z0-9_.-]{0,63})?$"
StateRef = Annotated[str, Text(STATE_REF)]
BlueprintRef = Annotated[str, Text(r"^[a-z0-9][a-z0-9/_-]{0,127}@[a-z0-9][a-z0-9._-]{0,31}$")]
_LEADS_OUT: Final = r"(^|/)(\.\.?|\.[gG][iI][tT])(/|$)|//|/$"
RepoPath = Annotated[
    str,
    Text(
        r"^[A-Za-z0-9_.][A-Za-z0-9_./-]{0,199}$",
        never=_LEADS_OUT,
        patternErrorMessage="a path of a file inside the repository: letters, digits, _ . - and /, no `..`, nothing in .git",
    ),
]
HostPath = Annotated[
    str,
    Text(
        r"^(/(\.{0,2}[A-Za-z0-9_@+~-][A-Za-z0-9._@+~-]*))+$",
        at_most=1000,
        patternErrorMessage="an absolute path of the runner: letters, digits and . _ @ + ~ -, no `..`",
    ),
]
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LAST_LABEL: Final = r"([A-Za-z]|[0-9]+[A-WYZa-wyz]|[0-9]+-+[A-Za-z0-9])([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
BYTE: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
HOST: Final = rf"(({_LABEL}\.)*{_LAST_LABEL}\.?|({BYTE}\.){{3}}{BYTE}|\[[0-9A-Fa-f:.]{{2,45}}\])"
"""A name, an IPv4 address in its one spelling (`127.1` and `0x7f.1` are others), or an IPv6 address in brackets. See `TOO_LONG`."""
TOO_LONG: Final = r"^(https?://)?([A-Za-z0-9-]+\.){127}[A-Za-z0-9-]"
"""A host of more than 127 names. As a bound in `HOST` itself it would take either validator milliseconds to compile, in each process."""
PORT: Final = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
Origin = Annotated[
    str,
    Text(
        rf"^https?://{HOST}(:{PORT})?$",
        at_most=270,
        never=TOO_LONG,
        patternErrorMessage="an address without a path, such as https://vault.example.net:8200 or https://[2001:db8::10]; ports to 65535",
    ),
]
Namespace = Annotated[
    str, Text(r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", at_most=200, description="a namespace of the authority, such as admin or admin/dr")
]
# Name: a lane, env or runner. RepoPath: inside the caller's repository. HostPath: on the runner.
# Origin: scheme, host and port of a server, nothing that a path could hide in.


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
"""Stands last in an integer's type: `1.0` is one too, as JSON Schema has it. A published schema cannot tell the two apart."""
Count = Annotated[int, Field(ge=0, le=MAX_INT), WHOLE]


class Model(BaseModel):
    """A frozen part of a document; unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, ser_json_inf_nan="constants", defer_build=True
    )

    def document(self) -> dict[str, Any]:
        """Return the JSON value of this model. Absent optional fields are left out, so that absence has one spelling."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def digest(self) -> str:
        """`sha256:<hex>` over the RFC 8785 bytes of `document()`."""
        return digest(self.document())


class Document(Model):
    """A whole document: carries its `api_version`, and in each subclass its `kind`."""

    api_version: Literal["hybridops/v1"] = "hybridops/v1"
    """The version of the contract that it follows."""


class Measured(Model):
    """A fact that may be unknown: then the value is absent and the reason says why, never 0 or false."""

    value: Clean | bool | Count | None = None
    reason: Clean = ""
