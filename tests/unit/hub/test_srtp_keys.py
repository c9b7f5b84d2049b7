"""Keys of live streams and files, and packets that are protected once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.clips import make_clip

from manycast.hub.fanout import BacklogLimit
from manycast.hub.rtp_packager import InterleavedLayout, RtpFrame, RtpPackager, TrackStart, UdpLayout
from manycast.hub.srtp import MAX_SHARED_SEQUENCE, KeyUsedUp, SrtpContext, SrtpLayout, SrtpOffer, SrtpOffers
from manycast.hub.stream import Stream
from manycast.hub.udp_viewer import SEGMENT_BYTES, Datagrams
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, H264Parameters, Track
from manycast.wire.mikey import CryptoSession
from manycast.wire.rtp.packet import header
from manycast.wire.rtp.srtp import SrtpKey, SrtpReceiver

VIDEO = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters(sps=(b"\x67sps",), pps=(b"\x68p",)))
AUDIO = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))
SSRC = 77


class Notes:
    """A viewer that keeps what it is given."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def begin(self, chunks: Sequence[bytes], *, wait_for_keyframe: bool) -> None:
        self.chunks += chunks

    def offer(self, chunk: bytes, joinable: bool) -> None:
        self.chunks.append(chunk)

    def control(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    def clear(self) -> None: ...


def video(number: int, *, keyframe: bool = False) -> Frame:
    unit = bytes((0x65 if keyframe else 0x41,)) + bytes((number & 0xFF,)) * 3000
    ticks = 3600 * number
    return Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=keyframe, units=[unit])


def audio(number: int) -> Frame:
    return Frame(track_index=1, dts_ticks=160 * number, pts_ticks=160 * number, keyframe=True, units=[b"a" * 160])


def frame_of(sequence: int, *, count: int = 1, size: int = 100, ssrc: int = SSRC) -> RtpFrame:
    packets = [header(96, sequence + number, 0, ssrc, False) + bytes(size - 12) for number in range(count)]
    return RtpFrame(0, packets, 0, True)


def opened(receiver: SrtpReceiver, chunk: bytes) -> list[bytes]:
    """The RTP packets in an interleaved frame."""
    packets = []
    while chunk:
        size = int.from_bytes(chunk[2:4])
        packets.append(receiver.receive_rtp(chunk[4 : 4 + size]))
        chunk = chunk[4 + size :]
    return packets


def receiver_of(context: SrtpContext, *, says_key: bool) -> SrtpReceiver:
    key = context.key
    return SrtpReceiver(SrtpKey(master=key.master, mki=key.mki if says_key else b"", policy=key.policy))


def test_viewers_with_one_key_get_the_very_same_object_and_can_read_it() -> None:
    packager = RtpPackager((VIDEO, AUDIO), [video(0, keyframe=True)], BacklogLimit(), "live")
    context = SrtpContext(encrypt=True, keeps=True)
    viewers = [Notes() for _ in range(3)]
    for viewer, says_key in zip(viewers, (False, False, True), strict=True):
        packager.join(viewer, SrtpLayout(InterleavedLayout(((0, 1), (2, 3))), context, says_key), unix_s=0.0)
    packager.push(video(1))
    packager.push(audio(1))
    assert viewers[0].chunks[1] is viewers[1].chunks[1]
    assert viewers[0].chunks[2] is viewers[1].chunks[2]
    for viewer, says_key in zip(viewers, (False, False, True), strict=True):
        receiver = receiver_of(context, says_key=says_key)
        sizes = [len(opened(receiver, chunk)) for chunk in viewer.chunks]
        assert sizes == [3, 3, 1]  # the keyframe came from the cache; parameter sets are out of band
    assert b"a" * 100 not in viewers[0].chunks[2]


def test_the_mki_is_all_that_differs() -> None:
    context = SrtpContext(encrypt=True, keeps=True)
    frame = frame_of(5, count=2)
    without, saying = (context.frame(frame, says_key=says_key).packets for says_key in (False, True))
    assert saying == [packet[:-10] + context.key.mki + packet[-10:] for packet in without]


def test_who_joins_again_gets_what_was_made_before() -> None:
    context = SrtpContext(encrypt=True, keeps=True)
    frames = [frame_of(sequence) for sequence in range(300)]
    first = [context.frame(frame, says_key=False).packets for frame in frames]
    assert [context.frame(frame, says_key=False).packets for frame in frames] == first


def test_protected_frames_go_with_their_frames() -> None:
    context = SrtpContext(encrypt=True, keeps=True)
    frame = frame_of(1)
    context.frame(frame, says_key=False)
    assert context._kept is not None
    assert len(context._kept) == 1
    del frame
    assert not len(context._kept)


def test_without_encryption_payloads_can_be_read_and_changes_are_seen() -> None:
    context = SrtpContext(encrypt=False, keeps=False)
    frame = frame_of(1)
    (packet,) = context.frame(frame, says_key=False).packets
    assert packet[:-10] == frame.packets[0]
    assert receiver_of(context, says_key=False).receive_rtp(packet) == frame.packets[0]


@pytest.mark.parametrize("says_key", [False, True])
def test_runs_are_of_longer_datagrams(says_key: bool) -> None:
    context = SrtpContext(encrypt=True, keeps=False)
    layout = SrtpLayout(UdpLayout((True,)), context, says_key)
    chunk = layout.frame(frame_of(1, count=5, size=SEGMENT_BYTES))
    assert isinstance(chunk, Datagrams)
    (run,) = chunk.runs
    assert len(run) == 5 * (SEGMENT_BYTES + context.overhead_bytes(says_key=says_key))


def test_the_counter_goes_on_over_the_edge_also_within_a_frame() -> None:
    context = SrtpContext(encrypt=True, keeps=True)
    receiver = receiver_of(context, says_key=False)
    for start in range(65_000, 66_100, 7):
        for packet in context.frame(frame_of(start, count=7), says_key=False).packets:
            receiver.receive_rtp(packet)
    assert context.index_of(SSRC, 0) == 0x10000
    assert context.index_of(SSRC, 65_535) == 0xFFFF
    assert context.latest(SSRC) == start + 6
    assert context.index_of(SSRC + 1, 65_535) == 65_535


# What is told, and whether it holds


GOP = 10
CLIP = make_clip(gop=GOP)


def make_stream() -> Stream:
    stream = Stream("live", [CLIP.track], "test")
    push_keyframe(stream)
    return stream


def push_keyframe(stream: Stream) -> None:
    """The next group of pictures begins."""
    stream.push(CLIP.frame(0))


def watch(stream: Stream, sequence: int = 100) -> RtpPackager:
    packager = stream.watch(object(), RtpPackager, lambda reason: None)
    packager.senders[0].sequence = sequence
    push_keyframe(stream)
    return packager


def told(offer: SrtpOffer, track: int = 0) -> CryptoSession:
    (session,) = offer.messages(track, ntp=0)[0].sessions
    return session


def media_of(viewer: Notes) -> list[bytes]:
    return [chunk for chunk in viewer.chunks if chunk[1] == 0]


def play(offer: SrtpOffer, packager: RtpPackager) -> Notes:
    """What a session does at PLAY."""
    offer.check(0, packager.senders[0].ssrc, packager.start_of(0, unix_s=0.0))
    viewer = Notes()
    packager.join(viewer, SrtpLayout(InterleavedLayout(((0, 1),)), offer.context, False), unix_s=0.0)
    return viewer


async def test_both_messages_say_the_same_key() -> None:
    without, saying = SrtpOffers(encrypt=True).own(1, live=False).messages(0, ntp=5)
    assert without.key == saying.key
    assert (without.mki, len(saying.mki)) == (b"", 4)
    assert without.policy.encrypt_rtp
    assert not SrtpOffers(encrypt=False).own(1, live=False).messages(0, ntp=5)[0].policy.encrypt_rtp


async def test_viewers_of_a_live_stream_share_a_key_and_viewers_of_files_do_not() -> None:
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    first = offers.shared(stream)
    assert offers.shared(stream).context is first.context  # also before anybody plays
    packager = watch(stream)
    play(first, packager)
    assert offers.shared(stream).context is first.context
    assert offers.shared(make_stream()).context is not first.context
    assert offers.own(1, live=False).context is not offers.own(1, live=False).context


async def test_a_key_nobody_has_any_more_is_not_used_again() -> None:
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    key = offers.shared(stream).context.key.master
    assert offers.shared(stream).context.key.master != key


async def test_who_joins_later_is_told_the_counter() -> None:
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    packager = watch(stream, MAX_SHARED_SEQUENCE - 100)
    first = offers.shared(stream)
    assert told(first) == CryptoSession(packager.senders[0].ssrc, roc=0)
    viewer = play(first, packager)
    number = 1
    while packager.senders[0].sequence >= 1000:
        stream.push(CLIP.frame(number))
        number += 1
    push_keyframe(stream)
    later = offers.shared(stream)
    assert later.context is first.context
    assert told(later) == CryptoSession(packager.senders[0].ssrc, roc=1)
    assert media_of(play(later, packager))[-1] == media_of(viewer)[-1]
    receiver = receiver_of(first.context, says_key=False)
    assert sum(len(opened(receiver, chunk)) for chunk in media_of(viewer)) > 8192


async def test_shortly_before_the_edge_everybody_gets_a_key_of_his_own() -> None:
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    packager = watch(stream)
    shared = offers.shared(stream)
    packager.senders[0].sequence = MAX_SHARED_SEQUENCE
    own = offers.shared(stream)
    assert own.context is not shared.context
    assert told(own) == CryptoSession(0)
    assert offers.shared(stream).context is not own.context
    packager.senders[0].sequence = 3
    push_keyframe(stream)  # past the edge before PLAY
    play(own, packager)


async def test_a_group_of_pictures_across_the_edge_is_not_told_of() -> None:
    """Who joins before the next keyframe would have to begin with another counter than who joins behind it."""
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    packager = watch(stream, 65_534)
    shared = offers.shared(stream)
    assert packager.senders[0].sequence < 1000
    assert offers.shared(stream).context is not shared.context


async def test_a_counter_that_has_moved_since_it_was_told_is_an_error() -> None:
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    packager = watch(stream, 1000)
    play(offers.shared(stream), packager)
    late = offers.shared(stream)
    packager.senders[0].sequence = 20_000
    push_keyframe(stream)
    packager.senders[0].sequence = 50_000
    push_keyframe(stream)
    packager.senders[0].sequence = 10
    push_keyframe(stream)
    with pytest.raises(KeyUsedUp, match="DESCRIBE again"):
        play(late, packager)


async def test_a_new_source_id_starts_at_zero() -> None:
    """The last viewer left between DESCRIBE and PLAY, and the packets start anew."""
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    watcher = object()
    packager = stream.watch(watcher, RtpPackager, lambda reason: None)
    packager.senders[0].sequence = 1000
    offer = offers.shared(stream)
    stream.unwatch(watcher)
    packager = watch(stream, 60_000)
    viewer = play(offer, packager)
    receiver = receiver_of(offer.context, says_key=False)
    assert all(opened(receiver, chunk) for chunk in media_of(viewer))
    assert offer.context.latest(packager.senders[0].ssrc) == packager.senders[0].sequence - 1


async def test_after_a_pause_one_can_go_on_as_far_as_a_receiver_can_tell() -> None:
    offers, stream = SrtpOffers(encrypt=True), make_stream()
    packager = watch(stream, 1000)
    ssrc = packager.senders[0].ssrc
    other, offer = offers.shared(stream), offers.shared(stream)
    play(other, packager)
    play(offer, packager)
    offer.pause([ssrc])
    left = packager.senders[0].sequence - 1
    packager.senders[0].sequence = left + 0x7F00
    push_keyframe(stream)
    offer.check(0, ssrc, packager.start_of(0, unix_s=0.0))
    packager.senders[0].sequence = left + 0x8100
    push_keyframe(stream)
    with pytest.raises(KeyUsedUp):
        offer.check(0, ssrc, packager.start_of(0, unix_s=0.0))


def test_a_file_is_followed_from_any_number() -> None:
    offer = SrtpOffers(encrypt=True).own(2, live=False)
    for track in (0, 1):
        offer.check(track, SSRC + track, TrackStart(65_535, 0))
    offer.context.frame(frame_of(65_535, count=3), says_key=False)
    offer.pause([SSRC])
    offer.check(0, SSRC, TrackStart(2, 0))
