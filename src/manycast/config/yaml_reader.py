"""YAML files as nodes: what `yaml.safe_load` would read, with the lines kept.

The parser's events are taken one by one instead of its finished tree: they know the lines, tell a key given
twice, and neither nesting nor aliases can make them recurse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from manycast.config.node import MAX_DEPTH, MAX_NODES, Node
from manycast.config.problems import ConfigurationError, Problem

_STANDARD = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(_STANDARD + name for name in ("str", "int", "float", "bool", "null", "timestamp", "merge"))
_MERGE = _STANDARD + "merge"
_NO_TAGS = "tags are not allowed; a value that begins with ! needs quotes"
_TRUE = frozenset({"yes", "true", "on"})


def read_yaml(file: Path, data: bytes) -> Node:
    """Read one file's bytes; raises ConfigurationError and nothing else. The root's name is empty."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(file, line, "neither XML nor YAML: the text is not UTF-8") from None
    value = _Composer(file).compose(text)
    return _Converter(file).convert(value)


def _error(file: Path, line: int | None, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(file, line, "", None, message)])


@dataclass(slots=True, eq=False)
class _Scalar:
    line: int
    text: str
    tag: str


@dataclass(slots=True, eq=False)
class _Sequence:
    line: int
    items: list[_Value] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Mapping:
    line: int
    keys: list[_Scalar] = field(default_factory=list)
    values: list[_Value] = field(default_factory=list)


_Value = _Scalar | _Sequence | _Mapping


class _Composer:
    """Events in, one value out; an alias is the value it names."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: list[_Sequence | _Mapping] = []
        self._anchors: dict[str, _Value] = {}
        self._root: _Value | None = None
        self._left = MAX_NODES

    def compose(self, text: str) -> _Value:
        try:
            loader = yaml.SafeLoader(text)
            while (event := loader.get_event()) is not None:  # type: ignore[no-untyped-call]
                self._take(loader, event)
        except yaml.MarkedYAMLError as error:
            raise self._malformed(error) from None
        except yaml.YAMLError as error:
            raise _error(self._file, None, f"not well-formed YAML: {' '.join(str(error).split())}") from None
        except (
            ValueError,
            OverflowError,
        ):  # the scanner's own, for \U escapes past Unicode and endless versions
            raise _error(self._file, None, "not well-formed YAML: a number is out of range") from None
        return self._root or _Mapping(1)

    def _malformed(self, error: yaml.MarkedYAMLError) -> ConfigurationError:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "no reason given"
        if "tag handle" in reason:  # it goes on to quote the value, which may be a password
            reason = _NO_TAGS
        if mark is None:
            return _error(self._file, None, f"not well-formed YAML: {reason}")
        return _error(self._file, mark.line + 1, f"not well-formed YAML at column {mark.column + 1}: {reason}")

    def _take(self, loader: yaml.SafeLoader, event: yaml.Event) -> None:
        assert event.start_mark is not None
        line = event.start_mark.line + 1
        match event:
            case yaml.ScalarEvent():
                self._put(self._scalar(loader, event, line), event.anchor)
            case yaml.AliasEvent():
                self._put(self._aliased(event, line), None)
            case yaml.SequenceStartEvent():
                self._begin(_Sequence(line), event)
            case yaml.MappingStartEvent():
                self._begin(_Mapping(line), event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()

    def _scalar(self, loader: yaml.SafeLoader, event: yaml.ScalarEvent, line: int) -> _Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        if tag not in _SCALAR_TAGS:
            raise _error(self._file, line, _NO_TAGS)
        return _Scalar(line, event.value, tag)

    def _aliased(self, event: yaml.AliasEvent, line: int) -> _Value:
        if event.anchor not in self._anchors:
            raise _error(self._file, line, "an alias names nothing; a value that begins with * or & needs quotes")
        return self._anchors[event.anchor]

    def _begin(self, value: _Sequence | _Mapping, event: yaml.CollectionStartEvent) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise _error(self._file, value.line, f"nested deeper than {MAX_DEPTH}")
        if event.tag not in (None, "!", f"{_STANDARD}seq", f"{_STANDARD}map"):
            raise _error(self._file, value.line, _NO_TAGS)
        self._put(value, event.anchor)
        self._open.append(value)

    def _put(self, value: _Value, anchor: str | None) -> None:
        self._left -= 1
        if self._left < 0:
            raise _error(self._file, value.line, f"more than {MAX_NODES} nodes")
        if anchor is not None:
            self._anchors[anchor] = value
        match self._open[-1] if self._open else None:
            case None if self._root is None:
                self._root = value
            case None:
                raise _error(self._file, value.line, "a second document; one is allowed")
            case _Sequence(items=items):
                items.append(value)
            case _Mapping(keys=keys, values=values) if len(keys) > len(values):
                values.append(value)
            case _Mapping(keys=keys):
                keys.append(self._key(value))

    def _key(self, value: _Value) -> _Scalar:
        if not isinstance(value, _Scalar):
            raise _error(self._file, value.line, "a name is expected before the colon, not a list or a mapping")
        return value


class _Converter:
    """A value as nodes: a list becomes several nodes of one name."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._left = MAX_NODES

    def convert(self, value: _Value) -> Node:
        if isinstance(value, _Scalar) and value.tag == f"{_STANDARD}null":
            value = _Mapping(value.line)
        if not isinstance(value, _Mapping):
            raise _error(self._file, value.line, "neither XML nor YAML with names and values")
        root = self._node("", "", value, value.line, 1)
        if len(root.nodes) == 1 and root.nodes[0].name == "config":  # as the XML files have it
            return replace(root.nodes[0], name="")
        return root

    def _node(self, name: str, path: str, value: _Value, line: int, depth: int) -> Node:
        self._spend(line, depth)
        match value:
            case _Scalar(tag=tag, text=text):
                null = tag == f"{_STANDARD}null"
                flag = text.lower() in _TRUE if tag == f"{_STANDARD}bool" else None
                text = "" if null else text
                return Node(name=name, path=path, file=self._file, line=line, text=text, flag=flag, null=null)
            case _Mapping():
                pairs = self._pairs(value, depth)
                nodes = tuple(node for pair in pairs for node in self._nodes(path, *pair, depth + 1))
                return Node(name=name, path=path, file=self._file, line=line, nodes=nodes)
            case _Sequence():
                raise _error(self._file, value.line, f"{path}: a list in a list")

    def _nodes(self, above: str, key: _Scalar, value: _Value, depth: int) -> Iterator[Node]:
        path = f"{above}.{key.text}" if above else key.text
        if isinstance(value, _Sequence):
            for item in value.items:
                yield self._node(key.text, path, item, item.line, depth)
        else:
            yield self._node(key.text, path, value, key.line, depth)

    def _pairs(self, mapping: _Mapping, depth: int) -> Iterator[tuple[_Scalar, _Value]]:
        """A mapping's own pairs, then those it lacks from merged mappings (`<<: *other`)."""
        seen: dict[str, int] = {}
        merged: list[_Value] = []
        for key, value in zip(mapping.keys, mapping.values, strict=True):
            self._spend(key.line, depth)
            if key.tag == _MERGE:
                merged += value.items if isinstance(value, _Sequence) else [value]
            elif key.text in seen:
                raise _error(self._file, key.line, f"{key.text}: given twice, first in line {seen[key.text]}")
            else:
                seen[key.text] = key.line
                yield key, value
        yield from self._merged_pairs(merged, seen, depth)

    def _merged_pairs(self, merged: list[_Value], seen: dict[str, int], depth: int) -> Iterator[tuple[_Scalar, _Value]]:
        for value in merged:
            if not isinstance(value, _Mapping):
                raise _error(self._file, value.line, "<<: names something that is no mapping")
            for key, inner in self._pairs(value, depth + 1):
                if key.text not in seen:
                    seen[key.text] = key.line
                    yield key, inner

    def _spend(self, line: int, depth: int) -> None:
        self._left -= 1
        if depth > MAX_DEPTH:
            raise _error(self._file, line, f"nested deeper than {MAX_DEPTH}")
        if self._left < 0:
            raise _error(self._file, line, f"more than {MAX_NODES} nodes")
