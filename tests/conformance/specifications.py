"""The specifications whose cases are written down here, in the order in which they are reported."""

from __future__ import annotations

from conformance import base, events
from conformance.frame import Specification

SPECIFICATIONS: tuple[Specification, ...] = (base.SPECIFICATION, events.SPECIFICATION)
