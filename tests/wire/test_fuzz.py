"""Requests in any order with headers of any value, against the running server.

Whatever is asked, it is answered or the connection is closed; the server stays as it was, and another viewer notices
nothing. Longer, by hand: `pytest tests/wire/test_fuzz.py --hypothesis-profile=long`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clips import make_clip
from support.publishing import publishing, sdp_of
from support.rtsp import HungUp, RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until
from support.watching import watching

ANSWER_S = 20.0  # the longest thing a request may wait for is a source that starts
CONFIG = """
loop_nums: 2
http: {enable: 0}
https: {enable: 0}
backchannel: {codec: G711U, output: none}
rtsp: {metadata: 1, udp_base_port: UDP_BASE}
"""

METHODS = (
    "OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "RECORD",
    "REDIRECT", "options", "FETCH",
)  # fmt: skip
NAMES = (
    "clip.mp4", "clip.mp4/trackID=0", "clip.mp4/trackID=1", "clip.mp4/trackID=metadata", "clip.mp4/audioback",
    "watched", "watched/trackID=0", "fuzzed", "fuzzed/track", "nothing", "*", "", "a/../b", "%00", "x" * 2000,
)  # fmt: skip
HEADER_NAMES = (
    "Session", "Transport", "Range", "Scale", "Speed", "Require", "Accept", "Content-Type", "CSeq", "Blocksize",
    "Authorization", "KeyMgmt", "If-Match", "Bandwidth", "x-sessioncookie",
)  # fmt: skip

numbers = st.sampled_from(["0", "1", "-1", "2.5", "1e9", "99999999999999999999", "x", "nan", "", "-0.0", "0x10"])
ranges = st.one_of(
    st.builds("npt={}-{}".format, numbers, numbers),
    st.builds("clock={}-{}".format, st.sampled_from(["20260101T000000Z", "1", ""]), numbers),
    st.builds("smpte={}-".format, numbers),
    st.sampled_from(["npt=now-", "npt=-", "npt", "", "npt=0-1;time=19970123T143720Z"]),
)
transports = st.one_of(
    st.builds("RTP/AVP/TCP;unicast;interleaved={}-{}".format, numbers, numbers),
    st.builds("RTP/AVP;unicast;client_port={}-{}".format, st.sampled_from(["1", "0", "65535", "70000", "x"]), numbers),
    st.builds("RTP/AVP;multicast;destination={};ttl={}".format, st.sampled_from(["232.1.2.3", "127.0.0.1"]), numbers),
    st.sampled_from(
        ["RTP/AVP/TCP", "RTP/SAVP;unicast;client_port=4000-4001", "RTP/AVP/TCP;interleaved=0-1;mode=record", "RAW", ","]
    ),
)
headers = st.dictionaries(
    st.sampled_from(HEADER_NAMES),
    st.one_of(
        transports,
        ranges,
        numbers,
        st.sampled_from(["www.onvif.org/ver20/backchannel", "application/sdp", "mine", "text/parameters"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=40),
    ),
    max_size=4,
)
SDP = sdp_of(make_clip())
bodies = st.one_of(
    st.just(b""),
    st.just(SDP),
    st.just(b"position\r\n"),
    st.binary(max_size=200),
    st.builds(lambda at, what: SDP[:at] + what + SDP[at:], st.integers(0, len(SDP)), st.binary(max_size=20)),
)
requests = st.tuples(st.sampled_from(METHODS), st.sampled_from(NAMES), headers, bodies)
Step = tuple[str, str, dict[str, str], bytes]
# The way a player goes, so that what comes after it meets a session in every state.
PLAYER: tuple[Step, ...] = (
    ("SETUP", "clip.mp4/trackID=0", {"Transport": "RTP/AVP/TCP;interleaved=0-1"}, b""),
    ("PLAY", "clip.mp4", {}, b""),
    ("PAUSE", "clip.mp4", {}, b""),
    ("TEARDOWN", "clip.mp4", {}, b""),
)
PUBLISHER: tuple[Step, ...] = (
    ("ANNOUNCE", "fuzzed", {"Content-Type": "application/sdp"}, SDP),
    ("SETUP", "fuzzed/track", {"Transport": "RTP/AVP/TCP;interleaved=0-1;mode=record"}, b""),
    ("RECORD", "fuzzed", {}, b""),
)
steps = st.one_of(requests, st.sampled_from(PLAYER), st.sampled_from(PUBLISHER), st.binary(min_size=1, max_size=40))


@pytest.fixture(scope="module")
def fuzzed_server(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("fuzzed")
    library = folder / "media"
    library.mkdir()
    clip = next(path for path in sorted(media.iterdir()) if path.suffix == ".mp4")
    (library / "clip.mp4").write_bytes(clip.read_bytes())
    with ServerProcess(folder, media=library, config=CONFIG) as server:
        yield server


def walk(server: ServerProcess, begin: int, sequence: list[object]) -> None:
    """Play a player up to some step, then do what the sequence says; nothing may be left without an answer."""
    with RawRtsp.connect(server.host, server.port, timeout_s=ANSWER_S) as client:
        try:
            for step in [*PLAYER[:begin], *sequence]:
                if isinstance(step, bytes):  # interleaved data, on whatever channel
                    client.send_interleaved(step[0], step[1:])
                    continue
                assert isinstance(step, tuple)
                method, name, fields, body = step
                client.send(method, name, fields, body)
                reply = client.reply()
                if method == "SETUP" and reply.status == 200:
                    client.session = reply.session
                client.packets.clear()
        except (HungUp, BrokenPipeError, ConnectionResetError):
            pass


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(begin=st.integers(0, len(PLAYER)), sequence=st.lists(steps, min_size=1, max_size=8))
def _fuzz(server: ServerProcess, begin: int, sequence: list[object]) -> None:
    walk(server, begin, sequence)
    assert server.process.poll() is None, server.log


def test_any_requests_in_any_order(fuzzed_server: ServerProcess) -> None:
    server = fuzzed_server
    with publishing(server, "watched"), watching(server, "watched") as watcher:
        walk(server, 4, [])
        descriptors = server.descriptors
        _fuzz(server)
        watcher.wait_for_more(5)
        watcher.check_undisturbed()
        server.check_log()
        wait_until(lambda: server.descriptors <= descriptors + 8, "sockets and files are given back", deadline_s=90)


def test_a_half_said_request_is_no_harm(fuzzed_server: ServerProcess) -> None:
    """Every request cut short at some byte, and the connection dropped."""
    for method, name, fields, body in (*PLAYER, *PUBLISHER):
        client = RawRtsp(socket.socket(), fuzzed_server.base)
        client.close()
        data = client.bytes_of(method, name, fields, body)
        for size in range(1, len(data), 7):
            with fuzzed_server.connect() as sock:
                sock.sendall(data[:size])
    fuzzed_server.check_log()
