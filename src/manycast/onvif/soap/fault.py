"""What is answered when an operation is not done (ONVIF Core, section Error handling)."""

from __future__ import annotations

from typing import Literal, Self

from lxml import etree

from manycast.errors import ManycastError
from manycast.onvif.soap.names import ADDRESSING

FaultCode = Literal["VersionMismatch", "MustUnderstand", "DataEncodingUnknown", "Sender", "Receiver"]

# The reasons that ONVIF Core prescribes for its generic faults.
_REASONS = {
    "ter:WellFormed": "Well-formed Error",
    "ter:TagMismatch": "Tag Mismatch",
    "ter:Tag": "No Tag",
    "ter:Namespace": "Namespace Error",
    "ter:MissingAttr": "Required Attribute not present",
    "ter:ProhibAttr": "Prohibited Attribute",
    "ter:InvalidArgs": "Invalid Args",
    "ter:InvalidArgVal": "Argument Value Invalid",
    "ter:UnknownAction": "Unknown Action",
    "ter:OperationProhibited": "Operation not Permitted",
    "ter:NotAuthorized": "Sender not Authorized",
    "ter:ActionNotSupported": "Optional Action Not Implemented",
    "ter:Action": "Action Failed",
    "ter:OutofMemory": "Out of Memory",
    "ter:CriticalError": "Critical Error",
}


class Fault(ManycastError):
    """A SOAP fault. Subcodes are names with a prefix out of PREFIXES, the general one first."""

    def __init__(
        self,
        code: FaultCode,
        *subcodes: str,
        reason: str = "",
        detail: etree._Element | None = None,
        action: str = f"{ADDRESSING}/soap/fault",
        status: int | None = None,
    ) -> None:
        """`detail` is what stands in the fault's Detail; `action` its WS-Addressing action; `status` that of HTTP."""
        self.code = code
        self.subcodes = subcodes
        self.reason = reason or (_REASONS.get(subcodes[0], "Action Failed") if subcodes else "Action Failed")
        self.detail = detail
        self.action = action
        # SOAP 1.2 Part 2, table 20.
        self.status = status or (400 if code == "Sender" else 500)
        super().__init__(f"{'/'.join((code, *subcodes))}: {self.reason}")

    @classmethod
    def sender(cls, *subcodes: str, reason: str = "") -> Self:
        """The client did it wrong."""
        return cls("Sender", *subcodes, reason=reason)

    @classmethod
    def receiver(cls, *subcodes: str, reason: str = "") -> Self:
        """The device cannot do it."""
        return cls("Receiver", *subcodes, reason=reason)
