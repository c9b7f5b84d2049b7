from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from manycast.sources.files.paths import find_inside, is_acceptable


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A media folder, with a secret beside it and links that lead there."""
    base = tmp_path_factory.mktemp("tree")
    media = base / "media"
    (media / "films" / "old").mkdir(parents=True)
    (media / ".hidden").mkdir()
    for name in (
        "a.mp4",
        "films/b.mp4",
        "films/old/c d.mkv",
        "ünïcode.ts",
        ".secret.mp4",
        ".hidden/x.mp4",
        "12:30.mp4",
    ):
        (media / name).write_bytes(b"media")
    (base / "media2").mkdir()
    (base / "media2" / "secret.mp4").write_bytes(b"secret")
    (base / "secret.mp4").write_bytes(b"secret")
    (media / "inside.mp4").symlink_to("films/b.mp4")
    (media / "folder").symlink_to("films")
    (media / "out.mp4").symlink_to("../secret.mp4")
    (media / "absolute.mp4").symlink_to(base / "secret.mp4")
    (media / "outside").symlink_to(base / "media2")
    (media / "up").symlink_to("..")
    (media / "masked.mp4").symlink_to(".secret.mp4")
    (media / "loop.mp4").symlink_to("loop.mp4")
    (media / "broken.mp4").symlink_to("nowhere.mp4")
    (media / "null.mp4").symlink_to("/dev/null")
    os.mkfifo(media / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(media / "socket.mp4"))
    return media


@pytest.mark.parametrize(
    "name", ["a.mp4", "films/b.mp4", "films/old/c d.mkv", "ünïcode.ts", "inside.mp4", "folder/b.mp4", "12:30.mp4"]
)
def test_files_in_the_folder_are_found(tree: Path, name: str) -> None:
    found = find_inside(tree, name)
    assert found is not None
    path, stamp = found
    assert path == (tree / name).resolve()
    assert stamp.size_bytes == 5


HOSTILE = [
    "", ".", "..", "/", "//", "../secret.mp4", "films/../../secret.mp4", "films/../a.mp4", "./a.mp4", "films//b.mp4",
    "/etc/passwd", "//etc/passwd", "a.mp4/", "a.mp4/.", "films", "films/", "..\\secret.mp4", "films\\b.mp4", "C:a.mp4",
    "c:/a.mp4", "a.mp4\0", "\0", "a.mp4\0.ts", "a.mp4\n", "\x7f", ".secret.mp4", ".hidden/x.mp4", "films/.x", "~/a.mp4",
    "out.mp4", "absolute.mp4", "outside/secret.mp4", "up/secret.mp4", "masked.mp4", "loop.mp4",
    "broken.mp4", "null.mp4", "pipe.mp4", "socket.mp4", "nowhere.mp4", "a" * 300, "a/" * 500 + "a", "a" * 5000,
    "\ud800.mp4", "...", "..././a.mp4", "%2e%2e/secret.mp4", "file:///etc/passwd", "concat:a.mp4|films/b.mp4",
    "films/b.mp4/../../../secret.mp4", "\u2025/secret.mp4", "\uff0e\uff0e/secret.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_everything_else_is_not(tree: Path, name: str) -> None:
    assert find_inside(tree, name) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                ["..", ".", "", "media", "films", "up", "outside", "folder", "a.mp4", "b.mp4", "secret.mp4", "\\", "\0"]
            ),
            max_size=8,
        ).map("/".join),
    )
)
@example("up/media2/secret.mp4")
def test_whatever_the_name_nothing_outside_is_found(tree: Path, name: str) -> None:
    found = find_inside(tree, name)
    if found is not None:
        assert found[0].is_relative_to(tree)
        assert found[0].read_bytes() == b"media"


@given(st.text(max_size=30))
def test_acceptable_names_lead_down(name: str) -> None:
    if is_acceptable(name):
        assert not name.startswith("/")
        assert all(part not in ("", ".", "..") for part in name.split("/"))
        assert "\0" not in name
        assert "\\" not in name


def test_a_media_folder_that_is_a_link_or_not_there(tree: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tree)
    assert find_inside(link, "a.mp4") is not None
    assert find_inside(tmp_path / "nowhere", "a.mp4") is None


@pytest.mark.parametrize("name", ["out.mp4", "absolute.mp4", "outside/secret.mp4", "masked.mp4"])
def test_the_log_says_of_a_link_where_it_leads(tree: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="manycast"):
        assert find_inside(tree, name) is None
        assert find_inside(tree, "nothing.mp4") is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{name}: a link out of the media folder, or to something hidden"
    ]
