"""Paths: who may publish where, and what a name in an address stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from manycast.hub.catalogue import Catalogue
from manycast.hub.hub import Hub, PathTaken
from manycast.hub.rtp_packager import RtpPackager
from manycast.hub.source import FrameSink
from manycast.hub.stored import FrameGroup
from manycast.hub.stream import StreamEnded
from manycast.media.frame import Frame
from manycast.media.track import AudioParameters, Codec, Track

AUDIO = Track(codec=Codec.G711A, clock_rate_hz=8000, parameters=AudioParameters(sample_rate_hz=8000, channels=1))


class File:
    costly = False
    tracks = (AUDIO,)
    duration_us = 1_000_000

    def __init__(self, name: str) -> None:
        self.name = name

    async def group_at(self, position_us: int) -> FrameGroup:
        raise NotImplementedError

    def held(self, position_us: int) -> FrameGroup | None:
        raise NotImplementedError

    async def group_after(self, group: FrameGroup) -> FrameGroup | None:
        raise NotImplementedError


class Folder:
    """Files by name, and what was asked for."""

    def __init__(self, *names: str) -> None:
        self._files = {name: File(name) for name in names}
        self.asked: list[list[str]] = []

    async def find(self, names: Sequence[str]) -> File | None:
        self.asked.append(list(names))
        return next((self._files[name] for name in names if name in self._files), None)

    def holds(self, names: Sequence[str]) -> bool:
        return any(name in self._files for name in names)


class Idle:
    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        raise NotImplementedError


async def test_the_first_publisher_keeps_the_path_until_he_goes() -> None:
    hub = Hub()
    stream = hub.publish("live", [AUDIO], "first")
    with pytest.raises(PathTaken, match="first"):
        hub.publish("live", [AUDIO], "second")
    hub.unpublish(stream, "over")
    assert hub.live("live") is None
    again = hub.publish("live", [AUDIO], "second")
    hub.unpublish(stream, "over again")  # what is long gone takes nobody's path
    assert hub.live("live") is again


async def test_a_path_of_the_server_itself_cannot_be_published_to() -> None:
    hub = Hub()
    hub.offer("demo", Idle, "test pattern")
    with pytest.raises(PathTaken):
        hub.publish("demo", [AUDIO], "someone")
    with pytest.raises(PathTaken):
        hub.offer("demo", Idle, "another")
    assert Catalogue(hub, None).taken_by("demo") is not None


async def test_viewers_are_told_why_a_stream_ends_and_may_not_come_later() -> None:
    hub = Hub()
    stream = hub.publish("live", [AUDIO], "someone")
    reasons: list[str] = []
    stream.watch("viewer", RtpPackager, reasons.append)
    hub.unpublish(stream, "gone home")
    assert reasons == ["gone home"]
    with pytest.raises(StreamEnded, match="gone home"):
        stream.watch("late", RtpPackager, reasons.append)
    stream.push(Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[b"late"]))
    assert stream.counters.received_frames == 0


async def test_a_packager_is_made_for_the_first_viewer_and_goes_with_the_last() -> None:
    stream = Hub().publish("live", [AUDIO], "someone")
    first = stream.watch("a", RtpPackager, lambda reason: None)
    assert stream.watch("b", RtpPackager, lambda reason: None) is first
    stream.unwatch("a")
    assert stream.watch("c", RtpPackager, lambda reason: None) is first
    stream.unwatch("b")
    stream.unwatch("c")
    stream.unwatch("c")
    assert stream.watch("d", RtpPackager, lambda reason: None) is not first


@pytest.mark.parametrize(
    ("applications", "name", "path"),
    [
        ([""], "live", "live"),
        ([""], "a/b", "a/b"),
        (["myapp"], "myapp/live", "myapp/live"),
        (["myapp"], "live", "myapp/live"),
        (["myapp"], "other/live", "myapp/other/live"),
        (["one", "two"], "two/live", "two/live"),
        (["one", "two"], "live", "one/live"),
        (["one", "two"], "twofold/live", "one/twofold/live"),
    ],
)
async def test_an_address_without_an_application_belongs_to_the_first(
    applications: list[str], name: str, path: str
) -> None:
    assert Catalogue(Hub(), None, applications).path_of(name) == path


async def test_a_file_is_looked_for_in_the_folder_of_its_application_and_then_in_the_media_folder() -> None:
    folder = Folder("test.mp4", "myapp/own.mp4")
    catalogue = Catalogue(Hub(), folder, ["myapp"])
    for name, found in (("myapp/test.mp4", "test.mp4"), ("test.mp4", "test.mp4"), ("myapp/own.mp4", "myapp/own.mp4")):
        file = await catalogue.find(name)
        assert isinstance(file, File)
        assert file.name == found
    assert folder.asked[0] == ["myapp/test.mp4", "test.mp4"]


async def test_what_is_live_comes_before_a_file_of_the_same_name() -> None:
    hub = Hub()
    catalogue = Catalogue(hub, Folder("test.mp4"))
    stream = hub.publish("test.mp4", [AUDIO], "someone")
    assert await catalogue.find("test.mp4") is stream
    hub.unpublish(stream, "over")
    assert isinstance(await catalogue.find("test.mp4"), File)


@pytest.mark.parametrize("name", ["videodevice", "audiodevice1", "screenlive.mp4", "window=Editor"])
async def test_names_of_captures_are_neither_published_to_nor_files(name: str) -> None:
    for catalogue, path in (
        (Catalogue(Hub(), Folder(name)), name),
        (Catalogue(Hub(), Folder(name), ["myapp"]), f"myapp/{name}"),
    ):
        assert catalogue.taken_by(path) is not None
        assert await catalogue.find(path) is None
    below = f"cameras/{name}"
    assert Catalogue(Hub(), None).taken_by(below) is None
    assert await Catalogue(Hub(), Folder(below)).find(below) is not None


async def test_what_there_is_can_be_told_without_starting_it() -> None:
    hub = Hub()
    catalogue = Catalogue(hub, Folder("test.mp4", "myapp/own.mp4"), ["myapp"])
    hub.publish("myapp/live", [AUDIO], "someone")
    for name in ("myapp/live", "live", "myapp/test.mp4", "test.mp4", "own.mp4"):
        assert catalogue.holds(name)
        assert await catalogue.find(name) is not None
    for name in ("myapp/dead", "videodevice", "myapp/other.mp4"):
        assert not catalogue.holds(name)
    assert not Catalogue(hub, None).holds("test.mp4")


async def test_what_is_nowhere_is_none() -> None:
    assert await Catalogue(Hub(), Folder()).find("x") is None
    assert await Catalogue(Hub(), None).find("x") is None


async def test_viewers_of_one_file_share_its_packets() -> None:
    catalogue = Catalogue(Hub(), None)
    file, other = File("a"), File("b")
    assert catalogue.title(file) is catalogue.title(file)
    assert catalogue.title(file) is not catalogue.title(other)
