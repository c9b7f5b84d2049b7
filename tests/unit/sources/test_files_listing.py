"""What is shown of the media folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from manycast.sources.files import listing
from manycast.sources.files.library import CLIP_NAME, LIST_LIFETIME_S, FileLibrary
from manycast.sources.files.listing import list_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    media = tmp_path / "media"
    (media / "films" / "old").mkdir(parents=True)
    (media / ".hidden").mkdir()
    for name in ("b.MP4", "a.mkv", "notes.txt", ".c.mp4", ".hidden/d.mp4", "films/e.ts", "films/old/f.h265", "mp4"):
        (media / name).write_bytes(b"media")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (media / "out.mp4").symlink_to("../secret.mp4")
    (media / "inside.mp4").symlink_to("a.mkv")
    (media / "loop").symlink_to(".")
    (media / "folder.mp4").mkdir()
    return media


def test_media_files_are_listed_upper_folders_first(folder: Path) -> None:
    assert list_files(folder, 100) == ["a.mkv", "b.MP4", "inside.mp4", "films/e.ts", "films/old/f.h265"]


def test_lists_have_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_files(folder, 2) == ["a.mkv", "b.MP4"]
    monkeypatch.setattr(listing, "MAX_LOOKED_AT", 3)
    assert list_files(folder, 100) == ["a.mkv"]
    monkeypatch.undo()
    monkeypatch.setattr(listing, "MAX_DEPTH", 1)
    assert "films/old/f.h265" not in list_files(folder, 100)


def test_a_folder_that_has_gone_is_empty(tmp_path: Path) -> None:
    assert list_files(tmp_path / "nothing", 100) == []


async def test_the_library_asks_the_disk_now_and_then_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = FileLibrary(folder)
    first = await library.names(100)
    assert first[:2] == [CLIP_NAME, "a.mkv"]
    (folder / "new.mp4").write_bytes(b"media")
    assert await library.names(100) == first
    monkeypatch.setattr("manycast.sources.files.library.LIST_LIFETIME_S", -LIST_LIFETIME_S)
    assert "new.mp4" in await library.names(100)
    await library.close()
