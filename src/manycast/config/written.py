"""What was written, in the shape of the schema: the nodes behind the fields.

Values are taken out of it to build settings, and nodes are looked up in it to say where a value comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    faulty: bool = False  # a mistake in it is reported and leaves it incomplete

    def values(self) -> dict[str, Any]:
        """The content as pydantic takes it."""
        return {name: _values(entry) for name, entry in self.entries.items()}

    def find(self, path: Iterable[str | int]) -> Leaf | Branch | None:
        """The entry at a field path such as ("applications", 0, "name"); None when there is none."""
        entry: Entry | None = self
        for step in path:
            entry = _step(entry, step)
        return entry[0] if isinstance(entry, list) and entry else _single(entry)

    def only(self, keep: Callable[[Leaf | Branch], bool]) -> Branch:
        """A copy with the entries, at any depth, that are to be kept."""
        kept = {name: _only(entry, keep) for name, entry in self.entries.items()}
        return Branch(self.model, self.node, {name: entry for name, entry in kept.items() if entry is not None})

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


def _only(entry: Entry, keep: Callable[[Leaf | Branch], bool]) -> Entry | None:
    match entry:
        case Leaf():
            return entry if keep(entry) else None
        case Branch():
            return entry.only(keep) if keep(entry) else None
        case _:
            return [item if isinstance(item, Leaf) else item.only(keep) for item in entry if keep(item)]
