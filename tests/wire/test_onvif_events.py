"""The event service, by HTTP. What the official cases ask for is in tests/conformance; here is the rest."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from conformance.client import NAMESPACES, Endpoint, Reply, SoapFault, make
from conformance.device import Device
from lxml import etree
from support.onvif_device import ServedDevice, served_device
from support.onvif_schema import assert_valid
from support.waiting import until

from manycast.onvif.events.lookup import Lookup
from manycast.onvif.events.push import MAX_PARAMETERS_BYTES
from manycast.onvif.events.subscription import PullPoint
from manycast.onvif.state.clock import Clock
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.events import Events
from manycast.onvif.state.server import PushTo, Server
from manycast.onvif.state.users import User, UserLevel

CONCRETE_SET = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
RELAYS = "tns1:Device/Trigger/Relay"


class Client:
    """Asks beside the event loop."""

    def __init__(self, served: ServedDevice, user: str = "", password: str = "") -> None:
        self.device = Device(served.url, user, password)

    async def ask(self, body: etree._Element, to: Endpoint | None = None, waits_s: float = 0.0) -> Reply:
        return await asyncio.to_thread(self.device.ask, body, to=to, waits_s=waits_s)

    async def pull_point(self, *filters: etree._Element, lasts: str | None = None) -> Endpoint:
        body = make("tev:CreatePullPointSubscription")
        if filters:
            body.append(make("tev:Filter", *filters))
        if lasts is not None:
            body.append(make("tev:InitialTerminationTime", lasts))
        return endpoint(await self.ask(body))

    async def pull(self, to: Endpoint, timeout: str = "PT0S", limit: int = 100) -> list[etree._Element]:  # noqa: ASYNC109
        body = make("tev:PullMessages", make("tev:Timeout", timeout), make("tev:MessageLimit", str(limit)))
        return (await self.ask(body, to, waits_s=60)).all("wsnt:NotificationMessage")

    async def fault(self, body: etree._Element, to: Endpoint | None = None) -> SoapFault:
        with pytest.raises(SoapFault) as raised:
            await self.ask(body, to)
        for detail in raised.value.details:
            assert_valid(detail)
        return raised.value


def endpoint(reply: Reply) -> Endpoint:
    return Endpoint.parse((reply.all("tev:SubscriptionReference") + reply.all("wsnt:SubscriptionReference"))[0])


def topic(text: str) -> etree._Element:
    return make("wsnt:TopicExpression", text, Dialect=CONCRETE_SET)


def items(messages: Sequence[etree._Element]) -> list[tuple[str, ...]]:
    """Of each message, its operation and the values of its items."""
    found = []
    for message in messages:
        content = message.find("wsnt:Message/tt:Message", NAMESPACES)
        assert content is not None
        values = [str(item.get("Value")) for item in content.iterfind(".//tt:SimpleItem", NAMESPACES)]
        found.append((content.get("PropertyOperation", ""), *values))
    return found


@pytest.fixture
async def served() -> AsyncIterator[ServedDevice]:
    async with served_device() as served:
        yield served


async def test_an_event_reaches_who_waits_for_it(served: ServedDevice) -> None:
    client = Client(served)
    made = await client.pull_point(topic(RELAYS))
    assert items(await client.pull(made)) == [
        ("Initialized", "Relay1", "inactive"),
        ("Initialized", "Relay2", "inactive"),
    ]
    waiting = asyncio.create_task(client.pull(made, "PT60S"))
    await until(lambda: busy(served), "somebody waits")
    served.device.io.switch("Relay2", True)
    assert items(await waiting) == [("Changed", "Relay2", "active")]
    assert await client.pull(made) == []


def busy(served: ServedDevice) -> bool:
    outlets = [each.outlet for each in served.device.events.subscriptions]
    return any(isinstance(outlet, PullPoint) and outlet.busy for outlet in outlets)


async def test_messages_beyond_the_limit_come_next(served: ServedDevice) -> None:
    client = Client(served)
    made = await client.pull_point(topic(RELAYS))
    assert [items(await client.pull(made, limit=1))[0][1] for _ in range(2)] == ["Relay1", "Relay2"]


async def test_a_second_pull_at_the_same_time_is_refused(served: ServedDevice) -> None:
    client = Client(served)
    made = await client.pull_point(topic(RELAYS))
    await client.pull(made)
    waiting = asyncio.create_task(client.pull(made, "PT60S"))
    await until(lambda: busy(served), "somebody waits")
    body = make("tev:PullMessages", make("tev:Timeout", "PT0S"), make("tev:MessageLimit", "1"))
    assert (await client.fault(body, made)).says("UnableToGetMessagesFault")
    served.device.io.switch("Relay1", True)
    assert len(await waiting) == 1


async def test_who_goes_away_while_waiting_leaves_the_messages_for_the_next(served: ServedDevice) -> None:
    client = Client(served)
    made = await client.pull_point(topic(RELAYS))
    await client.pull(made)
    body = make("tev:PullMessages", make("tev:Timeout", "PT60S"), make("tev:MessageLimit", "10"))
    data = client.device.client.message(made, body, "")
    host, _, port = served.address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as gone:
        path = made.address.removeprefix(served.address)
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/soap+xml\r\n"
        gone.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await until(lambda: busy(served), "somebody waits")
    await until(lambda: not busy(served), "it is noticed that they left")
    served.device.io.switch("Relay1", True)
    assert items(await client.pull(made)) == [("Changed", "Relay1", "active")]


async def test_a_pull_that_is_too_long_is_told_the_limits(served: ServedDevice) -> None:
    client = Client(served)
    made = await client.pull_point()
    body = make("tev:PullMessages", make("tev:Timeout", "P1D"), make("tev:MessageLimit", "1"))
    (detail,) = (await client.fault(body, made)).details
    assert etree.QName(detail).localname == "PullMessagesFaultResponse"
    assert [each.text for each in detail] == ["PT300S", "100"]


@pytest.mark.parametrize(
    ("timeout", "limit"), [("-PT1S", "1"), ("PT1S", "0"), ("PT1S", "-5"), ("P999999999Y", "1"), ("P99999999999D", "1")]
)
async def test_absurd_pulls_are_refused(
    served: ServedDevice,
    timeout: str,  # noqa: ASYNC109
    limit: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client(served)
    made = await client.pull_point()
    body = make("tev:PullMessages", make("tev:Timeout", timeout), make("tev:MessageLimit", limit))
    fault = await client.fault(body, made)
    assert fault.code == "Sender"
    assert fault.says("InvalidArgVal", "InvalidArgs")
    assert not [record for record in caplog.records if record.exc_info]


async def test_there_are_as_many_pull_points_as_announced() -> None:
    async with served_device(DeviceState(events=Events(max_pull_points=2))) as served:
        client = Client(served)
        assert client.device.endpoint
        capabilities = (await client.ask(make("tev:GetServiceCapabilities"))).all("tev:Capabilities")[0]
        assert capabilities.get("MaxPullPoints") == "2"
        first = await client.pull_point()
        await client.pull_point()
        fault = await client.fault(make("tev:CreatePullPointSubscription"))
        assert fault.says("SubscribeCreationFailedFault")
        await client.ask(make("wsnt:Unsubscribe"), first)
        await client.pull_point()


async def test_one_user_does_not_keep_all_pull_points_from_another() -> None:
    users = [
        User(username="admin", password="admin's", level=UserLevel.ADMINISTRATOR),
        User(username="user", password="user's", level=UserLevel.USER),
    ]
    state = DeviceState(users=users, server=Server(need_auth=True), events=Events(max_pull_points=3))
    async with served_device(state) as served:
        user, admin = Client(served, "user", "user's"), Client(served, "admin", "admin's")
        made = [await user.pull_point() for _ in range(3)]
        own = await admin.pull_point()
        assert await admin.pull(own)
        pull = make("tev:PullMessages", make("tev:Timeout", "PT0S"), make("tev:MessageLimit", "1"))
        assert (await user.fault(pull, made[0])).says("ResourceUnknownFault")
        assert await user.pull(made[1])
        assert (await user.fault(make("tev:CreatePullPointSubscription"))).says("SubscribeCreationFailedFault")


async def test_nothing_lives_longer_than_the_interval_of_renewals() -> None:
    async with served_device(DeviceState(events=Events(renew_interval_s=5))) as served:
        client = Client(served)
        body = make("tev:CreatePullPointSubscription", make("tev:InitialTerminationTime", "PT1H"))
        reply = await client.ask(body)
        assert lasts(reply) == timedelta(seconds=5)
        renewal = make("wsnt:Renew", make("wsnt:TerminationTime", "PT1H"))
        assert lasts(await client.ask(renewal, endpoint(reply))) == timedelta(seconds=5)
        pull = make("tev:PullMessages", make("tev:Timeout", "PT0S"), make("tev:MessageLimit", "100"))
        assert timedelta(seconds=4) < lasts(await client.ask(pull, endpoint(reply))) <= timedelta(seconds=5)


def lasts(reply: Reply) -> timedelta:
    def read(name: str) -> datetime:
        (element,) = reply.all(f"wsnt:{name}") + reply.all(f"tev:{name}")
        return datetime.fromisoformat(str(element.text))

    return read("TerminationTime") - read("CurrentTime")


async def test_who_does_not_renew_is_forgotten() -> None:
    async with served_device(DeviceState(events=Events(renew_interval_s=1))) as served:
        client = Client(served)
        made = await client.pull_point(lasts="PT1H")
        await until(lambda: not len(served.device.events.subscriptions), "it is forgotten")
        assert (await client.fault(make("wsnt:Unsubscribe"), made)).says("ResourceUnknownFault")


async def test_times_are_the_devices_own() -> None:
    async with served_device(DeviceState(clock=Clock(offset_s=-3600.0))) as served:
        client = Client(served)
        reply = await client.ask(make("tev:CreatePullPointSubscription"))
        current = datetime.fromisoformat(str(reply.all("wsnt:CurrentTime")[0].text))
        assert abs(datetime.now(UTC) - timedelta(hours=1) - current) < timedelta(minutes=1)
        asked = (current + timedelta(seconds=30)).isoformat()
        renewal = make("wsnt:Renew", make("wsnt:TerminationTime", asked))
        assert timedelta(seconds=20) < lasts(await client.ask(renewal, endpoint(reply))) <= timedelta(seconds=30)


async def test_the_address_of_a_subscription_is_the_one_the_client_used() -> None:
    async with served_device(host="::1") as served:
        client = Client(served)
        made = await client.pull_point()
        assert made.address.startswith(served.address + "/onvif/subscription/")
        assert await client.pull(made)


async def test_a_subscription_may_be_named_by_its_address_in_the_header(served: ServedDevice) -> None:
    client = Client(served)
    made = await client.pull_point()
    body = make("wsnt:Unsubscribe")
    data = client.device.client.message(made, body, "")
    reply = await asyncio.to_thread(client.device.client.send, client.device.services["tev"].address, data, "")
    assert etree.QName(reply.body).localname == "UnsubscribeResponse"


@pytest.mark.parametrize(
    "path", ["/onvif/event_service", "/onvif/subscription/", "/onvif/subscription/none", "/onvif/x"]
)
async def test_subscriptions_that_are_none_are_unknown(served: ServedDevice, path: str) -> None:
    client = Client(served)
    to = Endpoint(served.address + path)
    for body in (
        make("wsnt:Unsubscribe"),
        make("wsnt:Renew", make("wsnt:TerminationTime", "PT10S")),
        make("tev:SetSynchronizationPoint"),
        make("tev:PullMessages", make("tev:Timeout", "PT0S"), make("tev:MessageLimit", "1")),
        make("tev:Seek", make("tev:UtcTime", "2026-01-01T00:00:00Z")),
    ):
        fault = await client.fault(body, to)
        assert fault.says("ResourceUnknownFault")
        assert (fault.code, fault.status) == ("Receiver", 500)


async def test_the_current_message_of_a_topic(served: ServedDevice) -> None:
    client = Client(served)

    def body(text: str) -> etree._Element:
        return make("wsnt:GetCurrentMessage", make("wsnt:Topic", text, Dialect=CONCRETE_SET))

    served.device.io.switch("Relay1", True)
    (message,) = (await client.ask(body(RELAYS))).body
    values = [item.get("Value") for item in message.iterfind(".//tt:SimpleItem", NAMESPACES)]
    assert values == ["Relay1", "active"]
    for text, name in (
        ("tns1:Device//.", "MultipleTopicsSpecifiedFault"),
        ("tns1:Nothing", "TopicNotSupportedFault"),
        ("tns1:EventBuffer/Begin", "NoCurrentMessageOnTopicFault"),
    ):
        assert (await client.fault(body(text))).says(name)


@pytest.mark.parametrize(
    "body",
    [
        make("tev:GetEventBrokers"),
        make("wsnt:CreatePullPoint"),
        make("wsnt:PauseSubscription"),
        make("wsnt:ResumeSubscription"),
        make("wsnt:DestroyPullPoint"),
        make("wsnt:GetMessages"),
    ],
    ids=lambda body: etree.QName(body).localname,
)
async def test_what_the_capabilities_do_not_announce_is_not_supported(
    served: ServedDevice, body: etree._Element
) -> None:
    client = Client(served)
    fault = await client.fault(body)
    assert fault.subcodes == ["ActionNotSupported"]


async def test_events_are_for_those_who_may_look() -> None:
    users = [
        User(username="viewer", password="secret", level=UserLevel.USER),
        User(username="nobody", password="secret", level=UserLevel.ANONYMOUS),
    ]
    async with served_device(DeviceState(server=Server(need_auth=True), users=users)) as served:
        viewer = Client(served, "viewer", "secret")
        made = await viewer.pull_point()
        assert await viewer.pull(made)
        stranger = Client(served)
        await stranger.ask(make("tev:GetServiceCapabilities"))
        for client in (stranger, Client(served, "nobody", "secret")):
            for body, to in (
                (make("tev:GetEventProperties"), None),
                (make("tev:CreatePullPointSubscription"), None),
                (make("wsnt:Unsubscribe"), made),
            ):
                assert (await client.fault(body, to)).says("NotAuthorized")


class Taker:
    """A consumer inside the test's event loop, which answers as it is told."""

    def __init__(self) -> None:
        self.answers: list[int] = []  # HTTP statuses of the next replies; 202 when there are none left
        self.taken: list[etree._Element] = []
        self.paths: list[str] = []
        self.hosts: list[str] = []
        self.url = ""

    async def take(self, request: web.BaseRequest) -> web.Response:
        self.taken.append(etree.fromstring(await request.read()))
        self.paths.append(request.path_qs)
        self.hosts.append(request.host)
        assert request.headers["Content-Type"].startswith("application/soap+xml")
        return web.Response(status=self.answers.pop(0) if self.answers else 202)

    def messages(self) -> list[tuple[str, ...]]:
        return [each for root in self.taken for each in items(root.findall(".//wsnt:NotificationMessage", NAMESPACES))]


@asynccontextmanager
async def taking(port: int = 0) -> AsyncIterator[Taker]:
    taker = Taker()
    runner = web.ServerRunner(web.Server(taker.take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    taker.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield taker
    finally:
        await runner.cleanup()


def subscription_to(address: str, *more: etree._Element) -> etree._Element:
    reference = make("wsnt:ConsumerReference", make("wsa:Address", address), *more)
    return make("wsnt:Subscribe", reference, make("wsnt:Filter", topic(RELAYS)))


async def test_a_consumer_gets_what_it_subscribed_to(served: ServedDevice) -> None:
    client = Client(served)
    ticket = etree.fromstring('<my:Ticket xmlns:my="http://example.org">17</my:Ticket>')
    async with taking() as taker:
        reply = await client.ask(subscription_to(f"{taker.url}/here?a=b", make("wsa:ReferenceParameters", ticket)))
        await until(lambda: len(taker.messages()) == 2, "the states come")
        served.device.io.switch("Relay1", True)
        await until(lambda: len(taker.messages()) == 3, "the change comes")
        assert taker.messages()[2] == ("Changed", "Relay1", "active")
        assert set(taker.paths) == {"/here?a=b"}
        for root in taker.taken:
            (body,) = root.find("env:Body", NAMESPACES)  # type: ignore[misc]
            assert_valid(body)
            assert root.findtext("env:Header/{http://example.org}Ticket", None, NAMESPACES) == "17"
        await client.ask(make("tev:SetSynchronizationPoint"), endpoint(reply))
        await until(lambda: len(taker.messages()) == 5, "the states come once more")
        await client.ask(make("wsnt:Unsubscribe"), endpoint(reply))
        served.device.io.switch("Relay1", False)
        again = await client.ask(subscription_to(taker.url))
        await until(lambda: len(taker.messages()) == 7, "the states come to the new subscription")
        assert taker.messages()[5] == ("Initialized", "Relay1", "inactive")
        await client.ask(make("wsnt:Unsubscribe"), endpoint(again))


async def test_what_is_pushed_can_be_neither_pulled_nor_sought(served: ServedDevice) -> None:
    client = Client(served)
    async with taking() as taker:
        made = endpoint(await client.ask(subscription_to(taker.url)))
        pull = make("tev:PullMessages", make("tev:Timeout", "PT0S"), make("tev:MessageLimit", "1"))
        assert (await client.fault(pull, made)).says("UnableToGetMessagesFault")
        seek = make("tev:Seek", make("tev:UtcTime", "2026-01-01T00:00:00Z"))
        assert (await client.fault(seek, made)).says("ActionNotSupported")


async def test_there_are_only_so_many_consumers(served: ServedDevice) -> None:
    client = Client(served)
    capabilities = (await client.ask(make("tev:GetServiceCapabilities"))).all("tev:Capabilities")[0]
    async with taking() as taker:
        for _ in range(int(str(capabilities.get("MaxNotificationProducers")))):
            await client.ask(subscription_to(taker.url))
        assert (await client.fault(subscription_to(taker.url))).says("SubscribeCreationFailedFault")
        assert await client.pull_point()


async def test_a_pull_point_goes_back_in_time(served: ServedDevice) -> None:
    client = Client(served)
    made = await client.pull_point(topic(RELAYS))
    served.device.io.switch("Relay1", True)
    await client.pull(made)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await client.ask(make("tev:Seek", make("tev:UtcTime", later), make("tev:Reverse", "true")), made)
    assert items(await client.pull(made))[0] == ("Changed", "Relay1", "active")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.onvif.events.push.FIRST_RETRY_S", 0.05)
    monkeypatch.setattr("manycast.onvif.events.push.TIMEOUT_S", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_at_fault_is_told_once_more(served: ServedDevice) -> None:
    client = Client(served)
    async with taking() as taker:
        taker.answers = [500, 503]
        await client.ask(subscription_to(taker.url))
        await until(lambda: len(taker.taken) == 3, "it is tried until it works")
        assert taker.messages() == [("Initialized", "Relay1", "inactive"), ("Initialized", "Relay2", "inactive")] * 3
        identifiers = {root.findtext("env:Header/wsa:MessageID", None, NAMESPACES) for root in taker.taken}
        assert len(identifiers) == 1
        served.device.io.switch("Relay1", True)
        await until(lambda: len(taker.taken) == 4, "what happens later comes, too")


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_that_is_away_is_told_when_it_is_back(served: ServedDevice) -> None:
    client = Client(served)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    await client.ask(subscription_to(f"http://127.0.0.1:{port}"))
    served.device.io.switch("Relay1", True)
    await asyncio.sleep(0.1)
    async with taking(port) as taker:
        await until(lambda: len(taker.messages()) == 3, "all that happened comes")
        assert taker.messages()[2] == ("Changed", "Relay1", "active")


@pytest.mark.usefixtures("impatient")
async def test_what_a_consumer_refuses_is_not_sent_again(
    served: ServedDevice, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(served)
    async with taking() as taker:
        taker.answers = [404, 404]
        await client.ask(subscription_to(taker.url.replace("://", "://anna:geheim@") + "?token=secret"))
        await until(lambda: len(taker.taken) == 1, "it is refused")
        served.device.io.switch("Relay1", True)
        await until(lambda: len(taker.taken) == 2, "the next one comes")
        assert taker.messages()[2:] == [("Changed", "Relay1", "active")]
        served.device.io.switch("Relay1", False)
        await until(lambda: len(taker.taken) == 3, "the next one comes")
    assert caplog.text.count("are refused: HTTP 404") == 1
    assert "geheim" not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_that_never_answers_holds_nobody_up(served: ServedDevice) -> None:
    client = Client(served)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        await client.ask(subscription_to(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        async with taking() as taker:
            await client.ask(subscription_to(taker.url))
            await until(lambda: len(taker.messages()) == 2, "the other one gets its events")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("address", [f"http://{'a' * 70}/", "http://127.0.0.1:1/", "http://no.such.name.invalid/"])
async def test_a_consumer_that_cannot_be_found_is_tried_again(served: ServedDevice, address: str) -> None:
    client = Client(served)
    made = endpoint(await client.ask(subscription_to(address)))
    await asyncio.sleep(0.3)
    (task,) = [task for task in asyncio.all_tasks() if "push to" in task.get_name()]
    assert not task.done()
    await client.ask(make("wsnt:Unsubscribe"), made)
    await until(task.done, "it ends with its subscription")


@pytest.mark.parametrize(
    "address",
    ["", "urn:uuid:1", "file:///etc/passwd", "http://", "http://[::1", "ftp://h/", "http://h:99999/", "x" * 3000],
)
async def test_what_cannot_be_notified_cannot_subscribe(served: ServedDevice, address: str) -> None:
    client = Client(served)
    fault = await client.fault(subscription_to(address))
    assert fault.says("SubscribeCreationFailedFault", "InvalidArgs")
    assert not len(served.device.events.subscriptions)


@pytest.mark.parametrize("address", ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://224.0.0.1/"])
async def test_where_nobody_may_have_us_ask_nobody_can_subscribe_for(served: ServedDevice, address: str) -> None:
    fault = await Client(served).fault(subscription_to(address))
    assert fault.says("SubscribeCreationFailedFault")
    assert not len(served.device.events.subscriptions)


async def test_where_only_subscribers_are_told_others_are_refused(served: ServedDevice) -> None:
    served.device.store.state.server.push_to = PushTo.SUBSCRIBER
    client = Client(served)
    assert (await client.fault(subscription_to("http://127.0.0.2:9/"))).says("SubscribeCreationFailedFault")
    async with taking() as taker:
        await client.ask(subscription_to(taker.url))
        await until(lambda: len(taker.messages()) == 2, "the states come")


@pytest.mark.usefixtures("impatient")
async def test_a_name_is_asked_for_its_address_each_time(
    served: ServedDevice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a name stood for when somebody subscribed does not count: it may stand for anything later."""
    answers = ["169.254.169.254", "0.0.0.0", "127.0.0.1"]

    async def find(self: Lookup, name: str, owner: str) -> list[str]:
        assert name == "consumer.example"
        return [answers.pop(0) if len(answers) > 1 else answers[0]]

    monkeypatch.setattr(Lookup, "find", find)
    async with taking() as taker:
        await Client(served).ask(subscription_to(taker.url.replace("127.0.0.1", "consumer.example")))
        await until(lambda: len(taker.messages()) == 2, "the states come")
        assert taker.hosts == [taker.url.replace("127.0.0.1", "consumer.example").removeprefix("http://")]
    assert "169.254.169.254 is for no other host" in caplog.text
    assert "0.0.0.0 is for no other host" in caplog.text


@pytest.mark.usefixtures("impatient")
async def test_the_addresses_of_a_name_are_tried_in_turn_but_none_that_is_forbidden(
    served: ServedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(self: Lookup, name: str, owner: str) -> list[str]:
        return ["169.254.169.254", "127.0.0.3", "127.0.0.1"]

    monkeypatch.setattr(Lookup, "find", find)
    async with taking() as taker:  # nobody listens at 127.0.0.3
        await Client(served).ask(subscription_to(taker.url.replace("127.0.0.1", "consumer.example")))
        await until(lambda: len(taker.messages()) == 2, "the states come")


async def test_what_a_consumer_wants_back_with_each_message_is_bounded(served: ServedDevice) -> None:
    parameters = make("wsa:ReferenceParameters", etree.fromstring(f"<ticket>{'1' * MAX_PARAMETERS_BYTES}</ticket>"))
    fault = await Client(served).fault(subscription_to("http://127.0.0.1:9/", parameters))
    assert fault.says("SubscribeCreationFailedFault")
    assert not len(served.device.events.subscriptions)


async def test_subscriptions_end_with_the_device(served: ServedDevice) -> None:
    client = Client(served)
    async with taking() as taker:
        await client.ask(subscription_to(taker.url))
        made = await client.pull_point(topic(RELAYS))
        await client.pull(made)
        waiting = asyncio.create_task(client.pull(made, "PT60S"))
        await until(lambda: busy(served), "somebody waits")
        await served.device.events.close()
        with pytest.raises(SoapFault, match="ResourceUnknownFault"):
            await waiting
        assert not len(served.device.events.subscriptions)
        assert not [task for task in asyncio.all_tasks() if "push to" in task.get_name() and not task.cancelling()]
