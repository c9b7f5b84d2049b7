"""RTSP addresses and the controls below them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtsp.errors import BadRequest, NotFound
from manycast.wire.rtsp.url import (
    MAX_PATH_CHARS,
    RtspUrl,
    encode_path,
    join_control,
    match_control,
    split_control,
    split_parameters,
    track_control,
)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("*", RtspUrl(asterisk=True)),
        ("rtsp://h", RtspUrl(scheme="rtsp", host="h")),
        ("rtsp://h/", RtspUrl(scheme="rtsp", host="h")),
        ("RTSP://Host:8554/Live/One/", RtspUrl(scheme="rtsp", host="host", port=8554, path="Live/One")),
        ("rtsps://[2001:DB8::1]:322/a", RtspUrl(scheme="rtsps", host="2001:db8::1", port=322, path="a")),
        ("rtsp://[fe80::1%25eth0]/a", RtspUrl(scheme="rtsp", host="fe80::1%25eth0", path="a")),
        ("rtsp://h:/a", RtspUrl(scheme="rtsp", host="h", path="a")),
        ("rtsp://u:p%40%3A@h/a", RtspUrl(scheme="rtsp", user="u", password="p@:", host="h", path="a")),
        ("rtsp://u@h/a", RtspUrl(scheme="rtsp", user="u", host="h", path="a")),
        ("rtsp://u:a@b@h/a", RtspUrl(scheme="rtsp", user="u", password="a@b", host="h", path="a")),
        ("rtsp://h/a//b///", RtspUrl(scheme="rtsp", host="h", path="a/b")),
        ("rtsp://h/a%20b%2Fc+d", RtspUrl(scheme="rtsp", host="h", path="a b/c+d")),
        ("rtsp://h/f%C3%BCr%20100%", RtspUrl(scheme="rtsp", host="h", path="für 100%")),
        ("rtsp://h/für", RtspUrl(scheme="rtsp", host="h", path="für")),
        ("rtsp://h/a?x=1&y=%20", RtspUrl(scheme="rtsp", host="h", path="a", query="x=1&y=%20")),
        ("rtsp://h/a?x=1/", RtspUrl(scheme="rtsp", host="h", path="a", query="x=1")),
        ("rtsp://h?x=1", RtspUrl(scheme="rtsp", host="h", query="x=1")),
        ("rtsp://h/film#1.mp4", RtspUrl(scheme="rtsp", host="h", path="film#1.mp4")),
        ("http://h:80/a", RtspUrl(scheme="http", host="h", port=80, path="a")),
        ("/live/one", RtspUrl(path="live/one")),
        ("/a?u=rtsp://x", RtspUrl(path="a", query="u=rtsp://x")),
        ("rtsp://h/videodevice=test&t=udp", RtspUrl(scheme="rtsp", host="h", path="videodevice=test&t=udp")),
        ("rtsp://h/...", RtspUrl(scheme="rtsp", host="h", path="...")),
    ],
)
def test_addresses_are_taken_apart(uri: str, url: RtspUrl) -> None:
    assert RtspUrl.parse(uri) == url


@pytest.mark.parametrize(
    "uri",
    ["", "a", "h/a", "**", "ftp://h/a", "://h/a", "rtsp:/h/a", "rtsp://h:0/a", "rtsp://h:65536/a", "rtsp://h:x/a",
     "rtsp://[::1/a", "rtsp://::1/a", "rtsp://[a]b/a", "rtsp://h/a%00b",
     "rtsp://h/a%0Ab", "rtsp://h/a\x7fb", "rtsp://h/a%C2%85b", "rtsp://h/%ff", "rtsp://h/a\udcffb", "rtsp://%ff@h/a",
     "rtsp://h/" + "a" * (MAX_PATH_CHARS + 1)],
)  # fmt: skip
def test_what_is_no_address_is_answered_400(uri: str) -> None:
    with pytest.raises(BadRequest) as caught:
        RtspUrl.parse(uri)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "uri",
    ["rtsp://h/..", "rtsp://h/a/../b", "rtsp://h/./a", "rtsp://h/%2e%2e/a", "rtsp://h/a%2f..%2fb",
     "rtsp://h/a%5c..%5cb", "rtsp://h/..\\a"],
)  # fmt: skip
def test_a_way_out_of_the_folder_is_not_found(uri: str) -> None:
    with pytest.raises(NotFound):
        RtspUrl.parse(uri)


def test_the_password_is_not_shown() -> None:
    url = RtspUrl.parse("rtsp://user:secret@h:554/a%20b?x=1")
    assert str(url) == "rtsp://h:554/a%20b?x=1"
    assert "secret" not in repr(url)
    assert str(RtspUrl.parse("*")) == "*"
    assert str(RtspUrl.parse("rtsp://[::1]/a")) == "rtsp://[::1]/a"


def test_the_query_has_parameters() -> None:
    assert RtspUrl.parse("rtsp://h/a?T=unicast&p=udp&&flag&p=tcp").parameters == {
        "t": "unicast",
        "p": "tcp",
        "flag": "",
    }


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))


@given(st.lists(NAMES, max_size=4))
def test_any_path_survives_encoding(names: list[str]) -> None:
    path = "/".join(names)
    assert RtspUrl.parse("rtsp://h:8554/" + encode_path(path)).path == path
    assert RtspUrl.parse(str(RtspUrl(scheme="rtsp", host="::1", path=path, query="x=1"))).path == path


@pytest.mark.parametrize(
    ("path", "base", "track_index"),
    [
        ("live/one/trackID=0", "live/one", 0),
        ("live/one/TrackID=12/", "live/one", 12),
        ("live/one//trackID=1//", "live/one", 1),
        ("trackID=3", "", 3),
        ("live/one", "live/one", None),
        ("live/trackID=", "live/trackID=", None),
        ("live/trackID=x", "live/trackID=x", None),
        ("live/mytrackID=1", "live/mytrackID=1", None),
        ("live/trackID=1/more", "live/trackID=1/more", None),
        ("live/trackID=99999", "live/trackID=99999", None),
        ("a/trackID=1/trackID=2", "a/trackID=1", 2),
        ("x=1/trackID=2", "x=1", 2),
        ("", "", None),
    ],
)
def test_tracks_are_split_off(path: str, base: str, track_index: int | None) -> None:
    assert split_control(path) == (base, track_index)


@pytest.mark.parametrize(
    ("uri", "path", "query", "track_index"),
    [
        ("rtsp://h/p/trackID=2", "p", "", 2),
        ("rtsp://h/p?x=1/trackID=2", "p", "x=1", 2),  # ffmpeg and LIVE555 append to the query
        ("rtsp://h/p/trackID=2?x=1", "p", "x=1", 2),  # an absolute control
        ("rtsp://h/p?x=1/", "p", "x=1", None),  # PLAY on a Content-Base with a slash
        ("rtsp://h/p", "p", "", None),
    ],
)
def test_tracks_are_split_off_addresses(uri: str, path: str, query: str, track_index: int | None) -> None:
    url, index = RtspUrl.parse(uri).split_control()
    assert (url.path, url.query, index) == (path, query, track_index)


@pytest.mark.parametrize("base", ["rtsp://h/p", "rtsp://h/p/", "rtsp://h/a%20b?x=1&y=2", "rtsp://u:p@h/p?x=1/"])
@pytest.mark.parametrize("track_index", [0, 7])
def test_our_own_controls_lead_back_to_the_track(base: str, track_index: int) -> None:
    control = track_control(base, track_index)
    url, index = RtspUrl.parse(join_control(base, control)).split_control()
    wanted = RtspUrl.parse(base)
    assert (url.path, url.query, index) == (wanted.path, wanted.query, track_index)
    assert "u:p@" not in control


def test_our_own_controls_are_relative_where_all_clients_resolve_them_alike() -> None:
    assert track_control("rtsp://h/p", 1) == "trackID=1"
    assert track_control("rtsp://h/p?x=1", 1) == "rtsp://h/p/trackID=1?x=1"


@pytest.mark.parametrize(
    ("path", "name", "parameters"),
    [
        (
            "test.mp4&t=unicast&p=udp&ve=H264&w=1280&h=720&ae=PCMU&sr=8000",
            "test.mp4",
            {"t": "unicast", "p": "udp", "ve": "H264", "w": "1280", "h": "720", "ae": "PCMU", "sr": "8000"},
        ),
        ("test.mp4&T=unicast&w=", "test.mp4", {"t": "unicast", "w": ""}),
        ("Tom & Jerry.mp4", "Tom & Jerry.mp4", {}),
        ("a&b&t=x", "a&b", {"t": "x"}),
        ("a&t=x&b", "a&t=x&b", {}),
        ("videodevice=cam&w=1", "videodevice=cam", {"w": "1"}),
        ("test.mp4", "test.mp4", {}),
        ("&t=x", "&t=x", {}),
        ("", "", {}),
    ],
)
def test_appended_parameters_are_no_part_of_the_name(path: str, name: str, parameters: dict[str, str]) -> None:
    assert split_parameters(path) == (name, parameters)


@pytest.mark.parametrize(
    ("base", "control", "joined"),
    [
        ("rtsp://h/mypusher", "realvideo", "rtsp://h/mypusher/realvideo"),
        ("rtsp://h/mypusher/", "realvideo", "rtsp://h/mypusher/realvideo"),
        ("rtsp://h/p", "/realvideo", "rtsp://h/p/realvideo"),
        ("rtsp://h/p", "*", "rtsp://h/p"),
        ("rtsp://h/p", "", "rtsp://h/p"),
        ("rtsp://h/p", None, "rtsp://h/p"),
        ("rtsp://h/p", "rtsp://other:1/x/streamid=0", "rtsp://other:1/x/streamid=0"),
        ("rtsp://h/p", "?ctype=video", "rtsp://h/p?ctype=video"),
        ("rtsp://h/p?x=1", "streamid=0", "rtsp://h/p?x=1/streamid=0"),
    ],
)
def test_controls_are_joined_to_the_base(base: str, control: str | None, joined: str) -> None:
    assert join_control(base, control) == joined


FFMPEG = ["streamid=0", "streamid=1"]
GSTREAMER = ["stream=1", "stream=0"]


@pytest.mark.parametrize(
    ("uri", "base", "controls", "index"),
    [
        ("rtsp://h/live/one/streamid=1", "rtsp://h/live/one", FFMPEG, 1),
        ("rtsp://h/live/two/stream=0", "rtsp://h/live/two", GSTREAMER, 1),
        ("rtsp://h/mypusher/realvideo", "rtsp://h/mypusher", ["realvideo", "realaudio"], 0),
        ("rtsp://h:554/p/streamid=0", "rtsp://h/p", FFMPEG, 0),
        ("rtsp://h/p//streamid=0/", "rtsp://h/p/", FFMPEG, 0),
        ("rtsp://h/a%20b/streamid=0", "rtsp://h/a b", FFMPEG, 0),
        ("rtsp://h/p?x=1/streamid=1", "rtsp://h/p?x=1", FFMPEG, 1),
        ("rtsp://h/p/audio", "rtsp://h/p", ["rtsp://10.0.0.5:554/p/video", "rtsp://10.0.0.5:554/p/audio"], 1),
        ("rtsp://10.0.0.5/p/audio", "rtsp://h/p", ["rtsp://10.0.0.5/p/video", "rtsp://10.0.0.5/p/audio"], 1),
        ("rtsp://h/p", "rtsp://h/p", [None], 0),
        ("rtsp://h/p/", "rtsp://h/p", ["*"], 0),
        ("rtsp://h/rewritten/streamid=1", "rtsp://h/p", FFMPEG, 1),
        ("rtsp://h/p/streamid=2", "rtsp://h/p", FFMPEG, None),
        ("rtsp://h/p", "rtsp://h/p", FFMPEG, None),
        ("rtsp://h/p/streamid=10", "rtsp://h/p", FFMPEG, None),
        ("rtsp://h/p/xstreamid=0", "rtsp://h/p", FFMPEG, None),
        ("rtsp://h/p/b", "rtsp://h/p", ["rtsp://x/../", "../a", "b"], 2),
        ("rtsp://h/p", "rtsp://h/p", [], None),
    ],
)
def test_setup_finds_the_medium_it_means(uri: str, base: str, controls: list[str | None], index: int | None) -> None:
    assert match_control(uri, base, controls) == index


PIECES = ["rtsp://", "h", ":", "1", "/", "..", "%", "%2", "%2e", "@", "?", "&", "=", "[", "]", "trackID=1", "*", "\\"]


def read(uri: str) -> None:
    split_control(uri)
    split_parameters(uri)
    try:
        url = RtspUrl.parse(uri)
        match_control(uri, uri, [uri, None, "a"])
    except (BadRequest, NotFound):
        return
    url.split_control()
    assert isinstance(url.parameters, dict)
    assert ".." not in url.path.split("/")
    assert not url.path.startswith("/")
    assert not url.path.endswith("/")
    assert str(url)


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_hostile_addresses_raise_only_bad_request_and_not_found(uri: str) -> None:
    read(uri)
    read("rtsp://h/" + uri)


def test_every_prefix_of_an_address_is_read_or_refused_by_name() -> None:
    uri = "rtsp://u%40:p@[2001:db8::1]:8554/a%20b/f%C3%BCr&t=udp?x=1/trackID=0"
    for size in range(len(uri)):
        read(uri[:size])
