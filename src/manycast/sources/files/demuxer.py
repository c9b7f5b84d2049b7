"""A container open for reading, with FFmpeg kept from opening anything else. Imports PyAV: import it late."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Stream

from manycast.hub.source import SourceError
from manycast.sources.files.flv_search import find_tag_before
from manycast.sources.files.metered_file import MAX_STEP_S, MeteredFile, open_metered
from manycast.sources.files.paths import FileStamp

# What may be opened. Playlists and the like (hls, dash, concat, sdp, image2, ...) are not: they make FFmpeg
# open other files and addresses.
DEMUXERS = (
    "aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "caf", "dts", "dv", "eac3", "flac", "flv",
    "h264", "hevc", "ivf", "m4v", "matroska", "mjpeg", "mov", "mp3", "mpeg", "mpegts", "mpegvideo", "mxf", "obu", "ogg",
    "tta", "w64", "wav", "wv",
)  # fmt: skip
# These hold no times and no index: there is no seeking but reading from the start.
UNINDEXED_DEMUXERS = frozenset(
    {"aac", "ac3", "amr", "amrnb", "amrwb", "dts", "eac3", "h264", "hevc", "ivf", "m4v", "mjpeg", "mpegvideo", "obu"}
)

BUFFER_BYTES = 32 << 10  # of one read() from the file; more is wasted where FFmpeg hops from place to place
MAX_READ_BYTES = 64 << 20  # for one group, with all that lies between its frames
MAX_SEEK_BYTES = 1 << 30  # for opening, or one search: without index FFmpeg looks at all that lies before
FLV_HEADER_BYTES = 13  # with the number before the first tag
MAX_ERRORS_IN_ROW = 64  # damaged packets, before the rest of the file is given up

_JPEG_START = b"\xff\xd8\xff"  # the first marker and the start of the second
_GENERATE_PTS = 1  # AVFMT_FLAG_GENPTS, which PyAV always sets


class Demuxer:
    """Packets of one file. Used by one thread at a time."""

    def __init__(self, path: Path, stamp: FileStamp) -> None:
        """Open a file that has been found as `stamp` says. Raises SourceError."""
        self._file = open_metered(path, stamp)
        self.errors = 0
        self._errors_in_row = 0
        self._unread: deque[Packet[Stream]] = deque()
        self._wanted: list[Stream] = []
        self._packets: Iterator[Packet[Stream]] = iter(())
        try:
            self._file.allow(MAX_SEEK_BYTES)
            self._container = _open_container(self._file)
        except BaseException:
            self._file.close()
            raise
        # What FFmpeg would make up for missing pts depends on where reading has started.
        self._container.flags &= ~_GENERATE_PTS

    @property
    def format_name(self) -> str:
        """The demuxer's name without its aliases, such as "mov"."""
        return self._container.format.name.split(",")[0]

    @property
    def streams(self) -> list[Stream]:
        return list(self._container.streams)

    @property
    def duration_us(self) -> int | None:
        """What the container says, if it says anything reliable."""
        duration = self._container.duration
        if not duration or duration <= 0 or self.format_name in UNINDEXED_DEMUXERS:
            return None
        return duration

    @property
    def bytes_read(self) -> int:
        """How much of the file was read so far."""
        return self._file.bytes_read

    def select(self, indices: Sequence[int]) -> None:
        """Say which streams' packets are wanted, at least one's."""
        self._wanted = [self._container.streams[index] for index in indices]
        for stream in self._container.streams:
            stream.discard = Discard.default if stream in self._wanted else Discard.all
        self._unread = deque(packet for packet in self._unread if packet.stream_index in indices)
        self._packets = self._container.demux(*self._wanted)

    def allow_more(self) -> None:
        """Permit another group's worth of reading."""
        self._file.allow(MAX_READ_BYTES)

    def read(self) -> Packet[Stream] | None:
        """The next packet of the wanted streams, None at the end. Damaged ones are skipped and counted."""
        if self._unread:
            return self._unread.popleft()
        while self._errors_in_row < MAX_ERRORS_IN_ROW:
            try:
                packet = next(self._packets, None)
            except (EOFError, IndexError):
                # At the end PyAV trips over streams that have appeared since the file was opened (av 18.1).
                return None
            except FFmpegError:
                self._count_error()
                self._packets = self._container.demux(*self._wanted)
                continue
            if packet is None:
                return None
            if packet.is_corrupt:
                self._count_error()
            elif packet.size:  # those without are signs of the end
                self._errors_in_row = 0
                return packet
        return None

    def unread(self, packets: Sequence[Packet[Stream]]) -> None:
        """Have packets given out again, before all others."""
        self._unread.extendleft(reversed(packets))

    def seek(self, time_s: Fraction, stream_index: int) -> None:
        """Go to the last entry point at or before a time of the container, as far as the container can tell.

        Raises SourceError where that is not possible.
        """
        stream = self._container.streams[stream_index]
        self._unread.clear()
        self._errors_in_row = 0
        self._file.allow(MAX_SEEK_BYTES)
        try:
            if self.format_name == "flv":
                self._seek_in_flv(time_s)
            else:
                assert stream.time_base is not None
                self._container.seek(int(time_s / stream.time_base), stream=stream)
        except FFmpegError as error:
            raise SourceError(f"cannot seek to {float(time_s):.3f} s: {error.strerror}") from error
        finally:
            self._file.allow(MAX_READ_BYTES)
        self._packets = self._container.demux(*self._wanted)

    def close(self) -> None:
        self._unread.clear()
        self._packets = iter(())
        self._container.close()
        self._file.close()

    def _seek_in_flv(self, time_s: Fraction) -> None:
        """FLV files seldom have an index, and FFmpeg would read all that lies before."""
        place = self._file.tell()
        size = self._file.seek(0, os.SEEK_END)
        tag = find_tag_before(self._file.read_at, size, FLV_HEADER_BYTES, int(time_s * 1000))
        self._file.seek(place)  # where FFmpeg has left it, and thinks it is
        if tag is None:
            raise SourceError(f"no FLV tag found before {float(time_s):.3f} s")
        self._container.seek(tag.offset, unsupported_byte_offset=True)

    def _count_error(self) -> None:
        self.errors += 1
        self._errors_in_row += 1


def _open_container(file: MeteredFile) -> InputContainer:
    is_jpeg = file.read_at(0, len(_JPEG_START)) == _JPEG_START
    file.seek(0)
    try:
        return av.open(
            file,
            mode="r",
            # FFmpeg takes a row of images for a single one, whose demuxer is none of ours.
            format="mjpeg" if is_jpeg else None,
            container_options={
                "format_whitelist": ",".join(DEMUXERS),
                "protocol_whitelist": "none",  # no protocol has this name
                "enable_drefs": "0",  # QuickTime's references to other files
            },
            metadata_errors="replace",
            buffer_size=BUFFER_BYTES,
            timeout=MAX_STEP_S,
            io_open=_refuse_to_open,
        )
    except FFmpegError as error:
        raise SourceError(
            f"{file.name}: damaged, incomplete, or no media file of a kind that is served ({error.strerror})"
        ) from error


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> io.RawIOBase:
    raise SourceError(f"the file refers to another one, {url!r}")
