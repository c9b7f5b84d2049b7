"""Device discovery."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from support.discovery import Heard, probe

from conformance.base.features import DISCOVERY, SPECIFICATION, has
from conformance.base.requests import ask, value, xml
from conformance.base.searcher import DEVICE_TYPES, Searcher, searching, types_of
from conformance.device import Device
from conformance.frame import Failed, require
from conformance.namespaces import STYLES, Style, rewritten

ONVIF = "onvif://www.onvif.org"
CATEGORIES = ("type", "location", "hardware", "name")
ADDED, REPLACED = f"{ONVIF}/location/conformance-test/added", f"{ONVIF}/location/conformance-test/set"
UNKNOWN_RULE = "http://schemas.xmlsoap.org/ws/2005/04/discovery/invalid"

Send = Callable[[Searcher, bytes], None]


def mandatory_scopes(scopes: list[str]) -> list[str]:
    """One scope of each mandatory category."""
    found = {
        category: next((scope for scope in scopes if scope.lower().startswith(f"{ONVIF}/{category}/")), None)
        for category in CATEGORIES
    }
    missing = [category for category, scope in found.items() if scope is None]
    require(not missing, f"no scope of the categories {', '.join(missing)}")
    return [scope for scope in found.values() if scope is not None]


def scopes_of(device: Device) -> list[str]:
    """Asked each time: cases change them."""
    return [value(each, "tt:ScopeItem") or "" for each in device.ask(xml("<tds:GetScopes/>")).all("tds:Scopes")]


def check_description(heard: Heard) -> None:
    require(heard.endpoint.startswith("urn:uuid:"), f"the endpoint is {heard.endpoint!r}, not a urn:uuid:")
    require(types_of(heard) & DEVICE_TYPES, f"the types are {types_of(heard)}")
    require(heard.scopes, "there are no scopes")


def find(searcher: Searcher, send: Send, data: bytes, message_id: str) -> Heard:
    """Send a probe that the device has to match."""
    device = searcher.device
    send(searcher, data)
    match = searcher.answer(device.timing.discovery_s, to=message_id)
    if match is None:
        raise Failed("no ProbeMatch in time")
    require(match.action == "ProbeMatches", f"{match.action} instead of ProbeMatches")
    check_description(match)
    paths = [address for address in match.xaddrs if address.endswith("/onvif/device_service")]
    require(paths, f"none of the addresses {match.xaddrs} is .../onvif/device_service")
    return match


def to_all(searcher: Searcher, data: bytes) -> None:
    searcher.ask_all(data)


def to_one(searcher: Searcher, data: bytes) -> None:
    searcher.ask(data)


def find_by_scopes(searcher: Searcher, send: Send, style: Style | None = None) -> None:
    for scope in mandatory_scopes(scopes_of(searcher.device)):
        message_id = uuid4().urn
        # In other styles of namespaces, there can be no prefixes in values.
        data = probe("tds:Device" if style is None else "", scope, message_id=message_id)
        match = find(searcher, send, data if style is None else rewritten(data, style), message_id)
        require(scope in match.scopes, f"{scope} is not among the scopes of the match")


def find_without_anything(searcher: Searcher, send: Send) -> Heard:
    message_id = uuid4().urn
    return find(searcher, send, probe(message_id=message_id), message_id)


def is_silent(searcher: Searcher, send: Send, data: bytes, message_id: str) -> None:
    send(searcher, data)
    answer = searcher.answer(searcher.device.timing.silence_s, to=message_id)
    require(answer is None, f"an answer to a probe that the device does not match: {answer and answer.action}")


def is_silent_to_invalid(searcher: Searcher, send: Send) -> None:
    message_id = uuid4().urn
    is_silent(searcher, send, probe("tds:Invalid", f"{ONVIF}/nothing/of/the/kind", message_id=message_id), message_id)


def announced_at_restart(device: Device, action: str) -> Heard:
    """The Hello or Bye that a device says when it is restarted."""
    with searching(device) as searcher:
        endpoint = find_without_anything(searcher, to_all).endpoint
        ask(device, "<tds:SystemReboot/>")
        heard = searcher.announcement(action, device.timing.reboot_s, endpoint=endpoint)
        device.wait_until_back()
    if heard is None:
        raise Failed(f"no {action} at a restart")
    return heard


@SPECIFICATION.case("DISCOVERY-1-1-2", "HELLO MESSAGE VALIDATION", DISCOVERY)
def hello(device: Device) -> None:
    heard = announced_at_restart(device, "Hello")
    check_description(heard)
    mandatory_scopes(heard.scopes)
    require(heard.body("d:MetadataVersion").isdigit(), "no MetadataVersion")


@SPECIFICATION.case("DISCOVERY-1-1-3", "SEARCH BASED ON DEVICE SCOPE TYPES", DISCOVERY)
def search_by_scopes(device: Device) -> None:
    with searching(device) as searcher:
        find_by_scopes(searcher, to_all)


@SPECIFICATION.case("DISCOVERY-1-1-4", "SEARCH WITH OMITTED DEVICE AND SCOPE TYPES", DISCOVERY)
def search_for_everything(device: Device) -> None:
    with searching(device) as searcher:
        find_without_anything(searcher, to_all)


@SPECIFICATION.case("DISCOVERY-1-1-5", "RESPONSE TO INVALID SEARCH REQUEST", DISCOVERY)
def invalid_search(device: Device) -> None:
    with searching(device) as searcher:
        is_silent_to_invalid(searcher, to_all)


@SPECIFICATION.case("DISCOVERY-1-1-6", "SEARCH USING UNICAST PROBE MESSAGE", DISCOVERY)
def search_by_unicast(device: Device) -> None:
    with searching(device) as searcher:
        find_by_scopes(searcher, to_one)
        find_without_anything(searcher, to_one)
        is_silent_to_invalid(searcher, to_one)


@SPECIFICATION.case("DISCOVERY-1-1-8", "BYE MESSAGE", DISCOVERY, has("System", "DiscoveryBye"))
def bye(device: Device) -> None:
    announced_at_restart(device, "Bye")


@SPECIFICATION.case("DISCOVERY-1-1-9", "DISCOVERY MODE CONFIGURATION", DISCOVERY)
def discovery_mode(device: Device) -> None:
    def mode() -> str:
        return ask(device, "<tds:GetDiscoveryMode/>").text("tds:DiscoveryMode")

    def set_mode(wanted: str) -> None:
        ask(device, f"<tds:SetDiscoveryMode><tds:DiscoveryMode>{wanted}</tds:DiscoveryMode></tds:SetDiscoveryMode>")

    with searching(device) as searcher:
        endpoint = find_without_anything(searcher, to_all).endpoint
        require(mode() == "Discoverable", f"the mode is {mode()}")
        try:
            set_mode("NonDiscoverable")
            require(mode() == "NonDiscoverable", f"the mode is {mode()} after NonDiscoverable was set")
            message_id = uuid4().urn
            is_silent(searcher, to_all, probe(message_id=message_id), message_id)
            searcher.forget()  # the farewell of a device that becomes invisible
            device.reboot()
            for action in ("Bye", "Hello"):
                heard = searcher.announcement(action, device.timing.silence_s, endpoint=endpoint)
                require(heard is None, f"a {action} of a device that is not discoverable")
        finally:
            set_mode("Discoverable")
        searcher.announcement("Hello", device.timing.discovery_s, endpoint=endpoint)


@SPECIFICATION.case("DISCOVERY-1-1-10", "SOAP FAULT MESSAGE", DISCOVERY)
def unknown_rule(device: Device) -> None:
    with searching(device) as searcher:
        message_id = uuid4().urn
        searcher.ask(probe(scopes=ONVIF, rule=UNKNOWN_RULE, message_id=message_id))
        fault = searcher.answer(device.timing.discovery_s, to=message_id)
    if fault is None:
        raise Failed("no fault")
    require(fault.action == "fault", f"{fault.action} instead of a fault")
    require(fault.body("s:Fault/s:Code/s:Value").endswith(":Sender"), "the fault's code is not Sender")
    subcode = fault.body("s:Fault/s:Code/s:Subcode/s:Value")
    require(subcode.endswith(":MatchingRuleNotSupported"), f"the fault's subcode is {subcode!r}")


@SPECIFICATION.case("DISCOVERY-1-1-11", "DEVICE SCOPES CONFIGURATION", DISCOVERY)
def change_scopes(device: Device) -> None:
    old = scopes_of(device)
    fixed = [
        value(each, "tt:ScopeItem") or ""
        for each in ask(device, "<tds:GetScopes/>").all("tds:Scopes")
        if value(each, "tt:ScopeDef") == "Fixed"
    ]
    mandatory_scopes(old)
    with searching(device) as searcher:
        endpoint = find_without_anything(searcher, to_all).endpoint
        try:
            ask(device, f"<tds:SetScopes><tds:Scopes>{REPLACED}</tds:Scopes></tds:SetScopes>")
            device.pause(device.timing.time_between_requests_s)
            ask(device, f"<tds:AddScopes><tds:ScopeItem>{ADDED}</tds:ScopeItem></tds:AddScopes>")
            _hear_scopes(searcher, endpoint, {*fixed, REPLACED, ADDED})
            message_id = uuid4().urn
            find(searcher, to_all, probe(scopes=ADDED, message_id=message_id), message_id)
            ask(device, f"<tds:RemoveScopes><tds:ScopeItem>{ADDED}</tds:ScopeItem></tds:RemoveScopes>")
            _hear_scopes(searcher, endpoint, {*fixed, REPLACED})
            message_id = uuid4().urn
            is_silent(searcher, to_all, probe(scopes=ADDED, message_id=message_id), message_id)
        finally:
            put_back = "".join(f"<tds:Scopes>{scope}</tds:Scopes>" for scope in old if scope not in fixed)
            ask(device, f"<tds:SetScopes>{put_back}</tds:SetScopes>")


def _hear_scopes(searcher: Searcher, endpoint: str, scopes: set[str]) -> None:
    """A Hello with exactly these scopes; one that was on its way before may come first."""
    while True:
        heard = searcher.announcement("Hello", searcher.device.timing.discovery_s, endpoint=endpoint)
        if heard is None:
            raise Failed(f"no Hello that lists the scopes {sorted(scopes)}")
        if set(heard.scopes) == scopes:
            return


def _add(identifier: str, title: str, style: Style) -> None:
    @SPECIFICATION.case(identifier, f"DISCOVERY - NAMESPACES ({title})", DISCOVERY)
    def search(device: Device) -> None:
        with searching(device) as searcher:
            find_by_scopes(searcher, to_all, style)


for _number, (_title, _style) in enumerate(STYLES.items(), start=1):
    _add(f"DISCOVERY-2-1-{_number}", _title, _style)
