"""The topics of ONVIF that are told here, as the specifications describe them. Who tells one declares it."""

from __future__ import annotations

from manycast.onvif.events.message import EventDescription

_TOKEN = "tt:ReferenceToken"
_PACS_TOKEN = "pt:ReferenceToken"


def _of_source(topic: str) -> EventDescription:
    """The form that all events of the Imaging Specification have, section "Events"."""
    return EventDescription(
        topic=f"tns1:VideoSource/{topic}", is_property=True, source={"Source": _TOKEN}, data={"State": "xs:boolean"}
    )


def _of_door(topic: str, state: str, **more: str) -> EventDescription:
    """Door Control Specification, section "Notification topics"."""
    return EventDescription(
        topic=f"tns1:Door/State/{topic}",
        is_property=True,
        source={"DoorToken": _PACS_TOKEN},
        data={"State": f"tdc:{state}", **more},
    )


def _of_access_point(topic: str, **data: str) -> EventDescription:
    """Access Control Specification, section "Notification topics"."""
    return EventDescription(topic=f"tns1:AccessControl/{topic}", source={"AccessPointToken": _PACS_TOKEN}, data=data)


def _changed(kind: str, token: str) -> EventDescription:
    return EventDescription(topic=f"tns1:Configuration/{kind}/Changed", source={token: _PACS_TOKEN})


# Core Specification, sections "MonitoringEvents" and "Security Policies".
PROCESSOR_USAGE = EventDescription(
    topic="tns1:Monitoring/ProcessorUsage", is_property=True, source={"Token": _TOKEN}, data={"Value": "xs:float"}
)
AUTHENTICATION_FAILED = EventDescription(
    topic="tns1:Device/SecurityPolicy/AuthFailed",
    source={"NetworkInterface": _TOKEN},
    data={"SourceIPv4": "tt:IPv4Address", "SourceIPv6": "tt:IPv6Address"},
)

MOTION_ALARM = _of_source("MotionAlarm")
IMAGE_TOO_BLURRY = _of_source("ImageTooBlurry/ImagingService")
IMAGE_TOO_DARK = _of_source("ImageTooDark/ImagingService")
IMAGE_TOO_BRIGHT = _of_source("ImageTooBright/ImagingService")
GLOBAL_SCENE_CHANGE = _of_source("GlobalSceneChange/ImagingService")
SIGNAL_LOSS = _of_source("SignalLoss")

# Recording Control Specification, section "Events".
RECORDING_JOB_STATE = EventDescription(
    topic="tns1:RecordingConfig/JobState",
    is_property=True,
    source={"RecordingJobToken": "tt:RecordingJobReference"},
    data={"State": "xs:string"},
    data_elements={"Information": "tt:RecordingJobStateInformation"},
)
DELETE_TRACK_DATA = EventDescription(
    topic="tns1:RecordingConfig/DeleteTrackData",
    source={"RecordingToken": "tt:RecordingReference", "TrackToken": "tt:TrackReference"},
    data={"StartTime": "xs:dateTime", "EndTime": "xs:dateTime"},
)

DOOR_MODE = _of_door("DoorMode", "DoorMode")
DOOR_PHYSICAL_STATE = _of_door("DoorPhysicalState", "DoorPhysicalState")
DOUBLE_LOCK_PHYSICAL_STATE = _of_door("DoubleLockPhysicalState", "LockPhysicalState")
DOOR_ALARM = _of_door("DoorAlarm", "DoorAlarmState")
DOOR_TAMPER = _of_door("DoorTamper", "DoorTamperState")
DOOR_FAULT = _of_door("DoorFault", "DoorFaultState", Reason="xs:string")
DOOR_CHANGED = _changed("Door", "DoorToken")

ACCESS_GRANTED = _of_access_point("AccessGranted/Anonymous", External="xs:boolean")
ACCESS_TAKEN = _of_access_point("AccessTaken/Anonymous")
ACCESS_NOT_TAKEN = _of_access_point("AccessNotTaken/Anonymous")
DURESS = _of_access_point("Duress", CredentialToken=_PACS_TOKEN, CredentialHolderName="xs:string", Reason="xs:string")
ACCESS_POINT_ENABLED = EventDescription(
    topic="tns1:AccessPoint/State/Enabled",
    is_property=True,
    source={"AccessPointToken": _PACS_TOKEN},
    data={"State": "xs:boolean"},
)
ACCESS_POINT_CHANGED = _changed("AccessPoint", "AccessPointToken")
AREA_CHANGED = _changed("Area", "AreaToken")

# Credential Specification and Schedule Specification, section "Notification topics".
ANTIPASSBACK_VIOLATION = EventDescription(
    topic="tns1:Credential/State/ApbViolation",
    source={"CredentialToken": _PACS_TOKEN},
    data={"ApbViolation": "xs:boolean", "ClientUpdated": "xs:boolean"},
)
SCHEDULE_ACTIVE = EventDescription(
    topic="tns1:Schedule/State/Active",
    is_property=True,
    source={"ScheduleToken": _PACS_TOKEN, "Name": "xs:string"},
    data={"Active": "xs:boolean", "SpecialDay": "xs:boolean"},
)
