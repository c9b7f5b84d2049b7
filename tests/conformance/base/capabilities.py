"""Capabilities: GetCapabilities, GetServices, and whether the two agree."""

from __future__ import annotations

from urllib.parse import urlsplit

from lxml import etree

from conformance.base.features import (
    ACCESS_CONTROL,
    ACCESS_RULES,
    CREDENTIAL,
    DEVICE,
    DOOR_CONTROL,
    EVENTS,
    GET_CAPABILITIES,
    GET_SERVICES,
    HTTPS,
    IMAGING,
    MEDIA,
    PTZ,
    RECEIVER,
    RECORDING,
    REPLAY,
    SCHEDULE,
    SEARCH,
    SECURITY,
    SPECIFICATION,
)
from conformance.base.requests import ask, boolean, refused, value, xml
from conformance.client import NAMESPACES, Endpoint, Reply, qualified
from conformance.device import Device
from conformance.frame import Feature, require

# What GetCapabilities calls a service, and its prefix.
OLD_NAMES = {"Analytics": "tan", "Device": "tds", "Events": "tev", "Imaging": "timg", "Media": "trt", "PTZ": "tptz"}


def _capabilities(device: Device, category: str | None) -> etree._Element:
    asked = "" if category is None else f"<tds:Category>{category}</tds:Category>"
    return ask(device, f"<tds:GetCapabilities>{asked}</tds:GetCapabilities>").all("tds:Capabilities")[0]


@SPECIFICATION.case("DEVICE-1-1-2", "ALL CAPABILITIES", GET_CAPABILITIES)
def all_capabilities(device: Device) -> None:
    for category in ("All", None):
        found = _capabilities(device, category)
        for name, prefix in OLD_NAMES.items():
            needed = name in ("Device", "Events") or prefix in device.services
            require(not needed or found.find(f"tt:{name}", NAMESPACES) is not None, f"nothing of {name}")
        io = found.find("tt:Extension/tt:DeviceIO", NAMESPACES)
        require("tmd" not in device.services or io is not None, "nothing of DeviceIO")


def _one_capability(device: Device, name: str) -> None:
    """Only what was asked for is told, with a valid address; a service that is not there is said to be missing."""
    if OLD_NAMES[name] not in device.services:
        category = f"<tds:GetCapabilities><tds:Category>{name}</tds:Category></tds:GetCapabilities>"
        refused(device, category, "ActionNotSupported", "NoSuchService")
        return
    found = _capabilities(device, name)
    address = value(found, f"tt:{name}/tt:XAddr") or ""
    require(urlsplit(address).scheme in ("http", "https") and urlsplit(address).hostname, f"{name} is at {address!r}")
    for other in OLD_NAMES.keys() - {name}:
        require(found.find(f"tt:{other}", NAMESPACES) is None, f"{name} was asked for, {other} is told too")


def _add_capability(identifier: str, name: str) -> None:
    title = f"{name.upper()} CAPABILITIES"
    SPECIFICATION.case(identifier, title, GET_CAPABILITIES)(lambda device: _one_capability(device, name))


_add_capability("DEVICE-1-1-3", "Device")
_add_capability("DEVICE-1-1-4", "Media")
_add_capability("DEVICE-1-1-5", "Events")
_add_capability("DEVICE-1-1-6", "PTZ")


@SPECIFICATION.case("DEVICE-1-1-9", "SOAP FAULT MESSAGE", GET_CAPABILITIES)
def soap_fault(device: Device) -> None:
    refused(device, "<tds:GetCapabilities><tds:Category>InvalidCategory</tds:Category></tds:GetCapabilities>")


_add_capability("DEVICE-1-1-10", "Imaging")
_add_capability("DEVICE-1-1-11", "Analytics")


def _services(device: Device, *, capabilities: bool) -> dict[str, etree._Element]:
    asked = f"<tds:IncludeCapability>{str(capabilities).lower()}</tds:IncludeCapability>"
    reply = ask(device, f"<tds:GetServices>{asked}</tds:GetServices>")
    return {value(service, "tds:Namespace") or "": service for service in reply.all("tds:Service")}


def _listed(device: Device, prefix: str) -> None:
    """With capabilities where they are asked for, without where not."""
    namespace = NAMESPACES[prefix]
    plain = _services(device, capabilities=False)
    require(namespace in plain, f"GetServices does not list {namespace}")
    require(plain[namespace].find("tds:Capabilities", NAMESPACES) is None, "capabilities that nobody asked for")
    full = _services(device, capabilities=True)
    require(namespace in full, f"GetServices with capabilities does not list {namespace}")
    require(
        full[namespace].find(f"tds:Capabilities/{qualified(f'{prefix}:Capabilities')}", NAMESPACES) is not None,
        f"no Capabilities of {namespace} in its list of capabilities",
    )


def _add_service(identifier: str, title: str, prefix: str, *needs: Feature) -> None:
    SPECIFICATION.case(identifier, f"GET SERVICES - {title} SERVICE", GET_SERVICES, *needs)(
        lambda device: _listed(device, prefix)
    )


_add_service("DEVICE-1-1-13", "DEVICE", "tds", DEVICE)
_add_service("DEVICE-1-1-14", "MEDIA", "trt", MEDIA)
_add_service("DEVICE-1-1-15", "PTZ", "tptz", PTZ)
_add_service("DEVICE-1-1-16", "EVENT", "tev", EVENTS)
_add_service("DEVICE-1-1-17", "IMAGING", "timg", IMAGING)


def _service_capabilities(device: Device) -> etree._Element:
    return ask(device, "<tds:GetServiceCapabilities/>").all("tds:Capabilities")[0]


@SPECIFICATION.case("DEVICE-1-1-18", "DEVICE SERVICE CAPABILITIES", GET_SERVICES)
def device_service_capabilities(device: Device) -> None:
    found = _service_capabilities(device)
    (system,) = found.findall("tds:System", NAMESPACES)
    contradiction = boolean(system.get("DiscoveryNotSupported")) and boolean(system.get("DiscoveryBye"))
    require(not contradiction, "Bye messages of a device that says it does not support discovery")


@SPECIFICATION.case("DEVICE-1-1-19", "GET SERVICES AND GET DEVICE SERVICE CAPABILITIES CONSISTENCY", GET_SERVICES)
def device_capabilities_agree(device: Device) -> None:
    service = _services(device, capabilities=True)[NAMESPACES["tds"]]
    (listed,) = service.findall("tds:Capabilities/tds:Capabilities", NAMESPACES)
    alone = _service_capabilities(device)
    for section in ("Network", "System", "Security", "Misc"):
        one, other = (found.find(f"tds:{section}", NAMESPACES) for found in (listed, alone))
        pair = tuple({} if each is None else dict(each.attrib) for each in (one, other))
        require(pair[0] == pair[1], f"{section} differs: {pair[0]} and {pair[1]}")


_add_service("DEVICE-1-1-20", "REPLAY", "trp", REPLAY)
_add_service("DEVICE-1-1-21", "RECORDING SEARCH", "tse", SEARCH)
_add_service("DEVICE-1-1-22", "RECORDING CONTROL", "trc", RECORDING)
_add_service("DEVICE-1-1-23", "RECEIVER", "trv", RECEIVER)
_add_service("DEVICE-1-1-24", "ACCESS CONTROL", "tac", ACCESS_CONTROL)
_add_service("DEVICE-1-1-25", "DOOR CONTROL", "tdc", DOOR_CONTROL)
_add_service("DEVICE-1-1-26", "SECURITY CONFIGURATION", "tas", SECURITY)
_add_service("DEVICE-1-1-27", "ACCESS RULES", "tar", ACCESS_RULES)
_add_service("DEVICE-1-1-28", "CREDENTIAL", "tcr", CREDENTIAL)
_add_service("DEVICE-1-1-29", "SCHEDULE", "tsc", SCHEDULE)

# What both operations tell: the path in the old one, section and attribute in the new one.
_BOTH = (
    *(
        (f"Device/Network/{name}", "Network", name)
        for name in ("IPFilter", "ZeroConfiguration", "IPVersion6", "DynDNS")
    ),
    ("Device/Network/Extension/Dot11Configuration", "Network", "Dot11Configuration"),
    *(
        (f"Device/System/{name}", "System", name)
        for name in (
            "DiscoveryResolve",
            "DiscoveryBye",
            "RemoteDiscovery",
            "SystemBackup",
            "SystemLogging",
            "FirmwareUpgrade",
        )
    ),
    *(
        (f"Device/System/Extension/{name}", "System", name)
        for name in ("HttpFirmwareUpgrade", "HttpSystemBackup", "HttpSystemLogging", "HttpSupportInformation")
    ),
    *(
        (f"Device/Security/{name}", "Security", name)
        for name in (
            "TLS1.1",
            "TLS1.2",
            "OnboardKeyGeneration",
            "AccessPolicyConfig",
            "X.509Token",
            "SAMLToken",
            "KerberosToken",
            "RELToken",
        )
    ),
    ("Device/Security/Extension/TLS1.0", "Security", "TLS1.0"),
    ("Device/Security/Extension/Extension/Dot1X", "Security", "Dot1X"),
    ("Device/Security/Extension/Extension/RemoteUserHandling", "Security", "RemoteUserHandling"),
)
_OLD_EVENTS = ("WSSubscriptionPolicySupport", "WSPullPointSupport", "WSPausableSubscriptionManagerInterfaceSupport")
_SAME_FLAGS = {  # of other services: the path of the old one's element, the prefix, the flags of both
    "Analytics": ("tan", ("RuleSupport", "AnalyticsModuleSupport")),
    "Media/StreamingCapabilities": ("trt", ("RTPMulticast", "RTP_TCP", "RTP_RTSP_TCP")),
    "Extension/Recording": ("trc", ("DynamicRecordings", "DynamicTracks")),
    "Extension/Search": ("tse", ("MetadataSearch",)),
    "Extension/Receiver": ("trv", ("RTP_Multicast", "RTP_TCP", "RTP_RTSP_TCP")),
}
_SAME_COUNTS = ("VideoSources", "VideoOutputs", "AudioSources", "AudioOutputs", "RelayOutputs")


@SPECIFICATION.case("DEVICE-1-1-30", "GET SERVICES AND GET CAPABILITIES CONSISTENCY", GET_SERVICES, GET_CAPABILITIES)
def services_and_capabilities_agree(device: Device) -> None:
    listed = _services(device, capabilities=True)
    old = _capabilities(device, "All")

    def new(prefix: str) -> etree._Element:
        service = listed.get(NAMESPACES[prefix])
        require(service is not None, f"GetCapabilities tells of {prefix}, GetServices does not")
        assert service is not None
        (found,) = service.findall(f"tds:Capabilities/{qualified(f'{prefix}:Capabilities')}", NAMESPACES)
        return found

    def compare(name: str, told: str | None, attribute: str | None) -> None:
        require(boolean(told) == boolean(attribute), f"{name} is {told} in GetCapabilities, {attribute} in GetServices")

    for path, section, name in _BOTH:
        told = value(old, "/".join(f"tt:{each}" for each in path.split("/")))
        element = new("tds").find(f"tds:{section}", NAMESPACES)
        compare(f"{section}.{name}", told, None if element is None else element.get(name))
    methods = {
        str(each.text)
        for each in old.iterfind(".//tt:Security/tt:Extension/tt:Extension/tt:SupportedEAPMethod", NAMESPACES)
    }
    security = new("tds").find("tds:Security", NAMESPACES)
    supported = set("" if security is None else (security.get("SupportedEAPMethods") or "").split())
    require(methods == supported, f"EAP methods {methods} and {supported}")
    for name in _OLD_EVENTS:
        compare(f"events {name}", value(old, f"tt:Events/tt:{name}"), new("tev").get(name))
    for path, (prefix, names) in _SAME_FLAGS.items():
        element = old.find("/".join(f"tt:{each}" for each in path.split("/")), NAMESPACES)
        if element is None:
            continue
        there = new(prefix)
        if prefix == "trt":
            there = there.findall("trt:StreamingCapabilities", NAMESPACES)[0]
        for name in names:
            compare(f"{path} {name}", value(element, f"tt:{name}"), there.get(name))
    for path, prefix in (("Imaging", "timg"), ("PTZ", "tptz"), ("Extension/Replay", "trp")):
        if old.find("/".join(f"tt:{each}" for each in path.split("/")), NAMESPACES) is not None:
            new(prefix)
    io = old.find("tt:Extension/tt:DeviceIO", NAMESPACES)
    if io is not None:
        for name in _SAME_COUNTS:
            one, other = int(value(io, f"tt:{name}") or 0), int(new("tmd").get(name) or 0)
            require(one == other, f"{name}: {one} in GetCapabilities, {other} in GetServices")


@SPECIFICATION.case("DEVICE-1-1-31", "GET SERVICES - XADDR", GET_SERVICES)
def services_are_where_they_were_asked_for(device: Device) -> None:
    _check_addresses(device, device.endpoint)
    if HTTPS.supported(device):
        _check_addresses(device, Endpoint(device.secure_address()))


def _check_addresses(device: Device, asked: Endpoint) -> None:
    body = xml("<tds:GetServices><tds:IncludeCapability>false</tds:IncludeCapability></tds:GetServices>")
    reply: Reply = device.ask(body, to=asked)
    expected = urlsplit(asked.address)
    default = {"http": 80, "https": 443}
    for service in reply.all("tds:Service"):
        address = value(service, "tds:XAddr") or ""
        found = urlsplit(address)
        require(found.scheme == expected.scheme, f"{address}: asked by {expected.scheme}")
        require(found.hostname == expected.hostname, f"{address}: asked at {expected.hostname}")
        ports = tuple(each.port or default[each.scheme] for each in (found, expected))
        require(ports[0] == ports[1], f"{address}: asked at port {ports[1]}")
