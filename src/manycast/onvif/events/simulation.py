"""Events that nothing real is behind, for trying out what receives them (`simulate_enable`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import cycle

from manycast.onvif.events import catalogue
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.message import EventDescription, Value
from manycast.onvif.events.times import write_date_time

VIDEO_SOURCE = "VideoSource1"  # where no media service names another
DOOR = "Door1"
ACCESS_POINT = "AccessPoint1"
AREA = "Area1"
CREDENTIAL = "Credential1"
SCHEDULE = "Schedule1"
RECORDING = "Recording1"
RECORDING_JOB = "RecordingJob1"
TRACK = "Track1"

Items = Mapping[str, Value]
Simulated = Callable[[], None]  # tells the next event of one topic

_FLAGS = (
    catalogue.MOTION_ALARM,
    catalogue.IMAGE_TOO_BLURRY,
    catalogue.IMAGE_TOO_DARK,
    catalogue.IMAGE_TOO_BRIGHT,
    catalogue.GLOBAL_SCENE_CHANGE,
)
_STATES: Sequence[tuple[EventDescription, Items, Sequence[Items]]] = (  # what each goes round
    (
        catalogue.RECORDING_JOB_STATE,
        {"RecordingJobToken": RECORDING_JOB},
        [{"State": "Idle"}, {"State": "Active"}],
    ),
    (
        catalogue.DOOR_MODE,
        {"DoorToken": DOOR},
        [{"State": state} for state in ("Locked", "Unlocked", "Accessed", "Blocked", "DoubleLocked")],
    ),
    (catalogue.DOOR_PHYSICAL_STATE, {"DoorToken": DOOR}, [{"State": "Closed"}, {"State": "Open"}]),
    (catalogue.DOUBLE_LOCK_PHYSICAL_STATE, {"DoorToken": DOOR}, [{"State": "Unlocked"}, {"State": "Locked"}]),
    (
        catalogue.DOOR_ALARM,
        {"DoorToken": DOOR},
        [{"State": state} for state in ("Normal", "DoorForcedOpen", "Normal", "DoorOpenTooLong")],
    ),
    (catalogue.DOOR_TAMPER, {"DoorToken": DOOR}, [{"State": "NotInTamper"}, {"State": "TamperDetected"}]),
    (
        catalogue.DOOR_FAULT,
        {"DoorToken": DOOR},
        [{"State": "NotInFault", "Reason": ""}, {"State": "FaultDetected", "Reason": "simulated"}],
    ),
    (catalogue.ACCESS_POINT_ENABLED, {"AccessPointToken": ACCESS_POINT}, [{"State": True}, {"State": False}]),
    (
        catalogue.SCHEDULE_ACTIVE,
        {"ScheduleToken": SCHEDULE, "Name": "Simulated"},
        [{"Active": False, "SpecialDay": False}, {"Active": True, "SpecialDay": False}],
    ),
)
_OCCURRENCES: Sequence[tuple[EventDescription, Items, Items]] = (
    (catalogue.DOOR_CHANGED, {"DoorToken": DOOR}, {}),
    (catalogue.ACCESS_GRANTED, {"AccessPointToken": ACCESS_POINT}, {"External": False}),
    (catalogue.ACCESS_TAKEN, {"AccessPointToken": ACCESS_POINT}, {}),
    (catalogue.ACCESS_NOT_TAKEN, {"AccessPointToken": ACCESS_POINT}, {}),
    (
        catalogue.DURESS,
        {"AccessPointToken": ACCESS_POINT},
        {"CredentialToken": CREDENTIAL, "CredentialHolderName": "Simulated", "Reason": "simulated"},
    ),
    (catalogue.ACCESS_POINT_CHANGED, {"AccessPointToken": ACCESS_POINT}, {}),
    (catalogue.AREA_CHANGED, {"AreaToken": AREA}, {}),
    (catalogue.ANTIPASSBACK_VIOLATION, {"CredentialToken": CREDENTIAL}, {"ApbViolation": True, "ClientUpdated": False}),
)


class Simulation:
    """Tells one event at a time, of all topics in turn."""

    def __init__(
        self,
        broker: EventBroker,
        clock: Callable[[], datetime],
        *,
        video_sources: Sequence[str] = (VIDEO_SOURCE,),
        more: Sequence[Simulated] = (),
    ) -> None:
        """Declare the topics, and tell the states that properties begin with.

        `video_sources` are tokens; `more` are simulations of others, such as digital inputs, that take their turns.
        """
        self._broker = broker
        self._clock = clock
        turns = [self._states(flag, {"Source": token}, _FLAG) for flag in _FLAGS for token in video_sources]
        turns += [self._states(*each) for each in _STATES]
        turns += [self._occurrences(*each) for each in _OCCURRENCES]
        turns += [self._deletions()]
        self._turns = cycle([*turns, *more])

    def tell_next(self) -> None:
        next(self._turns)()

    def _states(self, description: EventDescription, source: Items, states: Sequence[Items]) -> Simulated:
        self._broker.declare(description)
        following: Iterator[Items] = cycle(states)

        def tell() -> None:
            self._broker.publish(description.topic, source, next(following))

        tell()
        return tell

    def _occurrences(self, description: EventDescription, source: Items, data: Items) -> Simulated:
        self._broker.declare(description)
        return lambda: self._broker.publish(description.topic, source, data)

    def _deletions(self) -> Simulated:
        """A recording loses its oldest hour."""
        description = catalogue.DELETE_TRACK_DATA
        self._broker.declare(description)

        def tell() -> None:
            end = self._clock() - timedelta(days=1)
            start = end - timedelta(hours=1)
            source = {"RecordingToken": RECORDING, "TrackToken": TRACK}
            data = {"StartTime": write_date_time(start), "EndTime": write_date_time(end)}
            self._broker.publish(description.topic, source, data)

        return tell


_FLAG: Sequence[Items] = ({"State": False}, {"State": True})
