"""Which level may call what, as a file."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access, PolicyError, parse_policy, serialize_policy
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation


class AccessPolicy(DevicePart):
    @operation(Access.READ_SYSTEM_SECRET)
    async def get_access_policy(self, request: Any, caller: Caller) -> Reply:
        return {"PolicyFile": {"Data": serialize_policy(self.device.policy), "contentType": "application/json"}}

    @operation(Access.WRITE_SYSTEM)
    async def set_access_policy(self, request: Any, caller: Caller) -> Reply:
        """It holds from the next request on."""
        data = request.PolicyFile.Data
        try:
            parse_policy(data)
        except PolicyError as error:
            raise Fault.sender("ter:InvalidArgs", "ter:PolicyFormat", reason=str(error)) from error
        self.state.access_policy = data
        self.save()
        return NOTHING
