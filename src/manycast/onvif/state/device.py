"""The whole state of one device."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from manycast.onvif.state.base import Part
from manycast.onvif.state.certificates import Certificates
from manycast.onvif.state.clock import Clock
from manycast.onvif.state.discovery import Discovery, endpoint_of
from manycast.onvif.state.events import Events
from manycast.onvif.state.geo import Location
from manycast.onvif.state.history import History
from manycast.onvif.state.information import Information
from manycast.onvif.state.io import Auxiliaries, DigitalInput, RelayOutput
from manycast.onvif.state.limits import MAX_LOCATIONS, MAX_PORTS, MAX_PROFILES, MAX_SCOPES, MAX_STORAGES, MAX_USERS
from manycast.onvif.state.network import Network
from manycast.onvif.state.profiles import Profile
from manycast.onvif.state.scopes import Scope, default_scopes
from manycast.onvif.state.server import Server
from manycast.onvif.state.storage import Storage
from manycast.onvif.state.users import HashingAlgorithm, PasswordPolicy, RemoteUser, User


def _default_discovery() -> Discovery:
    return Discovery(endpoint=endpoint_of(Information().serial_number, "", 8000))


def _of_different_names(users: list[User]) -> list[User]:
    names = [user.username for user in users]
    if len(set(names)) < len(names):
        raise ValueError("two users have the same name")
    return users


class DeviceState(Part):
    """Everything that clients can change, and what they see of the rest."""

    server: Server = Field(default_factory=Server)
    information: Information = Field(default_factory=Information)
    users: Annotated[list[User], AfterValidator(_of_different_names)] = Field(
        default_factory=list, max_length=MAX_USERS
    )
    password_policy: PasswordPolicy = Field(default_factory=PasswordPolicy)
    remote_user: RemoteUser | None = None
    hashing_algorithms: list[HashingAlgorithm] = Field(
        default_factory=lambda: list(HashingAlgorithm), min_length=1, max_length=len(HashingAlgorithm)
    )
    access_policy: bytes | None = None  # the file of SetAccessPolicy
    scopes: list[Scope] = Field(default_factory=default_scopes, max_length=MAX_SCOPES)
    discovery: Discovery = Field(default_factory=_default_discovery)
    network: Network = Field(default_factory=Network)
    clock: Clock = Field(default_factory=Clock)
    relays: list[RelayOutput] = Field(
        default_factory=lambda: [RelayOutput(token="Relay1"), RelayOutput(token="Relay2")], max_length=MAX_PORTS
    )
    digital_inputs: list[DigitalInput] = Field(
        default_factory=lambda: [DigitalInput(token="Input1")], max_length=MAX_PORTS
    )
    auxiliaries: Auxiliaries = Field(default_factory=Auxiliaries)
    certificates: Certificates = Field(default_factory=Certificates)
    storage: list[Storage] = Field(default_factory=list, max_length=MAX_STORAGES)
    locations: list[Location] = Field(default_factory=list, max_length=MAX_LOCATIONS)
    history: History = Field(default_factory=History)
    events: Events = Field(default_factory=Events)
    profiles: list[Profile] = Field(default_factory=list, max_length=MAX_PROFILES)
