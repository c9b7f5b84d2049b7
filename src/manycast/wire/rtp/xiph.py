"""What the payload formats of Vorbis (RFC 5215) and Theora (draft-ietf-avt-rtp-theora-00) share.

|            Ident 24           | F 2 | T 2 | packets 4 |  then of each packet: length 16, its bytes

Ident names the configuration that the packets need. F says whether this is a whole number of packets (0) or a
fragment of one: its start (1), middle (2), end (3). T is 0 for coded data, 1 for a configuration, 2 for a comment.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import NamedTuple

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.track import Codec, XiphParameters
from manycast.media.xiph import MAX_HEADERS_BYTES, with_headers
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import MAX_FRAME_BYTES, MalformedPayload, RtpPayload

IDENT = 0x4D4301  # of our only configuration; any number will do
HEADER_BYTES = 4
LENGTH_BYTES = 2
MAX_PACKETS = 15  # in a payload: 4 bits
MAX_FRAGMENTS = 16_384  # of one packet: MAX_FRAME_BYTES in packets of 512 bytes
MAX_CONFIGURATION_BYTES = MAX_HEADERS_BYTES + 64
HEADERS = 3  # that make a configuration

_WHOLE, _START, _MIDDLE, _END = range(4)
_DATA, _CONFIGURATION = range(2)


class Placed(NamedTuple):
    """Where one of the packets of a payload stands."""

    pts_ticks: int
    keyframe: bool


Placer = Callable[[list[bytes], int], list[Placed]]  # the packets of a payload, its time; called in order


class XiphPacketiser:
    """Packs the packets of a frame together where they fit, and cuts those over the limit in fragments."""

    __slots__ = ("_limit", "_marked")

    def __init__(self, limit: int, *, marked: bool) -> None:
        """`marked` sets the marker on the last payload of a frame."""
        assert limit > HEADER_BYTES + LENGTH_BYTES
        self._limit = limit
        self._marked = marked

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        datas: list[bytes] = []
        group: list[bytes] = []
        group_bytes = HEADER_BYTES
        for unit in frame.units:
            size = LENGTH_BYTES + len(unit)
            if group and (group_bytes + size > self._limit or len(group) == MAX_PACKETS):
                datas.append(_join(group))
                group, group_bytes = [], HEADER_BYTES
            if HEADER_BYTES + size > self._limit:
                self._cut(unit, datas)
            else:
                group.append(unit)
                group_bytes += size
        if group:
            datas.append(_join(group))
        last = len(datas) - 1
        return [RtpPayload(data, 0, self._marked and index == last) for index, data in enumerate(datas)]

    def _cut(self, unit: bytes, datas: list[bytes]) -> None:
        step = self._limit - HEADER_BYTES - LENGTH_BYTES
        end = len(unit)
        for position in range(0, end, step):
            kind = _START if position == 0 else _MIDDLE if position + step < end else _END
            part = unit[position : position + step]
            datas.append(_header(kind, 0) + len(part).to_bytes(LENGTH_BYTES) + part)


class XiphDepacketiser:
    """Each packet is a frame. Headers that come in band go in front of the next one: `normalise` takes them."""

    __slots__ = (
        "_codec",
        "_fragments",
        "_headers",
        "_ident",
        "_kind",
        "_make_placer",
        "_parameters",
        "_place",
        "_size",
        "_timestamp",
        "_track_index",
    )

    def __init__(
        self,
        codec: Codec,
        track_index: int,
        parameters: XiphParameters,
        make_placer: Callable[[XiphParameters], Placer],
    ) -> None:
        """`make_placer` begins anew: with another configuration, or behind a gap."""
        self._codec = codec
        self._track_index = track_index
        self._parameters = parameters
        self._make_placer = make_placer
        self._place = make_placer(parameters)
        self._ident: int | None = None  # of the configuration in use
        self._headers: list[bytes] = []  # that came in band since the last frame
        self._fragments: list[bytes] = []
        self._size = 0  # of the fragments
        self._kind = _DATA  # of the fragments
        self._timestamp = 0  # of the fragments

    def push(self, packet: RtpPacket) -> list[Frame]:
        payload = packet.payload
        if len(payload) < HEADER_BYTES + LENGTH_BYTES:
            raise self._fault(f"payload of {len(payload)} bytes, wanted {HEADER_BYTES + LENGTH_BYTES}")
        ident, fragment = int.from_bytes(payload[:3]), payload[3] >> 6
        kind, count = payload[3] >> 4 & 3, payload[3] & 15
        if fragment == _WHOLE:
            self._forget()
            if kind == _CONFIGURATION:  # some senders do not count all of it in its length
                self._configure(ident, payload[HEADER_BYTES + LENGTH_BYTES :])
                return []
            return self._take(ident, kind, _split(payload, count), packet.timestamp)
        part = payload[HEADER_BYTES + LENGTH_BYTES :][: int.from_bytes(payload[HEADER_BYTES:][:LENGTH_BYTES])]
        if fragment == _START:
            self._fragments, self._size = [part], len(part)
            self._kind, self._timestamp = kind, packet.timestamp
            return []
        if not self._fragments:  # its start came before we did, or was lost
            return []
        self._fragments.append(part)
        self._size += len(part)
        if self._size > MAX_FRAME_BYTES or len(self._fragments) > MAX_FRAGMENTS:
            raise self._fault(f"packet of over {self._size} bytes in {len(self._fragments)} fragments")
        if kind != self._kind:
            raise self._fault(f"a fragment of kind {kind} in a packet of kind {self._kind}")
        if fragment == _MIDDLE:
            return []
        whole = b"".join(self._fragments)
        self._forget()
        if kind == _CONFIGURATION:
            self._configure(ident, whole)
            return []
        return self._take(ident, kind, [whole], self._timestamp)

    def reset(self) -> None:
        self._forget()
        self._place = self._make_placer(self._parameters)

    def _take(self, ident: int, kind: int, packets: list[bytes], timestamp: int) -> list[Frame]:
        if kind != _DATA or not packets:
            return []
        if self._ident is None:  # whatever the first one is, it is what was announced
            self._ident = ident
        if ident != self._ident:
            raise self._fault(f"configuration {ident:#08x} has not been announced")
        frames = []
        for unit, (time, keyframe) in zip(packets, self._place(packets, timestamp), strict=True):
            if unit:  # empty ones repeat a picture
                units, self._headers = [*self._headers, unit], []
                frames.append(
                    Frame(track_index=self._track_index, dts_ticks=time, pts_ticks=time, keyframe=keyframe, units=units)
                )
        return frames

    def _configure(self, ident: int, body: bytes) -> None:
        if len(body) > MAX_CONFIGURATION_BYTES:
            raise self._fault(f"configuration of {len(body)} bytes")
        try:
            headers = _split_headers(body)
            self._parameters = with_headers(self._codec, *headers)
        except MalformedBitstream as error:
            raise self._fault(str(error)) from error
        self._ident = ident
        self._headers = list(headers)
        self._place = self._make_placer(self._parameters)

    def _forget(self) -> None:
        self._fragments = []
        self._size = 0

    def _fault(self, text: str) -> MalformedPayload:
        self._forget()
        return MalformedPayload(f"{self._codec.value}: {text}")


def pack_configuration(parameters: XiphParameters) -> str:
    """The parameter `configuration` of a description (RFC 5215 section 3.2.1): one set of headers."""
    headers = (parameters.identification, parameters.comment, parameters.setup)
    body = b"".join(headers)
    packed = (
        (1).to_bytes(4)
        + IDENT.to_bytes(3)
        + len(body).to_bytes(2)
        + bytes((HEADERS - 1,))
        + _number(len(parameters.identification))
        + _number(len(parameters.comment))
        + body
    )
    return binascii.b2a_base64(packed, newline=False).decode("ascii")


def unpack_configuration(codec: Codec, text: str) -> XiphParameters:
    """The first set of headers of a `configuration`. Raises MalformedBitstream."""
    try:
        packed = binascii.a2b_base64(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except ValueError as error:
        raise MalformedBitstream(f"a configuration that is no base64: {error}") from error
    if len(packed) < 10:
        raise MalformedBitstream(f"a configuration of {len(packed)} bytes")
    several = int.from_bytes(packed[:4]) > 1
    return with_headers(codec, *_split_headers(packed[9:], int.from_bytes(packed[7:9]) if several else None))


def _split_headers(body: bytes, size: int | None = None) -> tuple[bytes, bytes, bytes]:
    """Identification, comment and setup, behind their number less one and the lengths of all but the last.

    `size` is that of the headers, where something follows them. The comment may be left out, or empty.
    """
    if not body or body[0] not in (1, HEADERS - 1):
        raise MalformedBitstream(f"a configuration of {body[0] + 1 if body else 0} headers, wanted {HEADERS}")
    lengths = []
    position = 1
    for _ in range(body[0]):
        length, position = _read_number(body, position)
        lengths.append(length)
    headers = []
    end = len(body) if size is None else min(len(body), position + size)
    for length in lengths:
        headers.append(body[position : position + length])
        position += length
    if position > end:
        raise MalformedBitstream(f"headers of {lengths} bytes in a configuration of {len(body)}")
    return headers[0], headers[1] if len(headers) > 1 else b"", body[position:end]


def _number(value: int) -> bytes:
    """In groups of 7 bits, the highest first; all but the last with their highest bit set."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def _read_number(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(position, min(position + 3, len(data))):
        value = value << 7 | data[index] & 0x7F
        if data[index] < 0x80:
            return value, index + 1
    raise MalformedBitstream("a length in a configuration has no end")


def _header(fragment: int, count: int) -> bytes:
    return IDENT.to_bytes(3) + bytes((fragment << 6 | _DATA << 4 | count,))


def _join(units: list[bytes]) -> bytes:
    return _header(_WHOLE, len(units)) + b"".join(len(unit).to_bytes(LENGTH_BYTES) + unit for unit in units)


def _split(payload: bytes, count: int) -> list[bytes]:
    packets = []
    position = HEADER_BYTES
    for _ in range(count):
        start = position + LENGTH_BYTES
        position = start + int.from_bytes(payload[position:start])
        if start > len(payload) or position > len(payload):
            raise MalformedPayload(f"packet from byte {start} to {position} of {len(payload)}")
        packets.append(payload[start:position])
    return packets
