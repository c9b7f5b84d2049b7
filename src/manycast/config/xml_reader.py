"""XML files as nodes. Document types, entities and the network are never followed."""

from __future__ import annotations

import re
from pathlib import Path

from lxml import etree

from manycast.config.node import MAX_DEPTH, MAX_NODES, Node
from manycast.config.problems import ConfigurationError, Problem

ROOT = "config"

_NAMED_ENTITY = re.compile(r"Entity '[^']*'")  # an unescaped & in a password makes the rest of it the name


def read_xml(file: Path, data: bytes) -> Node:
    """Read one file's bytes; raises ConfigurationError and nothing else."""
    element = _parse(file, data)
    if element.tag != ROOT:
        raise _error(file, _line(element), f"the root node is <{element.tag}>, not <{ROOT}>")
    return _Converter(file).convert(element, ROOT, 1)


def _parse(file: Path, data: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
    )
    try:
        element = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise _malformed(file, error) from None
    if element.getroottree().docinfo.internalDTD is not None:
        raise _error(file, None, "a document type (<!DOCTYPE ...>) is not allowed")
    return element


def _malformed(file: Path, error: etree.XMLSyntaxError) -> ConfigurationError:
    line, column = error.position
    reason = str(error.msg or "no reason given").rsplit(", line ", 1)[0]
    reason = _NAMED_ENTITY.sub("entity", reason)
    return _error(file, line or None, f"not well-formed XML at column {column}: {reason}")


def _line(element: etree._Element) -> int | None:
    line = element.sourceline
    return line if isinstance(line, int) else None


def _error(file: Path, line: int | None, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(file, line, "", None, message)])


class _Converter:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._left = MAX_NODES

    def convert(self, element: etree._Element, path: str, depth: int) -> Node:
        self._left -= 1
        if depth > MAX_DEPTH:
            raise _error(self._file, _line(element), f"nodes nested deeper than {MAX_DEPTH}")
        if self._left < 0:
            raise _error(self._file, _line(element), f"more than {MAX_NODES} nodes")
        children = [child for child in element if isinstance(child.tag, str)]
        return Node(
            name=str(element.tag),
            path=path,
            file=self._file,
            line=_line(element),
            text=_own_text(element),
            nodes=tuple(self.convert(child, f"{path}/{child.tag}", depth + 1) for child in children),
            attributes=tuple((str(name), str(value).strip()) for name, value in element.attrib.items()),
        )


def _own_text(element: etree._Element) -> str:
    """The text directly inside, without the white space that lays the file out."""
    pieces = [element.text, *(child.tail for child in element)]
    return "".join(piece for piece in pieces if piece).strip()
