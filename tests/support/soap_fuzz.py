"""Requests for any operation: what the schema asks for, with absurd values where it says nothing."""

from __future__ import annotations

from functools import cache
from typing import Any as Something

from hypothesis import strategies as st
from lxml import etree
from zeep.xsd import Any

from manycast.onvif.soap.catalogue import wsdl_folder
from manycast.onvif.soap.contract import Contract
from manycast.onvif.soap.names import PREFIXES, XML_SCHEMA

MAX_DEPTH = 8
_TOKENS = (
    "",
    "Relay1",
    "Input1",
    "eth0",
    "lo",
    "admin",
    "user",
    "Storage1",
    "mine",
    "urn:a",
    "10.0.0.1",
    "::1",
    "x" * 300,
)
_TEXTS = st.one_of(
    st.sampled_from(_TOKENS),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=40),
)
_NUMBERS = st.one_of(st.integers(-3, 70), st.sampled_from((-(2**31), 2**31 - 1, 8000, 65535, 65536)))
_FLOATS = st.sampled_from(("0", "-0.0", "1.5", "1e38", "-181", "NaN", "INF", "-INF"))
_DURATIONS = st.sampled_from(("PT0S", "PT0.1S", "PT10S", "-PT1S", "P1Y", "P9999D", "PT1M2.5S", "P1M", "P100000000D"))
_MOMENTS = st.sampled_from(
    (
        "2026-11-21T12:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59+14:00",
        "-0044-03-15T00:00:00Z",
        "2026-02-28T24:00:00",
    )
)
_BYTES = st.sampled_from(("", "AAAA", "MIIB", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"))


def requests(contract: Contract, request: str) -> st.SearchStrategy[etree._Element]:
    """Elements of an operation. Most are valid."""
    described = contract._element(request)

    @st.composite
    def build(draw: st.DrawFn) -> etree._Element:
        root = etree.Element(request, nsmap=dict(PREFIXES))
        _fill(draw, root, described.type, 0)
        return root

    return build()


def _fill(draw: st.DrawFn, node: etree._Element, kind: Something, depth: int) -> None:
    if not hasattr(kind, "elements"):
        node.text = draw(_value(kind))
        return
    for name, attribute in kind.attributes:
        if name and name[0] != "_" and (attribute.required or draw(st.booleans())):
            node.set(name, draw(_value(attribute.type)))
    for _, element in kind.elements:
        if isinstance(element, Any):
            if draw(st.integers(0, 9)) == 0:
                etree.SubElement(node, "{urn:vendor}Extra").text = draw(_TEXTS)
            continue
        least = element.min_occurs
        most = 3 if element.max_occurs == "unbounded" else min(3, element.max_occurs)
        if depth >= MAX_DEPTH:
            most = least
        for _ in range(draw(st.integers(least, max(least, most)))):
            _fill(draw, etree.SubElement(node, element.qname), element.type, depth + 1)


def _value(kind: Something) -> st.SearchStrategy[str]:
    names = {each.__name__ for each in type(kind).__mro__}
    words = _enumerations().get(str(kind.qname))
    if words:
        return st.sampled_from(words)
    for parents, strategy in (
        ({"Boolean"}, st.sampled_from(("true", "false", "1", "0"))),
        ({"Integer", "Int", "Long", "Short", "NonNegativeInteger", "PositiveInteger"}, _NUMBERS.map(str)),
        ({"Float", "Double", "Decimal"}, _FLOATS),
        ({"Duration"}, _DURATIONS),
        ({"DateTime", "Date", "Time"}, _MOMENTS),
        ({"Base64Binary", "HexBinary"}, _BYTES),
    ):
        if names & parents:
            return strategy
    return _TEXTS


@cache
def _enumerations() -> dict[str, list[str]]:
    """The words of every type that has some, by the type's name; zeep does not keep them."""
    xs = f"{{{XML_SCHEMA}}}"
    found: dict[str, list[str]] = {}
    folder = wsdl_folder()
    for file in (*folder.rglob("*.xsd"), *folder.rglob("*.wsdl")):
        for schema in etree.parse(file).iter(f"{xs}schema"):
            for kind in schema.iter(f"{xs}simpleType"):
                words = [each.get("value", "") for each in kind.iter(f"{xs}enumeration")]
                if words and kind.get("name"):
                    found[f"{{{schema.get('targetNamespace')}}}{kind.get('name')}"] = words
    return found
