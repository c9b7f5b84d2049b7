"""From a container's packets to the samples of one track. Imports PyAV."""

from __future__ import annotations

from av.packet import Packet
from av.stream import Stream

from manycast.media.bits import MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.mpeg_video import PictureType, picture_header, sequence_header
from manycast.media.normalise import normalise
from manycast.media.track import Codec, MediaKind
from manycast.sources.files.anchors import AnchorOrder, VopUnpacker
from manycast.sources.files.picture_order import PictureOrder, PictureSlots
from manycast.sources.files.timing import Sample
from manycast.sources.files.tracks import ANCHORED_CODECS, Carried, video_configuration, with_configuration

DEFAULT_FRAME_RATE = 25
MAX_DURATION_S = 10  # of one packet of audio; FFmpeg counts below zero at the end of Ogg files


class SampleReader:
    """Unpacks and normalises the packets of one stream, for one reading of the file."""

    def __init__(
        self, stream: Stream, track_index: int, carried: Carried, *, ordered: bool = False, untimed: bool = False
    ) -> None:
        """`ordered` says that the pts must be made from the pictures' order, as the container has none; `untimed`
        that the container's times are worse than adding up the frames' lengths."""
        assert stream.time_base is not None
        self.track = carried.track  # with the parameter sets seen so far
        self.malformed = 0  # packets that were left out
        self._track_index = track_index
        self._is_video = carried.track.kind is MediaKind.VIDEO
        self._unpack = carried.unpack
        self._default_duration = max(1, round(1 / (DEFAULT_FRAME_RATE * stream.time_base)))
        self._untimed = untimed
        codec = carried.track.codec
        self._lead = carried.lead
        self._longest_duration = int(MAX_DURATION_S / stream.time_base)
        self._ordered = ordered
        is_mpeg4 = codec is Codec.MPEG4
        self._order = AnchorOrder(is_mpeg4=is_mpeg4) if codec in ANCHORED_CODECS else PictureOrder()
        self._slots = PictureSlots()
        self._vops = VopUnpacker() if ordered and is_mpeg4 else None
        self._next_dts = 0

    def push(self, packet: Packet[Stream]) -> list[Sample]:
        """Return the samples that are certain by now."""
        if self._is_video and packet.is_keyframe and packet.has_sidedata("new_extradata"):
            self._take_configuration(bytes(packet.get_sidedata("new_extradata")))
        data = bytes(packet)
        if self._vops is not None:
            data = self._vops.push(data)
        try:
            units = self._unpack(data)
        except MalformedBitstream:
            self.malformed += 1
            return []
        return self._video_samples(packet, units) if self._is_video else self._audio_samples(packet, units)

    def flush(self) -> list[Sample]:
        """Return what was held back: the stream has ended."""
        return self._slots.flush()

    def reset(self) -> None:
        """Reading goes on elsewhere."""
        self._slots.reset()
        if self._vops is not None:
            self._vops.reset()

    def _audio_samples(self, packet: Packet[Stream], units: list[bytes]) -> list[Sample]:
        # A packet with several units (ADTS) has one time; those of the others follow from it.
        duration = packet.duration or 0
        if duration > self._longest_duration:
            duration = 0
        duration //= max(len(units), 1)
        return [
            Sample(
                track_index=self._track_index,
                dts=packet.dts if index == 0 and not self._untimed else None,
                pts=packet.pts if index == 0 and not self._untimed else None,
                duration=duration,
                keyframe=True,
                units=[unit],
            )
            for index, unit in enumerate(units)
        ]

    def _video_samples(self, packet: Packet[Stream], units: list[bytes]) -> list[Sample]:
        frame = Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=packet.is_keyframe, units=units)
        if self.track.codec is Codec.MPEG_VIDEO:
            self._complete(frame)
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
        if not self._ordered:
            return [sample]
        if sample.dts is None:
            sample.dts = self._next_dts
        self._next_dts = sample.dts + sample.duration
        count = self._order.count(sample.units, self.track.parameters, keyframe=sample.keyframe)
        return self._slots.push(sample, count)

    def _complete(self, frame: Frame) -> None:
        """See what picture of MPEG-1 or MPEG-2 it is, and put the sequence header in front of a keyframe without."""
        picture = frame.units[0]
        header = picture_header(picture)
        if header is None:
            frame.units = []
            return
        found = sequence_header(picture)
        self._lead = found or self._lead
        frame.keyframe = header.picture_type is PictureType.I and bool(self._lead)
        if frame.keyframe and not found:
            frame.units = [self._lead + picture]

    def _take_configuration(self, extradata: bytes) -> None:
        """The container changes its configuration in the middle: parameter sets, and the size of lengths."""
        if self.track.codec not in (Codec.H264, Codec.H265):
            return
        try:
            parameters, self._unpack = video_configuration(self.track.codec, extradata)
            self.track = with_configuration(self.track, parameters)
        except MalformedBitstream:
            self.malformed += 1
