"""Session descriptions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtp.payload import RtpMap
from manycast.wire.sdp import (
    MAX_MEDIA,
    MAX_SDP_BYTES,
    Connection,
    Direction,
    MalformedSdp,
    MediaDescription,
    Origin,
    SessionDescription,
    parse_fmtp,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "sdp"
NAMES = sorted(path.name for path in VECTORS.glob("*.sdp"))


def vector(name: str) -> SessionDescription:
    return SessionDescription.parse((VECTORS / name).read_bytes())


def test_the_announce_of_ffmpeg() -> None:
    session = vector("ffmpeg_announce.sdp")
    assert session.origin == Origin()
    assert session.name == "No Name"
    assert session.connection == Connection(address="127.0.0.1")
    assert session.control is None
    assert session.attributes == (("tool", "libavformat LIBAVFORMAT_VERSION"),)
    video, audio = session.media
    assert video == MediaDescription(
        kind="video",
        port=0,
        payload_types=(96,),
        control="streamid=0",
        rtpmaps={
            96: RtpMap(
                payload_type=96,
                encoding_name="H264",
                clock_rate_hz=90000,
                fmtp={
                    "packetization-mode": "1",
                    "sprop-parameter-sets": "Z/QADZGWQFB+wEQAAAMABAAAAwDKPFCpIA==,aOvDxEhE",
                    "profile-level-id": "F4000D",
                },
            )
        },
    )
    assert audio.bandwidth_kbps == 69
    assert audio.rtpmaps[97].channels == 1
    assert audio.rtpmaps[97].fmtp["config"] == "120856E500"


def test_the_announce_of_gstreamer() -> None:
    session = vector("gstreamer_announce.sdp")
    audio, video = session.media  # as it lists them
    assert (audio.kind, audio.control, audio.rtpmaps[96].encoding_name) == ("audio", "stream=1", "MP4A-LATM")
    assert audio.rtpmaps[96].channels is None
    assert (video.kind, video.control, video.framerate, video.bandwidth_kbps) == ("video", "stream=0", 30.0, 2097)
    assert video.rtpmaps[99].fmtp["level-asymmetry-allowed"] == "1"
    assert ("mediaclk", "sender") in video.attributes


def test_a_file_of_live555() -> None:
    session = vector("live555_file.sdp")
    assert (session.control, session.range) == ("*", "npt=0-300.000")
    (video,) = session.media
    assert video.control == "track1"
    assert video.rtpmaps[96].fmtp["sprop-parameter-sets"] == "Z00AKeKQCgC3YC3AQEBpB4kRUA==,aO48gA=="


def test_a_camera_with_absolute_controls() -> None:
    session = vector("camera_absolute_controls.sdp")
    assert session.bandwidth_kbps == 5050
    video, audio = session.media
    assert video.control == "rtsp://192.0.2.221/Streaming/channels/102/trackID=1"
    assert video.direction is Direction.RECVONLY
    assert video.connection == Connection(address="0.0.0.0")
    assert audio.rtpmaps[8].encoding_name == "PCMA"
    assert audio.attributes[-1] == ("appversion", "1.0")


def test_a_camera_with_a_query_behind_the_track() -> None:
    session = vector("camera_query_controls.sdp")
    assert session.range == "npt=now-"
    (video,) = session.media
    assert video.control == "rtsp://192.0.2.3/media.amp/stream=0?resolution=176x144&fps=1"
    assert video.framerate == 1.0


def test_the_back_channel_example_with_its_misprint() -> None:
    session = vector("manual_backchannel.sdp")
    assert session.origin is None  # two of its parts are missing
    assert session.name == "RTSP Session with audiobackchannel"
    assert [medium.direction for medium in session.media] == [
        Direction.RECVONLY,
        Direction.RECVONLY,
        Direction.SENDONLY,
    ]
    back = session.media[2]
    assert back.payload_types == (0,)
    assert back.rtpmaps == {}  # static: left to the caller
    assert back.attributes == (("rtptime", "0 PCMU/8000"),)


def test_the_back_channel_example_with_all_codecs() -> None:
    back = vector("manual_backchannel_codecs.sdp").media[2]
    assert back.payload_types == (0, 97, 98, 99, 100)
    assert [rtpmap.encoding_name for rtpmap in back.rtpmaps.values()] == [
        "PCMU",
        "G726-16",
        "G726-24",
        "G726-32",
        "G726-40",
    ]


def test_the_push_example() -> None:
    video, audio = vector("manual_announce.sdp").media
    assert (video.control, audio.control) == ("realvideo", "realaudio")
    assert video.rtpmaps[96].fmtp["sprop-parameter-sets"] == "Z2QAFaw07AoDmwEQAAADABAAAAMDCPFi04A=,aO+8sA=="
    assert (audio.rtpmaps[97].clock_rate_hz, audio.rtpmaps[97].channels) == (8000, 2)
    assert audio.rtpmaps[97].fmtp["indexdeltalength"] == "3"


def test_folded_garbage_costs_only_what_was_folded() -> None:
    video, audio = vector("folded_parameter_sets.sdp").media
    assert video.rtpmaps[96].fmtp["sprop-parameter-sets"] == "Z2QAFaw07AoDmwEQ"
    assert video.control == "realvideo"
    assert audio == vector("manual_announce.sdp").media[1]


def test_fmtp_with_stray_spaces_and_semicolons() -> None:
    session = vector("fmtp_with_spaces.sdp")
    assert session.connection == Connection(address="225.0.0.1", ttl=127)
    (audio,) = session.media
    assert audio.rtpmaps[96] == RtpMap(
        payload_type=96,
        encoding_name="mpeg4-generic",
        clock_rate_hz=8000,
        channels=1,
        fmtp={
            "profile-level-id": "15",
            "mode": "AAC-hbr",
            "config": "1588",
            "sizelength": "13",
            "indexlength": "3",
            "indexdeltalength": "3",
        },
    )


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("a=1;B=2", {"a": "1", "b": "2"}),
        ("a=1 b=2", {"a": "1", "b": "2"}),
        ("sprop=Z2Q=, aO4=; b=2", {"sprop": "Z2Q=, aO4=", "b": "2"}),
        ("sprop=Z2Q=, aO== ;b", {"sprop": "Z2Q=, aO==", "b": ""}),
        ("a=1 \t b=2", {"a": "1", "b": "2"}),
        ("0-15", {"0-15": ""}),
        (";;", {}),
        ("=x;a=1", {"a": "1"}),
        ("a=1;a=2", {"a": "2"}),
        ("", {}),
    ],
)
def test_fmtp_forms(text: str, parameters: dict[str, str]) -> None:
    assert parse_fmtp(text) == parameters


def test_fmtp_above_its_rtpmap_and_of_unknown_types() -> None:
    body = b"m=video 0 RTP/AVP 96 26\na=fmtp:96 a=1\na=rtpmap:96 H264/90000\na=fmtp:26 b=2\n"
    (video,) = SessionDescription.parse(body).media
    assert video.rtpmaps[96].fmtp == {"a": "1"}
    assert video.attributes == (("fmtp", "26 b=2"),)


def test_maps_that_cannot_be_read_are_kept_as_attributes() -> None:
    lines = ["96 H264", "x H264/90000", "128 H264/90000", "96 H264/0", "96 H264/90000/x"]
    body = "m=video 0 RTP/AVP 96\r\n" + "".join(f"a=rtpmap:{line}\r\n" for line in lines)
    (video,) = SessionDescription.parse(body.encode()).media
    assert video.rtpmaps == {}
    assert video.attributes == tuple(("rtpmap", line) for line in lines)


def test_bandwidth_prefers_as_over_tias() -> None:
    for lines in ("b=AS:10\nb=TIAS:5001", "b=TIAS:5001\nb=AS:10"):
        assert SessionDescription.parse(f"v=0\n{lines}".encode()).bandwidth_kbps == 10
    assert SessionDescription.parse(b"v=0\nb=TIAS:5001\nb=RR:0").bandwidth_kbps == 6


def test_any_line_ends_will_do() -> None:
    body = (VECTORS / "ffmpeg_announce.sdp").read_bytes()
    wanted = SessionDescription.parse(body)
    assert SessionDescription.parse(body.replace(b"\r\n", b"\n")) == wanted
    assert SessionDescription.parse(body.replace(b"\r\n", b"\r")) == wanted
    assert SessionDescription.parse(body.replace(b"\r\n", b"\r\n\r\n")) == wanted
    assert SessionDescription.parse(body.rstrip()) == wanted
    assert SessionDescription.parse(body + b"\0") == wanted


def test_a_medium_with_two_ports_and_formats_that_are_no_numbers() -> None:
    body = b"v=0\r\nm=Audio 49170/2 rtp/avp 0 wav 128 8\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    audio, data = SessionDescription.parse(body).media
    assert (audio.kind, audio.port, audio.protocol, audio.payload_types) == ("audio", 49170, "RTP/AVP", (0, 8))
    assert data.payload_types == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", b"hello", b"<xml/>", b"v=1\r\n", b"v=0\r\nm=video\r\n", b"m=video x RTP/AVP 96",
     b"m=video 65536 RTP/AVP 96", b"m=video 0", b"v=0\r\n" + b"m=video 0 RTP/AVP 96\r\n" * (MAX_MEDIA + 1),
     b"v=0\r\n" + b"a" * MAX_SDP_BYTES],
)  # fmt: skip
def test_what_is_no_description_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedSdp):
        SessionDescription.parse(body)


def test_the_caps_themselves_are_allowed() -> None:
    body = b"v=0\r\n" + b"m=video 0 RTP/AVP 96\r\n" * MAX_MEDIA
    assert len(SessionDescription.parse(body).media) == MAX_MEDIA
    assert SessionDescription.parse(b"v=0\r\na=" + b"a" * (MAX_SDP_BYTES - 7)).attributes


def test_what_is_written_is_complete_and_in_order() -> None:
    session = SessionDescription(
        origin=Origin(session_id="7", session_version="2", address="::1"),
        name="Manycast",
        connection=Connection(address="239.0.0.1", ttl=16),
        control="*",
        range="npt=0-",
        attributes=(("tool", "manycast"), ("recvonly-ish", None)),
        media=(
            MediaDescription(
                kind="video",
                port=5000,
                payload_types=(96,),
                connection=Connection(address="ff02::1"),
                bandwidth_kbps=100,
                control="trackID=0",
                direction=Direction.RECVONLY,
                framerate=29.97,
                rtpmaps={
                    96: RtpMap(
                        payload_type=96,
                        encoding_name="H264",
                        clock_rate_hz=90000,
                        fmtp={"packetization-mode": "1", "x": ""},
                    )
                },
            ),
            MediaDescription(kind="audio", port=0, payload_types=(0, 8), control="trackID=1"),
        ),
    )
    assert session.serialize().decode().split("\r\n") == [
        "v=0",
        "o=- 7 2 IN IP6 ::1",
        "s=Manycast",
        "c=IN IP4 239.0.0.1/16",
        "t=0 0",
        "a=tool:manycast",
        "a=recvonly-ish",
        "a=control:*",
        "a=range:npt=0-",
        "m=video 5000 RTP/AVP 96",
        "c=IN IP6 ff02::1",
        "b=AS:100",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 packetization-mode=1;x",
        "a=framerate:29.97",
        "a=recvonly",
        "a=control:trackID=0",
        "m=audio 0 RTP/AVP 0 8",
        "a=control:trackID=1",
        "",
    ]


def test_the_least_description_is_still_complete() -> None:
    assert SessionDescription().serialize() == b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    "session",
    [
        SessionDescription(name="a\r\nm=video 0 RTP/AVP 96"),
        SessionDescription(control="a\nb"),
        SessionDescription(attributes=(("a", "b\0"),)),
        SessionDescription(media=(MediaDescription(kind="video", port=0),)),
    ],
)
def test_what_would_break_a_line_is_our_own_mistake(session: SessionDescription) -> None:
    with pytest.raises(ValueError):
        session.serialize()


WORDS = st.text("abcXYZ019._-", min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20).map(
    lambda text: "x" + text.strip() + "x"
)
ADDRESSES = st.sampled_from(["192.0.2.1", "239.1.2.3", "2001:db8::1", "example.org"])
CONNECTIONS = st.builds(Connection, address=ADDRESSES) | st.builds(
    Connection, address=st.just("239.1.2.3"), ttl=st.integers(0, 255)
)
READ = frozenset({"control", "range", "framerate", "rtpmap", "fmtp", *(direction.value for direction in Direction)})
ATTRIBUTES = st.lists(
    st.tuples(WORDS.filter(lambda name: name.lower() not in READ), st.none() | TEXTS), max_size=4
).map(tuple)
FMTP = st.dictionaries(st.text("abc019-", min_size=1, max_size=8), st.text("abcXYZ019+/=,.", max_size=12), max_size=4)


@st.composite
def media(draw: st.DrawFn) -> MediaDescription:
    numbers = draw(st.lists(st.integers(0, 127), min_size=1, max_size=4, unique=True))
    mapped = [number for number in numbers if draw(st.booleans())]
    return MediaDescription(
        kind=draw(st.sampled_from(["video", "audio", "application"])),
        port=draw(st.integers(0, 65535)),
        protocol=draw(st.sampled_from(["RTP/AVP", "RTP/SAVP", "RTP/AVPF"])),
        payload_types=tuple(numbers),
        connection=draw(st.none() | CONNECTIONS),
        bandwidth_kbps=draw(st.none() | st.integers(0, 10**9)),
        control=draw(st.none() | TEXTS),
        range=draw(st.none() | TEXTS),
        direction=draw(st.none() | st.sampled_from(Direction)),
        framerate=draw(st.none() | st.integers(0, 10**6).map(lambda number: number / 1000)),
        rtpmaps={
            number: RtpMap(
                payload_type=number,
                encoding_name=draw(WORDS),
                clock_rate_hz=draw(st.integers(1, 10**6)),
                channels=draw(st.none() | st.integers(1, 8)),
                fmtp=draw(FMTP),
            )
            for number in mapped
        },
        attributes=draw(ATTRIBUTES),
    )


SESSIONS = st.builds(
    SessionDescription,
    origin=st.builds(Origin, username=WORDS, session_id=WORDS, session_version=WORDS, address=ADDRESSES),
    name=TEXTS,
    connection=st.none() | CONNECTIONS,
    bandwidth_kbps=st.none() | st.integers(0, 10**9),
    control=st.none() | TEXTS,
    range=st.none() | TEXTS,
    direction=st.none() | st.sampled_from(Direction),
    attributes=ATTRIBUTES,
    media=st.lists(media(), max_size=3).map(tuple),
)


@given(SESSIONS)
def test_a_description_survives_the_wire(session: SessionDescription) -> None:
    assert SessionDescription.parse(session.serialize()) == session


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_means_the_same_when_written_again(name: str) -> None:
    session = vector(name)
    again = SessionDescription.parse(session.serialize())
    assert again.media == session.media
    assert (again.name, again.control, again.range) == (session.name, session.control, session.range)


@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_is_read_or_refused_by_name(name: str) -> None:
    body = (VECTORS / name).read_bytes()
    for size in range(len(body)):
        read(body[:size])


def read(body: bytes) -> None:
    try:
        SessionDescription.parse(body)
    except MalformedSdp:
        pass


PIECES = [b"v=0", b"m=", b"a=", b"b=", b"c=", b"o=", b"\r\n", b"\n", b" ", b":", b"/", b";", b"=", b"video", b"0"]
PIECES += [b"96", b"RTP/AVP", b"rtpmap", b"fmtp", b"IN IP4", b"AS", b"9" * 30, b"\xff", b"framerate"]


@given(st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_hostile_bytes_raise_only_malformed_sdp(body: bytes) -> None:
    read(body)
    read(b"v=0\r\nm=video 0 RTP/AVP 96\r\na=" + body)


@pytest.mark.parametrize("piece", [b" ", b"a ", b"a=", b"; ", b"/", b"0 "])
@pytest.mark.parametrize("line", [b"a=fmtp:96 ", b"a=rtpmap:96 ", b"m=", b"c=IN IP4 ", b"b=AS:"])
def test_a_hostile_line_of_full_size_takes_no_time(line: bytes, piece: bytes) -> None:
    # Would take minutes, and so be seen, if any pattern went over the line again for each of its characters.
    read(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n" + line + piece * ((MAX_SDP_BYTES - 100) // len(piece)))
