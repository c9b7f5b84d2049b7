"""ONVIF Event Handling Device Test Specification."""

from conformance.events import (  # noqa: F401 - each adds its cases, in the order of the document
    basic_notification,
    brokers,
    capabilities,
    namespaces,
    properties,
    pull_point,
    seek,
)
from conformance.events.features import SPECIFICATION

__all__ = ["SPECIFICATION"]
