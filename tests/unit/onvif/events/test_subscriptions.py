from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from support.waiting import until

from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.filters import EVERYTHING, EventFilter
from manycast.onvif.events.message import EventDescription, EventMessage, PropertyOperation
from manycast.onvif.events.storage import BEGIN, EventStorage
from manycast.onvif.events.subscription import (
    PullPoint,
    Subscription,
    SubscriptionEnded,
    UnableToGetMessages,
)
from manycast.onvif.events.subscriptions import MAX_PUSHED, Subscriptions, TooManySubscriptions
from manycast.onvif.events.topics import CONCRETE, TOPICS_NAMESPACE, parse_topic_expression

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
RELAY = EventDescription(topic="tns1:Device/Trigger/Relay", is_property=True)
LOGIN = EventDescription(topic="tns1:Device/SecurityPolicy/AuthFailed")
ONLY_LOGINS = EventFilter((parse_topic_expression(LOGIN.topic, CONCRETE, {"tns1": TOPICS_NAMESPACE}),))


@pytest.fixture
def broker() -> EventBroker:
    broker = EventBroker(lambda: NOON)
    broker.declare(RELAY)
    broker.declare(LOGIN)
    return broker


def relay(broker: EventBroker, token: str, state: str) -> None:
    broker.publish(RELAY.topic, {"RelayToken": token}, {"LogicalState": state})


def login(broker: EventBroker, count: int, at: datetime = NOON) -> None:
    broker.publish(LOGIN.topic, data={"Count": count}, at=at)


def make(broker: EventBroker, most: int = 100) -> Subscriptions:
    return Subscriptions(broker, lambda: most)


async def pull(subscription: Subscription, limit: int = 100, wait_s: float = 0.0) -> list[str]:
    """The data of what is pulled, and what it says of properties."""
    outlet = subscription.outlet
    assert isinstance(outlet, PullPoint)
    return [said(message) for message in await outlet.pull(limit, wait_s)]


def said(message: EventMessage) -> str:
    words = [*message.source.values(), *message.data.values()]
    return " ".join([message.operation.value, *words] if message.operation else words)


async def test_a_new_one_is_told_the_state_of_properties_then_what_happens(broker: EventBroker) -> None:
    subscriptions = make(broker)
    relay(broker, "1", "active")
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    relay(broker, "1", "inactive")
    login(broker, 1)
    broker.remove(RELAY.topic, {"RelayToken": "1"})
    assert await pull(subscription) == ["Initialized 1 active", "Changed 1 inactive", "1", "Deleted 1 inactive"]
    assert await pull(subscription) == []


async def test_a_filter_holds_for_states_too(broker: EventBroker) -> None:
    subscriptions = make(broker)
    relay(broker, "1", "active")
    subscription = subscriptions.open_pull_point(ONLY_LOGINS, 60, changed_only=False)
    login(broker, 1)
    subscriptions.synchronize(subscription)
    assert await pull(subscription) == ["1"]


async def test_only_changes_are_told_where_that_is_wanted(broker: EventBroker) -> None:
    subscriptions = make(broker)
    relay(broker, "1", "active")
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=True)
    relay(broker, "1", "inactive")
    relay(broker, "2", "active")
    broker.remove(RELAY.topic, {"RelayToken": "1"})
    login(broker, 1)
    assert await pull(subscription) == ["Changed 1 inactive", "1"]


async def test_a_synchronization_point_tells_all_states_anew(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    relay(broker, "1", "active")
    relay(broker, "2", "active")
    await pull(subscription)
    subscriptions.synchronize(subscription)
    assert await pull(subscription) == ["Initialized 1 active", "Initialized 2 active"]


async def test_what_is_more_than_the_limit_waits_for_the_next_time(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    for count in range(5):
        login(broker, count)
    assert [await pull(subscription, 2), await pull(subscription, 2), await pull(subscription, 2)] == [
        ["0", "1"],
        ["2", "3"],
        ["4"],
    ]


async def test_a_full_queue_loses_its_oldest_and_counts_them(broker: EventBroker) -> None:
    subscription = Subscription("s", EVERYTHING, limit=3)
    subscription.outlet = PullPoint(subscription)
    broker.listen(subscription.offer)
    for count in range(5):
        login(broker, count)
    assert subscription.dropped == 2
    assert await pull(subscription) == ["2", "3", "4"]


async def test_a_loss_is_said_in_the_log_once(broker: EventBroker, caplog: pytest.LogCaptureFixture) -> None:
    subscriptions = make(broker)
    subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    for count in range(1010):
        login(broker, count)
    assert sum("dropped" in record.message for record in caplog.records) == 1


async def test_who_waits_is_told_at_once(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    waiting = asyncio.create_task(pull(subscription, 100, 600))
    await asyncio.sleep(0)
    login(broker, 1)
    login(broker, 2)
    assert await waiting == ["1", "2"]


async def test_one_at_a_time_may_wait(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    waiting = asyncio.create_task(pull(subscription, 100, 600))
    await asyncio.sleep(0)
    with pytest.raises(UnableToGetMessages):
        await pull(subscription)
    waiting.cancel()  # as when its connection is gone
    await asyncio.gather(waiting, return_exceptions=True)
    login(broker, 1)
    assert await pull(subscription) == ["1"]


async def test_who_waits_is_told_of_the_end(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    waiting = asyncio.create_task(pull(subscription, 100, 600))
    await asyncio.sleep(0)
    subscriptions.end(subscription, "unsubscribed from")
    with pytest.raises(SubscriptionEnded):
        await waiting
    assert subscriptions.get(subscription.identifier) is None
    login(broker, 1)
    assert not subscription


async def test_it_ends_with_its_time(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 0.05, changed_only=False)
    other = subscriptions.open_pull_point(EVERYTHING, 600, changed_only=False)
    assert subscriptions.get(subscription.identifier) is subscription
    await until(lambda: len(subscriptions) == 1, "it ends")
    assert subscriptions.get(subscription.identifier) is None
    assert subscriptions.get(other.identifier) is other


async def test_it_is_over_even_before_its_timer_says_so(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 600, changed_only=False)
    subscription.ends_s = asyncio.get_running_loop().time()
    assert subscriptions.get(subscription.identifier) is None
    assert not len(subscriptions)


async def test_renewing_sets_the_end_anew_sooner_or_later(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    subscriptions.renew(subscription, 600)
    assert timedelta(seconds=590) < subscriptions.left(subscription) <= timedelta(seconds=600)
    subscriptions.renew(subscription, 0.05)
    await until(lambda: not len(subscriptions), "it ends")


async def test_pulling_keeps_it_alive_and_never_shortens_its_life(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 30, changed_only=False)
    subscriptions.keep_alive(subscription, 60)
    assert timedelta(seconds=50) < subscriptions.left(subscription) <= timedelta(seconds=60)
    subscriptions.keep_alive(subscription, 0)
    assert timedelta(seconds=50) < subscriptions.left(subscription)


async def test_it_does_not_end_while_somebody_waits(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 0.01, changed_only=False)
    waiting = asyncio.create_task(pull(subscription, 100, 600))
    await asyncio.sleep(0.1)
    assert subscriptions.get(subscription.identifier) is subscription
    login(broker, 1)
    assert await waiting == ["1"]


async def test_there_are_only_so_many_pull_points(broker: EventBroker) -> None:
    subscriptions = make(broker, most=2)
    first = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    with pytest.raises(TooManySubscriptions):
        subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    subscriptions.end(first, "unsubscribed from")
    subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)


async def test_who_has_few_gets_one_of_who_has_many(broker: EventBroker) -> None:
    subscriptions = make(broker, most=4)
    many = [subscriptions.open_pull_point(EVERYTHING, 60, owner="many", changed_only=False) for _ in range(4)]
    few = [subscriptions.open_pull_point(EVERYTHING, 60, owner="few", changed_only=False) for _ in range(2)]
    assert list(subscriptions) == [*many[2:], *few]
    with pytest.raises(SubscriptionEnded):
        await pull(many[0])
    for owner in ("few", "many"):  # they have as many each
        with pytest.raises(TooManySubscriptions):
            subscriptions.open_pull_point(EVERYTHING, 60, owner=owner, changed_only=False)
    third = subscriptions.open_pull_point(EVERYTHING, 60, owner="third", changed_only=False)
    assert list(subscriptions) == [many[3], *few, third]
    subscriptions.close()


async def test_consumers_do_not_push_out_pull_points(broker: EventBroker) -> None:
    class Quiet:
        def wake(self) -> None:
            pass

        def close(self) -> None:
            closed.append(self)

    def push(owner: str) -> Subscription:
        return subscriptions.open_pushed(EVERYTHING, 60, lambda subscription: Quiet(), owner=owner, changed_only=False)

    closed: list[Quiet] = []
    subscriptions = make(broker, most=100)
    pulled = [subscriptions.open_pull_point(EVERYTHING, 60, owner="user", changed_only=False) for _ in range(50)]
    pushed = [push("user") for _ in range(MAX_PUSHED)]
    another = push("admin")
    assert list(subscriptions) == [*pulled, *pushed[1:], another]
    assert closed == [pushed[0].outlet]
    subscriptions.close()


async def test_their_names_cannot_be_guessed(broker: EventBroker) -> None:
    subscriptions = make(broker)
    names = {subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False).identifier for _ in range(50)}
    assert len(names) == 50
    assert all(len(name) >= 24 for name in names)


async def test_closing_ends_them_all_and_others_may_follow(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    subscriptions.close()
    assert not len(subscriptions)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    login(broker, 1)
    assert await pull(subscription) == ["1"]


def seconds(after: float) -> datetime:
    return NOON + timedelta(seconds=after)


async def test_seek_forward_goes_on_with_what_happens(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    for count in (0, 2, 1, 3):  # out of order
        login(broker, count, seconds(count))
    subscriptions.seek(subscription, seconds(1.5), seconds(9), backwards=False)
    login(broker, 4, seconds(4))
    assert await pull(subscription) == ["2", "3", "4"]


async def test_seek_before_the_beginning_says_so(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    login(broker, 1, seconds(1))
    subscriptions.seek(subscription, seconds(0), seconds(9), backwards=False)
    outlet = subscription.outlet
    assert isinstance(outlet, PullPoint)
    begin, message = await outlet.pull(10, 0)
    assert (begin.topic, begin.utc, begin.operation) == (BEGIN.topic, seconds(1), None)
    assert message.utc == seconds(1)


async def test_seek_backwards_ends_with_the_beginning_and_tells_nothing_new(broker: EventBroker) -> None:
    subscriptions = make(broker)
    subscription = subscriptions.open_pull_point(EVERYTHING, 60, changed_only=False)
    for count in range(4):
        login(broker, count, seconds(count))
    subscriptions.seek(subscription, seconds(2), seconds(9), backwards=True)
    login(broker, 9, seconds(9))
    assert await pull(subscription) == ["2", "1", "0", ""]
    subscriptions.synchronize(subscription)
    assert await pull(subscription) == []
    subscriptions.seek(subscription, seconds(3), seconds(9), backwards=False)
    login(broker, 10, seconds(10))
    assert await pull(subscription) == ["3", "9", "10"]


def test_the_storage_forgets_the_oldest() -> None:
    storage = EventStorage(limit=3)
    for count in range(5):
        storage.put(EventMessage(topic=LOGIN.topic, utc=seconds(count), data={"Count": str(count)}))
    assert [said(message) for message in storage.forward(NOON, NOON)] == ["", "2", "3", "4"]
    latest = storage.latest(LOGIN.topic)
    assert latest is not None
    assert said(latest) == "4"
    assert storage.latest(RELAY.topic) is None


def test_an_empty_storage_begins_now() -> None:
    (begin,) = EventStorage().backward(NOON, seconds(5))
    assert begin.utc == seconds(5)


async def test_a_deleted_property_is_stored_with_what_it_was(broker: EventBroker) -> None:
    subscriptions = make(broker)
    relay(broker, "1", "active")
    broker.remove(RELAY.topic, {"RelayToken": "1"})
    latest = subscriptions.storage.latest(RELAY.topic)
    assert latest is not None
    assert latest.operation is PropertyOperation.DELETED
