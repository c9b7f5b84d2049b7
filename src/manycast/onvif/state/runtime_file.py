"""The state as a file: onvifrun.cfg.

A node for each field, a node <item> for each item of a list, bytes in base64. What is None is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from manycast.errors import ManycastError
from manycast.onvif.state.device import DeviceState

if TYPE_CHECKING:
    from lxml import etree

ROOT = "onvifrun"
VERSION = "1"
MAX_FILE_BYTES = 16 * 1024 * 1024

_ITEM = "item"
_ORIGIN = "configuration"
_COMMENT = " Written by the server. To make onvif.cfg effective: stop the server, delete this file, start it again. "


class RuntimeFileError(ManycastError):
    """The file cannot be read as a state; the text says why, and holds no password."""


def serialize(state: DeviceState, origin: str = "") -> bytes:
    """The file's content; `origin` stands for the configuration that the state began with.

    Raises ValueError for what XML cannot hold.
    """
    from lxml import etree  # here and below: a server that reads no XML starts without it

    root = etree.Element(ROOT, version=VERSION)
    if origin:
        root.set(_ORIGIN, origin)
    root.append(etree.Comment(_COMMENT))
    _write(root, state.model_dump(mode="json"))
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8") + b"\n"


def parse(data: bytes) -> DeviceState:
    """Read a file's content; raises RuntimeFileError and nothing else."""
    return parse_with_origin(data)[0]


def parse_with_origin(data: bytes) -> tuple[DeviceState, str]:
    """Likewise, with what stands for the configuration; empty where that is not said."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise RuntimeFileError(f"not well-formed XML: {error.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise RuntimeFileError("a document type is not allowed")
    if root.tag != ROOT or root.get("version") != VERSION:
        raise RuntimeFileError(f"the root node is not <{ROOT} version={VERSION!r}>")
    try:
        state = DeviceState.model_validate_json(json.dumps(_read_group(root, DeviceState)))
    except ValidationError as error:
        raise RuntimeFileError("; ".join(_mistakes(error))) from None
    return state, root.get(_ORIGIN, "")


def _write(parent: etree._Element, values: dict[str, Any]) -> None:
    from lxml import etree

    for name, value in values.items():
        if value is not None:
            _write_value(etree.SubElement(parent, name), value)


def _write_value(node: etree._Element, value: Any) -> None:
    from lxml import etree

    match value:
        case dict():
            _write(node, value)
        case list():
            for item in value:
                _write_value(etree.SubElement(node, _ITEM), item)
        case bool():
            node.text = "true" if value else "false"
        case _:
            node.text = str(value)


def _read_group(node: etree._Element, model: type[BaseModel]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for child in node:
        name = str(child.tag)
        if name in values:
            raise RuntimeFileError(f"line {child.sourceline}: <{name}> is there twice")
        field = model.model_fields.get(name)
        values[name] = _read(child, list(_parts(field.annotation)) if field is not None else [])
    return values


def _read(node: etree._Element, parts: list[Any]) -> Any:
    """By what the field holds: a list, a group or a value."""
    if list in parts:
        return [_read(item, [part for part in parts if part is not list]) for item in node]
    groups = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    if groups:
        return _read_group(node, groups[0])
    if len(node):
        raise RuntimeFileError(f"line {node.sourceline}: <{node.tag}> holds nodes instead of a value")
    return node.text or ""


def _parts(annotation: Any) -> Iterator[Any]:
    """The types an annotation is made of: `list` and what its items are, `None`, a model."""
    origin = getattr(annotation, "__origin__", None)
    if origin is list:
        yield list
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _parts(argument)


def _mistakes(error: ValidationError) -> Iterator[str]:
    for details in error.errors(include_input=False, include_url=False, include_context=False):
        yield f"{'/'.join(map(str, details['loc']))}: {details['msg']}"
