"""Frames of a file that go to a viewer together, as RTP packets: made once for all, whatever numbers each has."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from manycast.hub.rtp_packager import Framing, interleave
from manycast.hub.udp_viewer import runs_of
from manycast.media.frame import Frame
from manycast.wire.rtp.interleaved import Places, find_places, interleaved_parts, renumbered
from manycast.wire.rtp.payload import RtpPayload
from manycast.wire.rtp.sender import RtpTrackSender

Channels = tuple[int | None, ...]  # of each track's RTP in an RTSP connection; None: it was not set up


class Burst:
    """Frames that go out in one call, when the first of them is due. Packets are made when somebody is sent them.

    All who count packets alike get the very same bytes, made once and kept. Others (see RtpTitle) have their own
    numbers put into a copy: little more work, and no memory for long.
    """

    __slots__ = ("_each", "_form", "_others", "_senders", "dts_us", "frames")

    def __init__(self, frames: Sequence[Frame], senders: Sequence[RtpTrackSender], dts_us: int) -> None:
        """`senders` are those of all tracks."""
        self.frames = frames
        self.dts_us = dts_us  # of the first one, on the file's timeline
        self._senders = senders
        self._form: BurstForm | None = None  # for the channels that were asked for first, nearly always the only ones
        self._others: dict[Channels, BurstForm] | None = None
        self._each: tuple[StoredFrame, ...] | None = None

    @property
    def each(self) -> tuple[StoredFrame, ...]:
        """The frames for transports that send each for itself."""
        if self._each is None:
            self._each = tuple(StoredFrame(frame, self._senders[frame.track_index]) for frame in self.frames)
        return self._each

    def form(self, channels: Channels) -> BurstForm:
        """The burst for an RTSP connection."""
        form = self._form
        if form is None:
            form = self._form = BurstForm(self.frames, self._senders, channels)
        elif form.channels != channels:
            if self._others is None:
                self._others = {}
            form = self._others.get(channels)
            if form is None:
                form = self._others[channels] = BurstForm(self.frames, self._senders, channels)
        return form

    def octets(self, channels: Channels | None) -> Sequence[int]:
        """Of each track, how many bytes of payload were sent; without channels, by another transport."""
        if channels is not None:
            return self.form(channels).octets
        octets = [0] * len(self._senders)
        for frame in self.each:
            octets[frame.track_index] += sum(len(payload.data) for payload in frame.payloads)
        return octets


class BurstForm:
    """A burst for given channels, in one piece."""

    __slots__ = ("_counts", "_data", "_is_shared", "_places", "_senders", "channels", "frames", "octets", "packets")

    def __init__(self, frames: Sequence[Frame], senders: Sequence[RtpTrackSender], channels: Channels) -> None:
        """`frames` may be of any track; those of tracks without channel are left out."""
        self.channels = channels
        if None in channels:
            frames = [frame for frame in frames if channels[frame.track_index] is not None]
        self.frames = frames
        # As soon as they were sent, of each track:
        self.packets: Sequence[int] = ()
        self.octets: Sequence[int] = ()
        self._senders = senders
        self._data: bytes | None = None  # with the numbers that all share, or of who was the first
        self._is_shared = False
        self._counts: Sequence[int] = ()  # of each frame's packets
        self._places: Sequence[Places] | None = None

    def shared(self, sequences: MutableSequence[int], bases: Sequence[int]) -> bytes:
        """As `numbered` at a scale of 1, for all whose numbers and times follow from the file alone."""
        data = self._data
        if data is None or not self._is_shared:
            data = self._data = self.numbered(sequences, bases, 1.0)
            self._is_shared = True
            return data
        for track, count in enumerate(self.packets):
            sequences[track] += count
        return data

    def numbered(self, sequences: MutableSequence[int], bases: Sequence[int], scale: float) -> bytes:
        """The packets with the numbers of `sequences`, each track's next one, unwrapped, which are moved on.

        A frame's timestamp is its pts by the scale, and what `bases` has for its track.
        """
        if self._data is None:
            self._data = self._make(sequences, bases, scale)
            return self._data
        if self._places is None:
            self._places = find_places(self._data, self._counts)
        numbers = []
        for frame, count in zip(self.frames, self._counts, strict=True):
            track = frame.track_index
            numbers.append((sequences[track], timestamp_of(frame, bases, scale)))
            sequences[track] += count
        return renumbered(self._data, self._places, numbers)

    def _make(self, sequences: MutableSequence[int], bases: Sequence[int], scale: float) -> bytes:
        parts: list[bytes] = []
        counts = []
        packets, octets = [0] * len(self.channels), [0] * len(self.channels)
        for frame in self.frames:
            track = frame.track_index
            sender, channel = self._senders[track], self.channels[track]
            assert channel is not None
            payloads = sender.payloads(frame)
            parts += interleaved_parts(
                payloads,
                channel=channel,
                payload_type=sender.payload_type,
                ssrc=sender.ssrc,
                sequence=sequences[track],
                timestamp=timestamp_of(frame, bases, scale),
            )
            counts.append(len(payloads))
            sequences[track] += len(payloads)
            packets[track] += len(payloads)
            octets[track] += sum([len(data) for data, _, _ in payloads])
        self._counts, self.packets, self.octets = tuple(counts), tuple(packets), tuple(octets)
        return b"".join(parts)


class StoredFrame:
    """One frame of a burst."""

    __slots__ = ("_runs", "_sender", "frame", "payloads", "track_index")

    def __init__(self, frame: Frame, sender: RtpTrackSender) -> None:
        self.frame = frame
        self.track_index = frame.track_index
        self.payloads: Sequence[RtpPayload] = sender.payloads(frame)
        self._sender = sender
        self._runs: tuple[bytes, ...] | None = None

    def packets(self, sequence: int, timestamp: int) -> list[bytes]:
        """With the numbers of the first one, which may be unwrapped."""
        return self._sender.packets_of(self.payloads, sequence, timestamp)

    def shared_runs(self, sequence: int, timestamp: int) -> tuple[bytes, ...]:
        """The packets in rows of datagrams, for all who have the same numbers."""
        if self._runs is None:
            self._runs = runs_of(self.packets(sequence, timestamp))
        return self._runs


class NumberedFrame:
    """A stored frame with a viewer's numbers, for layouts that send each frame for itself."""

    __slots__ = ("_frame", "_is_shared", "_sequence", "_timestamp", "track_index")

    def __init__(self, frame: StoredFrame, sequence: int, timestamp: int, *, shared: bool) -> None:
        """`shared` says that the numbers follow from the file alone."""
        self.track_index = frame.track_index
        self._frame = frame
        self._sequence = sequence
        self._timestamp = timestamp
        self._is_shared = shared

    @property
    def packets(self) -> list[bytes]:
        return self._frame.packets(self._sequence, self._timestamp)

    def interleaved(self, channel: int, framing: Framing | None = None) -> bytes:
        data = interleave(channel, self.packets)
        return data if framing is None else framing(data)

    def runs(self) -> tuple[bytes, ...]:
        if self._is_shared:
            return self._frame.shared_runs(self._sequence, self._timestamp)
        return runs_of(self.packets)


def timestamp_of(frame: Frame, bases: Sequence[int], scale: float) -> int:
    """A viewer's RTP timestamp of a frame, unwrapped: its pts by the scale, and what `bases` has for its track."""
    return (frame.pts_ticks if scale == 1.0 else round(frame.pts_ticks / scale)) + bases[frame.track_index]
