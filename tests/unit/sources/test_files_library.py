"""The media folder and the files in it, as viewers use them."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from manycast.hub.source import SourceError
from manycast.hub.stored import FrameGroup, StoredMedia
from manycast.sources.files import reading
from manycast.sources.files.cache import KEPT_ROUNDS
from manycast.sources.files.library import FileLibrary
from manycast.sources.files.media_file import IDLE_S, MAX_CURSORS, MediaFile
from manycast.sources.files.memory import give_back


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[FileLibrary]:
    library = FileLibrary(tmp_path)
    yield library
    await library.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("media-file")]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """The positions that were really read."""
    positions: list[tuple[int, bool]] = []
    read_groups = reading.read_groups

    def noting(*arguments: object, exact: bool) -> object:
        positions.append((arguments[2], exact))  # type: ignore[arg-type]
        time.sleep(0.02)
        return read_groups(*arguments, exact=exact)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_groups", noting)
    return positions


async def opened(library: FileLibrary, path: Path) -> MediaFile:
    shutil.copy(path, library.media_folder / path.name)
    file = await library.find([path.name])
    assert file is not None
    return file


async def play(file: StoredMedia, position_us: int = 0) -> list[FrameGroup]:
    groups = [await file.group_at(position_us)]
    while (group := await file.group_after(groups[-1])) is not None:
        groups.append(group)
    return groups


async def test_a_file_plays_from_start_to_end(library: FileLibrary, media_file: Callable[[str], Path]) -> None:
    file = await opened(library, media_file("h264_aac.mp4"))
    groups = await play(file)
    assert file.name == "h264_aac.mp4"
    assert [group.position_us for group in groups] == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000]
    assert groups[-1].last
    assert file.duration_us == groups[-1].end_us


async def test_a_length_the_container_does_not_tell_is_learned(
    library: FileLibrary, media_file: Callable[[str], Path]
) -> None:
    file = await opened(library, media_file("h264.264"))
    assert file.duration_us is None
    await play(file)
    assert file.duration_us == 6_000_000


@pytest.mark.parametrize("name", ["h264_aac.mp4", "h264_aac.mkv", "h264_aac.ts", "h264_aac.flv", "h264.264", "aac.aac"])
async def test_a_position_gives_the_group_around_it(
    name: str, library: FileLibrary, media_file: Callable[[str], Path]
) -> None:
    file = await opened(library, media_file(name))
    for position_us in (4_700_000, 0, 2_500_000, 1_999_999, 5_900_000, 900_000_000, -5):
        group = await file.group_at(position_us)
        assert group.seekable
        assert group.position_us <= max(position_us, 0)
        assert group.end_us > position_us or group.last


async def test_a_second_viewer_costs_no_reading(
    library: FileLibrary, media_file: Callable[[str], Path], reads: list[tuple[int, bool]]
) -> None:
    file = await opened(library, media_file("h264_aac.mkv"))
    first = await play(file)
    count = len(reads)
    assert count == len(first) - 1  # the first group came with opening
    second = await play(file)
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert await file.group_at(first[3].end_us - 1) is first[3]
    assert len(reads) == count


async def test_viewers_who_want_the_same_group_at_once_share_one_reading(
    library: FileLibrary, media_file: Callable[[str], Path], reads: list[tuple[int, bool]]
) -> None:
    file = await opened(library, media_file("h264_aac.mp4"))
    groups = await asyncio.gather(*(file.group_at(3_500_000) for _ in range(20)))
    assert all(group is groups[0] for group in groups)
    following = await asyncio.gather(*(file.group_after(groups[0]) for _ in range(20)))
    assert all(group is following[0] for group in following)
    assert reads == [(3_500_000, False), (4_000_000, True)]


async def test_a_viewer_that_gives_up_stops_nobody(
    library: FileLibrary, media_file: Callable[[str], Path], reads: list[tuple[int, bool]]
) -> None:
    file = await opened(library, media_file("h264_aac.mp4"))
    impatient = asyncio.create_task(file.group_at(3_500_000))
    patient = asyncio.create_task(file.group_at(3_500_000))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).position_us == 3_000_000
    assert impatient.cancelled()
    assert len(reads) == 1


async def test_the_cache_is_bounded_and_groups_in_use_are_not_read_again(
    tmp_path: Path, media_file: Callable[[str], Path], reads: list[tuple[int, bool]]
) -> None:
    library = FileLibrary(tmp_path, cache_bytes=1)
    file = await opened(library, media_file("h264_aac.mp4"))
    group = await file.group_at(2_500_000)
    assert library.cache.size_bytes == 0
    assert await file.group_at(2_700_000) is group
    assert len(reads) == 1
    del group
    gc.collect()
    assert (await file.group_at(2_700_000)).position_us == 2_000_000
    assert len(reads) == 2
    await library.close()


async def test_reading_on_after_the_cache_has_lost_everything_leaves_no_gap(
    tmp_path: Path, media_file: Callable[[str], Path]
) -> None:
    library = FileLibrary(tmp_path, cache_bytes=1)
    for name in (
        "h264_aac.mp4",
        "h264_aac.mkv",
        "h264_aac.ts",
        "h264_aac.flv",
        "h264_mulaw.avi",
        "h265.265",
        "opus.ogg",
    ):
        file = await opened(library, media_file(name))
        expected = [[frame.units for frame in group.frames] for group in await play(file)]
        got = []
        group: FrameGroup | None = await file.group_at(0)
        while group is not None:
            got.append([frame.units for frame in group.frames])
            await file.group_at(5_500_000)  # takes the demuxers elsewhere
            library.tidy(asyncio.get_running_loop().time() + IDLE_S)
            group = await file.group_after(group)
        assert got == expected, name
    await library.close()


async def test_many_viewers_at_many_places_use_few_demuxers(
    library: FileLibrary, media_file: Callable[[str], Path]
) -> None:
    file = await opened(library, media_file("h264_aac.mkv"))
    library.cache.limit_bytes = 0
    highest = 0

    async def watch(start_us: int) -> None:
        nonlocal highest
        for group in await play(file, start_us):
            highest = max(highest, file.demuxers)
            assert group.frames

    await asyncio.gather(*(watch(index * 290_000) for index in range(20)))
    assert 1 <= highest <= MAX_CURSORS


async def test_idle_demuxers_are_closed_and_opened_again(
    library: FileLibrary, media_file: Callable[[str], Path]
) -> None:
    file = await opened(library, media_file("h264_aac.mp4"))
    await file.group_at(0)
    library.tidy(asyncio.get_running_loop().time())
    assert file.demuxers == 1
    library.tidy(asyncio.get_running_loop().time() + IDLE_S)
    assert file.demuxers == 0
    assert (await file.group_at(4_500_000)).position_us == 4_000_000


async def test_a_changed_file_is_read_anew(library: FileLibrary, media_file: Callable[[str], Path]) -> None:
    old = await opened(library, media_file("h264_aac.mp4"))
    assert await library.find(["h264_aac.mp4"]) is old
    path = library.media_folder / "h264_aac.mp4"
    aside = library.media_folder / "aside"
    shutil.copy(media_file("h265_aac.mov"), aside)
    aside.rename(path)
    new = await library.find(["h264_aac.mp4"])
    assert new is not None
    assert new is not old
    assert new.tracks != old.tracks
    assert (await old.group_at(0)).position_us == 0  # what is in memory can still be played
    library.tidy(asyncio.get_running_loop().time() + IDLE_S)
    with pytest.raises(SourceError, match="replaced"):
        await old.group_at(4_000_000)
    os.utime(path, ns=(1, 1))
    assert await library.find(["h264_aac.mp4"]) not in (None, new)


@pytest.mark.parametrize(
    "name", ["h264_aac.mp4", "h264_aac.ts.mp2t", "mpeg2.vob", "theora_vorbis.ogv", "mp3.mp3", "s16.wav", "mpeg4.m4e"]
)
async def test_a_file_that_has_gone_is_not_found(
    name: str, library: FileLibrary, media_file: Callable[[str], Path]
) -> None:
    stored = name.removesuffix(".mp2t")
    shutil.copy(media_file(stored), library.media_folder / stored)
    file = await library.find([name])
    assert file is not None
    (library.media_folder / stored).unlink()
    assert await library.find([name]) is None
    await file.group_at(2_500_000)  # it is still open
    library.tidy(asyncio.get_running_loop().time() + IDLE_S)
    with pytest.raises(SourceError):
        await file.group_at(4_000_000)


async def test_names_are_tried_in_order(library: FileLibrary, media_file: Callable[[str], Path]) -> None:
    (library.media_folder / "myapp").mkdir()
    shutil.copy(media_file("h264_aac.ts"), library.media_folder / "x.mp4")
    assert (await library.find(["myapp/x.mp4", "x.mp4"])).name == "x.mp4"  # type: ignore[union-attr]
    shutil.copy(media_file("h264_aac.mp4"), library.media_folder / "myapp" / "x.mp4")
    assert (await library.find(["myapp/x.mp4", "x.mp4"])).name == "myapp/x.mp4"  # type: ignore[union-attr]
    assert await library.find([]) is None
    assert await library.find(["../x.mp4", "/etc/passwd", "nothing.mp4"]) is None


async def test_there_is_always_a_test_clip(library: FileLibrary, media_file: Callable[[str], Path]) -> None:
    clip = await library.find(["myapp/test.mp4", "test.mp4"])
    assert clip is not None
    assert clip.duration_us == 10_000_000
    assert len(await play(clip)) == 10
    assert await library.find(["test.mp4"]) is clip
    shutil.copy(media_file("h264_aac.mp4"), library.media_folder / "test.mp4")
    own = await library.find(["test.mp4"])
    assert own is not clip
    (library.media_folder / "test.mp4").unlink()
    assert await library.find(["test.mp4"]) is clip


async def test_a_file_that_cannot_be_played_says_why(library: FileLibrary) -> None:
    (library.media_folder / "notes.mp4").write_text("just text")
    with pytest.raises(SourceError, match=r"notes\.mp4"):
        await library.find(["notes.mp4"])


async def test_opening_at_once_opens_once(library: FileLibrary, media_file: Callable[[str], Path]) -> None:
    shutil.copy(media_file("h264_aac.mp4"), library.media_folder / "a.mp4")
    files = await asyncio.gather(*(library.find(["a.mp4"]) for _ in range(10)))
    assert len(set(map(id, files))) == 1


async def test_memory_goes_back_to_the_system_when_nothing_is_played(
    library: FileLibrary, media_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[str] = []
    monkeypatch.setattr(
        "manycast.sources.files.library.give_back", lambda: given_back.append(threading.current_thread().name)
    )
    now_s = asyncio.get_running_loop().time()
    library.tidy(now_s)
    await play(await opened(library, media_file("h264_aac.mp4")))
    for _ in range(KEPT_ROUNDS):
        library.tidy(now_s)
    assert not given_back
    for _ in range(3):
        library.tidy(now_s)
    await library.close()
    assert [name.startswith("media-file") for name in given_back] == [True]


def test_giving_memory_back_is_harmless() -> None:
    data = [bytes([number]) * 100_000 for number in range(50)]
    give_back()
    assert all(piece == bytes([number]) * 100_000 for number, piece in enumerate(data))


async def test_closed_files_give_nothing(library: FileLibrary, media_file: Callable[[str], Path]) -> None:
    file = await opened(library, media_file("h264_aac.mp4"))
    group = await file.group_at(0)
    await file.close()
    assert library.cache.size_bytes == 0
    assert file.demuxers == 0
    with pytest.raises(SourceError, match="closed"):
        await file.group_after(group)


def test_importing_the_sources_does_not_import_pyav() -> None:
    code = (
        "import sys, manycast.sources.demo, manycast.sources.files.library, manycast.sources.files.media_file\n"
        "sys.exit('av' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_what_the_folder_holds_is_told_at_once(library: FileLibrary, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.ts").write_bytes(b"")
    assert library.holds(["nothing", "below/a.ts"])
    assert library.holds(["below/a.ts.mp2t"])
    assert library.holds(["test.mp4"])  # the clip is always there
    assert not library.holds(["nothing", "below", "../a.ts", ""])
