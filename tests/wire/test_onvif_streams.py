"""A device beside its streams: events in their metadata track, and streams that are lost and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lxml import etree
from support.inprocess import InProcess, blocking, serving
from support.onvif_device import ServedDevice, served_device
from support.rtsp import RawRtsp
from support.waiting import until

from manycast.onvif.events.catalogue import SIGNAL_LOSS
from manycast.onvif.soap.names import PREFIXES
from manycast.onvif.surroundings import Surroundings
from manycast.wire.rtp.packet import RtpPacket

NAMESPACES = dict(PREFIXES)


@asynccontextmanager
async def both(shows: str = "live") -> AsyncIterator[tuple[InProcess, ServedDevice]]:
    async with serving(metadata=True) as server:
        surroundings = Surroundings(hub=server.hub, shows=lambda path: path == shows)
        async with served_device(surroundings=surroundings) as device:
            yield server, device


def relays(client: RawRtsp, count: int) -> list[tuple[str, str, str]]:
    """The next relay events in the metadata track: what is said of the property, the relay, its state."""
    found: list[tuple[str, str, str]] = []
    parts: list[bytes] = []
    while len(found) < count:
        packet: RtpPacket = client.rtp(1, 0)[0]
        parts.append(packet.payload)
        if packet.marker:
            root = etree.fromstring(b"".join(parts))
            parts.clear()
            for message in root.iterfind("tt:Event/wsnt:NotificationMessage", NAMESPACES):
                if message.findtext("wsnt:Topic", "", NAMESPACES).endswith("/Relay"):
                    (content,) = message.iterfind("wsnt:Message/tt:Message", NAMESPACES)
                    relay, state = (str(item.get("Value")) for item in content.iterfind("*/tt:SimpleItem", NAMESPACES))
                    found.append((str(content.get("PropertyOperation")), relay, state))
    return found


async def watch(server: InProcess) -> RawRtsp:
    (await server.publish()).start()
    client = await server.connect()
    transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
    reply = await blocking(client.ask, "SETUP", "live/trackID=metadata", transport)
    assert reply.status == 200
    client.session = reply.session
    assert (await blocking(client.ask, "PLAY", "live")).status == 200
    return client


async def test_who_watches_hears_the_states_and_then_the_events() -> None:
    async with both() as (server, device):
        client = await watch(server)
        states = await blocking(relays, client, 2)
        assert states == [("Initialized", "Relay1", "inactive"), ("Initialized", "Relay2", "inactive")]
        device.device.io.switch("Relay2", True)
        heard = await blocking(relays, client, 1)
        while heard[-1][0] == "Initialized":  # the states are told anew now and then
            heard = await blocking(relays, client, 1)
        assert heard == [("Changed", "Relay2", "active")]


async def test_streams_of_others_carry_nothing_of_the_device() -> None:
    async with both(shows="another") as (server, device):
        client = await watch(server)
        device.device.io.switch("Relay2", True)
        server.hub.metadata.put("live", b"<end/>")
        document = b""
        while b"<end/>" not in document:
            document = (await blocking(client.rtp, 1, 0))[0].payload
            assert b"Relay" not in document


async def test_a_stream_is_lost_with_its_publisher_and_back_with_the_next() -> None:
    async with both() as (server, device):
        told: list[str] = []
        device.broker.listen(
            lambda message: told.append(message.data["State"]) if message.topic == SIGNAL_LOSS.topic else None
        )
        for times in (1, 2):
            publisher = await server.publish()
            publisher.start()
            await until(lambda: told[-1:] == ["false"], "the stream is there")
            await asyncio.to_thread(publisher.teardown)
            await until(lambda: told[-1:] == ["true"], "the stream is lost")
            assert told == ["false", "true"] * times
