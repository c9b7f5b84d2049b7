"""ONVIF Base Device Test Specification."""

from conformance.base import (  # noqa: F401, I001 - each adds its cases, in the order of the document
    addresses,
    discovery,
    capabilities,
    host_name,
    servers,
    network,
    system,
    users,
    relays,
    namespaces,
    ip_filter,
    auxiliary,
    monitoring,
    authentication,
)
from conformance.base.features import SPECIFICATION

__all__ = ["SPECIFICATION"]
