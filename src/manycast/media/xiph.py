"""The headers of Theora (Theora specification section 6) and Vorbis (Vorbis I specification section 4.2): three packets
that a decoder needs before all others.

Their first byte tells them from the packets behind them: Theora's has its highest bit set, Vorbis' its lowest. The
codec's name follows it.
"""

from __future__ import annotations

from dataclasses import replace

from manycast.media import vorbis
from manycast.media.bits import MalformedBitstream
from manycast.media.track import Codec, XiphParameters

MAX_HEADERS_BYTES = 0xFFFF  # of all three; RFC 5215 has 16 bits for it. A setup header has 3 to 8 kB
MAX_COMMENT_BYTES = 512  # longer ones have cover art or lyrics, which say nothing about decoding

_NAMES = {Codec.THEORA: b"theora", Codec.VORBIS: b"vorbis"}
_TYPES = {Codec.THEORA: b"\x80\x81\x82", Codec.VORBIS: b"\x01\x03\x05"}
_IDENTIFICATION_BYTES = {Codec.THEORA: 42, Codec.VORBIS: 30}


def is_header(codec: Codec, packet: bytes) -> bool:
    """Whether a packet is one of the three, and not coded pictures or sound."""
    return packet[:1] in tuple(_TYPES[codec][index : index + 1] for index in range(3)) and packet[1:7] == _NAMES[codec]


def empty_comment(codec: Codec) -> bytes:
    """A comment header that says nothing."""
    return _TYPES[codec][1:2] + _NAMES[codec] + bytes(8) + (b"\1" if codec is Codec.VORBIS else b"")


def with_headers(codec: Codec, identification: bytes, comment: bytes, setup: bytes) -> XiphParameters:
    """Parameters of three headers. A comment that is missing, broken or long is left out: an empty one stands in for
    it. Raises MalformedBitstream."""
    types, name = _TYPES[codec], _NAMES[codec]
    for kind, header in ((0, identification), (2, setup)):
        if header[:7] != types[kind : kind + 1] + name:
            raise MalformedBitstream(f"a {codec.value} header that begins with {header[:7]!r}")
    if len(identification) < _IDENTIFICATION_BYTES[codec]:
        wanted = _IDENTIFICATION_BYTES[codec]
        raise MalformedBitstream(f"{codec.value} identification of {len(identification)} bytes, wanted {wanted}")
    if len(identification) + len(setup) + MAX_COMMENT_BYTES > MAX_HEADERS_BYTES:
        raise MalformedBitstream(f"{codec.value} headers of over {MAX_HEADERS_BYTES} bytes")
    if comment[:7] != types[1:2] + name or len(comment) > MAX_COMMENT_BYTES:
        comment = empty_comment(codec)
    parameters = XiphParameters(identification=identification, comment=comment, setup=setup)
    if codec is Codec.THEORA:
        return parameters
    sample_rate_hz, channels = vorbis.rate_and_channels(identification)
    return replace(parameters, sample_rate_hz=sample_rate_hz, channels=channels)


def take_headers(codec: Codec, units: list[bytes]) -> tuple[XiphParameters | None, list[bytes]]:
    """The parameters that the headers among a frame's units make, None where they make none; and the other units."""
    if not any(is_header(codec, unit) for unit in units):
        return None, units
    headers = {unit[0]: unit for unit in units if is_header(codec, unit)}
    others = [unit for unit in units if not is_header(codec, unit)]
    identification, comment, setup = (headers.get(kind, b"") for kind in _TYPES[codec])
    try:
        return with_headers(codec, identification, comment, setup), others
    except MalformedBitstream:
        return None, others
