"""The same XML with its prefixes declared in other ways, as the cases on namespaces want it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from lxml import etree

Style = Callable[["_Writer", etree._Element], str]


def rewritten(data: bytes, style: Style) -> bytes:
    """A document written anew; lxml would choose the prefixes itself. Values have no prefixes in them."""
    return _Writer(style).write(etree.fromstring(data)).encode()


@dataclass(slots=True)
class _Writer:
    style: Style
    numbers: count[int] = field(default_factory=count)

    def write(self, element: etree._Element) -> str:
        return self.style(self, element)

    def content(self, element: etree._Element) -> str:
        text = str(element.text or "").replace("&", "&amp;").replace("<", "&lt;")
        return text + "".join(map(self.write, element))


def _attributes(element: etree._Element) -> str:
    return "".join(f' {name!s}="{value!s}"' for name, value in element.attrib.items())


def _default_in_each(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    content = writer.content(element)
    return f'<{name.localname} xmlns="{name.namespace}"{_attributes(element)}>{content}</{name.localname}>'


def _default_in_parents(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    parent = element.getparent()
    same = parent is not None and etree.QName(parent).namespace == name.namespace
    declared = "" if same else f' xmlns="{name.namespace}"'
    return f"<{name.localname}{declared}{_attributes(element)}>{writer.content(element)}</{name.localname}>"


def _odd_prefixes(writer: _Writer, element: etree._Element) -> str:
    """All declared at the root, by names that nobody uses."""
    root = element.getroottree().getroot()
    namespaces = sorted({str(etree.QName(each).namespace) for each in root.iter()})
    name = etree.QName(element)
    tag = f"prefix{namespaces.index(str(name.namespace))}:{name.localname}"
    declared = "".join(f' xmlns:prefix{number}="{each}"' for number, each in enumerate(namespaces))
    return f"<{tag}{declared if element is root else ''}{_attributes(element)}>{writer.content(element)}</{tag}>"


def _other_prefix_each_time(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    prefix = f"e{next(writer.numbers)}"
    content = writer.content(element)
    tag = f"{prefix}:{name.localname}"
    return f'<{tag} xmlns:{prefix}="{name.namespace}"{_attributes(element)}>{content}</{tag}>'


def _same_prefix_for_all(writer: _Writer, element: etree._Element) -> str:
    name = etree.QName(element)
    tag = f"p1:{name.localname}"
    return f'<{tag} xmlns:p1="{name.namespace}"{_attributes(element)}>{writer.content(element)}</{tag}>'


STYLES: dict[str, Style] = {  # by what the titles of the cases call them, in their order
    "DEFAULT NAMESPACES FOR EACH TAG": _default_in_each,
    "DEFAULT NAMESPACES FOR PARENT TAG": _default_in_parents,
    "NOT STANDARD PREFIXES": _odd_prefixes,
    "DIFFERENT PREFIXES FOR THE SAME NAMESPACE": _other_prefix_each_time,
    "THE SAME PREFIX FOR DIFFERENT NAMESPACES": _same_prefix_for_all,
}
