"""AMR and AMR-WB in RTP (RFC 4867): received octet-aligned and bandwidth-efficient, sent octet-aligned.

Octet-aligned (section 4.4), a byte each, and every frame filled up to whole bytes:

| CMR 4 |  R 4  |    |F| FT 4 |Q|P P|  ...    frames

Bandwidth-efficient (section 4.3), one bit behind the other:

| CMR 4 ||F| FT 4 |Q|  ...    frames, then filling
"""

from __future__ import annotations

from dataclasses import replace

from manycast.media.amr import (
    HEADER_MASK,
    NO_DATA,
    SAMPLE_RATE_HZ,
    frame_ticks,
    speech_bits,
    split_storage,
)
from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, Track
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import (
    Depacketiser,
    MalformedPayload,
    Packetiser,
    PayloadFormat,
    RtpMap,
    RtpPayload,
    UnsupportedFormat,
)

MAX_FRAMES_IN_PACKET = 50  # a second; no maxptime is that long
MAX_PAYLOAD_BYTES = 2 + MAX_FRAMES_IN_PACKET * 62  # the longest frame of AMR-WB has 61 bytes, with its TOC entry

_NAMES = {Codec.AMR: "AMR", Codec.AMR_WB: "AMR-WB"}
_FOLLOWED = 0x80  # the bit F: another TOC entry comes
_NO_REQUEST = bytes((0xF0,))  # CMR 15


class AmrPacketiser:
    """The frames of a unit in as few packets as hold them."""

    __slots__ = ("_codec", "_limit", "_ticks")

    def __init__(self, codec: Codec, limit: int) -> None:
        self._codec = codec
        self._limit = limit
        self._ticks = frame_ticks(codec)

    def packetise(self, frame: Frame) -> list[RtpPayload]:
        payloads: list[RtpPayload] = []
        for unit in frame.units:
            try:
                stored = split_storage(unit, self._codec)
            except MalformedBitstream:
                continue  # no decoder could play it
            payloads += self._pack(stored)
        return payloads

    def _pack(self, stored: list[bytes]) -> list[RtpPayload]:
        payloads: list[RtpPayload] = []
        first, size = 0, 1
        for index, frame in enumerate(stored):
            if index > first and (size + len(frame) > self._limit or index - first == MAX_FRAMES_IN_PACKET):
                payloads.append(self._payload(stored[first:index], first))
                first, size = index, 1
            size += len(frame)
        if stored:
            payloads.append(self._payload(stored[first:], first))
        return payloads

    def _payload(self, frames: list[bytes], first: int) -> RtpPayload:
        entries = bytearray(frame[0] & HEADER_MASK | _FOLLOWED for frame in frames)
        entries[-1] &= HEADER_MASK
        return RtpPayload(_NO_REQUEST + entries + b"".join(frame[1:] for frame in frames), first * self._ticks, False)


class AmrDepacketiser:
    """Every 20 ms of a packet are a frame, but those in which there was nothing to send."""

    __slots__ = ("_codec", "_octet_aligned", "_ticks", "_track_index")

    def __init__(self, codec: Codec, track_index: int, *, octet_aligned: bool) -> None:
        self._codec = codec
        self._track_index = track_index
        self._octet_aligned = octet_aligned
        self._ticks = frame_ticks(codec)

    def push(self, packet: RtpPacket) -> list[Frame]:
        payload = packet.payload
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise MalformedPayload(f"{self._codec.value} payload of {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}")
        try:
            stored = self._octets(payload) if self._octet_aligned else self._bits(payload)
        except MalformedBitstream as error:
            raise MalformedPayload(f"{self._codec.value}: {error}") from error
        return [
            Frame(track_index=self._track_index, dts_ticks=time, pts_ticks=time, keyframe=True, units=[frame])
            for index, frame in enumerate(stored)
            if frame[0] >> 3 & 15 != NO_DATA
            for time in (packet.timestamp + index * self._ticks,)
        ]

    def reset(self) -> None:
        pass

    def _octets(self, payload: bytes) -> list[bytes]:
        position = 1
        entries = []
        while True:
            if position >= len(payload):
                raise MalformedBitstream(f"table of contents ends behind {len(payload)} bytes")
            entry = payload[position]
            entries.append(entry & HEADER_MASK)
            position += 1
            if not entry & _FOLLOWED:
                break
        self._check_count(entries)
        stored = []
        for entry in entries:
            size = (speech_bits(self._codec, entry >> 3) + 7) // 8
            speech = payload[position : position + size]
            if len(speech) < size:
                raise MalformedBitstream(f"frame of {size} bytes, {len(speech)} left")
            stored.append(bytes((entry,)) + speech)
            position += size
        return stored

    def _bits(self, payload: bytes) -> list[bytes]:
        reader = BitReader(payload)
        reader.u(4)  # a request for a mode is for who encodes
        entries = []
        followed = True
        while followed:
            followed = reader.flag()
            entries.append(reader.u(5) << 2)
        self._check_count(entries)
        stored = []
        for entry in entries:
            bits = speech_bits(self._codec, entry >> 3)
            speech = reader.u(bits) << -bits % 8
            stored.append(bytes((entry,)) + speech.to_bytes((bits + 7) // 8, "big"))
        return stored

    def _check_count(self, entries: list[int]) -> None:
        if len(entries) > MAX_FRAMES_IN_PACKET:
            raise MalformedBitstream(f"{len(entries)} frames in a packet, at most {MAX_FRAMES_IN_PACKET}")


def describe(track: Track, payload_type: int) -> RtpMap:
    return RtpMap(
        payload_type=payload_type,
        encoding_name=_NAMES[track.codec],
        clock_rate_hz=track.clock_rate_hz,
        channels=1,
        fmtp={"octet-align": "1"},
    )


def _track(codec: Codec, rtpmap: RtpMap) -> Track:
    name, rate_hz = _NAMES[codec], SAMPLE_RATE_HZ[codec]
    if rtpmap.clock_rate_hz != rate_hz:
        raise UnsupportedFormat(f"{name} with a clock of {rtpmap.clock_rate_hz} Hz, wanted {rate_hz}")
    if rtpmap.channels not in (None, 1):
        raise UnsupportedFormat(f"{name} of {rtpmap.channels} channels, wanted 1")
    for parameter in ("interleaving", "crc", "robust-sorting"):
        if rtpmap.fmtp.get(parameter, "0").strip() != "0":
            raise UnsupportedFormat(f"{name} with {parameter}={rtpmap.fmtp[parameter]}")
    return Track(codec=codec, clock_rate_hz=rate_hz, parameters=AudioParameters(sample_rate_hz=rate_hz, channels=1))


def bind(rtpmap: RtpMap) -> PayloadFormat:
    """The format with a depacketiser for just this description."""
    payload_format = AMR_WB if rtpmap.encoding_name.lower() == "amr-wb" else AMR
    octet_aligned = rtpmap.fmtp.get("octet-align", "0").strip() == "1"
    return replace(
        payload_format,
        depacketiser=lambda track, track_index: AmrDepacketiser(track.codec, track_index, octet_aligned=octet_aligned),
    )


def _packetiser(track: Track, limit: int) -> Packetiser:
    return AmrPacketiser(track.codec, limit)


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    """For packets as we send them."""
    return AmrDepacketiser(track.codec, track_index, octet_aligned=True)


def _format(codec: Codec) -> PayloadFormat:
    return PayloadFormat(
        codec=codec,
        encoding_names=(_NAMES[codec].lower(),),
        describe=describe,
        track=lambda rtpmap: _track(codec, rtpmap),
        packetiser=_packetiser,
        depacketiser=_depacketiser,
    )


AMR = _format(Codec.AMR)
AMR_WB = _format(Codec.AMR_WB)
