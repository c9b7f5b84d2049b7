"""RTMP's commands and control messages as values (RTMP 1.0 sections 5.4, 7.1.7 and 7.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from manycast.errors import ProtocolError
from manycast.wire import amf
from manycast.wire.rtmp.chunk import RtmpMessage, RtmpType

CONTROL_CHUNK_STREAM = 2
COMMAND_CHUNK_STREAM = 3
MAX_COMMAND_BYTES = 64 * 1024

# Which codecs we take and give beyond those of FLV's tables (Enhanced RTMP version 2, "connect").
FOURCCS: tuple[str, ...] = ("hvc1", "av01", "vp09", "Opus", "ac-3", "fLaC", ".mp3")


class MalformedCommand(ProtocolError):
    """A command that cannot be read."""


class UserControl(IntEnum):
    """Event types (section 7.1.7)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_IS_RECORDED = 4
    PING_REQUEST = 6
    PING_RESPONSE = 7


@dataclass(frozen=True, slots=True)
class Command:
    """A call, or an answer to one (section 7.2)."""

    name: str
    transaction: float
    properties: amf.Value = None  # the "command object"
    arguments: tuple[amf.Value, ...] = ()

    @classmethod
    def parse(cls, message: RtmpMessage) -> Command:
        """Read a message of type COMMAND or COMMAND_AMF3. Raises MalformedCommand."""
        if len(message.body) > MAX_COMMAND_BYTES:
            raise MalformedCommand(f"command of {len(message.body)} bytes, at most {MAX_COMMAND_BYTES}")
        # AMF3 commands begin with a byte that says nothing, and are AMF0 behind it.
        try:
            values = amf.decode(message.body[message.kind == RtmpType.COMMAND_AMF3 :])
        except amf.MalformedAmf as error:
            raise MalformedCommand(f"command: {error}") from error
        name, transaction = (*values[:2], None, None)[:2]
        if not isinstance(name, str) or not isinstance(transaction, int | float):
            raise MalformedCommand("a command without name and transaction number")
        return cls(name, float(transaction), values[2] if len(values) > 2 else None, tuple(values[3:]))

    def message(self, stream_id: int = 0) -> RtmpMessage:
        body = amf.encode(self.name, self.transaction, self.properties, *self.arguments)
        return RtmpMessage(RtmpType.COMMAND, stream_id, 0, body)

    def text(self, index: int) -> str:
        """An argument that is to be a string. Raises MalformedCommand."""
        value = self.arguments[index] if index < len(self.arguments) else None
        if not isinstance(value, str):
            raise MalformedCommand(f"{self.name} without argument {index + 1}, a string")
        return value

    def number(self, index: int) -> float | None:
        """An argument that may be a number; None where it is none, not even an infinite one."""
        value = self.arguments[index] if index < len(self.arguments) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return float(value)

    def property(self, name: str) -> amf.Value:
        """One of the command object's; None where it is not there."""
        return self.properties.get(name) if isinstance(self.properties, dict) else None

    def fourccs(self) -> set[str]:
        """The codecs that a client names in `connect`, "*" among them for all (Enhanced RTMP version 2)."""
        named = (self.property(name) for name in ("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"))
        return {
            fourcc for group in named if isinstance(group, list | dict) for fourcc in group if isinstance(fourcc, str)
        }


def result(call: Command, properties: amf.Value, *arguments: amf.Value) -> Command:
    """The answer to a call that went well."""
    return Command("_result", call.transaction, properties, arguments)


def refusal(call: Command, code: str, description: str) -> Command:
    """The answer to a call that did not."""
    return Command("_error", call.transaction, None, (information(code, description, level="error"),))


def status(code: str, description: str, *, level: str = "status", **more: amf.Value) -> Command:
    """`onStatus`: what has happened to a stream."""
    return Command("onStatus", 0.0, None, ({**information(code, description, level=level), **more},))


def information(code: str, description: str, *, level: str = "status") -> dict[str, amf.Value]:
    return {"level": level, "code": code, "description": description}


def set_chunk_size(size: int) -> RtmpMessage:
    return RtmpMessage(RtmpType.SET_CHUNK_SIZE, 0, 0, size.to_bytes(4))


def acknowledgement(received_bytes: int) -> RtmpMessage:
    return RtmpMessage(RtmpType.ACKNOWLEDGEMENT, 0, 0, (received_bytes & 0xFFFF_FFFF).to_bytes(4))


def window_acknowledgement_size(size: int) -> RtmpMessage:
    return RtmpMessage(RtmpType.WINDOW_ACKNOWLEDGEMENT_SIZE, 0, 0, size.to_bytes(4))


def set_peer_bandwidth(size: int) -> RtmpMessage:
    dynamic = 2  # section 5.4.5
    return RtmpMessage(RtmpType.SET_PEER_BANDWIDTH, 0, 0, size.to_bytes(4) + bytes((dynamic,)))


def user_control(event: UserControl, value: int) -> RtmpMessage:
    return RtmpMessage(RtmpType.USER_CONTROL, 0, 0, event.to_bytes(2) + (value & 0xFFFF_FFFF).to_bytes(4))
