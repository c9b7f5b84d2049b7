"""From the settings of ONVIF devices to the states they begin with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from manycast.config.loading import LoadedConfiguration
from manycast.config.onvif_devices import devices_of, machine_mac, serial_number_of
from manycast.config.schema.onvif import profile as schema
from manycast.config.schema.onvif.device import OnvifDevice
from manycast.config.schema.settings import Settings
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.discovery import Discovery, DiscoveryMode, endpoint_of
from manycast.onvif.state.events import Events
from manycast.onvif.state.information import Information
from manycast.onvif.state.network import Network, Protocol, Protocols
from manycast.onvif.state.profiles import AudioEncoder, Profile, StreamUri, VideoEncoder, VideoEncoding, VideoSource
from manycast.onvif.state.scopes import Scope, category, completed
from manycast.onvif.state.server import Server
from manycast.onvif.state.users import User

_CLIP = "test.mp4"  # what a profile shows that says nothing
_DEMO = "demo"
_ORIGIN_CHARS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredDevice:
    """What is needed to start one ONVIF device."""

    default_state: Callable[[], DeviceState]  # as the configuration has it; a new one each time
    runtime_file: Path
    configuration_file: Path | None  # None: nothing is written of ONVIF

    def origin(self) -> str:
        """What stands for the configuration as it is written; empty where nothing is."""
        if self.configuration_file is None:
            return ""
        return hashlib.sha256(self.configuration_file.read_bytes()).hexdigest()[:_ORIGIN_CHARS]

    def runtime_note(self, began_with: str) -> str | None:
        """What to say at start when the running configuration began with another one, and wins all the same.

        `began_with` is what `origin` was then.
        """
        if self.configuration_file is None or began_with == self.origin():
            return None
        return (
            f"{self.configuration_file} was changed since {self.runtime_file} was begun, which is used instead of it; "
            f"to make it effective: stop the server, delete {self.runtime_file}, start the server"
        )


def configured_devices(loaded: LoadedConfiguration) -> tuple[ConfiguredDevice, ...]:
    """Every ONVIF device that is on."""
    settings = loaded.settings
    if not settings.onvif.enable:
        return ()
    return tuple(
        ConfiguredDevice(
            default_state=partial(initial_state, device, settings, demo=not loaded.files),
            runtime_file=device.runtime_file,
            configuration_file=loaded.file_of("onvif"),
        )
        for _, device in devices_of(settings.onvif)
        if device.http_enable or device.https_enable
    )


def initial_state(device: OnvifDevice, settings: Settings, *, demo: bool = False) -> DeviceState:
    """The state of a device that nobody has changed; `demo`: the test pattern is the stream to show."""
    information = device.information
    serial_number = serial_number_of(device)
    endpoint = endpoint_of(serial_number, device.mac or machine_mac(), device.http_port)
    mode = DiscoveryMode.DISCOVERABLE if device.discovery else DiscoveryMode.NON_DISCOVERABLE
    return DeviceState(
        server=Server(
            addresses=list(device.server_ip),
            cert_file=device.cert_file,
            key_file=device.key_file,
            http_max_users=device.http_max_users,
            need_auth=device.need_auth,
            push_to=device.event.push_to,
            apply_network=device.apply_network,
        ),
        information=Information(
            manufacturer=information.Manufacturer,
            model=information.Model,
            firmware_version=information.FirmwareVersion,
            serial_number=serial_number,
            hardware_id=information.HardwareId,
        ),
        users=[
            User(
                username=user.username,
                password=user.password.get_secret_value(),
                level=user.userlevel,
                fixed=user.fixed,
            )
            for user in device.users
        ],
        scopes=_scopes(device),
        discovery=Discovery(endpoint=endpoint, mode=mode),
        network=Network(
            mac=device.mac,
            protocols=Protocols(
                http=Protocol(enabled=device.http_enable, port=device.http_port),
                https=Protocol(enabled=device.https_enable, port=device.https_port),
            ),
        ),
        events=Events(
            renew_interval_s=device.event.renew_interval,
            simulate=device.event.simulate_enable,
            max_pull_points=device.event.max_pull_points,
        ),
        profiles=_profiles(device, settings, demo),
    )


def _scopes(device: OnvifDevice) -> list[Scope]:
    """Those of the file, and what is missing among them."""
    uris = [uri for uri in device.scopes if device.name is None or category(uri) != "name"]
    model = device.information.Model
    return completed(uris, name=device.name or model, hardware=model)


def _profiles(device: OnvifDevice, settings: Settings, demo: bool) -> list[Profile]:
    if not device.profiles:
        stream = _at_home(settings, _DEMO) if demo else _first_stream(settings)
        return [
            Profile(
                name="Profile1",
                video_source=VideoSource(),
                video_encoder=VideoEncoder(encoding_profile="Main"),
                audio=True,
                audio_encoder=AudioEncoder(),
                stream_uri=StreamUri(stream=stream),
            )
        ]
    clip = _at_home(settings, _CLIP)
    return [_profile(profile, number, clip) for number, profile in enumerate(device.profiles, 1)]


def _profile(profile: schema.Profile, number: int, clip: str) -> Profile:
    source = profile.video_source
    has_audio = profile.audio_source is not None
    return Profile(
        name=profile.name or f"Profile{number}",
        video_source=VideoSource(width=source.width, height=source.height) if source is not None else None,
        video_encoder=_video_encoder(profile.video_encoder or schema.VideoEncoder()) if source is not None else None,
        audio=has_audio,
        audio_encoder=_audio_encoder(profile.audio_encoder or schema.AudioEncoder()) if has_audio else None,
        stream_uri=StreamUri(
            uri=profile.stream_uri, append_params=profile.append_params, stream=profile.stream or clip
        ),
    )


def _video_encoder(encoder: schema.VideoEncoder) -> VideoEncoder:
    gov_length, encoding_profile = _codec_settings(encoder)
    return VideoEncoder(
        width=encoder.width,
        height=encoder.height,
        quality=encoder.quality,
        session_timeout_s=encoder.session_timeout,
        framerate=encoder.framerate,
        encoding_interval=encoder.encoding_interval,
        bitrate_kbps=encoder.bitrate_limit,
        encoding=encoder.encoding,
        gov_length=gov_length,
        encoding_profile=encoding_profile,
    )


def _codec_settings(encoder: schema.VideoEncoder) -> tuple[int, str | None]:
    match encoder.encoding:
        case VideoEncoding.H264:
            return encoder.h264.gov_length, encoder.h264.h264_profile.value
        case VideoEncoding.H265:
            return encoder.h265.gov_length, encoder.h265.h265_profile.value
        case VideoEncoding.MPEG4:
            return encoder.mpeg4.gov_length, encoder.mpeg4.mpeg4_profile.value
        case VideoEncoding.JPEG:
            return 1, None


def _audio_encoder(encoder: schema.AudioEncoder) -> AudioEncoder:
    return AudioEncoder(
        session_timeout_s=encoder.session_timeout,
        sample_rate_khz=encoder.sample_rate,
        bitrate_kbps=encoder.bitrate,
        encoding=encoder.encoding,
    )


def _first_stream(settings: Settings) -> str:
    for application in settings.applications:
        names = [proxy.suffix for proxy in application.proxies if proxy.url is not None]
        names += [pusher.suffix for pusher in application.pushers]
        if names:
            return f"{application.name}/{names[0]}" if application.name else names[0]
    return _at_home(settings, _CLIP)


def _at_home(settings: Settings, name: str) -> str:
    """The path of a file or of the test pattern: in the first application."""
    first = settings.applications[0].name if settings.applications else ""
    return f"{first}/{name}" if first else name
