"""What HyOps 0.1.4 does with the text of its bundle, written again from its documented behaviour: the judge of our reader and writer."""

from __future__ import annotations

import re

LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
SPACE = "".join(chr(point) for point in range(0x3001) if chr(point).isspace())


def read(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for raw in LINE_END.split(text):
        line = raw.strip(SPACE)
        if line[:1] in ("", "#"):
            continue
        at = line.find("=")
        key = line[:at].strip(SPACE) if at >= 0 else ""
        if key:
            values[key] = _value(line[at + 1 :].strip(SPACE))
    return values


def _value(text: str) -> str:
    for quote in ('"', "'"):
        if len(text) > 1 and text.startswith(quote) and text.endswith(quote):
            text = text[1:-1]
            break
    return re.sub(r'\\([nr"\\])', lambda hit: {"n": "\n", "r": "\r"}.get(hit[1], hit[1]), text)


def written(values: dict[str, str]) -> str:
    lines = "# purpose: HybridOps.Core bootstrap vault env (ansible-vault encrypted)\n# maintainer: HybridOps.Tech\n\n"
    for key in sorted(values):
        value = values[key].replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
        lines += f'{key}="{value}"\n'
    return lines
