"""DESCRIBE: what there is at an address, as SDP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from manycast.hub.metadata import METADATA_TRACK
from manycast.hub.rtp_packager import describe_track
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream
from manycast.media.track import MediaKind, Track
from manycast.servers.rtsp.backchannel import describe_backchannel
from manycast.servers.rtsp.told_keys import ToldKeys
from manycast.wire.rtsp.feedback import announced_keyframe_feedback
from manycast.wire.rtsp.headers import NptRange
from manycast.wire.rtsp.url import Control, Side, track_control
from manycast.wire.sdp import Attribute, Connection, Direction, MediaDescription, Origin, SessionDescription

SDP_TYPE = "application/sdp"
COMPLETE_TIMEOUT_S = 3.0  # for parameter sets that a publisher sends in band only


async def describe(
    found: Stream | StoredMedia,
    name: str,
    *,
    base_url: str,
    loops: int,
    metadata: bool,
    speech: Sequence[Track] = (),
    keys: ToldKeys | None = None,
    source_filter: bool = False,
    local_address: str,
    session_id: str,
) -> SessionDescription:
    """The session description of a stream or a file; relative controls, `trackID=N` for track N.

    With `metadata` it has one more section, for what is told at its side; with `speech`, the tracks that can be
    spoken, one more for the back channel. With `keys` all are for SRTP. With
    `source_filter` it says from whom multicast comes (RFC 4570).
    """
    if isinstance(found, Stream):
        await found.wait_complete(COMPLETE_TIMEOUT_S)
        time_range = NptRange(now=True)
    else:
        once = loops == 1 and found.duration_us is not None
        time_range = NptRange(start_s=0.0, end_s=(found.duration_us or 0) / 1e6 if once else None)
    count = len(found.tracks)
    sections = {index: _describe_track(track, index, index, base_url) for index, track in enumerate(found.tracks)}
    if isinstance(found, Stream) and found.keyframes.possible:
        sections = {index: _with_feedback(section) for index, section in sections.items()}
    if metadata:
        sections[count] = _describe_track(METADATA_TRACK, 0, Side.METADATA, base_url)
    if speech:
        # As ONVIF has it, directions are those of the client.
        sections = {index: replace(section, direction=Direction.RECVONLY) for index, section in sections.items()}
        sections[count + 1] = describe_backchannel(speech, base_url)
    media = [section if keys is None else keys.secure(section, index) for index, section in sections.items()]
    return SessionDescription(
        origin=Origin(session_id=session_id, session_version="1", address=local_address),
        name=name,
        connection=Connection(address="::" if ":" in local_address else "0.0.0.0"),
        attributes=(_source_filter(local_address),) if source_filter else (),
        control="*",
        range=time_range.serialize(),
        media=tuple(media),
    )


def _source_filter(address: str) -> Attribute:
    host = address.partition("%")[0]
    return "source-filter", f" incl IN {'IP6' if ':' in host else 'IP4'} * {host}"


def _describe_track(track: Track, index: int, control: Control, base_url: str) -> MediaDescription:
    rtpmap = describe_track(track, index)
    return MediaDescription(
        kind=track.kind.value,
        port=0,
        protocol="RTP/AVP",
        payload_types=(rtpmap.payload_type,),
        rtpmaps={rtpmap.payload_type: rtpmap},
        control=track_control(base_url, control),
    )


def _with_feedback(section: MediaDescription) -> MediaDescription:
    """RFC 4585 section 4.2 wants the profile AVPF for it, which many clients do not set up; under AVP they pass it
    over, and GStreamer makes use of it."""
    if section.kind != MediaKind.VIDEO.value:
        return section
    return replace(section, attributes=(*section.attributes, *announced_keyframe_feedback(section.payload_types[0])))
