"""What was written, in the shape of the schema: the nodes behind the fields.

Values are taken out of it to build settings, and nodes are looked up in it to say where a value comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from manycast.config.node import Node
from manycast.config.schema.base import Group
from manycast.config.schema.fields import FieldSpec, field_of


@dataclass(slots=True, eq=False)
class Leaf:
    """One value of one node."""

    spec: FieldSpec
    node: Node

    @property
    def value(self) -> str | bool:
        return self.node.flag if self.spec.switch and self.node.flag is not None else self.node.text


@dataclass(slots=True, eq=False)
class Branch:
    """One group, by field name; a list where the node may stand several times."""

    model: type[Group]
    node: Node
    entries: dict[str, Entry] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """The content as pydantic takes it."""
        return {name: _values(entry) for name, entry in self.entries.items()}

    def find(self, path: Iterable[str | int]) -> Leaf | Branch | None:
        """The entry at a field path such as ("applications", 0, "name"); None when there is none."""
        entry: Entry | None = self
        for step in path:
            entry = _step(entry, step)
        return entry[0] if isinstance(entry, list) and entry else _single(entry)

    def without(self, dropped: set[int]) -> Branch:
        """A copy without the entries of these ids."""
        entries = {
            name: _without(entry, dropped) for name, entry in self.entries.items() if id(entry) not in dropped
        }
        return Branch(self.model, self.node, entries)

    def supply(self, path: Sequence[str], node: Node) -> None:
        """Put a default where nothing is written; groups on the way are made as needed."""
        name, *rest = path
        spec = field_of(self.model, name)
        if not rest:
            self.entries.setdefault(name, Leaf(spec, node))
            return
        assert spec.group is not None
        inner = self.entries.setdefault(name, Branch(spec.group, Node(name=spec.node, path=node.path)))
        assert isinstance(inner, Branch)
        inner.supply(rest, node)


Entry = Leaf | Branch | list[Leaf | Branch]


def _values(entry: Entry) -> Any:
    match entry:
        case Leaf():
            return entry.value
        case Branch():
            return entry.values()
        case _:
            return [_values(item) for item in entry]


def _step(entry: Entry | None, step: str | int) -> Entry | None:
    if isinstance(entry, Branch) and isinstance(step, str):
        return entry.entries.get(step)
    if isinstance(entry, list) and isinstance(step, int) and step < len(entry):
        return entry[step]
    return None


def _single(entry: Entry | None) -> Leaf | Branch | None:
    return None if isinstance(entry, list) else entry


def _without(entry: Entry, dropped: set[int]) -> Entry:
    match entry:
        case Leaf():
            return entry
        case Branch():
            return entry.without(dropped)
        case _:
            kept = (item for item in entry if id(item) not in dropped)
            return [item if isinstance(item, Leaf) else item.without(dropped) for item in kept]
