"""A file's content before anything is known about its meaning: named nodes with text or nodes inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from manycast.config.problems import Problem, bracketed

MAX_FILE_BYTES = 4 * 1024 * 1024  # thousands of cameras fit; a file that is no configuration is not read to its end
MAX_NODES = 200_000  # what aliases in YAML, or a huge file, may grow to
MAX_DEPTH = 32  # the deepest configuration has six


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node.

    A node without a file is not written anywhere: a default of the file's dialect, or a group that a dialect
    leaves out. `path` is where the node stands, or would stand, in the file's own syntax.
    """

    name: str
    path: str
    file: Path | None = None
    line: int | None = None
    text: str = ""
    flag: bool | None = None  # what YAML calls true or false
    null: bool = False  # what YAML calls null: nothing is said
    nodes: tuple[Node, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()  # names and values

    @property
    def written(self) -> bool:
        return self.file is not None

    @property
    def label(self) -> str:
        """The way to the node as a message in running text names it: `<rtsp><serverport>`."""
        return bracketed(self.path).removeprefix("<config>")

    @property
    def place(self) -> str:
        """Where it is written, for a message about another node."""
        return f"{self.file} line {self.line}" if self.written else "its default"

    def problem(self, message: str, found: str | None = None) -> Problem:
        return Problem(self.file, self.line, self.path, found, message)

    def renamed(self, name: str) -> Self:
        """The same node under the name another dialect has for it; messages go on naming the file's own."""
        return replace(self, name=name)
