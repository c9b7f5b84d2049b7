"""Settings together with where each comes from: what the checks look at."""

from __future__ import annotations

from dataclasses import dataclass

from manycast.config.dialects import specs_along
from manycast.config.node import Node
from manycast.config.problems import Problem
from manycast.config.schema.settings import Settings
from manycast.config.written import Branch, Leaf

Step = str | int


@dataclass(frozen=True, slots=True)
class Subject:
    settings: Settings
    root: Branch

    def node(self, *path: Step) -> Node:
        """The node behind a field; one that is not written when there is none."""
        entry = self.root.find(path)
        if entry is not None:
            return entry.node
        specs = list(specs_along(step for step in path if isinstance(step, str)))
        return Node(name=specs[-1].node, path="/".join(["config", *(spec.node for spec in specs)]))

    def written(self, *path: Step) -> bool:
        """Whether a file says something about this field, or about something in this group."""
        entry = self.root.find(path)
        return entry is not None and entry.node.written

    def problem(self, path: tuple[Step, ...], message: str, found: str | None = None) -> Problem:
        return self.node(*path).problem(message, found)

    def value(self, *path: Step) -> str | None:
        """The value as it was written."""
        entry = self.root.find(path)
        return entry.node.text if isinstance(entry, Leaf) and entry.node.written else None


def said_at(subject: Subject, index: int | None, *field: str) -> tuple[Step, ...]:
    """Who sets a field of an ONVIF device: its own node, else the device, else what stands beside the devices."""
    if index is None:
        return ("onvif", *field)
    own: tuple[Step, ...] = ("onvif", "devices", index, *field)
    return own if subject.written(*own) else own[:3]
