"""The hashes of HTTP Digest."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.users import HashingAlgorithm


class Hashing(DevicePart):
    @operation(Access.WRITE_SYSTEM)
    async def set_hashing_algorithm(self, request: Any, caller: Caller) -> Reply:
        """Those offered from then on, in this order."""
        names = [name for item in request.Algorithm for name in item.replace(",", " ").split()]
        try:
            algorithms = list(dict.fromkeys(map(HashingAlgorithm, names)))
        except ValueError as error:
            raise Fault.sender("ter:InvalidArgVal", reason=f"a hash that is not known: {names!r:.100}") from error
        if not algorithms:
            raise Fault.sender("ter:InvalidArgVal", reason="no hash is left")
        self.state.hashing_algorithms = algorithms
        self.save()
        return NOTHING
