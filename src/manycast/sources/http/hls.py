"""HLS as a source (RFC 8216): playlists, their segments, and what is in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urljoin

from manycast.errors import ManycastError
from manycast.hub.gathering import Gathering
from manycast.hub.source import FrameSink, SourceError
from manycast.media.frame import Frame
from manycast.media.track import Track
from manycast.sources.http.client import PARTIAL_CONTENT, READ_TIMEOUT_S, SILENCE_S, Answer, HttpClient, NotThere
from manycast.sources.http.paced import PacedSink
from manycast.sources.http.segments import AUDIO, VIDEO, SegmentReader, reader_for
from manycast.wire.address import MalformedAddress, SourceAddress
from manycast.wire.hls.reading import (
    MAX_PLAYLIST_BYTES,
    ByteRange,
    InitSection,
    Key,
    ListedSegment,
    ListedVariant,
    SegmentList,
    VariantList,
    parse_playlist,
)
from manycast.wire.mpegts.jumps import JumpMender

MAX_SEGMENT_BYTES = 64 * 1024 * 1024
KEY_BYTES = 16
LIVE_SEGMENTS = 3  # how far from the end of a live playlist to begin (section 6.3.3)
MIN_RELOAD_S = 0.5
SEGMENT_TIMEOUT_S = 30.0  # or five times what a segment lasts
STALE_DURATIONS = 3  # so many target durations without a new segment, and the source is gone
MAX_MISSED = 3  # segments in a row that are not there, or broken
MAX_VAIN = 3  # segments with nothing that can be carried
ROOM_S = 8.0  # or two target durations: more is not loaded ahead

_TYPES = frozenset({"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"})
_CARRIED = ("avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "mp4a", "opus", "ac-3", "flac")  # RFC 6381


def is_playlist(content_type: str, path: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in _TYPES or path.lower().endswith(".m3u8")


class HlsPull:
    """One run: plays a live stream from some segments before its end on, or a film from its beginning to its end."""

    def __init__(
        self, client: HttpClient, address: SourceAddress, publish: Callable[[Sequence[Track]], FrameSink]
    ) -> None:
        """`address` is that of the first playlist, as it is configured."""
        self._client = client
        self._address = address
        self._publish = publish
        self._renditions: list[_Rendition] = []
        self._paced: PacedSink | None = None
        self._gathering: Gathering | None = None
        self._mender = JumpMender()
        self._early: dict[_Rendition, list[Frame]] = {}  # until all renditions have something
        self._segments = 0

    async def run(self, answer: Answer) -> None:
        """`answer` is to a request for the playlist. Returns at the end of a film. Raises ManycastError."""
        self._renditions = await self._find_renditions(answer)
        target_s = max(rendition.playlist.target_duration_s for rendition in self._renditions)
        paced = self._paced = PacedSink(self._publish, held_s=max(ROOM_S, (LIVE_SEGMENTS + 1) * target_s))
        self._gathering = Gathering(paced.open)
        pacing = asyncio.create_task(paced.run(), name="pace of HLS")
        loading = {asyncio.create_task(rendition.run(), name="playlist of HLS") for rendition in self._renditions}
        tasks = [pacing, *loading]
        try:
            while loading:
                done, _ = await asyncio.wait({*loading, pacing}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                loading -= done
            await paced.room(0.0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _find_renditions(self, answer: Answer) -> list[_Rendition]:
        playlist = parse_playlist(await answer.read(MAX_PLAYLIST_BYTES, "a playlist", limit_s=READ_TIMEOUT_S))
        if isinstance(playlist, SegmentList):
            return [_Rendition(self, self._address, answer.address, playlist, (VIDEO, AUDIO))]
        variant = _best(playlist)
        if variant.audio_uri is None:
            return [await self._open(answer.address, variant.uri, (VIDEO, AUDIO))]
        return [
            await self._open(answer.address, variant.uri, (VIDEO,)),
            await self._open(answer.address, variant.audio_uri, (AUDIO,)),
        ]

    async def _open(self, base: SourceAddress, uri: str, indices: tuple[int, ...]) -> _Rendition:
        address = joined(base, uri)
        playlist, found_at = await self.load(address)
        return _Rendition(self, address, found_at, playlist, indices)

    async def load(self, address: SourceAddress) -> tuple[SegmentList, SourceAddress]:
        """A playlist of segments, and where it was found. Raises ManycastError."""
        answer = await self._client.get(address)
        playlist = parse_playlist(await answer.read(MAX_PLAYLIST_BYTES, "a playlist", limit_s=READ_TIMEOUT_S))
        if isinstance(playlist, VariantList):
            raise SourceError("a playlist of variants where one of segments should be")
        return playlist, answer.address

    async def fetch(self, address: SourceAddress, part: ByteRange | None, limit_bytes: int, what: str) -> bytes:
        """A resource, or a part of it; how long it may take is for the caller. Raises SourceError, NotThere."""
        if part is None:
            answer = await self._client.get(address, is_stream=False)
            return await answer.read(limit_bytes, what, limit_s=None)
        if part.count > limit_bytes:
            raise SourceError(f"{what} of {part.count} bytes, at most {limit_bytes}")
        span = {"Range": f"bytes={part.first}-{part.first + part.count - 1}"}
        answer = await self._client.get(address, span, is_stream=False)
        if answer.response.status == PARTIAL_CONTENT:
            return await answer.read(limit_bytes, what, limit_s=None)
        data = await answer.read(limit_bytes, what, limit_s=None)  # of a server that knows no ranges: the whole
        return data[part.first : part.first + part.count]

    async def room(self, target_s: float) -> None:
        """Wait until there is need of more."""
        assert self._paced is not None
        await self._paced.room(max(ROOM_S, 2 * target_s))

    def deliver(self, rendition: _Rendition, frames: list[Frame]) -> None:
        """Take what a segment held. Raises ManycastError."""
        assert self._gathering is not None
        self._segments += 1
        if self._gathering.published:
            self._push(frames)
            return
        self._early.setdefault(rendition, []).extend(frames)
        if len(self._early) < len(self._renditions):
            return
        for early in self._early.values():
            self._push(early)
        self._early.clear()
        if not self._gathering.published and self._segments >= MAX_VAIN * len(self._renditions):
            faults = [rendition.last_fault for rendition in self._renditions if rendition.last_fault]
            raise SourceError("; ".join(faults) or "neither pictures nor sound in its segments")

    def _push(self, frames: list[Frame]) -> None:
        assert self._gathering is not None
        tracks: dict[int, Track | None] = {}
        for rendition in self._renditions:
            tracks |= rendition.tracks
        self._mender.mend(frames, tracks)
        self._gathering.push(frames, tracks, expected=tracks, now_s=time.monotonic())


class _Rendition:
    """One playlist of segments, followed to its end."""

    def __init__(
        self,
        pull: HlsPull,
        address: SourceAddress,
        found_at: SourceAddress,
        playlist: SegmentList,
        indices: tuple[int, ...],
    ) -> None:
        """`address` is asked again and again; what its playlist names is relative to where it was `found_at`."""
        self.playlist = playlist
        self._pull = pull
        self._address = address
        self._found_at = found_at
        self._indices = indices  # which frames are wanted
        self._next: int | None = None  # the number of the next segment
        self._reader: SegmentReader | None = None
        self._init: tuple[InitSection, bytes] | None = None
        self._key: tuple[str, bytes] | None = None
        self._missed = 0
        self._changed_s = time.monotonic()

    @property
    def tracks(self) -> Mapping[int, Track | None]:
        found = self._reader.tracks if self._reader is not None else {}
        return {index: track for index, track in found.items() if index in self._indices}

    @property
    def last_fault(self) -> str:
        return self._reader.last_fault if self._reader is not None else ""

    async def run(self) -> None:
        """Returns at the end of the playlist. Raises ManycastError."""
        loaded_s = time.monotonic()
        while True:
            target_s = self.playlist.target_duration_s
            new = self._new_segments()
            for segment in new:
                await self._pull.room(target_s)
                await self._take(segment)
                self._next = segment.number + 1
            if self.playlist.ended:
                return
            now_s = time.monotonic()
            if new:
                self._changed_s = now_s
            elif now_s - self._changed_s > max(SILENCE_S, STALE_DURATIONS * target_s):
                raise SourceError(f"no new segment for {now_s - self._changed_s:.0f} s")
            wait_s = target_s if new else target_s / 2  # section 6.3.4
            await asyncio.sleep(max(MIN_RELOAD_S, loaded_s + wait_s - now_s))
            loaded_s = time.monotonic()
            self.playlist, self._found_at = await self._pull.load(self._address)

    def _new_segments(self) -> Sequence[ListedSegment]:
        segments = self.playlist.segments
        if self._next is None:
            return segments if self.playlist.ended else segments[-LIVE_SEGMENTS:]
        if segments and segments[-1].number + 1 < self._next:
            raise SourceError("its playlist begins anew")
        return [segment for segment in segments if segment.number >= self._next]

    async def _take(self, segment: ListedSegment) -> None:
        try:
            async with asyncio.timeout(max(SEGMENT_TIMEOUT_S, 5 * segment.duration_s)):
                init, data = await self._fetch(segment)
        except TimeoutError:
            raise SourceError(f"segment {segment.number} does not come") from None
        except NotThere as error:
            self._miss(segment, error)
            return
        try:
            if self._reader is None or segment.discontinuity:
                self._choose_reader(data if segment.init is None else init + data)
            assert self._reader is not None
            frames = await self._reader.read(data, init)
        except ManycastError as error:
            self._miss(segment, error)
            return
        self._missed = 0
        self._pull.deliver(self, [frame for frame in frames if frame.track_index in self._indices])

    def _miss(self, segment: ListedSegment, error: ManycastError) -> None:
        """Go on without a segment, unless too many are missing. Raises SourceError."""
        self._missed += 1
        last = self.playlist.ended and segment is self.playlist.segments[-1]
        if self._missed >= MAX_MISSED or last:
            raise SourceError(f"segment {segment.number}: {error}") from error

    def _choose_reader(self, data: bytes) -> None:
        """What goes on in the same way keeps its reader, which remembers how far its clock has come."""
        reader = reader_for(data)
        if type(reader) is not type(self._reader):
            self._reader = reader

    async def _fetch(self, segment: ListedSegment) -> tuple[bytes, bytes]:
        """What comes before it, and itself, in the clear."""
        init = b"" if segment.init is None else await self._init_section(segment.init)
        address = joined(self._found_at, segment.uri)
        data = await self._pull.fetch(address, segment.range, MAX_SEGMENT_BYTES, "a segment")
        if segment.key is not None:
            data = await self._decrypt(data, segment.key, segment.number)
        return init, data

    async def _init_section(self, section: InitSection) -> bytes:
        if self._init is None or self._init[0] != section:
            address = joined(self._found_at, section.uri)
            data = await self._pull.fetch(address, section.range, MAX_SEGMENT_BYTES, "an initialisation")
            self._init = section, data
        return self._init[1]

    async def _decrypt(self, data: bytes, key: Key, number: int) -> bytes:
        """Raises SourceError."""
        if key.method != "AES-128":
            raise SourceError(f"segments are encrypted by {key.method}; AES-128 and none are known")
        if self._key is None or self._key[0] != key.uri:
            address = joined(self._found_at, key.uri)
            self._key = key.uri, await self._pull.fetch(address, None, KEY_BYTES, "a key")
        return decrypted(data, self._key[1], key.iv if key.iv is not None else number.to_bytes(16))


def decrypted(data: bytes, key: bytes, iv: bytes) -> bytes:
    """AES-128 in CBC, with padding (section 4.3.2.4). Raises SourceError."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    if len(key) != KEY_BYTES:
        raise SourceError(f"a key of {len(key)} bytes, wanted {KEY_BYTES}")
    try:
        decryptor = Cipher(algorithms.AES128(key), modes.CBC(iv)).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        unpadder = PKCS7(8 * KEY_BYTES).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise SourceError(f"a segment that its key does not decrypt: {error}") from error


def joined(base: SourceAddress, uri: str) -> SourceAddress:
    """The address that a playlist names (section 4.1). Raises SourceError."""
    try:
        address = base.redirected(urljoin(base.uri, uri))
    except (MalformedAddress, ValueError) as error:
        raise SourceError(f"its playlist names {error}") from error
    if address.scheme not in ("http", "https"):
        raise SourceError(f"its playlist names {address}, which is on no web server")
    return address


def _best(playlist: VariantList) -> ListedVariant:
    """The one with the most bits of those whose codecs can be carried."""

    def rank(variant: ListedVariant) -> tuple[bool, int]:
        known = all(codec.lower().startswith(_CARRIED) for codec in variant.codecs)
        return known, variant.bandwidth_bps

    return max(playlist.variants, key=rank)
