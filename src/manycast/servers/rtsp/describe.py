"""DESCRIBE: what there is at an address, as SDP."""

from __future__ import annotations

from manycast.hub.rtp_packager import FIRST_DYNAMIC_PAYLOAD_TYPE
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream
from manycast.media.track import Track
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtsp.headers import NptRange
from manycast.wire.rtsp.url import track_control
from manycast.wire.sdp import Connection, MediaDescription, Origin, SessionDescription

SDP_TYPE = "application/sdp"
COMPLETE_TIMEOUT_S = 3.0  # for parameter sets that a publisher sends in band only


async def describe(
    found: Stream | StoredMedia, name: str, *, base_url: str, loops: int, local_address: str, session_id: str
) -> SessionDescription:
    """The session description of a stream or a file; relative controls, `trackID=N` for track N."""
    if isinstance(found, Stream):
        await found.wait_complete(COMPLETE_TIMEOUT_S)
        time_range = NptRange(now=True)
    else:
        once = loops == 1 and found.duration_us is not None
        time_range = NptRange(start_s=0.0, end_s=(found.duration_us or 0) / 1e6 if once else None)
    return SessionDescription(
        origin=Origin(session_id=session_id, session_version="1", address=local_address),
        name=name,
        connection=Connection(address="::" if ":" in local_address else "0.0.0.0"),
        control="*",
        range=time_range.serialize(),
        media=tuple(_describe_track(track, index, base_url) for index, track in enumerate(found.tracks)),
    )


def _describe_track(track: Track, index: int, base_url: str) -> MediaDescription:
    rtpmap = format_for_codec(track.codec).describe(track, FIRST_DYNAMIC_PAYLOAD_TYPE + index)
    return MediaDescription(
        kind=track.kind.value,
        port=0,
        protocol="RTP/AVP",
        payload_types=(rtpmap.payload_type,),
        rtpmaps={rtpmap.payload_type: rtpmap},
        control=track_control(base_url, index),
    )
