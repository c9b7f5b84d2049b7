"""The broker: everything that can tell something tells it here, once; whoever listens hears it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from manycast.onvif.events.message import (
    Elements,
    EventDescription,
    EventMessage,
    PropertyOperation,
    Value,
    as_written,
)

__all__ = ["EventBroker", "EventDescription", "EventMessage", "Listener", "PropertyOperation"]

Listener = Callable[[EventMessage], None]
_Instance = tuple[tuple[str, str], ...]

NOTHING: Mapping[str, Value] = {}
NO_ELEMENTS: Elements = {}


class EventBroker:
    """Topics, the present state of properties, and listeners. All methods are for the event loop's thread.

    Listeners are called at once, in the order in which they came, and must not block.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._descriptions: dict[str, EventDescription] = {}
        self._properties: dict[str, dict[_Instance, EventMessage]] = {}
        self._listeners: dict[object, Listener] = {}

    @property
    def descriptions(self) -> Mapping[str, EventDescription]:
        """What is declared, by topic."""
        return self._descriptions

    def declare(self, description: EventDescription) -> None:
        """Announce a topic. Declaring it once more changes its description."""
        self._descriptions[description.topic] = description

    def publish(
        self,
        topic: str,
        source: Mapping[str, Value] = NOTHING,
        data: Mapping[str, Value] = NOTHING,
        *,
        key: Mapping[str, Value] = NOTHING,
        data_elements: Elements = NO_ELEMENTS,
        at: datetime | None = None,
    ) -> None:
        """Tell of an event, or of a property's state; `at` is when it happened, now if None.

        A property, known by its source and key, is Initialized first and Changed later; the same state once more is no
        news. Raises KeyError for a topic that is not declared.
        """
        description = self._descriptions[topic]
        message = EventMessage(
            topic=topic,
            utc=at or self._clock(),
            source=_written(source),
            key=_written(key),
            data=_written(data),
            data_elements=dict(data_elements),
        )
        if description.is_property:
            instances = self._properties.setdefault(topic, {})
            instance = _instance(message.source, message.key)
            known = instances.get(instance)
            if known is not None and known.data == message.data and not known.data_elements and not data_elements:
                return
            operation = PropertyOperation.INITIALIZED if known is None else PropertyOperation.CHANGED
            message = instances[instance] = replace(message, operation=operation)
        self._tell(message)

    def remove(self, topic: str, source: Mapping[str, Value] = NOTHING, *, key: Mapping[str, Value] = NOTHING) -> None:
        """A property is there no longer: Deleted, with its last state. Without effect if it never was there."""
        instance = _instance(_written(source), _written(key))
        known = self._properties.get(topic, {}).pop(instance, None)
        if known is not None:
            self._tell(replace(known, operation=PropertyOperation.DELETED, utc=self._clock()))

    def properties(self) -> Iterator[EventMessage]:
        """The state of every property as a new listener is told it: Initialized, now."""
        now = self._clock()
        for instances in self._properties.values():
            for message in instances.values():
                yield replace(message, operation=PropertyOperation.INITIALIZED, utc=now)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be called with every message, until the returned function is called."""
        ticket = object()
        self._listeners[ticket] = listener
        return lambda: (self._listeners.pop(ticket, None), None)[1]

    def _tell(self, message: EventMessage) -> None:
        for listener in tuple(self._listeners.values()):
            listener(message)


def _written(items: Mapping[str, Value]) -> dict[str, str]:
    return {name: as_written(value) for name, value in items.items()}


def _instance(source: Mapping[str, str], key: Mapping[str, str]) -> _Instance:
    return (*sorted(source.items()), ("", ""), *sorted(key.items()))
