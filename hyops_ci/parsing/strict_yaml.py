"""YAML of config and overlays, strictly: safe types, each key once, no aliases, dates left as text.

PyYAML reads YAML 1.1, where `on`, `yes` and `off` are booleans; HyOps reads the same dialect, so it stays.
"""

from __future__ import annotations

from typing import Any, Final, Never

import yaml

from hyops_ci.contracts.limits import MAX_INT
from hyops_ci.errors import Exit, Refusal
from hyops_ci.parsing.strict_json import halved, leaves

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what two readers could read differently."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
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

    def _no(self, problem: str, mark: Any) -> Never:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen or key == "<<":
                self._no(f"the key {key!r} stands twice or is no text", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(data: bytes, what: str) -> Any:
    """The one YAML document in `data`. `what` names the file. Raises Refusal (exit 2) with line and column."""
    if len(data) > MAX_BYTES:
        _refuse(what, f"{len(data)} bytes", f"at most {MAX_BYTES} bytes")
    try:
        value = yaml.load(data.decode("utf-8"), Loader=_Loader)  # noqa: S506 - the loader is a SafeLoader
    except UnicodeDecodeError as error:
        _refuse(what, f"byte {error.start} is no UTF-8", "UTF-8")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        _refuse(what, f"{where}{error.problem}", "plain YAML: each key once, no aliases, no tags")
    except (yaml.YAMLError, ValueError) as error:
        _refuse(what, str(error).partition("\n")[0], "plain YAML")
    _check_values(value, what)
    return value


def _check_values(value: Any, what: str) -> None:
    """Numbers and text that JSON cannot say have no digest."""
    for pointer, leaf in leaves(value):
        if isinstance(leaf, str) and halved(leaf):
            _refuse(what, f"{pointer or '/'}: half a character", "whole characters, written as themselves")
        if isinstance(leaf, int | float) and not -MAX_INT <= leaf <= MAX_INT:
            _refuse(what, f"{pointer or '/'}: a number that is not finite, or too large to be read alike everywhere", f"at most {MAX_INT}")


def _refuse(what: str, found: str, expected: str) -> Never:
    raise Refusal(
        "intake.yaml",
        f"{what} cannot be read",
        exit_code=Exit.USAGE,
        found=found,
        expected=expected,
        fix=f"correct {what}",
    )
