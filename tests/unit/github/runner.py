"""GitHub's runner, as far as it reads what a step prints and writes (actions/runner `ActionCommand.cs`, `FileCommandManager.cs`)."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.sax.saxutils import escape

KNOWN = frozenset(
    {"error", "warning", "notice", "debug", "add-mask", "group", "endgroup", "echo", "stop-commands", "set-output", "add-path"}
)


@dataclass
class Command:
    """One command that the runner obeys."""

    name: str
    properties: dict[str, str]
    data: str


@dataclass
class Runner:
    """What came of a step's log."""

    commands: list[Command] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    stopped: str = ""

    def read(self, printed: str) -> Runner:
        """Line by line; .NET ends a line at \\n, \\r\\n and \\r."""
        for line in re.split(r"\r\n|\n|\r", printed):
            found = _second_form(line, self.stopped) or _first_form(line, self.stopped)
            if self.stopped:
                if found and found.name == self.stopped:
                    self.stopped = ""
                    continue
                found = None
            if found and found.name == "stop-commands":
                self.stopped = found.data
            elif found:
                self.commands.append(found)
            elif line:
                self.log.append(line)
        return self

    def of(self, name: str) -> list[Command]:
        return [command for command in self.commands if command.name == name]


def _second_form(line: str, stopped: str) -> Command | None:
    """`::name key=value,key=value::data`, white space before it or not."""
    text = line.strip()
    end = text.find("::", 2)
    if not text.startswith("::") or end < 0:
        return None
    name, _, rest = text[2:end].partition(" ")
    if name not in KNOWN | {stopped}:
        return None
    pairs = (each.partition("=") for each in rest.strip().split(",") if "=" in each)
    return Command(name, {key: _unescaped(value, property_=True) for key, _, value in pairs}, _unescaped(text[end + 2 :]))


def _first_form(line: str, stopped: str) -> Command | None:
    """`##[name key=value;]data`, anywhere in a line."""
    begin = line.find("##[")
    end = line.find("]", begin)
    if begin < 0 or end < 0:
        return None
    name = line[begin + 3 : end].partition(" ")[0]
    return Command(name, {}, line[end + 1 :]) if name in KNOWN | {stopped} else None


def _unescaped(text: str, *, property_: bool = False) -> str:
    more = (("%3A", ":"), ("%2C", ",")) if property_ else ()
    for code, letter in (("%0D", "\r"), ("%0A", "\n"), *more, ("%25", "%")):
        text = text.replace(code, letter)
    return text


def outputs(text: str) -> dict[str, str]:
    """GITHUB_OUTPUT. Raises ValueError where the runner fails the step."""
    found, at = {}, 0
    while at < len(text):
        line, at = _line(text, at)
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            found[line[:equals]] = line[equals + 1 :]
            continue
        name, delimiter = line[:heredoc], line[heredoc + 2 :]
        if heredoc < 1 or not delimiter:
            raise ValueError(f"Invalid format {line!r}")
        begin = end = at
        while True:
            if at >= len(text):
                raise ValueError("Matching delimiter not found")
            line, after = _line(text, at)
            if line == delimiter:
                at = after
                break
            end, at = after - 1, after
        found[name] = text[begin:end] if end > begin else ""
    return found


def _line(text: str, at: int) -> tuple[str, int]:
    end = text.find("\n", at)
    return (text[at:], len(text)) if end < 0 else (text[at:end], end + 1)


def dropped(value: str, masks: list[str]) -> bool:
    """Whether the runner takes an output for a secret, and hands on an empty one: a mask in it, or one of a mask's encodings."""
    return any(form in value for mask in masks for form in _encodings(mask))


def _encodings(mask: str) -> set[str]:
    """As actions/runner `ValueEncoders.cs` makes them; each is registered beside the value itself."""
    raw = mask.encode()
    shifted = {base64.b64encode(raw[shift:]).decode() for shift in range(3)}
    escaped = {json.dumps(mask)[1:-1], json.dumps(mask, ensure_ascii=False)[1:-1], quote(mask, safe="")}
    shells = {mask.replace('"', '\\"'), mask.replace("'", "''"), mask.strip('"') if len(mask) > 8 else mask}
    xml = {escape(mask, {'"': "&quot;", "'": "&apos;"})}
    return {form for form in {mask} | shifted | {form.rstrip("=") for form in shifted} | escaped | shells | xml if form}
