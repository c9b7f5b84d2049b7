"""ONVIF devices that cannot be told apart, or will not do what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

from manycast.config.checks.logins import is_local
from manycast.config.onvif_devices import devices_of, serial_number_of
from manycast.config.problems import Problem
from manycast.config.schema.onvif.device import OnvifDevice
from manycast.config.schema.onvif.profile import Profile
from manycast.config.subject import Step, Subject, said_at
from manycast.onvif.state.limits import MAX_LISTENING, MAX_PROFILES, MAX_SCOPES, MAX_USERS

_WELL_KNOWN = ("admin", "admin")
_MANY_PROFILES = 10
_MOST = {
    "server_ip": MAX_LISTENING,
    "users": MAX_USERS,
    "scopes": MAX_SCOPES - 5,  # of the categories that there have to be, one each
    "profiles": MAX_PROFILES,
}
_MAX_NAME_CHARS = 900  # as they stand in a scope
_DIFFERENT: tuple[tuple[tuple[str, ...], Callable[[OnvifDevice], str]], ...] = (
    (("information", "SerialNumber"), serial_number_of),
    (("mac",), lambda device: device.mac or ""),
    (("runtime_file",), lambda device: str(device.runtime_file)),
)


def doubled_devices(subject: Subject) -> Iterator[Problem]:
    """No two devices of one serial number, hardware address or file."""
    for field, value_of in _DIFFERENT:
        seen: dict[str, tuple[Step, ...]] = {}
        for index, device in devices_of(subject.settings.onvif):
            path = said_at(subject, index, *field)
            value = value_of(device)
            if value in seen:
                first = subject.node(*seen[value])
                message = f"the same {field[-1]} as another device ({first.place}); each needs its own"
                yield subject.problem(path, message, value)
            seen.setdefault(value, path)


def shared_networks(subject: Subject) -> Iterator[Problem]:
    """The network of a machine is one device's, or nobody's."""
    devices = list(devices_of(subject.settings.onvif))
    for index, device in devices:
        if device.apply_network and len(devices) > 1:
            path = said_at(subject, index, "apply_network")
            message = f"there are {len(devices)} devices, and the machine's network can be one device's alone"
            yield subject.problem(path, message)


def doubled_onvif_users(subject: Subject) -> Iterator[Problem]:
    for path, device in _saying(subject, "users"):
        seen: dict[str, int] = {}
        for number, user in enumerate(device.users):
            first = seen.setdefault(user.username, number)
            if first != number:
                place = subject.node(*path, first, "username").place
                message = f"the same name as another user of the device ({place})"
                yield subject.problem((*path, number, "username"), message, user.username)


def crowded_devices(subject: Subject) -> Iterator[Problem]:
    """More than a device's state can hold."""
    for field, most in _MOST.items():
        for path, device in _saying(subject, field):
            if len(getattr(device, field)) > most:
                yield subject.problem((*path, most), f"one too many: a device has at most {most}")
    for index, device in devices_of(subject.settings.onvif):
        for names, text in ((("name",), device.name or ""), (("information", "Model"), device.information.Model)):
            if len(quote(text, safe="")) > _MAX_NAME_CHARS:
                message = f"too long: a scope is made of it, with at most {_MAX_NAME_CHARS} characters"
                yield subject.problem(said_at(subject, index, *names), message)


def open_onvif_logins(subject: Subject) -> Iterator[Problem]:
    """Logins that nobody or everybody knows."""
    onvif = subject.settings.onvif
    for index, device in devices_of(onvif):
        if not onvif.enable or not device.need_auth:
            continue
        if not device.users:
            path = said_at(subject, index, "need_auth")
            yield subject.problem(path, "but there is no user: everyone is refused", subject.value(*path))
        elif not all(map(is_local, device.server_ip or ("",))):
            yield from _well_known(subject, index, device)


def open_networks(subject: Subject) -> Iterator[Problem]:
    onvif = subject.settings.onvif
    for index, device in devices_of(onvif):
        if onvif.enable and device.apply_network and not device.need_auth:
            message = "but need_auth is 0: everyone who reaches the device may change the machine's network"
            path = said_at(subject, index, "apply_network")
            yield subject.problem(path, message, subject.value(*path))


def differing_logins(subject: Subject) -> Iterator[Problem]:
    """RTSP takes the users of devices that ask for a login, too."""
    settings = subject.settings
    if not settings.onvif.enable or not settings.needs_auth("rtsp"):
        return
    devices = {
        user.username: user.password.get_secret_value()
        for _, device in devices_of(settings.onvif)
        if device.need_auth
        for user in device.users
    }
    for index, user in enumerate(settings.users):
        if devices.get(user.username, user.password.get_secret_value()) != user.password.get_secret_value():
            message = "an ONVIF user of this name has another password; for RTSP, this one holds"
            yield subject.problem(("users", index), message)


def _well_known(subject: Subject, index: int | None, device: OnvifDevice) -> Iterator[Problem]:
    own = said_at(subject, index, "users")
    path = own if own[-1] == "users" else ("onvif", "users")
    for number, user in enumerate(device.users):
        if (user.username, user.password.get_secret_value()) == _WELL_KNOWN:
            message = "everyone knows this login, and the device is reached beyond this machine"
            yield subject.problem((*path, number), message)


def curious_devices(subject: Subject) -> Iterator[Problem]:
    for path, device in _saying(subject, "profiles"):
        count = len(device.profiles)
        if count > _MANY_PROFILES:
            message = f"{count} profiles; some clients cannot cope with more than {_MANY_PROFILES}"
            yield subject.problem((*path, _MANY_PROFILES), message)
        for number, profile in enumerate(device.profiles):
            for message in _curious(profile):
                yield subject.problem((*path, number), message)


def _saying(subject: Subject, field: str) -> Iterator[tuple[tuple[Step, ...], OnvifDevice]]:
    """Who says something about a field: the group of the devices, and devices of it."""
    onvif = subject.settings.onvif
    groups: list[tuple[tuple[Step, ...], OnvifDevice]] = [(("onvif",), onvif)]
    groups += [(("onvif", "devices", index), device) for index, device in enumerate(onvif.devices)]
    for path, group in groups:
        if subject.written(*path, field):
            yield (*path, field), group


def _curious(profile: Profile) -> Iterator[str]:
    if profile.video_source is None and profile.audio_source is None:
        yield "has neither a video_source nor an audio_source: it offers nothing"
    elif profile.video_encoder is not None and profile.video_source is None:
        yield "has no video_source, so its video_encoder is not used"
    elif profile.audio_encoder is not None and profile.audio_source is None:
        yield "has no audio_source, so its audio_encoder is not used"
    if profile.stream is not None and profile.stream_uri is not None:
        yield "has both a stream_uri and a stream; the stream_uri is given out"
