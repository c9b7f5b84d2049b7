"""Nodes matched with the schema: what is unknown, given twice or of the wrong form is found here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from manycast.config.dialects import (
    DEFAULT_APPLICATION_NAME,
    DEFAULTS,
    FLAT,
    Dialect,
    FieldPath,
    path_in,
    reshape,
    specs_along,
)
from manycast.config.hints import unknown_node
from manycast.config.node import Node
from manycast.config.problems import Problem
from manycast.config.schema.base import Group
from manycast.config.schema.fields import FieldSpec, fields_of
from manycast.config.schema.settings import Settings
from manycast.config.written import Branch, Leaf
from manycast.wire.masking import HIDDEN, masked


@dataclass(slots=True)
class Report:
    """Everything found so far."""

    mistakes: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def assemble(root: Node, dialect: Dialect, report: Report) -> Branch:
    """Match one file with the schema, and put the defaults of its dialect where nothing is written."""
    branch = _Assembly(dialect, report).group(reshape(root, dialect), Settings)
    for path, text in DEFAULTS[dialect].items():
        branch.supply(path, _default(dialect, path, text))
    if dialect is Dialect.MEDIA:
        for application in _applications(branch):
            application.supply(["name"], _default(dialect, ("applications", "name"), DEFAULT_APPLICATION_NAME))
    return branch


def combine(first: Branch, second: Branch, report: Report) -> None:
    """Add a second file: repeatable nodes add up, a value in both must be the same, the first's defaults hold."""
    said = second.only(lambda entry: isinstance(entry, Branch) or entry.node.written)
    for name, entry in said.entries.items():
        mine = first.entries.get(name)
        match mine, entry:
            case None, _:
                first.entries[name] = entry
            case list(), list():
                mine.extend(entry)
            case Branch(), Branch():
                combine(mine, entry, report)
            case Leaf(), Leaf():
                first.entries[name] = _combined(mine, entry, report)


def shown_value(leaf: Leaf) -> str:
    """The value for a message: a password never."""
    return HIDDEN if leaf.spec.secret else masked(leaf.node.text)


def _combined(first: Leaf, second: Leaf, report: Report) -> Leaf:
    if first.node.written and first.value != second.value:
        message = f"but {first.node.label} says {shown_value(first)!r} ({first.node.place})"
        report.mistakes.append(second.node.problem(message, shown_value(second)))
    return first if first.node.written else second


def _shown_text(node: Node, model: type[Group]) -> str:
    secret = any(spec.secret for spec in fields_of(model))
    return HIDDEN if secret else masked(node.text)


def _default(dialect: Dialect, path: FieldPath, text: str) -> Node:
    *_, spec = specs_along(path)
    return Node(name=spec.node, path=path_in(dialect, path), text=text)


def _applications(branch: Branch) -> Iterator[Branch]:
    entry = branch.entries.get("applications")
    if isinstance(entry, list):
        yield from (item for item in entry if isinstance(item, Branch))


class _Assembly:
    def __init__(self, dialect: Dialect, report: Report) -> None:
        self._dialect = dialect
        self._report = report

    def group(self, node: Node, model: type[Group]) -> Branch:
        branch = Branch(model, node)
        specs = self._known_names(model)
        self._warn_of_attributes(node)
        if node.text:
            branch.faulty = not node.nodes
            names = ", ".join(self._shown(spec) for spec in fields_of(model))
            self._mistake(node, f"nodes are expected here, not a value: {names}", _shown_text(node, model))
        for child in node.nodes:
            spec = specs.get(child.name)
            if spec is None:
                self._unknown(child, model, specs)
            elif not child.null:
                self._add(branch, spec, child)
        return branch

    def _known_names(self, model: type[Group]) -> dict[str, FieldSpec]:
        names = {spec.node: spec for spec in fields_of(model)}
        if self._dialect is Dialect.YAML:
            names |= {spec.field: spec for spec in fields_of(model)}
        return names

    def _add(self, branch: Branch, spec: FieldSpec, node: Node) -> None:
        entry = self._leaf(spec, node) if spec.group is None else self.group(node, spec.group)
        if entry is None:
            branch.faulty = branch.faulty or (spec.required and bool(node.nodes))
            return
        if isinstance(entry, Branch) and entry.faulty:
            return
        if spec.many:
            items = branch.entries.setdefault(spec.field, [])
            assert isinstance(items, list)
            items.append(entry)
            return
        first = branch.entries.setdefault(spec.field, entry)
        assert not isinstance(first, list)
        if first is not entry:
            self._mistake(node, f"given twice, first in line {first.node.line}; one is allowed")

    def _leaf(self, spec: FieldSpec, node: Node) -> Leaf | None:
        """An empty node counts as not written."""
        self._warn_of_attributes(node)
        if node.nodes:
            inner = ", ".join(self._name(child.name) for child in node.nodes[:3])
            self._mistake(node, f"a value is expected here, not nodes: {inner}")
            return None
        return Leaf(spec, node) if node.text else None

    def _unknown(self, node: Node, model: type[Group], specs: dict[str, FieldSpec]) -> None:
        top = model is Settings
        here = {*specs, *FLAT} if top and self._dialect is Dialect.RTSP else set(specs)
        message = unknown_node(node.name, here, self._dialect, top=top)
        self._report.warnings.append(node.problem(message))

    def _warn_of_attributes(self, node: Node) -> None:
        if node.attributes:
            names = ", ".join(name for name, _ in node.attributes)
            self._report.warnings.append(node.problem(f"attributes are not read: {names}"))

    def _mistake(self, node: Node, message: str, found: str | None = None) -> None:
        self._report.mistakes.append(node.problem(message, found))

    def _shown(self, spec: FieldSpec) -> str:
        return self._name(spec.field if self._dialect is Dialect.YAML else spec.node)

    def _name(self, name: str) -> str:
        return name if self._dialect is Dialect.YAML else f"<{name}>"
