"""The specification, and the features its cases need (Feature Discovery Specification, section Device Management)."""

from __future__ import annotations

from conformance.base.requests import ask, boolean, xml
from conformance.client import NAMESPACES, SoapFault
from conformance.device import Device
from conformance.frame import Feature, Specification

SPECIFICATION = Specification("Base", "ONVIF Base Device Test Specification")

PROFILES = ("Streaming", "G", "C", "A", "T", "D")


def capability(device: Device, section: str, name: str) -> str | None:
    """An attribute of the device service's capabilities, such as `Network`, `NTP`."""
    found = device.device_capabilities.find(f"tds:{section}", NAMESPACES)
    return None if found is None else found.get(name)


def has(section: str, name: str) -> Feature:
    return Feature(f"{section}.{name}", lambda device: boolean(capability(device, section, name)))


def _served(prefix: str) -> Feature:
    return Feature(f"service {prefix}", lambda device: prefix in device.services)


def _has_get_capabilities(device: Device) -> bool:
    try:
        ask(device, "<tds:GetCapabilities/>")
    except SoapFault as fault:
        return not fault.says("ActionNotSupported")
    return True


def _has_profile(device: Device) -> bool:
    return any(f"onvif://www.onvif.org/Profile/{each}" in device.scopes for each in PROFILES)


def _has_relays(device: Device) -> bool:
    return int(capability(device, "IO", "RelayOutputs") or 0) > 0 or _relay_count(device) > 0


def _relay_count(device: Device) -> int:
    try:
        reply = ask(device, "<tds:GetCapabilities><tds:Category>Device</tds:Category></tds:GetCapabilities>")
    except SoapFault:
        return 0
    return int(reply.body.findtext(".//tt:IO/tt:RelayOutputs", "0", NAMESPACES))


def _discovers(device: Device) -> bool:
    return not boolean(capability(device, "System", "DiscoveryNotSupported"))


def _configures_network(device: Device) -> bool:
    return not boolean(capability(device, "Network", "NetworkConfigNotSupported"))


def _configures_users(device: Device) -> bool:
    return not boolean(capability(device, "Security", "UserConfigNotSupported"))


def _supports_https(device: Device) -> bool:
    reply = ask(device, "<tds:GetNetworkProtocols/>")
    return any(
        protocol.findtext("tt:Name", "", NAMESPACES) == "HTTPS"
        and boolean(protocol.findtext("tt:Enabled", "", NAMESPACES))
        for protocol in reply.all("tds:NetworkProtocols")
    )


def _has_dhcp(device: Device) -> bool:
    reply = device.ask(xml("<tds:GetNetworkInterfaces/>"))
    return any(boolean(each.text) for each in reply.body.iterfind(".//tt:IPv4/tt:Config/tt:DHCP", NAMESPACES))


def has_topic(topic: str) -> Feature:
    def found(device: Device) -> bool:
        if "tev" not in device.services:
            return False
        root, *names = topic.partition(":")[2].split("/")
        path = "/".join((f"tns1:{root}", *names))
        return device.event_properties.body.find(f"wstop:TopicSet/{path}", NAMESPACES) is not None

    return Feature(topic, found)


GET_SERVICES = Feature("GetServices", lambda device: bool(device.services))
GET_CAPABILITIES = Feature("GetCapabilities", _has_get_capabilities)
NETWORK = Feature("network configuration", _configures_network)
DISCOVERY = Feature("discovery", _discovers)
USERS = Feature("user configuration", _configures_users)
PROFILE = Feature("a profile's scope", _has_profile)
RELAYS = Feature("relay outputs", _has_relays)
HTTPS = Feature("HTTPS", _supports_https)
DHCP = Feature("DHCP for IPv4 is on", _has_dhcp)
NO_DHCP = Feature("DHCP for IPv4 is off", lambda device: not _has_dhcp(device))
IPV6 = has("Network", "IPVersion6")
NTP = Feature("Network.NTP", lambda device: int(capability(device, "Network", "NTP") or 0) > 0)
DYNAMIC_DNS = has("Network", "DynDNS")
IP_FILTER = has("Network", "IPFilter")
REMOTE_USER = has("Security", "RemoteUserHandling")
HTTP_BACKUP = has("System", "HttpSystemBackup")
HTTP_FIRMWARE = has("System", "HttpFirmwareUpgrade")
USERNAME_TOKEN = has("Security", "UsernameToken")
HTTP_DIGEST = has("Security", "HttpDigest")
SYSTEM_URIS = Feature(
    "HttpSystemBackup, HttpSystemLogging or HttpSupportInformation",
    lambda device: any(
        boolean(capability(device, "System", name))
        for name in ("HttpSystemBackup", "HttpSystemLogging", "HttpSupportInformation")
    ),
)
DEVICE, EVENTS, MEDIA, PTZ, IMAGING, ANALYTICS = map(_served, ("tds", "tev", "trt", "tptz", "timg", "tan"))
REPLAY, SEARCH, RECORDING, RECEIVER = map(_served, ("trp", "tse", "trc", "trv"))
ACCESS_CONTROL, DOOR_CONTROL, SECURITY = map(_served, ("tac", "tdc", "tas"))
ACCESS_RULES, CREDENTIAL, SCHEDULE, DEVICE_IO = map(_served, ("tar", "tcr", "tsc", "tmd"))
FIRMWARE_FILE = Feature("a compatible firmware file, from an operator", lambda device: False)
