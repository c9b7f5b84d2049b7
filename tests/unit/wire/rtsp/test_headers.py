"""Header values with a structure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.rtsp.errors import BadRequest, InvalidRange, RangeUnitNotImplemented, RtspError, UnsupportedTransport
from manycast.wire.rtsp.headers import (
    MAX_TRANSPORTS,
    ClockRange,
    NptRange,
    RtpInfo,
    SessionHeader,
    TransportSpec,
    http_date,
    parse_range,
    parse_require,
    parse_rtp_info,
    parse_scale,
    parse_speed,
    parse_transports,
    serialize_factor,
    serialize_rtp_info,
)

TRANSPORTS = [
    # What the manuals and known clients send.
    ("RTP/AVP;unicast;client_port=4588-4589", TransportSpec(protocol="RTP/AVP", client_port=(4588, 4589))),
    (
        "RTP/AVP;unicast;client_port=4588-4589; server_port=6256-6257",
        TransportSpec(protocol="RTP/AVP", client_port=(4588, 4589), server_port=(6256, 6257)),
    ),
    ("RTP/AVP/TCP;unicast;interleaved=0-1", TransportSpec(protocol="RTP/AVP/TCP", interleaved=(0, 1))),
    (
        "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
        TransportSpec(protocol="RTP/AVP/TCP", interleaved=(0, 1), mode="RECORD"),
    ),
    (
        "RTP/AVP/TCP;unicast;interleaved=2-3;mode=RECORD",
        TransportSpec(protocol="RTP/AVP/TCP", interleaved=(2, 3), mode="RECORD"),
    ),
    ("RTP/AVP;multicast", TransportSpec(protocol="RTP/AVP", multicast=True)),
    (
        "RTP/AVP;multicast;destination=239.0.0.1;port=5000-5001;ttl=64",
        TransportSpec(protocol="RTP/AVP", multicast=True, destination="239.0.0.1", port=(5000, 5001), ttl=64),
    ),
    (
        'RTP/AVP/UDP;unicast;client_port=40472-40473;server_port=50000-50001;ssrc=363E6C43;mode="PLAY"',
        TransportSpec(
            protocol="RTP/AVP/UDP",
            client_port=(40472, 40473),
            server_port=(50000, 50001),
            ssrc=0x363E6C43,
            mode="PLAY",
        ),
    ),
    ("rtp/savp;UNICAST;Client_Port=1000", TransportSpec(protocol="RTP/SAVP", client_port=(1000, 1001))),
    ("RTP/AVP/TCP", TransportSpec(protocol="RTP/AVP/TCP")),
    ("RTP/AVP/TCP;interleaved=5", TransportSpec(protocol="RTP/AVP/TCP", interleaved=(5, 6))),
    ("RTP/AVP/TCP;client_port=0-1", TransportSpec(protocol="RTP/AVP/TCP")),
    ("RTP/AVP;unicast;ssrc=nonsense;ttl=999;", TransportSpec(protocol="RTP/AVP")),
    ("RTP/AVP;layers=2;append;x", TransportSpec(protocol="RTP/AVP", append=True, others=("layers=2", "x"))),
]


@pytest.mark.parametrize(("text", "spec"), TRANSPORTS)
def test_transports_are_read(text: str, spec: TransportSpec) -> None:
    assert TransportSpec.parse(text) == spec
    assert TransportSpec.parse(spec.serialize()) == spec


def test_alternatives_come_in_the_order_of_preference() -> None:
    specs = parse_transports('RTP/AVP;unicast;client_port=1-2;mode="PLAY,RECORD", RTP/AVP/TCP;unicast;interleaved=0-1')
    assert [spec.protocol for spec in specs] == ["RTP/AVP", "RTP/AVP/TCP"]
    assert specs[0].is_record
    assert not specs[0].is_tcp
    assert specs[1].is_tcp
    assert not specs[1].is_record


def test_an_alternative_that_cannot_be_read_does_not_cost_the_others() -> None:
    specs = parse_transports("RAW, RTP/AVP;client_port=x, RTP/AVP/TCP;unicast;interleaved=0-256, RTP/AVP/TCP")
    assert specs == [TransportSpec(protocol="RTP/AVP/TCP")]


@pytest.mark.parametrize(
    "value",
    ["", ",", ";", "RAW", "RTP", "RTP/AVP;client_port=", "RTP/AVP;client_port=1-2-3", "RTP/AVP;server_port=65536",
     "RTP/AVP;port=65535", "RTP/AVP/TCP;interleaved=255", "RTP/AVP/TCP;interleaved=-1", "a/b/c/d"],
)  # fmt: skip
def test_what_is_no_transport_is_answered_461(value: str) -> None:
    with pytest.raises(UnsupportedTransport) as caught:
        parse_transports(value)
    assert caught.value.status == 461


def test_only_so_many_alternatives_are_read() -> None:
    assert len(parse_transports(",".join(["RTP/AVP"] * 1000))) == MAX_TRANSPORTS


def test_secure_and_receive_are_recognised() -> None:
    assert TransportSpec.parse("RTP/SAVPF;unicast").is_secure
    assert not TransportSpec.parse("RTP/AVP").is_secure
    assert TransportSpec.parse("RTP/AVP/TCP;mode=receive").is_record


PAIRS = st.tuples(st.integers(1, 65535), st.integers(0, 65535))
CHANNELS = st.tuples(st.integers(0, 255), st.integers(0, 255))
WORDS = st.text("abc.:/129", min_size=1, max_size=12)


@given(
    st.builds(
        TransportSpec,
        protocol=st.sampled_from(["RTP/AVP", "RTP/AVP/TCP", "RTP/SAVP", "RTP/AVP/UDP"]),
        multicast=st.booleans(),
        destination=st.none() | WORDS,
        source=st.none() | WORDS,
        interleaved=st.none() | CHANNELS,
        client_port=st.none() | PAIRS,
        server_port=st.none() | PAIRS,
        port=st.none() | PAIRS,
        ttl=st.none() | st.integers(0, 255),
        ssrc=st.none() | st.integers(0, 2**32 - 1),
        mode=st.sampled_from([None, "PLAY", "RECORD", "PLAY,RECORD"]),
        append=st.booleans(),
        others=st.lists(st.sampled_from(["layers=2", "x", 'y="a;b,c"'])).map(tuple),
    )
)
def test_a_transport_survives_the_wire(spec: TransportSpec) -> None:
    assert parse_transports(spec.serialize()) == [spec]


RANGES = [
    ("npt=0.0-", NptRange(start_s=0.0)),
    ("npt=0.000-", NptRange(start_s=0.0)),
    ("npt=now-", NptRange(now=True)),
    ("npt=NOW-12", NptRange(now=True, end_s=12)),
    ("npt=10.5-20", NptRange(start_s=10.5, end_s=20.0)),
    ("npt=-20", NptRange(end_s=20.0)),
    ("npt=-", NptRange()),
    ("npt=20-10", NptRange(start_s=20, end_s=10)),
    ("npt=.5-", NptRange(start_s=0.5)),
    ("npt=-5", NptRange(end_s=5)),
    ("npt=0.-21-", NptRange(start_s=0)),  # ffmpeg's way of writing -0.021
    ("npt=-1.-500-5", NptRange(start_s=0, end_s=5)),
    ("npt=-0.021-", NptRange(start_s=0)),
    ("npt=12:05:35.3-", NptRange(start_s=12 * 3600 + 5 * 60 + 35.3)),
    ("NPT = 0:00:01 - 100:00:00", NptRange(start_s=1, end_s=360000)),
    ("npt=0-;time=19970123T143720Z", NptRange(start_s=0)),
    ("clock=19961108T142300Z-19961108T143520Z", ClockRange(start_unix_s=847462980, end_unix_s=847463720)),
    ("clock=19961108T143720.25Z-", ClockRange(start_unix_s=847463840.25)),
]


@pytest.mark.parametrize(("text", "value"), RANGES)
def test_ranges_are_read(text: str, value: NptRange | ClockRange) -> None:
    assert parse_range(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "npt", "npt=", "npt=5", "npt=a-", "npt=1e5-", "npt=inf-", "npt=nan-", "npt=0:60:00-", "npt=now",
     "npt=" + "9" * 400 + "-", "clock=-", "clock=now-", "clock=19961308T142300Z-", "clock=19961108T142300-"],
)  # fmt: skip
def test_what_is_no_range_is_answered_457(text: str) -> None:
    with pytest.raises(InvalidRange) as caught:
        parse_range(text)
    assert caught.value.status == 457


@pytest.mark.parametrize("text", ["smpte=10:07:00-10:07:33:05.01", "smpte-25=10:07:00-", "bytes=0-5"])
def test_a_unit_that_is_not_known_is_answered_501(text: str) -> None:
    with pytest.raises(RangeUnitNotImplemented) as caught:
        parse_range(text)
    assert caught.value.status == 501


def test_ranges_are_written() -> None:
    assert NptRange(start_s=0).serialize() == "npt=0.000-"
    assert NptRange().serialize() == "npt=0.000-"
    assert NptRange(start_s=1.5, end_s=3600).serialize() == "npt=1.500-3600.000"
    assert NptRange(now=True).serialize() == "npt=now-"
    assert NptRange(end_s=2).serialize() == "npt=-2.000"
    assert ClockRange(start_unix_s=847463840.25).serialize() == "clock=19961108T143720.250Z-"


MILLISECONDS = st.integers(0, 10**9).map(lambda number: number / 1000)


@given(st.none() | MILLISECONDS, st.none() | MILLISECONDS)
def test_a_range_of_play_time_survives_the_wire(start_s: float | None, end_s: float | None) -> None:
    value = NptRange(start_s=start_s, end_s=end_s)
    # A range without either end is written as one from 0.
    wanted = NptRange(start_s=0.0) if start_s is None and end_s is None else value
    assert parse_range(value.serialize()) == wanted


@given(st.integers(-(10**12), 4 * 10**12), st.none() | st.integers(0, 4 * 10**12))
def test_a_range_of_clock_time_survives_the_wire(start_ms: int, end_ms: int | None) -> None:
    end_s = None if end_ms is None else end_ms / 1000
    value = ClockRange(start_unix_s=start_ms / 1000, end_unix_s=end_s)
    got = parse_range(value.serialize())
    assert isinstance(got, ClockRange)
    assert got.start_unix_s == pytest.approx(value.start_unix_s, abs=1e-4)
    assert (got.end_unix_s is None) == (end_s is None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("123124;timeout=60", SessionHeader("123124", 60)),
        ("41", SessionHeader("41")),
        ("Bk48Ak7wjcWaAgRD; timeout=60", SessionHeader("Bk48Ak7wjcWaAgRD", 60)),
        (" a ; TIMEOUT = 5 ; x", SessionHeader("a", 5)),
        ("a;timeout=soon", SessionHeader("a")),
        ("a;timeout=" + "9" * 400, SessionHeader("a")),
    ],
)
def test_session_headers_are_read(text: str, value: SessionHeader) -> None:
    assert SessionHeader.parse(text) == value
    assert SessionHeader.parse(value.serialize()) == value


@pytest.mark.parametrize("text", ["", ";timeout=60", "a b", "é", "a\x7f", "a" * 257])
def test_what_is_no_session_id_is_answered_400(text: str) -> None:
    with pytest.raises(BadRequest):
        SessionHeader.parse(text)


def test_rtp_info_is_written_as_clients_know_it() -> None:
    entries = [
        RtpInfo(url="rtsp://h/p/trackID=0", seq=65536 + 7, rtptime=2**32 + 5),
        RtpInfo(url="rtsp://h/p/trackID=1", seq=0, rtptime=0),
    ]
    assert serialize_rtp_info(entries) == (
        "url=rtsp://h/p/trackID=0;seq=7;rtptime=5,url=rtsp://h/p/trackID=1;seq=0;rtptime=0"
    )


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (
            "url=rtsp://h/a,b;c;seq=1;rtptime=2, url=rtsp://h/d;rtptime=3",
            [RtpInfo(url="rtsp://h/a,b;c", seq=1, rtptime=2), RtpInfo(url="rtsp://h/d", rtptime=3)],
        ),
        ('url="rtsp://h/a";seq=x', [RtpInfo(url="rtsp://h/a")]),
        ("URL=trackID=1; SEQ = 5 ; rtptime=6", [RtpInfo(url="trackID=1", seq=5, rtptime=6)]),
        ("", []),
        ("seq=1;rtptime=2", []),
    ],
)
def test_rtp_info_is_read(text: str, entries: list[RtpInfo]) -> None:
    assert parse_rtp_info(text) == entries


URLS = st.text("abc/:?=&,;%1", min_size=1, max_size=20).map(lambda text: "rtsp://h/" + text)
RTP_INFOS = st.builds(
    RtpInfo, url=URLS, seq=st.none() | st.integers(0, 65535), rtptime=st.none() | st.integers(0, 2**32 - 1)
)


@given(st.lists(RTP_INFOS, max_size=4))
def test_rtp_info_survives_the_wire(entries: list[RtpInfo]) -> None:
    assert parse_rtp_info(serialize_rtp_info(entries)) == entries


def test_scale_and_speed_are_read() -> None:
    assert parse_scale("-2.5") == -2.5
    assert parse_scale(" 1 ") == 1.0
    assert parse_speed("2.") == 2.0
    for bad in ("", "0", "-0.0", "x", "1e3", "inf", "nan", "9" * 400):
        with pytest.raises(BadRequest):
            parse_scale(bad)
    for bad in ("", "0", "-1", "1.0-2.0"):
        with pytest.raises(BadRequest):
            parse_speed(bad)


def test_scale_is_written_with_a_point() -> None:
    assert serialize_factor(1) == "1.0"
    assert serialize_factor(-0.5) == "-0.5"
    with pytest.raises(ValueError):
        serialize_factor(float("inf"))


@given(st.integers(-(10**9), 10**9).filter(bool).map(lambda number: number / 1000))
def test_scale_survives_the_wire(scale: float) -> None:
    if abs(scale) < 10**6:
        assert parse_scale(serialize_factor(scale)) == scale


def test_require_is_a_list_of_tags() -> None:
    assert parse_require("www.onvif.org/ver20/backchannel") == ("www.onvif.org/ver20/backchannel",)
    assert parse_require(" a, b ,,c") == ("a", "b", "c")
    assert parse_require("") == ()


@pytest.mark.parametrize(
    ("unix_s", "date"),
    [
        (1600130717.9, "Tue, 15 Sep 2020 00:45:17 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951782400, "Tue, 29 Feb 2000 00:00:00 GMT"),
    ],
)
def test_dates_have_the_form_rtsp_demands(unix_s: float, date: str) -> None:
    assert http_date(unix_s) == date


PIECES = ["RTP/AVP", ";", ",", "=", '"', "-", "npt", "clock", "url", "seq", "timeout", "1", " ", "\0"]


def read_as_everything(text: str) -> None:
    for parse in (parse_transports, parse_range, SessionHeader.parse, parse_scale, parse_speed):
        try:
            parse(text)
        except RtspError:
            pass
    parse_rtp_info(text)
    parse_require(text)


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_hostile_values_raise_only_rtsp_errors(text: str) -> None:
    read_as_everything(text)


@pytest.mark.parametrize("text", [case[0] for case in TRANSPORTS] + [case[0] for case in RANGES])
def test_every_prefix_of_a_value_is_read_or_refused_by_name(text: str) -> None:
    for size in range(len(text)):
        read_as_everything(text[:size])
