"""One reading of a file: a place in it from which groups come one after the other. Imports PyAV."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from manycast.hub.source import SourceError
from manycast.media.track import MediaKind
from manycast.sources.files.demuxer import MAX_SEEK_BYTES, Demuxer
from manycast.sources.files.groups import AudioGrouper, FileGroup, VideoGrouper
from manycast.sources.files.plan import FilePlan
from manycast.sources.files.samples import SampleReader
from manycast.sources.files.timing import Sample

# How far before a wanted position the search goes, until it finds an entry point and all of its audio.
SEARCH_STEPS_S = (0, 1, 4, 16, 64)
MAX_INCOMPLETE = 2  # searches repeated only because audio seems to be missing: perhaps there is none


class Cursor:
    """Used by one thread at a time. An error leaves it unusable: close it then."""

    def __init__(self, plan: FilePlan, demuxer: Demuxer | None = None) -> None:
        """Stand at the file's start, where `demuxer` does already, if there is one. Raises SourceError."""
        self._plan = plan
        self._has_video = plan.tracks[0].kind is MediaKind.VIDEO
        self._grouper = VideoGrouper(plan.tracks) if self._has_video else AudioGrouper(plan.tracks[0])
        self._ready: deque[FileGroup] = deque()
        self.next_position_us: int | None = 0  # of the group that comes next; None where that is unknown
        self.damaged = 0  # packets that were left out
        self._incomplete_us: int | None = None  # the position of a group that may lack audio
        self._set_up(demuxer or plan.open_again())

    def next_group(self) -> FileGroup | None:
        """Read on; None at the end of the file. Raises SourceError."""
        return self._next_group(None)

    def find(self, position_us: int, first_end_us: int) -> list[FileGroup]:
        """The last seekable group that starts at or before a position, and those that were read after it.

        `first_end_us` is where the file's first group ends: that one is whole only when read from the start.
        Raises SourceError.
        """
        incomplete = 0
        for step_s in SEARCH_STEPS_S if self._plan.indexed else ():
            start_us = position_us - (step_s + self._plan.preroll_s) * 1_000_000
            if start_us <= 0 or not self._land(start_us):
                break
            groups = self.walk(position_us)
            if groups and groups[0].position_us < first_end_us:
                break
            if groups and (groups[0].position_us != self._incomplete_us or incomplete == MAX_INCOMPLETE):
                return groups
            incomplete += bool(groups)
        self._rewind()
        return self.walk(position_us)

    def walk(self, position_us: int) -> list[FileGroup]:
        """As `find`, but reading on from here; empty when what lies ahead starts later. Raises SourceError."""
        found: list[FileGroup] = []
        start_bytes = self._demuxer.bytes_read
        while (group := self._next_group(None if found else position_us)) is not None:
            if group.seekable and group.position_us <= position_us:
                found = [group]
            elif found:
                found.append(group)
            if group.end_us > position_us:
                break
            if self._plan.indexed and self._demuxer.bytes_read - start_bytes > MAX_SEEK_BYTES:
                raise SourceError(f"{self._plan.path.name}: {position_us / 1e6:.3f} s is too far to read to it")
        return found

    def close(self) -> None:
        self._demuxer.close()

    def _set_up(self, demuxer: Demuxer) -> None:
        self._demuxer = demuxer
        self._times = [lane.make_times() for lane in self._plan.lanes]
        self._readers: list[SampleReader] = []
        self._track_indices: dict[int, int] = {}  # by stream index
        streams = demuxer.streams
        for index, lane in enumerate(self._plan.lanes):
            stream = streams[lane.stream_index]
            reader = SampleReader(stream, index, lane.carried, ordered=lane.ordered, untimed=lane.untimed)
            self._readers.append(reader)
            self._track_indices[lane.stream_index] = index
        self._ended = False

    def _rewind(self) -> None:
        """Go to the file's start."""
        self._demuxer.close()
        self._set_up(self._plan.open_again())
        self._restart(at_start=True)
        self.next_position_us = 0

    def _land(self, position_us: int) -> bool:
        """Go to an entry point before a position; False where the container cannot be searched."""
        try:
            self._demuxer.seek(self._plan.zero_s + Fraction(position_us, 1_000_000), self._plan.lanes[0].stream_index)
        except SourceError:
            return False
        for reader, times in zip(self._readers, self._times, strict=True):
            reader.reset()
            times.reset()
        self._restart(at_start=False)
        self.next_position_us = None
        return True

    def _restart(self, *, at_start: bool) -> None:
        self._grouper.restart(at_start=at_start)
        self._ready.clear()
        self._ended = False
        self._incomplete_us = None

    def _next_group(self, latest_us: int | None) -> FileGroup | None:
        """Read on; None at the end, or when it shows that the next group starts after `latest_us`."""
        self._demuxer.allow_more()
        while not self._ready:
            if self._ended:
                return None
            self._read_packet()
            opening_us = self._grouper.opening_us
            if latest_us is not None and opening_us is not None and opening_us > latest_us and not self._ready:
                return None
        group = self._ready.popleft()
        if self.next_position_us is None and not self._grouper.complete:
            self._incomplete_us = group.position_us
        self.next_position_us = group.end_us
        return group

    def _read_packet(self) -> None:
        packet = self._demuxer.read()
        if packet is None:
            self._finish()
            return
        index = self._track_indices[packet.stream_index]
        self._take(index, self._readers[index].push(packet))

    def _take(self, index: int, samples: list[Sample]) -> None:
        for sample in samples:
            for frame in self._times[index].push(sample):
                self._ready += self._grouper.push(frame)

    def _finish(self) -> None:
        """The file has ended: get out what is held back at each stage."""
        self._ended = True
        end_us = 0
        for index, (reader, times) in enumerate(zip(self._readers, self._times, strict=True)):
            self._take(index, reader.flush())
            for frame in times.flush():
                self._ready += self._grouper.push(frame)
            rate_hz = self._plan.lanes[index].carried.track.clock_rate_hz
            end_us = max(end_us, times.end_ticks * 1_000_000 // rate_hz)
        self._ready += self._grouper.finish(end_us)
        self.damaged = self._demuxer.errors + sum(reader.malformed for reader in self._readers)
