"""What is said about a mistake, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from manycast.errors import ManycastError

_MAX_FOUND_CHARS = 80  # a message is one line of a terminal, whatever the file holds


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake or warning.

    `node` is a path as the file's own syntax writes it: `config/rtsp/serverport` in XML, `rtsp.serverport` in
    YAML, empty when the file as a whole is meant. `found` never holds a password.
    """

    file: Path | None
    line: int | None
    node: str
    found: str | None
    message: str

    def __str__(self) -> str:
        """Read as `mediaserver.cfg:23: <config><rtsp><serverport>: found '99999', allowed: 1 to 65535`."""
        parts = [place for place in (_place(self.file, self.line), bracketed(self.node)) if place]
        if self.found is None:
            return ": ".join([*parts, self.message])
        return ": ".join([*parts, f"found {_shortened(self.found)!r}, {self.message}"])


class ConfigurationError(ManycastError):
    """The configuration cannot be used; `problems` holds every mistake of every file, by file and line."""

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        """`warnings` are said besides: a name that is not known may be why another is missing."""
        self.problems = in_order(problems)
        count = len(self.problems)
        lines = [f"{count} mistake{'' if count == 1 else 's'} in the configuration:"]
        lines += (f"  {problem}" for problem in self.problems)
        lines += (f"  besides: {warning}" for warning in in_order(warnings))
        super().__init__("\n".join(lines))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By file, line and text; said twice is said once."""
    return tuple(sorted(set(problems), key=lambda it: (str(it.file or ""), it.line or 0, str(it))))


def bracketed(node: str) -> str:
    """`config/rtsp/enable` as `<config><rtsp><enable>`; a YAML path stays as it is."""
    if node == "config" or node.startswith("config/"):
        return "".join(f"<{name}>" for name in node.split("/"))
    return node


def _place(file: Path | None, line: int | None) -> str:
    if file is None:
        return ""
    return str(file) if line is None else f"{file}:{line}"


def _shortened(found: str) -> str:
    return found if len(found) <= _MAX_FOUND_CHARS else found[: _MAX_FOUND_CHARS - 3] + "..."
