"""The state as a file, and back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from manycast.onvif.state.base import Part
from manycast.onvif.state.certificates import Certificate
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.discovery import Discovery, DiscoveryMode
from manycast.onvif.state.geo import GeoLocation, Location
from manycast.onvif.state.io import RelayMode, RelayOutput
from manycast.onvif.state.network import InterfaceSettings, IPv6Settings, NetworkHost, Protocol
from manycast.onvif.state.profiles import Profile, VideoEncoder, VideoEncoding, VideoSource
from manycast.onvif.state.runtime_file import RuntimeFileError, parse, serialize
from manycast.onvif.state.scopes import Scope
from manycast.onvif.state.storage import Storage, StorageCredential
from manycast.onvif.state.users import RemoteUser, User, UserLevel

XML_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r"),
)
SOME_TEXT = XML_TEXT.filter(bool)
USERS = st.builds(
    User,
    username=SOME_TEXT,
    password=XML_TEXT,
    level=st.sampled_from(UserLevel),
    fixed=st.booleans(),
    earlier_passwords=st.lists(XML_TEXT, max_size=3),
)
CERTIFICATES = st.builds(
    Certificate,
    id=st.text("abc 123", min_size=1, max_size=64),
    der=st.binary(max_size=200),
    private_key_der=st.none() | st.binary(max_size=200),
    enabled=st.booleans(),
)
NO_BLANKS = SOME_TEXT.filter(lambda text: not any(map(str.isspace, text)))
SCOPES = st.builds(Scope, uri=NO_BLANKS, fixed=st.booleans())
COORDINATES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
LOCATIONS = st.builds(
    Location,
    entity=st.none() | XML_TEXT,
    fixed=st.none() | st.booleans(),
    geo_location=st.none() | st.builds(GeoLocation, lon=COORDINATES, lat=COORDINATES),
)


def a_full_state() -> DeviceState:
    """Something in every part."""
    state = DeviceState(discovery=Discovery(endpoint=UUID(int=7), mode=DiscoveryMode.NON_DISCOVERABLE))
    state.server.addresses = ["127.0.0.1", "::1"]
    state.server.cert_file = Path("/etc/here/a file.pem")
    state.users = [User(username="admin", password="<&>\"'", level=UserLevel.ADMINISTRATOR, fixed=True)]
    state.remote_user = RemoteUser(username="far", password=None, use_derived_password=True)
    state.access_policy = bytes(range(256))
    state.discovery.proxies = [NetworkHost(dns_name="proxy.example"), NetworkHost(ipv4=IPv4Address("10.0.0.1"))]
    state.network.mac = "02:00:00:00:00:01"
    state.network.dns.servers = []
    state.network.interfaces = [
        InterfaceSettings(token="eth0", ipv6=IPv6Settings(manual=[IPv6Interface("2001:db8::1/64")]))
    ]
    state.network.protocols.rtsp = Protocol(enabled=False, port=554)
    state.network.ip_filter.ipv4 = [IPv4Interface("10.0.0.0/8")]
    state.clock.time_zone = "CET-1CEST,M3.5.0,M10.5.0/3"
    state.clock.offset_s = -12.5
    state.relays = [RelayOutput(token="R", mode=RelayMode.MONOSTABLE, delay_s=0.5, active=True)]
    state.digital_inputs = []
    state.certificates.own = [Certificate(id="c", der=b"\x30\x00\xff\xfe", private_key_der=b"")]
    state.storage = [Storage(token="s", type="NFS", user=StorageCredential(username="u", password=" p "))]
    state.profiles = [
        Profile(
            name="P", video_source=VideoSource(), video_encoder=VideoEncoder(encoding=VideoEncoding.JPEG, quality=2.5)
        )
    ]
    return state


def test_the_defaults_come_back() -> None:
    assert parse(serialize(DeviceState())) == DeviceState()


def test_a_full_state_comes_back() -> None:
    assert parse(serialize(a_full_state())) == a_full_state()


def test_an_empty_list_is_neither_none_nor_the_default() -> None:
    state = a_full_state()
    state.scopes = []
    again = parse(serialize(state))
    assert (again.scopes, again.network.dns.servers, again.digital_inputs) == ([], [], [])


@given(
    users=st.lists(USERS, max_size=3, unique_by=lambda user: user.username),
    scopes=st.lists(SCOPES, max_size=3),
    certificates=st.lists(CERTIFICATES, max_size=2),
    locations=st.lists(LOCATIONS, max_size=3),
    policy=st.none() | st.binary(max_size=300),
)
def test_whatever_is_set_comes_back(
    users: list[User],
    scopes: list[Scope],
    certificates: list[Certificate],
    locations: list[Location],
    policy: bytes | None,
) -> None:
    state = DeviceState(users=users, scopes=scopes, locations=locations, access_policy=policy)
    state.certificates.own = certificates
    assert parse(serialize(state)) == state


def an_item(**values: str) -> str:
    return "<item>" + "".join(f"<{name}>{value}</{name}>" for name, value in values.items()) + "</item>"


@pytest.mark.parametrize(
    ("part", "mistake"),
    [
        (f"<scopes>{''.join(an_item(uri=f'urn:{each}') for each in range(5000))}</scopes>", "scopes: List should have"),
        ("<scopes><item><uri>urn:a urn:b</uri></item></scopes>", "scopes/0/uri: "),
        (f"<scopes><item><uri>urn:{'a' * 1000}</uri></item></scopes>", "scopes/0/uri: "),
        (f"<users>{''.join(an_item(username=f'u{each}') for each in range(65))}</users>", "users: List should have"),
        (f"<users>{an_item(username='admin') * 2}</users>", "users: Value error, two users have the same name"),
        ("<server><http_max_users>1000000</http_max_users></server>", "server/http_max_users: "),
        ("<events><max_pull_points>1000000</max_pull_points></events>", "events/max_pull_points: "),
        ("<events><simulate_interval_s>0.000001</simulate_interval_s></events>", "events/simulate_interval_s: "),
        ("<events><simulate_interval_s>nan</simulate_interval_s></events>", "events/simulate_interval_s: "),
        (f"<storage>{an_item(token='t', type='NFS') * 17}</storage>", "storage: List should have"),
        (f"<relays>{an_item(token='t') * 65}</relays>", "relays: List should have"),
        (
            f"<certificates><own>{an_item(id='c', der='') * 33}</own></certificates>",
            "certificates/own: List should have",
        ),
        (
            f"<network><ip_filter><ipv4>{'<item>10.0.0.0/8</item>' * 129}</ipv4></ip_filter></network>",
            "network/ip_filter/ipv4: List should have",
        ),
    ],
)
def test_more_than_a_device_holds_is_refused(part: str, mistake: str) -> None:
    with pytest.raises(RuntimeFileError) as error:
        parse(f"<onvifrun version='1'>{part}</onvifrun>".encode())
    assert str(error.value).startswith(mistake)


def test_what_xml_cannot_hold_is_not_written() -> None:
    state = DeviceState()
    state.information.model = "a\x00b"
    with pytest.raises(ValueError):
        serialize(state)


@given(st.binary(max_size=300))
def test_hostile_bytes_give_the_named_error(data: bytes) -> None:
    with pytest.raises(RuntimeFileError):
        parse(data)


@given(st.integers(0), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused_by_name(position: int, damage: bytes) -> None:
    data = bytearray(serialize(a_full_state()))
    start = position % len(data)
    data[start : start + len(damage)] = damage
    try:
        state = parse(bytes(data))
    except RuntimeFileError:
        return
    assert parse(serialize(state)) == state


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<config/>", "the root node is not <onvifrun version='1'>"),
        (b"<onvifrun version='2'/>", "the root node is not"),
        (b"<!DOCTYPE onvifrun><onvifrun version='1'/>", "a document type is not allowed"),
        (b"<onvifrun version='1'><camera/></onvifrun>", "camera: Extra inputs are not permitted"),
        (b"<onvifrun version='1'><clock/><clock/></onvifrun>", "line 1: <clock> is there twice"),
        (b"<onvifrun version='1'><clock><offset_s><a/></offset_s></clock></onvifrun>", "<offset_s> holds nodes"),
        (b"<onvifrun version='1'><clock><offset_s>soon</offset_s></clock></onvifrun>", "clock/offset_s: "),
    ],
)
def test_a_mistake_is_said(content: bytes, message: str) -> None:
    with pytest.raises(RuntimeFileError, match=message.replace("(", r"\(")):
        parse(content)


def test_a_message_holds_no_password() -> None:
    content = b"<onvifrun version='1'><users><item><password>secret</password></item></users></onvifrun>"
    with pytest.raises(RuntimeFileError) as caught:
        parse(content)
    assert "secret" not in str(caught.value)


def test_entities_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    content = (
        f'<!DOCTYPE o [<!ENTITY e SYSTEM "{secret}">]><onvifrun version="1"><information>&e;</information></onvifrun>'
    )
    with pytest.raises(RuntimeFileError, match="document type"):
        parse(content.encode())


def test_the_file_says_how_to_get_rid_of_it() -> None:
    assert "stop the server, delete this file" in serialize(DeviceState()).decode()


def test_no_part_has_an_optional_field_whose_default_is_not_none() -> None:
    """The file leaves None out, so a field that may be None must be None by default."""

    def parts(model: type[Part]) -> list[type[Part]]:
        return [model, *(inner for sub in model.__subclasses__() for inner in parts(sub))]

    for model in parts(Part)[1:]:
        for name, field in model.model_fields.items():
            if type(None) in getattr(field.annotation, "__args__", ()):
                assert field.default is None, f"{model.__name__}.{name}"


def test_the_file_is_xml_that_people_can_read() -> None:
    root = etree.fromstring(serialize(a_full_state()))
    assert root.findtext("network/ip_filter/ipv4/item") == "10.0.0.0/8"
    assert root.findtext("users/item/level") == "Administrator"
