"""The spellings of docs/secrets.md as functions: what programs make of a value that they print."""

from __future__ import annotations

import base64
import codecs
import gzip
import html
import json
import re
import shlex
import subprocess
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import yaml

Speller = Callable[[str], str | bytes]


def numbered(characters: str, digits: str) -> Speller:
    """JSON with some characters by number."""
    return lambda value: re.sub(f"[{re.escape(characters)}]", lambda found: f"\\u{ord(found[0]):{digits}}", json.dumps(value)[1:-1])


def nested(levels: int) -> Speller:
    def spell(value: str) -> str:
        for _ in range(levels):
            value = json.dumps({"stdout": value})
        return value

    return spell


def raised(escaped: str) -> str:
    return re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), escaped)


def dot_net(value: str) -> str:
    """As System.Text.Json escapes by default."""
    escaped = value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    by_number = re.sub("[\"'<>&+`]", lambda found: f"\\u{ord(found[0]):04X}", escaped)
    return re.sub("[^ -~]", lambda found: raised(json.dumps(found[0])[1:-1]), by_number)


def octal(value: str) -> str:
    """As bash writes what it cannot print: `$'...'`."""
    known = {10: "\\n", 9: "\\t", 13: "\\r", 0x27: "\\'", 0x5C: "\\\\"}
    return "$'" + "".join(known.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}") for byte in value.encode()) + "'"


def wrapped(text: str, columns: int) -> str:
    return "\n".join(text[at : at + columns] for at in range(0, len(text), columns))


def b64(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def partly(kept: str) -> Speller:
    """A part of an address in which these stay as they are: a password before a host, a path, a query."""
    return lambda value: quote(value, safe=kept)


def percent_q(value: str) -> str:
    return octal(value) if not value.isascii() or not value.isprintable() else re.sub(r"([^A-Za-z0-9_./:=@%+-])", r"\\\1", value)


def pem_wrapped(value: str) -> str:
    return wrapped(b64(value), 64)


FOUND: dict[str, list[Speller]] = {
    "raw": [str],
    "json": [json.dumps, lambda value: json.dumps(value, ensure_ascii=False), lambda value: json.dumps(value).replace("/", "\\/")],
    "json in json": [nested(2), nested(3), nested(4)],
    "json, capital digits": [lambda value: raised(json.dumps(value)), dot_net, lambda value: raised(str(numbered("<>&'", "04x")(value)))],
    "json for pages": [numbered("<>&", "04x"), numbered("<>&='", "04x")],
    "all by number": [
        lambda value: "".join(f"\\u{ord(each):04x}" for each in value),
        lambda value: "".join(f"\\u{ord(each):04X}" for each in value),
    ],
    "python repr": [repr, lambda value: repr([f"\"'{value}"]), lambda value: str({"stdout": json.dumps({"pw": value})})],
    "python ascii": [ascii, lambda value: repr(value.encode())],
    "shell quotes": [shlex.quote, lambda value: "+ psql 'pw=" + value.replace("'", "'\\''") + "'"],
    "shell escapes": [percent_q, octal],
    "yaml": [
        lambda value: yaml.safe_dump({"key": value}),
        lambda value: yaml.safe_dump({"key": [value]}, default_style='"', width=40),
        lambda value: yaml.safe_dump(value, default_style="'", allow_unicode=True),
    ],
    "sql": [lambda value: "ALTER ROLE a PASSWORD '" + value.replace("'", "''") + "';"],
    "conninfo": [lambda value: "host=a pw='" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"],
    "html": [
        html.escape,
        lambda value: html.escape(value).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
        lambda value: html.escape(value, quote=False),
        lambda value: html.escape(value).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").replace("+", "&#43;"),
        lambda value: html.escape(value).replace("&#x27;", "&#39;").replace("+", "&#x2B;"),
        lambda value: html.escape(value).replace("`", "&#x60;").replace("=", "&#x3D;"),
        lambda value: html.escape(value).replace("&#x27;", "&#39;").replace("/", "&#x2F;").replace("`", "&#x60;").replace("=", "&#x3D;"),
    ],
    "xml": [lambda value: html.escape(value).replace("&#x27;", "&apos;")],
    "address": [
        quote,
        lambda value: quote(value, safe=""),
        quote_plus,
        lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
        *map(partly, ("$&+,;=", "$&+:=@", "$&+,/:;=@", "!$%&'()*+,", "!$%&'()*+,/:;=?@[]|\\^`{}", ";,/?:@&=+$#!*'()", " +")),
        lambda value: quote_plus(value).replace("~", "%7E"),
    ],
    "address twice": [lambda value: quote(quote(value, safe=""), safe=""), lambda value: quote(quote_plus(value))],
    "hex": [lambda value: value.encode().hex(), lambda value: wrapped(value.encode().hex().upper(), 60)],
    "base64": [
        b64,
        lambda value: base64.urlsafe_b64encode(f"{value}!".encode()),
        lambda value: b64(f"a{value}b"),
        lambda value: b64(f"{{ab{value}}}"),
    ],
    "base64, wrapped": [pem_wrapped, lambda value: base64.encodebytes(value.encode()), lambda value: wrapped(b64(f"pw: {value}\n"), 76)],
    "base64 twice": [
        lambda value: b64(b64(value)),
        lambda value: b64(base64.encodebytes(value.encode())),
        lambda value: b64(f"x: {b64(f'p{value}')}"),
    ],
    "base64 of json": [lambda value: b64(json.dumps({"pw": value})), lambda value: b64(json.dumps([0, value]))],
    "indented": [lambda value: "key: |\n" + "".join(f"      {line}\n" for line in value.splitlines())],
    "crlf": [lambda value: value.replace("\n", "\r\n")],
    "one line": [lambda value: value.replace("\n", ""), lambda value: value.replace("\n", " ")],
    "colours": [
        lambda value: value[:3] + "\x1b[1;31m" + value[3:] + "\x1b[0m",
        lambda value: value[: len(value) // 2] + "\x1b[K" + value[len(value) // 2 :],
    ],
    "wrapped": [lambda value: wrapped(value, 64), lambda value: wrapped(value, 80), lambda value: wrapped(value, 120)],
}
MISSED: dict[str, list[Speller]] = {
    "other case": [str.upper, str.swapcase],
    "normalized": [lambda value: unicodedata.normalize("NFD", value)],
    "utf-16": [lambda value: value.encode("utf-16-le"), lambda value: value.encode("utf-16-be")],
    "reversed": [lambda value: value[::-1], lambda value: codecs.encode(value, "rot13")],
    "compressed": [lambda value: gzip.compress(value.encode(), mtime=0)],
    "base32": [lambda value: base64.b32encode(value.encode()), lambda value: base64.b85encode(value.encode())],
    "base64 thrice": [lambda value: b64(b64(b64(value)))],
    "dump": [lambda value: subprocess.run(["od", "-A", "x", "-t", "x1"], input=value.encode(), capture_output=True, check=True).stdout],
    "pieces": [lambda value: wrapped(value, 6), lambda value: value[:6] + "\n" + value[6:]],
    "spaced": [".".join],
    "short words": [nested(4)],
}
MISSED_VALUE = "Grün-xkcd7Hd93j'pq"
SHORT_WORDS = 'ab"cd"ef"gh"ij"kl'

PEM = "-----BEGIN PRIVATE KEY-----\n" + wrapped(b64(bytes(range(7, 250))), 64) + "\n-----END PRIVATE KEY-----\n"
ACCOUNT = {"type": "service_account", "project_id": "p", "private_key_id": "0f" * 20, "private_key": PEM, "client_email": "dr@p.example"}
