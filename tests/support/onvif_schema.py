"""Whether an element is as the schemas of the event service have it."""

from __future__ import annotations

from functools import cache

from lxml import etree

from manycast.onvif.soap.catalogue import SERVICES, wsdl_folder
from manycast.onvif.soap.schema import read_schema


@cache
def _schema() -> etree.XMLSchema:
    return read_schema(wsdl_folder(), SERVICES["tev"].wsdl)


def assert_valid(element: etree._Element) -> None:
    """Raises lxml's DocumentInvalid, which says what is wrong."""
    _schema().assertValid(element)
