"""The back channel through everything that carries RTSP: HTTP, WebSocket, TLS, and in sessions that fail half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.inprocess import blocking, serving
from support.inprocess_http import HttpInProcess, make_files, serving_http
from support.rtsp import RawRtsp
from support.speech import spoken_tone
from support.talking import Talker, set_up_speech
from support.waiting import until

from manycast.hub.backchannel import Backchannels, audio_track, offered_tracks
from manycast.media.track import Codec
from manycast.servers.certificate import Certificate
from manycast.servers.rtsp.udp_ports import NoPortsLeft, SessionPorts

PCMU = audio_track(Codec.G711U)
TONE = spoken_tone(PCMU, 0.5)

WAYS: dict[str, Callable[[HttpInProcess], Awaitable[RawRtsp]]] = {}


def way(connect: Callable[[HttpInProcess], Awaitable[RawRtsp]]) -> Callable[[HttpInProcess], Awaitable[RawRtsp]]:
    WAYS[connect.__name__] = connect
    return connect


@way
async def http(server: HttpInProcess) -> RawRtsp:
    return (await server.tunnel())[0]


@way
async def https(server: HttpInProcess) -> RawRtsp:
    return (await server.tunnel(secure=True))[0]


@way
async def websocket(server: HttpInProcess) -> RawRtsp:
    return (await server.websocket())[0]


@way
async def secure_websocket(server: HttpInProcess) -> RawRtsp:
    return (await server.websocket(secure=True))[0]


@pytest.mark.parametrize("name", WAYS)
async def test_one_can_speak_through_a_tunnel(tmp_path: Path, name: str) -> None:
    certificate = Certificate(*make_files(tmp_path))
    async with serving_http(certificate=certificate) as server, server.publishing("door"):
        hub = server.rtsp.hub
        server.rtsp.rtsp.context.catalogue.backchannels = Backchannels(hub, offered_tracks(PCMU))
        client = await WAYS[name](server)

        def talk() -> Talker:
            client.set_up("door")
            reply = set_up_speech(client, "door")
            assert reply.status == 200
            talker = Talker(client, "door", reply)
            talker.play()
            for data in TONE:
                talker.say_packet(data)
                client.rtp(1, channel=0)
            return talker

        talker = await blocking(talk)
        await until(lambda: hub.live("door/backchannel") is not None, "what is said")
        stream = hub.live("door/backchannel")
        assert stream is not None
        await until(lambda: stream.counters.received_frames == len(TONE), "all that is said")
        await blocking(talker.teardown)
        assert hub.live("door/backchannel") is None
        client.close()


async def test_a_talker_without_a_transport_does_not_keep_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ports(_ports: SessionPorts, _slot: int) -> None:
        raise NoPortsLeft("none left")

    async with serving() as server:
        floor = server.rtsp.context.catalogue.backchannels = Backchannels(server.hub, offered_tracks(PCMU))
        publisher = await server.publish("door")
        client = await server.connect()
        transport = {"Transport": "RTP/AVP;unicast;client_port=40000-40001"}
        reply = await blocking(client.ask, "SETUP", "door/trackID=0", transport)
        client.session = reply.session
        with monkeypatch.context() as patch:
            patch.setattr(SessionPorts, "open_pair", no_ports)
            assert (await blocking(client.ask, "SETUP", "door/audioback", transport)).status == 453
        floor.begin("door", "somebody else").end("over")
        assert (await blocking(client.ask, "SETUP", "door/audioback", transport)).status == 200
        await asyncio.to_thread(publisher.teardown)


async def test_a_talker_who_shows_no_sign_of_life_loses_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TCP the connection is the sign of life; over UDP it is what he says, or asks."""
    monkeypatch.setattr("manycast.servers.rtsp.play.RECLAIM_TIMEOUT_S", 1.0)
    async with serving() as server:
        floor = server.rtsp.context.catalogue.backchannels = Backchannels(server.hub, offered_tracks(PCMU))
        publisher = await server.publish("door")
        publisher.start()
        client = await server.connect()
        transport = {"Transport": "RTP/AVP;unicast;client_port=40000-40001"}
        reply = await blocking(client.ask, "SETUP", "door/audioback", transport)
        client.session = reply.session
        assert (await blocking(client.ask, "PLAY", "door")).status == 200
        await until(lambda: client.session not in server.sessions, "the session is reclaimed")
        floor.begin("door", "somebody else").end("over")
        await asyncio.to_thread(publisher.stop)
