"""HTML that cannot be broken out of: every text is escaped unless it was built here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from hyops_ci.errors import shown

LONGEST: Final = 2000
"""Characters of one text on the page; the bundle holds the rest."""
CSP: Final = "default-src 'none'; style-src 'unsafe-inline'"


class Safe(str):
    """Markup made by `el`; any other text is escaped."""

    __slots__ = ()


def text(value: str) -> Safe:
    """One text: control and bidi characters spelled out, then escaped."""
    return value if isinstance(value, Safe) else Safe(escape(shown(value, LONGEST)))


def el(name: str, *children: str, **attributes: str) -> Safe:
    """An element. `class_` and the like lose their underscore; `_` within a name becomes `-`."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(shown(value))}"' for key, value in attributes.items() if value)
    return Safe(f"<{name}{said}>{join(*children)}</{name}>")


def join(*children: str) -> Safe:
    """Children one after another."""
    return Safe("".join(text(child) for child in children))


def document(title: str, style: str, body: Safe) -> str:
    """A whole page. `style` is ours."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{style}</style></head>\n<body>{body}</body></html>\n"
    )


def clock(at: str) -> str:
    """HH:MM:SSZ of a document's time."""
    return f"{at[11:19]}Z"


def pairs(rows: Iterable[tuple[str, str]]) -> Safe:
    """Labels and texts; a row without text is left out."""
    return el("dl", *(part for label, text in rows if text for part in (el("dt", label), el("dd", text))))


def items(texts: Sequence[str], nothing: str) -> Safe:
    """A list, or the word for an empty one."""
    return el("ul", *(el("li", item) for item in texts)) if texts else el("p", nothing, class_="none")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Safe:
    """A table with a head."""
    head = el("thead", el("tr", *(el("th", each) for each in heads)))
    return el("table", head, el("tbody", *(el("tr", *(el("td", cell) for cell in row)) for row in rows)))
