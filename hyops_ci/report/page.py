"""What the pages share: one template engine in which every expression is escaped, the style sheet, and how values are written."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from hyops_ci.errors import shown
from hyops_ci.text import span

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_TEXT: Final = 2000
"""Characters of one text on a page; what it was made of holds the rest."""
_COMMAND: Final = re.compile(r"(.*?: )?((?:curl|dig|gh|hyops-ci|nc|psql) .+)", re.DOTALL)


@cache
def environment() -> Environment:
    """Return the engine: an undefined name is an error, control characters are spelled out. Imported here: only a page needs it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def plain(value: object) -> object:
        """Return a value as text with control and bidi characters spelled out, before it is escaped. The template's own markup is kept."""
        return value if isinstance(value, Markup) else shown(str(value), MAX_TEXT)

    made = Environment(
        loader=PackageLoader("hyops_ci", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {"parts": parts, "span": span}
    made.filters |= {"clock": lambda at: f"{at[11:19]}Z", "percent": lambda place: f"{place:.2f}%"}
    return made


def parts(text: str) -> list[tuple[str, bool]]:
    """Return a next step in parts, each with whether it is a command to paste: `then settle: gh workflow run ...`."""
    found = _COMMAND.fullmatch(text)
    if found is None:
        return [(text, False)]
    return [(part, command) for part, command in ((found[1], False), (found[2], True)) if part]
