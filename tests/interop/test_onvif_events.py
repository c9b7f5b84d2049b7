"""Clients of others subscribe to a device and hear of its events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.onvif_clients import ONVIF_PYTHON, ONVIF_ZEEP_ASYNC, device_with_login, login_to, program
from support.onvif_device import ServedDevice

PULL = """
import json, sys
from onvif import ONVIFClient, ONVIFParser

host, port, user, password = sys.argv[1:]
parser = ONVIFParser({"topic": ".//{http://docs.oasis-open.org/wsn/b-2}Topic"})  # which zeep gives no text of
client = ONVIFClient(host, int(port), user, password, plugins=[parser])

def say(what):
    print(json.dumps(what), flush=True)

def pull(timeout):
    messages = pullpoint.PullMessages(Timeout=timeout, MessageLimit=100).NotificationMessage
    topics = parser.get_extracted_texts("topic", len(messages))
    contents = [message.Message.Message for message in messages]
    say([
        [content["PropertyOperation"], content["Data"]["SimpleItem"]["Value"]]
        for topic, content in zip(topics, contents) if topic == "tns1:Device/Trigger/Relay"
    ])

events = client.events()
say(events.GetServiceCapabilities().MaxPullPoints)
say(list(events.GetEventProperties().TopicExpressionDialect) != [])
made = events.CreatePullPointSubscription(InitialTerminationTime="PT60S")
pullpoint = client.pullpoint(made)
pull("PT1S")
sys.stdin.readline()
pull("PT20S")
pullpoint.SetSynchronizationPoint()
pull("PT1S")
say(client.subscription(made).Renew(TerminationTime="PT30S").TerminationTime is not None)
pullpoint.Unsubscribe()
"""

MANAGERS = """
import asyncio, datetime, json, sys
from aiohttp import web
from onvif import ONVIFCamera

def say(what):
    print(json.dumps(what), flush=True)

def relays(messages):
    found = []
    for each in messages:
        if "Relay" in str(each.Topic._value_1):
            content = each.Message._value_1
            found.append([content.PropertyOperation, content.Data.SimpleItem[0].Value])
    return found

async def hear():
    return await asyncio.to_thread(sys.stdin.readline)

async def by_pulling(camera):
    manager = await camera.create_pullpoint_manager(datetime.timedelta(seconds=60), lambda: say("lost"))
    service = manager.get_service()
    request = {"MessageLimit": 100, "Timeout": datetime.timedelta(seconds=1)}
    say(relays((await service.PullMessages(request)).NotificationMessage))
    await hear()
    request["Timeout"] = datetime.timedelta(seconds=20)
    say(relays((await service.PullMessages(request)).NotificationMessage))
    await manager.set_synchronization_point()
    say(relays((await service.PullMessages(request)).NotificationMessage))
    await manager._call_subscription_renew()
    await manager.shutdown()

async def by_being_notified(camera):
    received = asyncio.Queue()

    async def take(request):
        received.put_nowait(await request.read())
        return web.Response()

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "http://127.0.0.1:%d/hook" % runner.addresses[0][1]
    manager = await camera.create_notification_manager(url, datetime.timedelta(seconds=60), lambda: say("lost"))
    await manager.start() if manager.closed else None
    heard = []
    while len(heard) < 2:
        heard += relays(manager.process(await received.get()).NotificationMessage)
    say(heard)
    await hear()
    heard = []
    while not heard:
        heard += relays(manager.process(await received.get()).NotificationMessage)
    say(heard)
    await manager.shutdown()
    await runner.cleanup()

async def main():
    host, port, user, password = sys.argv[1:]
    camera = ONVIFCamera(host, int(port), user, password)
    await camera.update_xaddrs()
    await by_pulling(camera)
    await by_being_notified(camera)
    await camera.close()

asyncio.run(main())
"""


@pytest.fixture
async def served() -> AsyncIterator[ServedDevice]:
    async with device_with_login() as served:
        yield served


async def test_onvif_python_pulls(served: ServedDevice) -> None:
    async with program(ONVIF_PYTHON, PULL, *login_to(served)) as client:
        assert await client.said() == 32
        assert await client.said() is True
        assert await client.said() == [["Initialized", "inactive"]] * 2
        served.device.io.switch("Relay1", True)
        client.go_on()
        assert await client.said() == [["Changed", "active"]]
        assert await client.said() == [["Initialized", "active"], ["Initialized", "inactive"]]
        assert await client.said() is True
    assert not len(served.device.events.subscriptions)


async def test_the_managers_of_onvif_zeep_async_pull_and_are_notified(served: ServedDevice) -> None:
    async with program(ONVIF_ZEEP_ASYNC, MANAGERS, *login_to(served)) as client:
        assert await client.said() == [["Initialized", "inactive"]] * 2
        served.device.io.switch("Relay1", True)
        client.go_on()
        assert await client.said() == [["Changed", "active"]]
        assert await client.said() == [["Initialized", "active"], ["Initialized", "inactive"]]
        assert await client.said() == [["Initialized", "active"], ["Initialized", "inactive"]]
        served.device.io.switch("Relay1", False)
        client.go_on()
        assert await client.said() == [["Changed", "inactive"]]
    assert not len(served.device.events.subscriptions)
