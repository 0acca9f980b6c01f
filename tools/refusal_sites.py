"""Every place in the source that makes a refusal or a fault, read without running it.

A gate id is often an argument: `_refuse("age", ...)` makes `intake.age`. Such a place is read once for each of its callers, with what that
caller passes. What cannot be read (an id that comes from a document) is listed as such, so that a test can say which places those are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

ROOTS: Final = frozenset({"Refusal", "Fault", "DispatchError"})
RECORD: Final = "RefusalRecord"
"""Its constructor takes the same names, and is how an end that no gate made gets an id."""
DEPTH: Final = 4
"""Callers of callers that are looked at."""
Scope: TypeAlias = "Mapping[str, tuple[ast.expr, Scope]]"
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Site:
    """One way in which one gate id comes about. `exits` are names of `Exit`, `reasons` one-line texts with `{}` for what is filled in."""

    gate: str
    exits: tuple[str, ...]
    reasons: tuple[str, ...]
    fixes: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Unread:
    """A place whose gate id is not in the source."""

    place: str
    expression: str


@dataclass
class Source:
    """The parsed package: classes of refusals, functions with the calls of each name, and the module of each node."""

    root: Path
    modules: dict[Path, ast.Module] = field(default_factory=dict)
    classes: list[ast.ClassDef] = field(default_factory=list)
    kinds: set[str] = field(default_factory=lambda: set(ROOTS))
    named: dict[str, Path] = field(default_factory=dict)
    known: dict[Path, dict[str, ast.expr]] = field(default_factory=dict)
    imported: dict[Path, frozenset[tuple[str, str]]] = field(default_factory=dict)
    calls: dict[str, list[tuple[ast.Call, Function | None, Path]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in sorted(self.root.rglob("*.py")):
            self.modules[path] = ast.parse(path.read_text(encoding="utf-8"))
        self.classes = [node for module in self.modules.values() for node in module.body if isinstance(node, ast.ClassDef)]
        for _ in ROOTS:  # kinds of kinds
            for node in self.classes:
                self.kinds |= {node.name} if self.kinds & {ast.unparse(base).rpartition(".")[2] for base in node.bases} else set()
        self.named = {self._name(path): path for path in self.modules}
        for path, module in self.modules.items():
            imports = (node for node in ast.walk(module) if isinstance(node, ast.ImportFrom))
            self.imported[path] = frozenset((node.module or "", name.name) for node in imports for name in node.names)
            for call, function in _calls(module):
                self.calls.setdefault(ast.unparse(call.func).rpartition(".")[2], []).append((call, function, path))

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def constants(self, path: Path) -> dict[str, ast.expr]:
        """Return what the names at the top of a module stand for, those included that it imports from the package."""
        if path in self.known:
            return self.known[path]
        found = self.known[path] = {}
        for node in self.modules[path].body:
            if isinstance(node, ast.ImportFrom):
                origin = self.named.get(node.module or "")
                theirs = self.constants(origin) if origin is not None and origin != path else {}
                found |= {name.asname or name.name: theirs[name.name] for name in node.names if name.name in theirs}
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                found[node.target.id] = node.value
        return found

    def callers(self, function: Function, path: Path) -> list[tuple[ast.Call, Function | None, Path]]:
        """The calls of a function: in its module, and where a module imports its name."""
        return [
            each
            for each in self.calls.get(function.name, [])
            if each[1] is not function and (each[2] == path or (self._name(path), function.name) in self.imported[each[2]])
        ]

    def fields(self, name: str) -> dict[str, tuple[str, ...]]:
        """Class -> its fields in order, of every class that has one called `name`."""
        found = {}
        for node in self.classes:
            names = tuple(each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name))
            if name in names and node.name != RECORD:
                found[node.name] = names
        return found


def sites(root: Path) -> tuple[list[Site], list[Unread]]:
    """Return every site below `root`, and the places that cannot be read."""
    source = Source(root)
    found: list[Site] = []
    unread: list[Unread] = []
    again = {name for name in source.calls if name.startswith("type(")}  # `type(error)(...)`: the same kind with another id
    for kind in sorted(source.kinds | {RECORD} | again):
        for call, function, path in source.calls.get(kind, []):
            gate = _argument(call, "gate", 0)
            if gate is None:
                continue
            parts = Parts(gate, _argument(call, "exit_code", None), _argument(call, "reason", 1), _argument(call, "fix", None))
            place = f"{path.relative_to(root.parent)}:{function.name if function else ''}"
            read = [*_read(source, parts, function, path, place), *_rows(source, parts, path, place)]
            found += read
            if not read:
                unread.append(Unread(place, ast.unparse(gate)))
    return found, unread


@dataclass(frozen=True)
class Parts:
    """The expressions of one refusal that matter here."""

    gate: ast.expr
    exits: ast.expr | None
    reason: ast.expr | None
    fix: ast.expr | None

    def branches(self) -> Iterator[Parts]:
        """Yield both sides of a gate that depends on a condition, with that side of the others that depend on the same one."""
        if not isinstance(self.gate, ast.IfExp):
            yield self
            return
        condition = ast.dump(self.gate.test)
        for body in (True, False):

            def side(node: ast.expr, body: bool = body) -> ast.expr:
                return (node.body if body else node.orelse) if isinstance(node, ast.IfExp) and ast.dump(node.test) == condition else node

            yield Parts(side(self.gate), *(each and side(each) for each in (self.exits, self.reason, self.fix)))

    def names(self) -> frozenset[str]:
        """Return the names that they depend on."""
        return frozenset().union(*(_names(each) for each in (self.gate, self.exits, self.reason, self.fix) if each is not None))


def _read(source: Source, parts: Parts, function: Function | None, path: Path, place: str) -> Iterator[Site]:
    for one in parts.branches():
        for scope in _scopes(source, one.names(), function, path, DEPTH):
            exits, reasons, fixes = (texts(each, scope) if each else () for each in (one.exits, one.reason, one.fix))
            for gate in texts(one.gate, scope):
                yield Site(gate, exits, reasons, fixes, place)


def _rows(source: Source, parts: Parts, path: Path, place: str) -> Iterator[Site]:
    """Where the id is a field of the rows of a table in the same module, such as `no.gate`: one site for each row."""
    if not isinstance(parts.gate, ast.Attribute):
        return
    for kind, fields in source.fields(parts.gate.attr).items():
        for row, function, where in source.calls.get(kind, []):
            if where != path:
                continue
            bound = {name: value for name in fields if (value := _argument(row, name, fields.index(name))) is not None}
            if parts.gate.attr in bound:
                of_row = Parts(bound[parts.gate.attr], bound.get("exit_code") or parts.exits, bound.get("reason"), bound.get("fix"))
                yield from _read(source, of_row, function, path, place)


def _scopes(source: Source, wanted: frozenset[str], function: Function | None, path: Path, depth: int) -> Iterator[Scope]:
    """What the wanted names may stand for: once for each caller of `function` that passes one of them, else as it is inside alone."""
    around_all: Scope = {name: (value, {}) for name, value in source.constants(path).items()}
    if function is None:
        yield around_all
        return
    inside = {
        each.targets[0].id: (each.value, around_all)
        for each in ast.walk(function)
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
    }
    arguments = function.args
    ordered = [each.arg for each in (*arguments.posonlyargs, *arguments.args) if each.arg not in ("self", "cls")]
    given_late = [each.arg for each in arguments.kwonlyargs]
    defaults = dict(zip(reversed(ordered), reversed(arguments.defaults), strict=False))
    defaults |= {name: value for name, value in zip(given_late, arguments.kw_defaults, strict=True) if value is not None}
    base: Scope = {**around_all, **{name: (value, around_all) for name, value in defaults.items()}, **inside}
    open_names = wanted & {*ordered, *given_late}
    callers = source.callers(function, path) if open_names and depth else []
    for call, outer, where in callers:
        given = {name: value for name, value in zip(ordered, call.args, strict=False) if name in open_names}
        given |= {each.arg: each.value for each in call.keywords if each.arg in open_names}
        needed = frozenset().union(*(_names(value) for value in given.values()))
        for around in _scopes(source, needed, outer, where, depth - 1):
            yield {**base, **{name: (value, around) for name, value in given.items()}}
    if not callers:
        yield base


def _names(node: ast.expr) -> frozenset[str]:
    return frozenset(each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def texts(node: ast.expr, scope: Scope) -> tuple[str, ...]:
    """Return the texts that an expression may come to, names of `Exit` for exit codes. A part that is not known is `{}`."""
    match node:
        case ast.Constant(value=str() as text):
            return (text,)
        case ast.Attribute(value=ast.Name(id="Exit"), attr=name):
            return (name,)
        case ast.IfExp(test=ast.Compare(left=left, ops=[ast.Is()], comparators=[same]), body=one, orelse=other) if ast.dump(
            left
        ) == ast.dump(one):
            return (*texts(same, scope), *texts(other, scope))
        case ast.IfExp(body=one, orelse=other):
            return (*texts(one, scope), *texts(other, scope))
        case ast.BoolOp() | ast.BinOp():
            return _combined(node, scope)
        case ast.Name(id=name) if name in scope:
            value, around = scope[name]
            return texts(value, around)
        case ast.JoinedStr(values=parts):
            options = [
                (texts(part.value, scope) or ("{}",)) if isinstance(part, ast.FormattedValue) else texts(part, scope) for part in parts
            ]
            return tuple("".join(pieces) for pieces in product(*options))
        case ast.Subscript(value=ast.Name(id=name), slice=key) if name in scope and isinstance(scope[name][0], ast.Dict):
            table, around = scope[name]
            wanted = texts(key, scope)
            rows = zip(table.keys, table.values, strict=True) if isinstance(table, ast.Dict) else ()
            return tuple(text for row, value in rows if row and set(texts(row, around)) & set(wanted) for text in texts(value, around))
        case ast.Call(func=ast.Name(id="shell"), args=[ast.Constant(value=str() as text), *_]):
            return (text,)
        case ast.Call(func=ast.Name(id="int"), args=[only]):
            return texts(only, scope)
        case ast.Call(func=ast.Attribute(value=ast.Dict(values=values), attr="get"), args=arguments):
            return tuple(text for value in (*values, *arguments[1:]) for text in texts(value, scope))
        case _:
            return ()


def _combined(node: ast.BoolOp | ast.BinOp, scope: Scope) -> tuple[str, ...]:
    """Return the texts of `one or other`, and of `one + other`."""
    match node:
        case ast.BoolOp(values=values):
            return tuple(text for value in values for text in texts(value, scope))
        case ast.BinOp(left=left, right=right):
            return tuple(one + other for one, other in product(texts(left, scope), texts(right, scope) or ("{}",)))


def _argument(call: ast.Call, name: str, place: int | None) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if place is not None and len(call.args) > place and not any(isinstance(each, ast.Starred) for each in call.args[: place + 1]):
        return call.args[place]
    return None


def _calls(module: ast.Module) -> Iterator[tuple[ast.Call, Function | None]]:
    def visit(node: ast.AST, function: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield child, function
            inside = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            yield from visit(child, inside)

    return visit(module, None)


def by_gate(found: Sequence[Site]) -> dict[str, list[Site]]:
    """Sites by gate id, sorted."""
    grouped: dict[str, list[Site]] = {}
    for site in sorted(found, key=lambda each: (each.gate, each.place)):
        grouped.setdefault(site.gate, []).append(site)
    return grouped
