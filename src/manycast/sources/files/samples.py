"""From a container's packets to the samples of one track. Imports PyAV."""

from __future__ import annotations

from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.normalise import normalise
from manycast.media.track import MediaKind
from manycast.sources.files.picture_order import PictureOrder
from manycast.sources.files.timing import Sample
from manycast.sources.files.tracks import Carried, video_configuration, with_configuration

DEFAULT_FRAME_RATE = 25


class SampleReader:
    """Unpacks and normalises the packets of one stream, for one reading of the file."""

    def __init__(self, stream: Stream, track_index: int, carried: Carried, *, ordered: bool) -> None:
        """`ordered` says that the pts must be made from the picture order, as the container has none."""
        assert stream.time_base is not None
        self.track = carried.track  # with the parameter sets seen so far
        self.malformed = 0  # packets that were left out
        self._track_index = track_index
        self._is_video = carried.track.kind is MediaKind.VIDEO
        self._unpack = carried.unpack
        self._default_duration = max(1, round(1 / (DEFAULT_FRAME_RATE * stream.time_base)))
        self._order = PictureOrder(stream) if ordered else None
        self._next_dts = 0

    def push(self, packet: Packet[Stream]) -> list[Sample]:
        """Return the samples that are certain by now."""
        if self._is_video and packet.is_keyframe and packet.has_sidedata("new_extradata"):
            self._take_configuration(bytes(packet.get_sidedata("new_extradata")))
        if self._order is None:
            return self._samples(packet)
        if packet.dts is None:
            packet.dts = self._next_dts
        self._next_dts = packet.dts + (packet.duration or self._default_duration)
        try:
            ready = self._order.push(packet)
        except FFmpegError:
            self.malformed += 1
            return []
        return [sample for packet in ready for sample in self._samples(packet)]

    def flush(self) -> list[Sample]:
        """Return what was held back: the stream has ended."""
        if self._order is None:
            return []
        try:
            return [sample for packet in self._order.flush() for sample in self._samples(packet)]
        except FFmpegError:
            return []

    def reset(self) -> None:
        """Reading goes on elsewhere."""
        if self._order is not None:
            self._order.reset()

    def _samples(self, packet: Packet[Stream]) -> list[Sample]:
        try:
            units = self._unpack(bytes(packet))
        except MalformedBitstream:
            self.malformed += 1
            return []
        if self._is_video:
            return self._video_samples(packet, units)
        # A packet of audio with several units (ADTS) has one time; those of the others follow from it.
        duration = (packet.duration or 0) // max(len(units), 1)
        return [
            Sample(
                track_index=self._track_index,
                dts=packet.dts if index == 0 else None,
                pts=packet.pts if index == 0 else None,
                duration=duration,
                keyframe=True,
                units=[unit],
            )
            for index, unit in enumerate(units)
        ]

    def _video_samples(self, packet: Packet[Stream], units: list[bytes]) -> list[Sample]:
        frame = Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=packet.is_keyframe, units=units)
        self.track = normalise(frame, self.track)
        if not frame.units:
            return []
        sample = Sample(
            track_index=self._track_index,
            dts=packet.dts,
            pts=packet.pts,
            duration=packet.duration or self._default_duration,
            keyframe=frame.keyframe,
            units=frame.units,
        )
        return [sample]

    def _take_configuration(self, extradata: bytes) -> None:
        """The container changes its configuration in the middle: parameter sets, and the size of lengths."""
        try:
            parameters, self._unpack = video_configuration(self.track.codec, extradata)
            self.track = with_configuration(self.track, parameters)
        except MalformedBitstream:
            self.malformed += 1
