"""Cutting the frames of a file into groups, the same ones wherever reading has started."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from operator import itemgetter

from manycast.hub.stored import FrameGroup
from manycast.media.frame import Frame
from manycast.media.track import Codec, ForeignParameters, MediaKind, Track

SECOND_NS = 1_000_000_000
MAX_GROUP_BYTES = 4 << 20  # of video; a group is the least that is read and kept at once
MAX_GROUP_NS = 5 * SECOND_NS  # a stretch without keyframe that is longer is cut
STALL_NS = 2 * MAX_GROUP_NS  # without any video for this long, the audio is cut alone
LOOKAHEAD_NS = 2 * SECOND_NS  # how much later than its video a piece of audio may stand in a file
MAX_WAITING_BYTES = 16 << 20  # of frames read ahead while waiting for audio
NEAR_US = 3_000_000  # reading on this far is cheaper than a search


_Timed = tuple[int, Frame]  # with its dts, in ns


class FileGroup(FrameGroup):
    """A group that can be referred to weakly: while anyone plays it, it need not be read again."""

    __slots__ = ("__weakref__",)


class VideoGrouper:
    """Frames in, groups out, for files with video.

    A group is a stretch of time. It ends where the first video frame of the next one is decoded, and audio
    belongs to it by its own time, not by its place in the file: only so it does not matter where reading has
    started. Audio is waited for as far as `LOOKAHEAD_NS`; what is later goes into the group of the moment.
    Where every frame is a keyframe, only the first one in each second opens a group.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._rates_hz = [track.clock_rate_hz for track in tracks]
        self._video_index = next(i for i, track in enumerate(tracks) if track.kind is MediaKind.VIDEO)
        self._has_audio = len(tracks) > 1
        self._all_keyframes = _is_intra_only(tracks[self._video_index])
        self.restart(at_start=True)

    def restart(self, *, at_start: bool) -> None:
        """Begin anew: at the file's start, with everything, or anywhere, with the first keyframe."""
        self._video: deque[_Timed] = deque()
        self._audio: deque[_Timed] = deque()
        self._waiting_bytes = 0
        self._audio_seen_ns = -STALL_NS
        self._at_start = at_start
        self._first = True  # no group was given out yet
        self._ended = False
        self._last_video_ns: int | None = None
        self.complete = at_start or not self._has_audio  # whether no audio is missing in the first group
        self._open: _Opening | None = None

    @property
    def opening_us(self) -> int | None:
        """The position of the group under way; None before the first keyframe."""
        return self._open.position_us if self._open is not None else None

    def push(self, frame: Frame) -> list[FileGroup]:
        """Take a frame; return the groups that are now complete. Within a track, dts must grow strictly."""
        if frame.track_index == self._video_index:
            self._push_video(frame)
        else:
            self._push_audio(frame)
        return self._cut_all()

    def finish(self, end_us: int) -> list[FileGroup]:
        """Return the remaining groups; the file's timeline ends at `end_us`."""
        self._ended = True
        groups = self._cut_all()
        if self._open is not None:
            group = self._take(None, max(end_us, self._open.position_us + 1))
            groups.append(group)
        return groups

    def _push_video(self, frame: Frame) -> None:
        time_ns = self._time_ns(frame)
        if self._open is None:
            if not frame.keyframe or not self._may_open(time_ns):
                return  # nobody could show it, or it is in the middle of a group
            position_us = 0 if self._at_start else self._position_us(frame)
            self._open = self._opening(time_ns, position_us, seekable=True)
            self._drop_earlier_audio()
        else:
            self._open.consider(time_ns, frame)
        self._video.append((time_ns, frame))
        self._waiting_bytes += frame.size_bytes

    def _may_open(self, time_ns: int) -> bool:
        """Whether a keyframe may open the first group."""
        if not self._all_keyframes or self._at_start:
            return True
        last_ns, self._last_video_ns = self._last_video_ns, time_ns
        return last_ns is not None and last_ns // SECOND_NS != self._last_video_ns // SECOND_NS

    def _opening(self, start_ns: int, position_us: int, *, seekable: bool) -> _Opening:
        return _Opening(start_ns, position_us, seekable=seekable, once_a_second=self._all_keyframes)

    def _push_audio(self, frame: Frame) -> None:
        time_ns = self._time_ns(frame)
        self._audio_seen_ns = max(self._audio_seen_ns, time_ns)
        self._audio.append((time_ns, frame))
        self._waiting_bytes += frame.size_bytes
        if self._first:
            self._drop_earlier_audio()

    def _drop_earlier_audio(self) -> None:
        """After a start in the middle: audio from before the first keyframe is another group's."""
        if self._open is None or self._at_start or not self._first:
            return
        while self._audio and self._audio[0][0] <= self._open.start_ns:
            self.complete = True  # the audio was seen from before the group's start on
            time_ns, frame = self._audio[0]
            if time_ns == self._open.start_ns:
                break
            self._waiting_bytes -= frame.size_bytes
            self._audio.popleft()

    def _cut_all(self) -> list[FileGroup]:
        groups = []
        while (found := self._find_opener()) is not None:
            assert self._open is not None
            time_ns, opener = found
            position_us = self._open.position_us
            if any(frames and frames[0][0] < time_ns for frames in (self._video, self._audio)):
                position_us = max(self._position_us(opener), position_us + 1)
                groups.append(self._take(time_ns, position_us))
            # Otherwise a wrong timestamp has opened a group that nothing belongs to: it becomes the next one.
            is_keyframe = opener.keyframe and opener.track_index == self._video_index
            self._open = self._opening(time_ns, position_us, seekable=is_keyframe)
            for video_ns, frame in self._video:
                if frame is not opener:
                    self._open.consider(video_ns, frame)
        return groups

    def _find_opener(self) -> _Timed | None:
        """The frame that opens the next group, once the group that is open is complete."""
        opening = self._open
        if opening is None:
            return None
        if self._has_audio and self._video_stalls(opening):
            return next((audio for audio in self._audio if audio[0] >= opening.start_ns + MAX_GROUP_NS), None)
        if opening.following is None or self._audio_is_missing(opening.following[0]):
            return None
        return opening.following

    def _video_stalls(self, opening: _Opening) -> bool:
        if opening.following is not None:
            return min(opening.following[0], self._audio_seen_ns) >= opening.start_ns + STALL_NS
        slack_ns = 0 if self._ended else LOOKAHEAD_NS
        return self._audio_seen_ns >= opening.start_ns + STALL_NS + slack_ns

    def _audio_is_missing(self, until_ns: int) -> bool:
        if not self._has_audio or self._ended or self._audio_seen_ns >= until_ns:
            return False
        ahead_ns = self._video[-1][0] - until_ns
        return ahead_ns < LOOKAHEAD_NS and self._waiting_bytes < MAX_WAITING_BYTES

    def _take(self, until_ns: int | None, end_us: int) -> FileGroup:
        """Give out the open group: all frames before a time, or all there are."""
        assert self._open is not None
        frames = self._take_before(self._video, until_ns) + self._take_before(self._audio, until_ns)
        frames.sort(key=itemgetter(0))  # stable: where times are equal, video comes first
        self._first = False
        group = FileGroup(
            position_us=self._open.position_us,
            end_us=end_us,
            frames=tuple([frame for _, frame in frames]),
            seekable=self._open.seekable,
            last=until_ns is None,
        )
        self._waiting_bytes -= group.size_bytes
        if until_ns is None:
            self._open = None
        return group

    def _take_before(self, frames: deque[_Timed], until_ns: int | None) -> list[_Timed]:
        taken = []
        while frames and (until_ns is None or frames[0][0] < until_ns):
            taken.append(frames.popleft())
        return taken

    def _time_ns(self, frame: Frame) -> int:
        return frame.dts_ticks * SECOND_NS // self._rates_hz[frame.track_index]

    def _position_us(self, frame: Frame) -> int:
        # What continues a group may be a B-frame, whose pts says nothing about those around it.
        ticks = frame.pts_ticks if frame.keyframe else frame.dts_ticks
        return ticks * 1_000_000 // self._rates_hz[frame.track_index]


class _Opening:
    """Where the group under way has begun, and where its video says it ends."""

    __slots__ = ("_once_a_second", "following", "position_us", "seekable", "start_ns", "video_bytes")

    def __init__(self, start_ns: int, position_us: int, *, seekable: bool, once_a_second: bool) -> None:
        self._once_a_second = once_a_second
        self.start_ns = start_ns
        self.position_us = position_us
        self.seekable = seekable
        self.video_bytes = 0
        self.following: _Timed | None = None  # the frame that opens the next group

    def consider(self, time_ns: int, frame: Frame) -> None:
        """Look at a video frame after the first: does it open the next group?"""
        if self.following is not None:
            return
        self.video_bytes += frame.size_bytes
        too_long = time_ns - self.start_ns >= MAX_GROUP_NS or self.video_bytes > MAX_GROUP_BYTES
        opens = frame.keyframe and not (self._once_a_second and time_ns // SECOND_NS == self.start_ns // SECOND_NS)
        if opens or too_long:
            self.following = time_ns, frame


class AudioGrouper:
    """Frames in, groups out, for files without video: cut where a new second of the timeline begins."""

    def __init__(self, track: Track) -> None:
        self._rate_hz = track.clock_rate_hz
        self.complete = True
        self.restart(at_start=True)

    def restart(self, *, at_start: bool) -> None:
        """Begin anew: at the file's start, or anywhere, where the second under way is left out."""
        self._frames: list[Frame] = []
        self._wanted = at_start
        self._second: int | None = None

    @property
    def opening_us(self) -> int | None:
        """The position of the group under way."""
        return self._second * 1_000_000 if self._wanted and self._second is not None else None

    def push(self, frame: Frame) -> list[FileGroup]:
        """Take a frame, in order; return the group that it completes."""
        second = max(frame.dts_ticks // self._rate_hz, 0)
        groups = []
        if self._second is not None and second > self._second:
            if self._wanted:
                groups.append(self._take(second * 1_000_000, last=False))
            self._wanted = True
            self._second = second
        elif self._second is None:
            self._second = 0 if self._wanted else second
        if self._wanted:
            self._frames.append(frame)
        return groups

    def finish(self, end_us: int) -> list[FileGroup]:
        """Return the last group; the file's timeline ends at `end_us`."""
        if not self._frames or self._second is None:
            return []
        return [self._take(max(end_us, self._second * 1_000_000 + 1), last=True)]

    def _take(self, end_us: int, *, last: bool) -> FileGroup:
        assert self._second is not None
        frames, self._frames = tuple(self._frames), []
        return FileGroup(position_us=self._second * 1_000_000, end_us=end_us, frames=frames, seekable=True, last=last)


def _is_intra_only(track: Track) -> bool:
    foreign = isinstance(track.parameters, ForeignParameters) and track.parameters.intra_only
    return foreign or track.codec is Codec.MJPEG
