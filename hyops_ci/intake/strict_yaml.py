"""YAML of config and overlays, strictly: safe types, each key once, no aliases, dates left as text.

PyYAML reads YAML 1.1, where `on`, `yes` and `off` are booleans; HyOps reads the same dialect, so it stays.
"""

from __future__ import annotations

from typing import Any, Final, Never

import yaml

from hyops_ci.errors import Exit, Refusal

MAX_BYTES: Final = 1024 * 1024


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what two readers could read differently."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "an alias: write the value where it stands", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen or key == "<<":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice or is no text", key_node.start_mark)
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
        return yaml.load(data.decode("utf-8"), Loader=_Loader)  # noqa: S506 - the loader is a SafeLoader
    except UnicodeDecodeError as error:
        _refuse(what, f"byte {error.start} is no UTF-8", "UTF-8")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        _refuse(what, f"{where}{error.problem}", "plain YAML: each key once, no aliases, no tags")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _refuse(what, str(error).splitlines()[0] if str(error) else "nested without end", "plain YAML")


def _refuse(what: str, found: str, expected: str) -> Never:
    raise Refusal(
        "intake.yaml",
        f"{what} cannot be read",
        exit_code=Exit.USAGE,
        found=found,
        expected=expected,
        fix=f"correct {what}",
    )
