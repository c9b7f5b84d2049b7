"""Whether an element is as the schemas of the event service have it."""

from __future__ import annotations

from functools import cache

from lxml import etree

from manycast.onvif.soap.catalogue import SERVICES, wsdl_folder
from manycast.onvif.soap.names import PREFIXES
from manycast.onvif.soap.schema import read_schema


@cache
def _schema() -> etree.XMLSchema:
    return read_schema(wsdl_folder(), SERVICES["tev"].wsdl)


@cache
def _resource_schema() -> etree.XMLSchema:
    """WS-Resource's, which the WSDL imports by way of another file."""
    return etree.XMLSchema(file=str(wsdl_folder() / "schema/common/r-2.xsd"))


def assert_valid(element: etree._Element) -> None:
    """Raises lxml's DocumentInvalid, which says what is wrong."""
    of_resource = etree.QName(element).namespace == PREFIXES["wsrf-r"]
    (_resource_schema() if of_resource else _schema()).assertValid(element)
