"""YAML into plain values by one set of loaders over PyYAML's safe one, and where a text cannot be read.

PyYAML reads YAML 1.1. Two of its types are never meant by a person and are left out of all loaders: dates, and numbers in
base 60 (`22:22` is 1342), whose conversion takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Never

import yaml
from typing_extensions import override

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 10_000
"""Values and keys of a document: the largest config, blueprint or module spec has some hundred."""
_TEXT: Final = "tag:yaml.org,2002:str"
_BOOLEAN: Final = "tag:yaml.org,2002:bool"
_DATE: Final = "tag:yaml.org,2002:timestamp"
_BASE_60: Final = "tag:base-60"
_IN_BASE_60: Final = re.compile(r"[-+]?(?:[1-9][0-9_]*(?::[0-5]?[0-9])+|[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)\Z")
_BOOLEAN_1_2: Final = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")


class YamlError(ValueError):
    """A text that is not read. `where` is `line 2, column 4: ` or empty; `problem` may quote the text."""

    def __init__(self, where: str, problem: str) -> None:
        self.where, self.problem = where, problem
        super().__init__(where + problem)


class PlainLoader(yaml.SafeLoader):
    """Safe types; dates and numbers in base 60 are text."""

    nodes = 0

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node. Raises MarkedYAMLError for too many of them: each takes as long as a line of text."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._no(f"more than {MAX_NODES} values", self.peek_event().start_mark)  # type: ignore[no-untyped-call]  # bare in PyYAML's stubs
        return super().compose_node(parent, index)

    def _no(self, problem: str, mark: Any) -> Never:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


class Yaml12Loader(PlainLoader):
    """As GitHub reads YAML 1.2: `on`, `yes` and `off` are text, too."""


class StrictLoader(PlainLoader):
    """Refuses what two readers could read differently: aliases, tags, a key that stands twice, a number in base 60."""

    depth = 0

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node. Raises MarkedYAMLError for an alias, a tag, or too deep a nesting."""
        event = self.peek_event()  # type: ignore[no-untyped-call]  # bare in PyYAML's stubs
        if isinstance(event, yaml.AliasEvent):
            self._no("an alias: write the value where it stands", event.start_mark)
        if getattr(event, "tag", None) is not None:
            self._no(f"the tag {event.tag}: write the value plainly", event.start_mark)
        if self.depth >= MAX_DEPTH:
            self._no(f"nested more than {MAX_DEPTH} levels deep", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping. Raises MarkedYAMLError for a key that stands twice or is not text."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen or key == "<<":
                self._no(f"the key {key!r} stands twice or is not text", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def _base_60(self, node: yaml.Node) -> Never:
        self._no("a number in base 60: write it in quotes", node.start_mark)


def load(data: bytes, loader: type[PlainLoader], *, most: int = MAX_BYTES) -> Any:
    """Return the value of the one document in `data` of at most `most` bytes, None for an empty one. Raises YamlError."""
    return _read(data, loader, yaml.load, most)


def nodes(data: bytes, loader: type[PlainLoader], *, most: int = MAX_BYTES) -> yaml.Node | None:
    """Return the same as nodes: each knows where it stands, as characters of the text from its first on. Raises YamlError."""
    found: yaml.Node | None = _read(data, loader, yaml.compose, most)
    return found


def _read(data: bytes, loader: type[PlainLoader], read: Callable[..., Any], most: int) -> Any:
    if len(data) > most:
        raise YamlError("", f"{len(data)} bytes, more than {most}")
    try:
        return read(data.decode("utf-8"), Loader=loader)
    except UnicodeDecodeError as error:
        found = YamlError("", f"byte {error.start} is not UTF-8")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        found = YamlError(f"line {mark.line + 1}, column {mark.column + 1}: " if mark else "", str(error.problem))
    except (yaml.YAMLError, ValueError, ArithmeticError, RecursionError) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        # `"\UFFFFFFFF"`: each Python says it in words of its own.
        beyond = isinstance(error, OverflowError) or said.startswith("chr()")
        found = YamlError("", "an escape that names no character" if beyond else said)
    raise found


def _resolvers(*, without: tuple[str, ...], base_60: str) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """PyYAML's resolvers without some tags. The first that matches counts, so numbers in base 60 never come to be numbers."""
    kept = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in without]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return kept | {first: [(base_60, _IN_BASE_60), *kept[first]] for first in "-+0123456789"}


PlainLoader.yaml_implicit_resolvers = _resolvers(without=(_DATE,), base_60=_TEXT)
Yaml12Loader.yaml_implicit_resolvers = _resolvers(without=(_DATE, _BOOLEAN), base_60=_TEXT)
Yaml12Loader.add_implicit_resolver(_BOOLEAN, _BOOLEAN_1_2, list("tTfF"))
StrictLoader.yaml_implicit_resolvers = _resolvers(without=(_DATE,), base_60=_BASE_60)
StrictLoader.add_constructor(_BASE_60, StrictLoader._base_60)


class StrictDateLoader(StrictLoader):
    """As `StrictLoader`, but a date without quotes is a date: for a reader that refuses whatever is not text."""


for _first in "0123456789":
    for _tag, _pattern in yaml.SafeLoader.yaml_implicit_resolvers[_first]:
        if _tag == _DATE:
            StrictDateLoader.add_implicit_resolver(_DATE, _pattern, [_first])
