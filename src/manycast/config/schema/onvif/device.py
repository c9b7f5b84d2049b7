"""What one ONVIF device is, and the group that holds them all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from manycast.config.schema.base import Group, setting
from manycast.config.schema.http import DEFAULT_CERT_FILE, DEFAULT_KEY_FILE
from manycast.config.schema.onvif.profile import Profile
from manycast.config.schema.rules import MacRule, ScopeRule, between, one_word_of
from manycast.config.schema.values import Address, FilePath, Port, Secret, Switch, Text, Username
from manycast.onvif.state.server import PushTo
from manycast.onvif.state.users import UserLevel

DEFAULT_RUNTIME_FILE = Path("onvifrun.cfg")

MaxUsers = Annotated[int, between(1, 10_000)]
LogLevel = Annotated[int, between(0, 5, note="0 TRACE, 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, 5 FATAL")]
MaxPullPoints = Annotated[int, between(1, 10_000)]
RenewSeconds = Annotated[int, between(1, 86_400, unit="s")]
Scope = Annotated[str, ScopeRule()]
Mac = Annotated[str, MacRule()]


class Information(Group):
    Manufacturer: Text = setting("Manycast", "Who made the device.")
    Model: Text = setting("Virtual camera", "The device's model.")
    FirmwareVersion: Text = setting("1.0", "Version of its firmware.")
    SerialNumber: Text | None = setting(None, "Its serial number; not configured: made of the MAC address.")
    HardwareId: Text = setting("1.0", "Its hardware.")


class OnvifUser(Group):
    username: Username = Field(description="Login name.")
    password: Secret = Field(description="Password.")
    userlevel: Annotated[UserLevel, one_word_of(UserLevel)] = setting(
        UserLevel.USER, "What the user may do. Anonymous: what those may do who do not log in."
    )
    fixed: Switch = setting(
        False, "Whether the account is fixed: no client can delete it, or change its password or level.", ours=True
    )


class Event(Group):
    renew_interval: RenewSeconds = setting(60, "A subscription that is not renewed or asked for so long is deleted.")
    simulate_enable: Switch = setting(False, "Whether there are simulated events.")
    max_pull_points: MaxPullPoints = setting(32, "Largest number of pull points at a time.", ours=True)
    push_to: Annotated[PushTo, one_word_of(PushTo)] = setting(
        PushTo.NETWORK,
        "Where notifications may go. subscriber: to the address that subscribed. network: also to others, but not to "
        "this machine for subscribers elsewhere, nor to link-local addresses. anywhere: no limits.",
        ours=True,
    )


class OnvifDevice(Group):
    server_ip: tuple[Address, ...] = setting(
        (), "Addresses to listen on, repeatable; none: all interfaces, IPv4 and IPv6."
    )
    http_enable: Switch = setting(True, "ONVIF by HTTP on or off.")
    http_port: Port = setting(8000, "TCP port of ONVIF by HTTP.")
    https_enable: Switch = setting(True, "ONVIF by HTTPS on or off.")
    https_port: Port = setting(8444, "TCP port of ONVIF by HTTPS.")
    cert_file: FilePath = setting(
        DEFAULT_CERT_FILE,
        "Certificate, in PEM form. The default one is made at the first start; nobody vouches for it, it is "
        "for tests only.",
    )
    key_file: FilePath = setting(DEFAULT_KEY_FILE, "Private key of the certificate, in PEM form.")
    http_max_users: MaxUsers = setting(16, "Largest number of connections, by HTTP and by HTTPS each.")
    need_auth: Switch = setting(False, "Whether a login is asked for.")
    information: Information = setting(Information(), "What the device says it is.")
    users: tuple[OnvifUser, ...] = setting((), "Who may log in, repeatable.", node="user")
    profiles: tuple[Profile, ...] = setting(
        (), "What is offered, a channel each, repeatable; none: the first stream there is.", node="profile"
    )
    scopes: tuple[Scope, ...] = setting(
        (),
        "What the device is found by, repeatable. Of the categories Profile, type, location, name and hardware there "
        "is always one.",
        node="scope",
    )
    event: Event = setting(Event(), "Events.")
    name: Text | None = setting(
        None, "The name that recorders show: a scope of the category name, in place of all others.", ours=True
    )
    mac: Mac | None = setting(
        None,
        "The hardware address that is reported; not configured: the machine's, where there are several devices one "
        "made of the serial number.",
        ours=True,
    )
    discovery: Switch = setting(True, "Whether the device is found by WS-Discovery; clients can change it.", ours=True)
    apply_network: Switch = setting(
        False,
        "Whether the machine's network changes when clients change the device's: interfaces, addresses, MTU, gateways, "
        "host name, DNS servers. On Linux, with CAP_NET_ADMIN. 0: changes are kept and told only.",
        ours=True,
    )
    runtime_file: FilePath = setting(
        DEFAULT_RUNTIME_FILE,
        "Where the running configuration is kept, which wins over this file. Where there are several devices: "
        "onvifrun-SERIALNUMBER.cfg.",
        ours=True,
    )


class OnvifSettings(OnvifDevice):
    enable: Switch = setting(True, "ONVIF on or off.", ours=True)
    log_enable: Switch = setting(True, "Log of the ONVIF part on or off.")
    log_level: LogLevel | None = setting(
        None, "Messages of the ONVIF part of this level and above are logged; not configured: as everywhere."
    )
    devices: tuple[OnvifDevice, ...] = setting(
        (),
        "Several devices in one process, repeatable, each with an address or ports of its own. A device has the nodes "
        "that stand beside it, unless it has its own. None: there is one device.",
        node="device",
        ours=True,
    )
