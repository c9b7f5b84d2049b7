"""Finds what an address names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary

from manycast.hub.backchannel import Backchannels
from manycast.hub.conversions import ConversionOptions, Conversions, is_carried
from manycast.hub.followed_groups import FollowedGroups
from manycast.hub.hops import Hops
from manycast.hub.hub import Hub
from manycast.hub.names import is_capture_name, spoken_path
from manycast.hub.output import OutputRules
from manycast.hub.pacer import Pacer
from manycast.hub.rtp_title import RtpTitle
from manycast.hub.selected_media import SelectedMedia
from manycast.hub.source import Source, SourceError
from manycast.hub.stored import StoredMedia
from manycast.hub.stream import Stream
from manycast.hub.transcoding import Transcoding
from manycast.media.track import Codec, JpegParameters, Track
from manycast.wire.rtp.formats import CARRIED as RTP_CARRIED
from manycast.wire.via import parse_via

JPEG_TIMEOUT_S = 5.0  # for the first picture, which tells whether RTP can carry it

log = logging.getLogger(__name__)


class FileFinder(Protocol):
    async def find(self, names: Sequence[str]) -> StoredMedia | None:
        """The first file of these names, relative to the media folder, that is there.

        Raises SourceError for a file that is there and cannot be played.
        """

    def holds(self, names: Sequence[str]) -> bool:
        """Whether there is a file of one of these names. Looks at the folder at once, in any thread."""


@dataclass(frozen=True, slots=True)
class FoundCapture:
    """A capture and how to start it. All names that mean the same have one `name`."""

    name: str
    make_source: Callable[[], Source]
    description: str
    linger_s: float  # how long it goes on after its last viewer


class CaptureFinder(Protocol):
    async def find(self, application: str, name: str) -> FoundCapture | None:
        """What a capture's name in an application stands for. Raises SourceMissing when there is no such device."""

    def holds(self, application: str, name: str) -> bool:
        """Whether `find` would find something. Works in any thread. Raises SourceMissing."""


class Catalogue:
    """Every name of the server: live streams and sources on demand first, then files.

    Every path starts with an application's name; where the one application has the empty name, paths stand at
    the root. An address that names no application is looked up in the first one.
    """

    def __init__(
        self,
        hub: Hub,
        files: FileFinder | None,
        applications: Sequence[str] = ("",),
        backchannels: Backchannels | None = None,
        captures: CaptureFinder | None = None,
        outputs: OutputRules | None = None,
        transcoding: Transcoding | None = None,
        conversions: ConversionOptions | None = None,
    ) -> None:
        self.hub = hub
        self.hops = Hops()
        self.backchannels = backchannels  # None: nobody can speak
        self._files = files
        self._captures = captures
        self._outputs = outputs or OutputRules()
        self._transcoding = transcoding
        self._conversions = Conversions(transcoding, conversions, hub.limits) if transcoding is not None else None
        self._applications = tuple(applications)
        self._pacer = Pacer()
        self._followed = FollowedGroups()
        self._told: WeakSet[Stream | StoredMedia] = WeakSet()
        self._titles: WeakValueDictionary[StoredMedia, RtpTitle] = WeakValueDictionary()

    def path_of(self, name: str) -> str:
        """The path in the hub of the name in an address."""
        if "" in self._applications or name.partition("/")[0] in self._applications:
            return name
        return f"{self._applications[0]}/{name}"

    def has_application(self, name: str) -> bool:
        """Whether addresses may begin with a name; where paths stand at the root, with any."""
        return "" in self._applications or name in self._applications

    def taken_by(self, path: str) -> str | None:
        """Who has a path that somebody wants to publish to; None where it is free."""
        if is_capture_name(self._local_name(path)):
            return "the server's capture devices"
        if self.backchannels is not None and spoken_path(path) is not None:
            return "the back channel"
        stream = self.hub.live(path)
        if stream is not None:
            return stream.source
        return self.hub.owner(path)

    def asked(self, name: str, via: Iterable[str]) -> None:
        """Somebody asks for a name; `via` is what a request says of the servers behind him. Raises LoopFound."""
        path = self.path_of(name)
        self.hops.asked(path, parse_via(via), remember=self.hub.owner(path) is not None)

    async def find(self, name: str) -> Stream | StoredMedia | None:
        """What the name in an address stands for; None where there is nothing. Raises SourceError."""
        path = self.path_of(name)
        local = self._local_name(path)
        if is_capture_name(local):
            return await self._find_capture(path.removesuffix(local), local)
        if self.backchannels is not None and spoken_path(path) is not None:
            return await self.backchannels.find(path)
        stream = await self.hub.open(path)
        if stream is not None:
            return await self._as_asked(stream)
        if self._files is None:
            return None
        media = await self._files.find([path] if local == path else [path, local])
        if media is None or self._transcoding is None:
            return media
        application = path.removesuffix(local).removesuffix("/")
        return await self._transcoding.media(media, self._outputs.find(application, local))

    async def form_for(self, stream: Stream, carried: Collection[Codec]) -> Stream:
        """A stream of the hub, of which nothing was asked yet, as `find` and `stream_for` give it. Raises
        SourceError."""
        return await self.stream_for(await self._as_asked(stream), carried)

    async def stream_for(self, stream: Stream, carried: Collection[Codec]) -> Stream:
        """A live stream in codecs that a protocol carries: itself, or, shared by all who need it, one with H.264 and
        AAC instead of what is not carried. Raises SourceError."""
        return stream if self._conversions is None else await self._conversions.stream_for(stream, carried)

    async def media_for(self, media: StoredMedia, carried: Collection[Codec]) -> StoredMedia:
        """The same of a file."""
        return media if self._conversions is None else await self._conversions.media_for(media, carried)

    async def form_for_rtp(self, found: Stream | StoredMedia) -> Stream | StoredMedia:
        """What `find` has found, as RTP carries it; what it cannot carry is converted, else left out. Raises
        SourceError where nothing is left."""
        form: Stream | StoredMedia
        if isinstance(found, Stream):
            if any(isinstance(track.parameters, JpegParameters) for track in found.tracks):
                await found.wait_complete(JPEG_TIMEOUT_S)
            name, form = found.path, await self.stream_for(found, RTP_CARRIED)
        else:
            name, form = found.name, await self.media_for(found, RTP_CARRIED)
        left = [index for index, track in enumerate(form.tracks) if is_carried(track, RTP_CARRIED)]
        if len(left) == len(form.tracks):
            return form
        refused = ", ".join(_described(track) for index, track in enumerate(form.tracks) if index not in left)
        reason = f"{name}: RTP cannot carry {refused}; it is converted where `convert` is not switched off"
        if not left or self._conversions is None:
            raise SourceError(reason)
        if form not in self._told:
            self._told.add(form)
            log.warning("%s; it is left out", reason)
        if isinstance(form, Stream):
            return await self._conversions.stream_of(form, left)
        return SelectedMedia(form, left)

    async def close(self) -> None:
        """Stop all conversions."""
        if self._conversions is not None:
            await self._conversions.close()

    def holds(self, name: str) -> bool:
        """Whether `find` would find something, as far as can be told without starting it. Works in any thread.

        Raises SourceMissing with the reason why a device is not there.
        """
        path = self.path_of(name)
        local = self._local_name(path)
        if is_capture_name(local):
            return self._captures is not None and self._captures.holds(
                path.removesuffix(local).removesuffix("/"), local
            )
        if self.backchannels is not None and (spoken := spoken_path(path)) is not None:
            return self.backchannels.is_spoken_to(spoken)
        if self.hub.live(path) is not None or self.hub.owner(path) is not None:
            return True
        return self._files is not None and self._files.holds([path] if local == path else [path, local])

    async def _as_asked(self, stream: Stream) -> Stream:
        output = self._outputs.at(stream.path)
        if output is None or self._conversions is None:
            return stream
        return await self._conversions.stream_as(stream, output)

    async def _find_capture(self, above: str, name: str) -> Stream | None:
        found = await self._captures.find(above.removesuffix("/"), name) if self._captures is not None else None
        if found is None:
            return None
        return await self.hub.start(above + found.name, found.make_source, found.description, linger_s=found.linger_s)

    def _local_name(self, path: str) -> str:
        """The path without its application."""
        application, _, rest = path.partition("/")
        return rest if application in self._applications and rest else path

    def metadata(self, name: str) -> Stream:
        """What is told at the side of a stream or file."""
        return self.hub.metadata.open(self.path_of(name))

    def title(self, media: StoredMedia) -> RtpTitle:
        """The RTP form of a file, shared by its viewers and gone with the last of them."""
        title = self._titles.get(media)
        if title is None:
            title = self._titles[media] = RtpTitle(media, self._pacer, self._followed)
        return title


def _described(track: Track) -> str:
    fault = track.parameters.fault if isinstance(track.parameters, JpegParameters) else ""
    return f"{track.codec_name} ({fault})" if fault else track.codec_name
