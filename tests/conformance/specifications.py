"""The specifications whose cases are written down here, in the order in which they are reported."""

from __future__ import annotations

from conformance import access_policy, base, device_io, events
from conformance.frame import Specification

SPECIFICATIONS: tuple[Specification, ...] = (
    base.SPECIFICATION,
    access_policy.SPECIFICATION,
    events.SPECIFICATION,
    device_io.SPECIFICATION,
)
