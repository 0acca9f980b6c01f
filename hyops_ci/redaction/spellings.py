"""How programs write a value: printed, quoted, escaped, encoded, and the values inside it. Which of them are found: docs/secrets.md."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

MIN_FORM: Final = 8
"""Bytes from which a form is searched for. Shorter values occur inside ordinary words: `secrets` refuses them by name, and a
`Redactor` that is given one names it in `too_short`, for the evidence."""
MIN_ANCHOR: Final = 4
"""Bytes in one piece by which a form is looked for."""
NOISE: Final = b" \t\r\n\\\"'"
"""What quoting and wrapping put in, and what is skipped between two bytes of a form."""
COLOUR: Final = rb"\x1b\[[0-9;:]{0,24}[A-Za-z]"
"""A control sequence of a terminal, skipped too."""
COLOURS: Final = re.compile(COLOUR)
_PAGES: Final = tuple(
    str.maketrans(others)
    for others in (
        {'"': "&#34;", "'": "&#39;", "+": "&#43;"},  # Go's html/template
        {'"': "&quot;", "'": "&#39;", "+": "&#x2B;"},  # .NET
        {'"': "&quot;", "'": "&#x27;", "`": "&#x60;", "=": "&#x3D;"},  # Handlebars
        {'"': "&quot;", "'": "&#39;", "/": "&#x2F;", "`": "&#x60;", "=": "&#x3D;"},  # Mustache
    )
)
"""What templates of pages escape besides."""
_KEPT: Final = (
    "$&+,;=",  # Go: a password before a host
    "$&+:=@",  # Go: a part of a path
    "$&+,/:;=@",  # Go: a path
    "$&+,/:;=?@!()*",  # Go: what stands behind #
    "!$%&'()*+,",  # the URL Standard (Node, Rust): a password
    "!$%&'()*+,/:;=@[]|\\^",  # the URL Standard: a path
    "!$%&'()*+,/:;=?@[]|\\^`{}",  # the URL Standard: a query
    "!#$&'()*+,/:;=?@",  # JavaScript's encodeURI
    "!#$%&'()*+,/:;=?@[]",  # requests
    " +",  # SQLAlchemy
    "/:",
    ":",
    "@",
    "*",  # forms
)
"""What programs leave as it is in one part of an address or another, besides letters, digits and `_.-~`."""
FEW_LINES: Final = 16
"""Lines up to which each is searched for in hex and in base64 of base64 too: of a key, nobody encodes one line."""
DEPTH: Final = 3
"""How often a value is opened: base64 of JSON with a key in it is 2."""
MAX_PARTS: Final = 2000
OF_A_KEY_FILE: Final = frozenset(
    {"type", "project_id", "auth_uri", "token_uri", "auth_provider_x509_cert_url", "client_x509_cert_url", "universe_domain"}
)
"""Fields of a service-account key of Google that are no secrets, and stand in every message about the service."""
_WORDS: Final = re.compile(rb"[^ \t\r\n\\\"']+")
_CODED: Final = re.compile(r"[A-Za-z0-9+/_-]{11,}={0,2}")
_SHELL: Final = re.compile(rb"[^A-Za-z0-9_./:=@%+\x80-\xff-]")
"""What `printf %q` puts a backslash before."""
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_MARKUP: Final = re.compile("[<>&='\"+`/]")


def folded(data: bytes) -> bytes:
    """Return `data` without what is skipped."""
    return (COLOURS.sub(b"", data) if b"\x1b" in data else data).translate(None, NOISE)


def searched_loosely(spelling: bytes) -> bool:
    """Return whether enough is left of a spelling, in one piece, to be found whatever quoting and wrapping put in."""
    return len(folded(spelling)) >= MIN_FORM and any(len(run) >= MIN_ANCHOR for run in runs_of(spelling))


def runs_of(spelling: bytes) -> list[bytes]:
    """Return the pieces of a spelling between what is skipped."""
    return _WORDS.findall(COLOURS.sub(b" ", spelling) if b"\x1b" in spelling else spelling)


def spellings(value: str) -> frozenset[bytes]:
    """Return byte strings that reveal `value`, as programs write them."""
    found: set[bytes] = set()
    for part in dict.fromkeys(_parts(value)):
        found.update(_as_text(part))
        found.update(_encoded(part))
        lines = part.splitlines()
        short = len(lines) <= FEW_LINES and not _is_document(part)
        for line in {line.strip() for line in lines} if len(lines) > 1 else ():
            if len(line) >= MIN_FORM:
                found.update(_as_text(line))
                found.update(_encoded(line) if short else _base64(line.encode("utf-8", "surrogatepass")))
    return frozenset(spelling for spelling in found if len(spelling) >= MIN_FORM)


def _parts(value: str, depth: int = DEPTH) -> Iterator[str]:
    """Yield the value, and the values inside: the texts of a JSON document, what base64 stands for."""
    yield value
    if depth:
        for number, inner in enumerate(_inside(value)):
            if number < MAX_PARTS and len(inner) >= MIN_FORM:
                yield from _parts(inner, depth - 1)


def _inside(value: str) -> Iterator[str]:
    text = value.strip()
    if _is_document(text):
        try:
            yield from _leaves(json.loads(text))
        except (ValueError, RecursionError):
            return
    elif _CODED.fullmatch(text := "".join(text.split())):
        try:
            raw = base64.b64decode(
                text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars="-_" if "-" in text or "_" in text else None
            )
            decoded = raw.decode("utf-8")
        except ValueError:
            return
        if all(character.isprintable() or character in "\r\n\t" for character in decoded):
            yield decoded


def _is_document(text: str) -> bool:
    return text[:1] in ("{", "[")


def _leaves(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        public = OF_A_KEY_FILE if document.get("type") == "service_account" else ()
        for name, item in document.items():
            if name not in public:
                yield from _leaves(item)
    elif isinstance(document, list):
        for item in document:
            yield from _leaves(item)


def _as_text(text: str) -> set[bytes]:
    """Return the text as printed, quoted or escaped."""
    raw = text.encode("utf-8", "surrogatepass")
    found = {raw}
    if raw.isalnum():
        return found
    found |= {_SHELL.sub(rb"\\\g<0>", raw), raw.replace(b"/", b"\\/")}
    said = {*_in_addresses(raw)}
    if _MARKUP.search(text):
        said |= {*_in_pages(text), *_in_markup(text)}
    if not (text.isascii() and text.isprintable()) or not searched_loosely(raw):
        ascii_only, seen = json.dumps(text)[1:-1], ascii(text)[1:-1]
        plain = json.dumps(text, ensure_ascii=False)[1:-1]
        said |= {plain, ascii_only, _raised(ascii_only), *_in_pages(ascii_only)}
        said.add(_ASTRAL.sub(lambda found: f"\\U{ord(found[0]):08X}", plain))  # YAML, where other letters are shown
        # Python escapes an apostrophe only where the same string also holds a double quote, which may stand beside the value.
        said |= {repr(text)[1:-1], repr("\"'" + text)[4:-1], seen, _raised(seen), repr(raw)[2:-1], _octal(raw)}
        said |= {json.dumps(ascii_only)[1:-1], text.replace("'", "''"), text.replace("'", "'\"'\"'"), text.replace("'", "'\\''")}
    found.update(each.encode("utf-8", "surrogatepass") for each in said)
    return found


def _in_pages(text: str) -> Iterator[str]:
    """Yield text as JSON that may stand in a page: some characters by number."""
    for characters in ("<>&", "<>&'", "<>&='", "<>&'\""):  # Go; Jinja; Gson; Rails
        yield _numbered(text, characters)
    for characters in ("<>&'", "<>&'\"", "<>&'\"+`"):  # PHP, .NET
        yield _raised(_numbered(text, characters))


def _in_markup(text: str) -> Iterator[str]:
    for double, single in (("&quot;", "&#x27;"), ("&quot;", "&apos;"), ("&#34;", "&#39;"), ("&quot;", "&#39;"), ('"', "'")):
        yield html.escape(text, quote=False).replace('"', double).replace("'", single)
    for others in _PAGES:
        yield html.escape(text, quote=False).translate(others)


def _in_addresses(raw: bytes) -> Iterator[str]:
    """Yield the bytes as addresses and forms carry them, encoded once and twice."""
    full = quote(raw, safe="")
    if "%" not in full:
        return
    yield from (quote(raw, safe=kept) for kept in _KEPT)
    yield from (each.replace("~", "%7E") for each in (full, full.replace("%20", "+"), quote(raw, safe="* ").replace(" ", "+")))
    script = full
    for kept in "!'()*":
        script = script.replace(quote(kept, safe=""), kept)
    for once in {full, full.replace("%2F", "/"), script, full.replace("%20", "+")}:
        for spelled in (once, _lowered(once)):
            twice = spelled.replace("%", "%25")
            yield from (spelled, twice, twice.replace("+", "%2B"))


def _encoded(text: str) -> Iterator[bytes]:
    """Yield the text in hex, in base64, and in base64 of that."""
    raw = text.encode("utf-8", "surrogatepass")
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    numbered = "".join(f"\\u{ord(character):04x}" if ord(character) < 0x10000 else character for character in text)
    yield from (each.encode("utf-8", "surrogatepass") for each in (numbered, _raised(numbered)))
    escaped = json.dumps(text)[1:-1].encode()
    once = {*_base64(raw), *(_base64(escaped) if escaped != raw else ())}
    yield from once
    wrapped = base64.encodebytes(raw)
    for inner in (*_base64(raw), wrapped) if len(wrapped) > 77 else _base64(raw):
        yield from _base64(inner)


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield what is certain of the bytes in base64, wherever in a text they begin: its ends carry bits of the neighbours too."""
    for alphabet in (base64.standard_b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            code = alphabet(bytes(shift) + raw)
            yield code[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]


def _numbered(text: str, characters: str) -> str:
    """Return text with these characters by number: as Go, Gson, .NET and PHP write JSON for a page."""
    return re.sub(f"[{re.escape(characters)}]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _raised(escaped: str) -> str:
    """Return the escapes of a text with capital digits."""
    return re.sub(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})", lambda found: found[0][:2] + found[0][2:].upper(), escaped)


def _lowered(address: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), address)


def _octal(raw: bytes) -> str:
    """Return the text as bash writes it between `$'` and `'`."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else {9: "\\t", 10: "\\n", 13: "\\r"}.get(byte, f"\\{byte:03o}") for byte in raw)
