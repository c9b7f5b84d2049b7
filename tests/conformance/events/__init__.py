"""ONVIF Event Handling Device Test Specification."""

from conformance.events import (  # noqa: F401 - each adds its cases, in the order of the document
    basic_notification,
    basic_notification_filters,
    brokers,
    capabilities,
    namespaces,
    properties,
    pull_point,
    pull_point_filters,
    seek,
)
from conformance.events.features import SPECIFICATION

__all__ = ["SPECIFICATION"]
