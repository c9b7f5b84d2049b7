"""The order in which pictures are shown, for containers that number frames and know nothing of B-frames."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.nal import without_emulation_prevention
from manycast.media.track import CodecParameters, H264Parameters, H265Parameters
from manycast.sources.files.timing import Sample

MAX_REORDERED_FRAMES = 16  # the largest decoded picture buffer of H.264 and H.265 (annex A of both)
MAX_SLICE_HEADER_BYTES = 64  # more than stands before the picture order count

_H264_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_H264_SLICES = (1, 2, 5)  # non-IDR, data partition A, IDR
_H264_IDR = 5
_H265_IDR = (19, 20)
_H265_LAST_SLICE = 31
_H265_FIRST_IRAP = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What an SPS says of the picture order count; `lsb_bits` is 0 where pictures are shown as they are decoded."""

    lsb_bits: int
    frame_num_bits: int = 0
    separate_planes: bool = False
    frame_mbs_only: bool = True


@dataclass(frozen=True, slots=True)
class _Picture:
    """What a PPS says of what stands before the picture order count."""

    sps_id: int
    extra_bits: int = 0  # H.265's flags of slice headers that nobody knows yet
    output_flag: bool = False


class PictureOrder:
    """Reads the picture order counts (ITU-T H.264 section 8.2.1, H.265 section 8.3.1) of one stream.

    Only those of frames from one keyframe to the next can be compared.
    """

    def __init__(self) -> None:
        self._parameters: CodecParameters | None = None
        self._sequences: dict[int, _Sequence] = {}  # by the ids of the parameter sets
        self._pictures: dict[int, _Picture] = {}
        self._reference = 0  # the count that the next one is near to

    def count(self, units: Sequence[bytes], parameters: CodecParameters, *, keyframe: bool) -> int:
        """The count of the next access unit in decoding order, with the parameter sets that hold for it.

        Where it cannot be read, the frame passes for one that is shown after all before it.
        """
        if parameters is not self._parameters:
            self._take(parameters)
        read = _read_h264 if isinstance(parameters, H264Parameters) else _read_h265
        try:
            lsb, bits, is_reference = read(units, self._sequences, self._pictures)
        except (MalformedBitstream, KeyError):
            lsb, bits, is_reference = 0, 0, True
        if bits == 0:
            count = self._reference + 2  # a count for each field
        elif keyframe:
            count = lsb
        else:
            half = 1 << (bits - 1)
            count = self._reference + (lsb - self._reference + half) % (2 * half) - half
        if is_reference:
            self._reference = count
        return count

    def _take(self, parameters: CodecParameters) -> None:
        self._parameters = parameters
        match parameters:
            case H264Parameters(sps=sps, pps=pps):
                self._sequences = _by_id(_h264_sequence, sps)
                self._pictures = _by_id(_h264_picture, pps)
            case H265Parameters(sps=sps, pps=pps):
                self._sequences = _by_id(_h265_sequence, sps)
                self._pictures = _by_id(_h265_picture, pps)


class PictureSlots:
    """Gives samples that have a dts only the pts that follow from their picture order counts.

    The frames from one keyframe to the next are shown in the times in which they are decoded: the one that is
    shown first gets the first dts as its pts, and so on. That needs nothing from before the keyframe.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()  # in decoding order
        self._unordered: list[_Waiting] = []  # a heap: those that are not given a time yet
        self._times: deque[int] = deque()  # in which they will be shown

    def push(self, sample: Sample, count: int) -> list[Sample]:
        """Return the samples whose pts are now known, in decoding order."""
        assert sample.dts is not None
        done = self.flush() if sample.keyframe else []
        waiting = _Waiting(count, sample.dts, sample)
        self._waiting.append(waiting)
        self._times.append(sample.dts)
        heapq.heappush(self._unordered, waiting)
        if len(self._unordered) > MAX_REORDERED_FRAMES:
            self._give_time()
        return done + self._take_timed()

    def flush(self) -> list[Sample]:
        """Return what was held back: the stream has ended."""
        while self._unordered:
            self._give_time()
        return self._take_timed()

    def reset(self) -> None:
        """Forget everything: reading goes on elsewhere."""
        self._waiting.clear()
        self._unordered.clear()
        self._times.clear()

    def _give_time(self) -> None:
        waiting = heapq.heappop(self._unordered)
        waiting.sample.pts = self._times.popleft()
        waiting.timed = True

    def _take_timed(self) -> list[Sample]:
        done = []
        while self._waiting and self._waiting[0].timed:
            done.append(self._waiting.popleft().sample)
        return done


@dataclass(slots=True, order=True)
class _Waiting:
    count: int
    dts: int  # decides between two fields of a frame, or frames whose count cannot be read
    sample: Sample = field(compare=False)
    timed: bool = field(default=False, compare=False)


def _by_id(parse: Callable[[bytes], tuple[int, T]], units: Sequence[bytes]) -> dict[int, T]:
    """What the parameter sets say, without broken ones."""
    known = {}
    for unit in units:
        try:
            set_id, said = parse(unit)
        except MalformedBitstream:
            continue
        known[set_id] = said
    return known


def _h264_sequence(unit: bytes) -> tuple[int, _Sequence]:
    bits = BitReader(without_emulation_prevention(unit)[1:])
    profile_idc = bits.u(8)
    bits.u(16)
    sps_id = bits.ue(31)
    separate_planes = False
    if profile_idc in _H264_WITH_CHROMA:
        chroma_format_idc = bits.ue(3)
        separate_planes = chroma_format_idc == 3 and bits.flag()
        bits.ue(6), bits.ue(6), bits.flag()  # bit depths, qpprime_y_zero_transform_bypass_flag
        if bits.flag():  # scaling matrices: whoever makes them does not write AVI; leave the order as it is
            return sps_id, _Sequence(lsb_bits=0)
    frame_num_bits = bits.ue(12) + 4
    if bits.ue(2) != 0:  # pic_order_cnt_type; 1 and 2 have no B-frames in practice
        return sps_id, _Sequence(lsb_bits=0)
    lsb_bits = bits.ue(12) + 4
    bits.ue(16), bits.flag(), bits.ue(), bits.ue()  # reference frames, gaps, width, height
    return sps_id, _Sequence(lsb_bits, frame_num_bits, separate_planes, frame_mbs_only=bits.flag())


def _h264_picture(unit: bytes) -> tuple[int, _Picture]:
    bits = BitReader(without_emulation_prevention(unit[:16])[1:])
    return bits.ue(255), _Picture(sps_id=bits.ue(31))


def _read_h264(
    units: Sequence[bytes], sequences: dict[int, _Sequence], pictures: dict[int, _Picture]
) -> tuple[int, int, bool]:
    """pic_order_cnt_lsb, its number of bits, and whether others refer to the picture (section 7.3.3)."""
    unit = next((unit for unit in units if unit[0] & 0x1F in _H264_SLICES), b"")
    bits = BitReader(without_emulation_prevention(unit[:MAX_SLICE_HEADER_BYTES])[1:])
    bits.ue(), bits.ue()  # first_mb_in_slice, slice_type
    sequence = sequences[pictures[bits.ue(255)].sps_id]
    if sequence.separate_planes:
        bits.u(2)
    bits.u(sequence.frame_num_bits)
    if not sequence.frame_mbs_only and bits.flag():
        bits.flag()  # bottom_field_flag
    if unit[0] & 0x1F == _H264_IDR:
        bits.ue()  # idr_pic_id
    return bits.u(sequence.lsb_bits), sequence.lsb_bits, unit[0] & 0x60 != 0


def _h265_sequence(unit: bytes) -> tuple[int, _Sequence]:
    bits = BitReader(without_emulation_prevention(unit)[2:])
    bits.u(4)
    sub_layers = bits.u(3)
    bits.u(1 + 96)  # sps_temporal_id_nesting_flag, profile and level
    if sub_layers:
        flags = bits.u(16)  # two for each of eight
        for index in range(sub_layers):
            bits.u(88 * (flags >> (15 - 2 * index) & 1) + 8 * (flags >> (14 - 2 * index) & 1))
    sps_id = bits.ue(15)
    separate_planes = bits.ue(3) == 3 and bits.flag()
    bits.ue(), bits.ue()  # width, height
    if bits.flag():
        bits.ue(), bits.ue(), bits.ue(), bits.ue()  # the cropping window
    bits.ue(), bits.ue()  # bit depths
    return sps_id, _Sequence(lsb_bits=bits.ue(12) + 4, separate_planes=separate_planes)


def _h265_picture(unit: bytes) -> tuple[int, _Picture]:
    bits = BitReader(without_emulation_prevention(unit[:16])[2:])
    pps_id, sps_id = bits.ue(63), bits.ue(15)
    bits.flag()  # dependent_slice_segments_enabled_flag
    return pps_id, _Picture(sps_id=sps_id, output_flag=bits.flag(), extra_bits=bits.u(3))


def _read_h265(
    units: Sequence[bytes], sequences: dict[int, _Sequence], pictures: dict[int, _Picture]
) -> tuple[int, int, bool]:
    """slice_pic_order_cnt_lsb, its number of bits, and whether later counts are near to this (section 7.3.6.1)."""
    unit = next((unit for unit in units if unit[0] >> 1 & 0x3F <= _H265_LAST_SLICE), b"")
    bits = BitReader(without_emulation_prevention(unit[:MAX_SLICE_HEADER_BYTES])[2:])
    if not bits.flag():
        raise MalformedBitstream("the first slice segment of the picture is missing")
    nal_unit_type = unit[0] >> 1 & 0x3F
    if nal_unit_type >= _H265_FIRST_IRAP:
        bits.flag()  # no_output_of_prior_pics_flag
    picture = pictures[bits.ue(63)]
    sequence = sequences[picture.sps_id]
    if nal_unit_type in _H265_IDR:
        return 0, sequence.lsb_bits, True
    bits.u(picture.extra_bits)
    bits.ue(2)  # slice_type
    bits.u(picture.output_flag + 2 * sequence.separate_planes)
    # Pictures of higher sub-layers, leading ones, and those that none of their sub-layer refers to do not count.
    is_reference = unit[1] & 7 == 1 and not (6 <= nal_unit_type <= 9 or nal_unit_type in (0, 2, 4, 10, 12, 14))
    return bits.u(sequence.lsb_bits), sequence.lsb_bits, is_reference
