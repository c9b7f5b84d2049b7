"""The ONVIF dialect, and the states that devices begin with."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from manycast.config import load
from manycast.config.onvif_state import ConfiguredDevice, configured_devices
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.discovery import DiscoveryMode
from manycast.onvif.state.profiles import AudioEncoding, VideoEncoding
from manycast.onvif.state.runtime_file import parse, serialize
from manycast.onvif.state.server import PushTo
from manycast.onvif.state.users import UserLevel

from .documents import EXAMPLES, load_text, mistakes_of, mistakes_of_files, warnings_of, write

# As the manual prints it, its two pieces joined.
TEMPLATE = """\
<?xml version="1.0" encoding="utf-8"?>
<config>
    <server_ip></server_ip>
    <http_enable>1</http_enable>
    <http_port>8000</http_port>
    <https_enable>1</https_enable>
    <https_port>8443</https_port>
    <cert_file>ssl.ca</cert_file>
    <key_file>ssl.key</key_file>
    <http_max_users>16</http_max_users>
    <need_auth>0</need_auth>
    <log_enable>1</log_enable>
    <log_level>1</log_level>
    <information>
        <Manufacturer>Happytimesoft</Manufacturer>
        <Model>IPCamera</Model>
        <FirmwareVersion>2.4</FirmwareVersion>
        <SerialNumber>123456</SerialNumber>
        <HardwareId>1.0</HardwareId>
    </information>
    <user>
        <username>admin</username>
        <password>admin</password>
        <userlevel>Administrator</userlevel>
    </user>
    <profile>
        <video_source>
            <width>1280</width>
<height>720</height>
</video_source>

<video_encoder>
    <width>1280</width>
    <height>720</height>
    <quality>4</quality>
    <session_timeout>10</session_timeout>
    <framerate>25</framerate>
    <encoding_interval>1</encoding_interval>
    <bitrate_limit>2048</bitrate_limit>
    <encoding>H264</encoding>
    <h264>
        <gov_length>25</gov_length>
        <h264_profile>Main</h264_profile>
    </h264>
</video_encoder>

<audio_source></audio_source>
<audio_encoder>
    <session_timeout>10</session_timeout>
    <sample_rate>8</sample_rate>
    <bitrate>64</bitrate>
    <encoding>G711</encoding>
</audio_encoder>
<stream_uri append_params="0"></stream_uri>
</profile>
<scope>onvif://www.onvif.org/location/country/china</scope>
<scope>onvif://www.onvif.org/name/IP-Camera</scope>
<scope>onvif://www.onvif.org/hardware/HI3518C</scope>
<event>
    <renew_interval>60</renew_interval>
    <simulate_enable>1</simulate_enable>
</event>
</config>
"""


def devices_of(folder: Path, text: str) -> list[ConfiguredDevice]:
    return list(configured_devices(load_text(folder, text, "onvif.cfg")))


def state_of(folder: Path, text: str) -> DeviceState:
    """The state of the only device that a file describes."""
    (device,) = devices_of(folder, text)
    return device.default_state()


def config(*lines: str) -> str:
    """A file whose second line is the first of these."""
    return "\n".join(["<config>", *lines, "</config>"])


def test_the_manuals_template(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, TEMPLATE) == []
    state = state_of(tmp_path, TEMPLATE)
    assert (state.server.addresses, state.server.http_max_users, state.server.need_auth) == ([], 16, False)
    assert (state.server.cert_file, state.server.key_file) == (tmp_path / "ssl.ca", tmp_path / "ssl.key")
    protocols = state.network.protocols
    assert (protocols.http.enabled, protocols.http.port) == (True, 8000)
    assert (protocols.https.enabled, protocols.https.port) == (True, 8443)
    information = state.information
    assert (information.manufacturer, information.model, information.firmware_version) == (
        "Happytimesoft",
        "IPCamera",
        "2.4",
    )
    assert (information.serial_number, information.hardware_id) == ("123456", "1.0")
    (user,) = state.users
    assert (user.username, user.password, user.level) == ("admin", "admin", UserLevel.ADMINISTRATOR)
    (profile,) = state.profiles
    assert profile.video_source is not None
    assert (profile.video_source.width, profile.video_source.height) == (1280, 720)
    encoder = profile.video_encoder
    assert encoder is not None
    assert (encoder.width, encoder.height, encoder.quality, encoder.session_timeout_s) == (1280, 720, 4, 10)
    assert (encoder.framerate, encoder.encoding_interval, encoder.bitrate_kbps) == (25, 1, 2048)
    assert (encoder.encoding, encoder.gov_length, encoder.encoding_profile) == (VideoEncoding.H264, 25, "Main")
    assert profile.audio
    audio = profile.audio_encoder
    assert audio is not None
    assert (audio.session_timeout_s, audio.sample_rate_khz, audio.bitrate_kbps) == (10, 8, 64)
    assert audio.encoding is AudioEncoding.G711
    assert (profile.stream_uri.uri, profile.stream_uri.append_params, profile.stream_uri.stream) == (
        None,
        False,
        "test.mp4",
    )
    assert (state.events.renew_interval_s, state.events.simulate) == (60, True)
    settings = load_text(tmp_path, TEMPLATE).settings.onvif
    assert (settings.log_enable, settings.log_level) == (True, 1)


def test_a_profile_scope_is_added_and_those_core_asks_for_are_fixed(tmp_path: Path) -> None:
    assert [(scope.uri, scope.fixed) for scope in state_of(tmp_path, TEMPLATE).scopes] == [
        ("onvif://www.onvif.org/location/country/china", False),
        ("onvif://www.onvif.org/name/IP-Camera", True),
        ("onvif://www.onvif.org/hardware/HI3518C", True),
        ("onvif://www.onvif.org/Profile/Streaming", True),
        ("onvif://www.onvif.org/type/Network_Video_Transmitter", True),
    ]


def test_without_scopes_there_is_one_of_each_category(tmp_path: Path) -> None:
    text = config("<information><Model>My / camera</Model></information>", "<scope>urn:own</scope>")
    assert [scope.uri for scope in state_of(tmp_path, text).scopes] == [
        "urn:own",
        "onvif://www.onvif.org/Profile/Streaming",
        "onvif://www.onvif.org/type/Network_Video_Transmitter",
        "onvif://www.onvif.org/location/unknown",
        "onvif://www.onvif.org/name/My%20%2F%20camera",
        "onvif://www.onvif.org/hardware/My%20%2F%20camera",
    ]


def test_a_name_replaces_the_scopes_of_names(tmp_path: Path) -> None:
    state = state_of(tmp_path, TEMPLATE.replace("<event>", "<name>Front gate</name><event>"))
    names = [scope.uri for scope in state.scopes if "/name/" in scope.uri]
    assert names == ["onvif://www.onvif.org/name/Front%20gate"]


def test_a_scope_given_twice_is_one(tmp_path: Path) -> None:
    state = state_of(tmp_path, config("<profile><video_source/></profile>", *["<scope>urn:a</scope>"] * 2))
    assert [scope.uri for scope in state.scopes].count("urn:a") == 1


def test_the_second_default_profile_has_a_source_of_its_own() -> None:
    (device,) = configured_devices(load([EXAMPLES / "onvif.cfg"]))
    first, second = device.default_state().profiles
    assert (first.name, second.name) == ("Profile1", "Profile2")
    assert first.video_source is not None
    assert second.video_source is not None
    assert (first.video_source.width, second.video_source.width) == (1280, 640)


def test_profiles_without_video_or_audio(tmp_path: Path) -> None:
    text = config("<profile><video_source/></profile>", "<profile><audio_source/></profile>")
    video, audio = state_of(tmp_path, text).profiles
    assert (video.video_encoder is not None, video.audio, video.audio_encoder) == (True, False, None)
    assert (audio.video_source, audio.video_encoder, audio.audio) == (None, None, True)
    assert audio.audio_encoder is not None


CODECS = [
    ("H264", "<h264><gov_length>9</gov_length><h264_profile>high</h264_profile></h264>", (9, "High")),
    ("h265", "<h265><gov_length>8</gov_length><h265_profile>Main10</h265_profile></h265>", (8, "Main10")),
    ("MPEG4", "<mpeg4><gov_length>7</gov_length><mpeg4_profile>ASP</mpeg4_profile></mpeg4>", (7, "ASP")),
    ("JPEG", "<h264><gov_length>9</gov_length></h264>", (1, None)),
]


@pytest.mark.parametrize(("codec", "nodes", "expected"), CODECS)
def test_the_codecs_own_settings_hold(tmp_path: Path, codec: str, nodes: str, expected: tuple[int, str | None]) -> None:
    encoder = f"<video_encoder><encoding>{codec}</encoding>{nodes}</video_encoder>"
    (profile,) = state_of(tmp_path, config(f"<profile><video_source/>{encoder}</profile>")).profiles
    assert profile.video_encoder is not None
    assert profile.video_encoder.encoding == codec.upper()
    assert (profile.video_encoder.gov_length, profile.video_encoder.encoding_profile) == expected


def test_an_own_address_and_its_attribute(tmp_path: Path) -> None:
    address = "<stream_uri{}>rtsp://192.168.3.27/live</stream_uri>"
    text = config(*(f"<profile><video_source/>{address.format(a)}</profile>" for a in ("", ' append_params="1"')))
    assert warnings_of(tmp_path, text) == []
    plain, appended = (profile.stream_uri for profile in state_of(tmp_path, text).profiles)
    assert (plain.uri, plain.append_params) == ("rtsp://192.168.3.27/live", False)
    assert (appended.uri, appended.append_params) == ("rtsp://192.168.3.27/live", True)


def test_a_stream_of_this_server(tmp_path: Path) -> None:
    text = config("<profile><video_source/><stream>live/cam</stream></profile>")
    assert state_of(tmp_path, text).profiles[0].stream_uri.stream == "live/cam"


MISTAKES = [
    ("<http_port>0</http_port>", "a.cfg:2: <config><http_port>: found '0', allowed: 1 to 65535"),
    (
        "<user><username>a</username><password>b</password><fixed>yes</fixed></user>",
        "a.cfg:2: <config><user><fixed>: found 'yes', allowed: 0 or 1",
    ),
    ("<need_auth>yes</need_auth>", "a.cfg:2: <config><need_auth>: found 'yes', allowed: 0 or 1"),
    (
        "<user><username>a</username><password>secret</password><userlevel>King</userlevel></user>",
        "a.cfg:2: <config><user><userlevel>: found 'King', allowed: Administrator, Operator, User, Anonymous",
    ),
    ("<user><username>a</username></user>", "a.cfg:2: <config><user>: needs a password"),
    (
        "<profile><video_encoder><encoding>VP8</encoding></video_encoder></profile>",
        "a.cfg:2: <config><profile><video_encoder><encoding>: found 'VP8', allowed: JPEG, MPEG4, H264, H265",
    ),
    (
        '<profile><stream_uri append_params="maybe"/></profile>',
        "a.cfg:2: <config><profile><stream_uri@append_params>: found 'maybe', allowed: 0 or 1",
    ),
    (
        "<profile><stream_uri>live</stream_uri></profile>",
        "a.cfg:2: <config><profile><stream_uri>: found 'live', allowed: an address beginning with rtsp://, "
        "rtsps://, http://, https://",
    ),
    (
        "<scope>not a uri</scope>",
        "a.cfg:2: <config><scope>: found 'not a uri', allowed: a URI without blanks, such as "
        "onvif://www.onvif.org/name/Camera",
    ),
    ("<information>me</information>", "a.cfg:2: <config><information>: found 'me', nodes are expected here, not a"),
    (
        "<event><renew_interval>0</renew_interval></event>",
        "a.cfg:2: <config><event><renew_interval>: found '0', allowed: 1 to 86400 s",
    ),
    ("<mac>hello</mac>", "a.cfg:2: <config><mac>: found 'hello', allowed: a hardware address, such as 02:00:5e:10:"),
    ("<http_port>1</http_port><http_port>2</http_port>", "a.cfg:2: <config><http_port>: given twice, first in line 2"),
    (
        "<http_port>9000</http_port><https_port>9000</https_port>",
        "a.cfg:2: <config><https_port>: found '9000', the same TCP port as <http_port> (a.cfg line 2)",
    ),
    (
        "<user><username>a</username><password>p</password></user>" * 2,
        "a.cfg:2: <config><user><username>: found 'a', the same name as another user of the device (a.cfg line 2)",
    ),
    (
        "".join(f"<user><username>u{number}</username><password>p</password></user>\n" for number in range(65)),
        "a.cfg:66: <config><user>: one too many: a device has at most 64",
    ),
    (
        "".join(f"<scope>urn:{number}</scope>\n" for number in range(96)),
        "a.cfg:97: <config><scope>: one too many: a device has at most 95",
    ),
    (
        f"<information><Model>{'ü' * 200}</Model></information>",
        "a.cfg:2: <config><information><Model>: ",
    ),
    (
        "<device><information><SerialNumber>1</SerialNumber></information><http_port>1</http_port></device>\n"
        "<device><information><SerialNumber>1</SerialNumber></information></device>",
        "a.cfg:3: <config><device><information><SerialNumber>: found '1', the same SerialNumber as another device",
    ),
]


@pytest.mark.parametrize(("nodes", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, nodes: str, message: str) -> None:
    mistakes = mistakes_of(tmp_path, config(nodes, "<server_ip/>"))
    assert [text for text in mistakes if text.startswith(message)] != [], mistakes
    assert not any("secret" in text for text in mistakes)


def test_devices_that_say_too_little_to_live_beside_each_other(tmp_path: Path) -> None:
    assert mistakes_of(tmp_path, config("<https_enable>0</https_enable>", "<device/>", "<device/>")) == [
        "a.cfg:4: <config><device>: http_port is not said, and so 8000: the same TCP port as <device> "
        "(a.cfg line 3); give each device its own"
    ]


def test_the_machines_network_is_one_devices(tmp_path: Path) -> None:
    first = "<device><http_port>8001</http_port>{}</device>"
    text = config("<https_enable>0</https_enable><need_auth>1</need_auth>{}", first, "<device/>")
    mine = "<apply_network>1</apply_network>"
    message = "<apply_network>: there are 2 devices, and the machine's network can be one device's alone"
    assert [message in each for each in mistakes_of(tmp_path, text.format("", mine))] == [True]
    assert len(mistakes_of(tmp_path, text.format(mine, ""))) == 2
    alone = config("<need_auth>1</need_auth><apply_network>1</apply_network><http_port>8001</http_port>")
    assert state_of(tmp_path, alone).server.apply_network is True
    assert state_of(tmp_path, TEMPLATE).server.apply_network is False


WARNINGS = [
    ("<apply_network>1</apply_network>", "a.cfg:2: <config><apply_network>: found '1', but need_auth is 0: everyone"),
    ("<resolution>1</resolution>", "a.cfg:2: <config><resolution>: unknown node, ignored"),
    ("<serverip>1</serverip>", "the nearest known name is <server_ip>"),
    (
        "<profile><video_source><gov_length>1</gov_length></video_source></profile>",
        "belongs to <profile><video_encoder><h264>",
    ),
    ('<profile a="b"><video_source/></profile>', "a.cfg:2: <config><profile>: attributes are not read: a"),
    ("<need_auth>1</need_auth>", "a.cfg:2: <config><need_auth>: found '1', but there is no user: everyone is refused"),
    (
        "<need_auth>1</need_auth><user><username>admin</username><password>admin</password></user>",
        "a.cfg:2: <config><user>: everyone knows this login, and the device is reached beyond this machine",
    ),
    ("<profile/>", "a.cfg:2: <config><profile>: has neither a video_source nor an audio_source: it offers nothing"),
    (
        "<profile><audio_source/><video_encoder/></profile>",
        "a.cfg:2: <config><profile>: has no video_source, so its video_encoder is not used",
    ),
    ("<profile><video_source/></profile>" * 11, "a.cfg:2: <config><profile>: 11 profiles; some clients cannot cope"),
]


@pytest.mark.parametrize(("nodes", "message"), WARNINGS)
def test_a_warning_is_named_with_its_place(tmp_path: Path, nodes: str, message: str) -> None:
    warnings = warnings_of(tmp_path, config(nodes, "<server_ip/>"))
    assert [text for text in warnings if message in text] != [], warnings


def test_two_passwords_for_one_name_are_warned_of_where_both_are_asked_for(tmp_path: Path) -> None:
    users = "<user><username>admin</username><password>{}</password></user>"
    texts = []
    for asked, auth, password in ((1, 0, "other"), (0, 1, "other"), (1, 1, "admin"), (1, 1, "other")):
        onvif = write(tmp_path, "onvif.cfg", TEMPLATE.replace("<need_auth>0", f"<need_auth>{asked}"))
        text = f"<serverport>554</serverport><need_auth>{auth}</need_auth>{users.format(password)}"
        rtsp = write(tmp_path, "rtsp.cfg", config(text))
        texts.append([str(each) for each in load([onvif, rtsp]).warnings if "ONVIF user" in str(each)])
    assert texts == [
        [],
        [],
        [],
        [f"{rtsp}:2: <config><user>: an ONVIF user of this name has another password; for RTSP, this one holds"],
    ]


def test_a_well_known_login_on_this_machine_alone_is_nothing_to_warn_of(tmp_path: Path) -> None:
    text = TEMPLATE.replace("<need_auth>0", "<need_auth>1").replace("<server_ip>", "<server_ip>127.0.0.1")
    assert warnings_of(tmp_path, text) == []


def test_a_fixed_account(tmp_path: Path) -> None:
    text = config(
        "<need_auth>1</need_auth><http_max_users>16</http_max_users>",
        "<user><username>owner</username><password>secret</password><fixed>1</fixed></user>",
        "<user><username>guest</username><password>other</password></user>",
    )
    state = state_of(tmp_path, text)
    assert [(user.username, user.fixed) for user in state.users] == [("owner", True), ("guest", False)]
    assert [user.fixed for user in parse(serialize(state)).users] == [True, False]


def test_the_same_in_yaml(tmp_path: Path) -> None:
    text = """
        onvif:
          server_ip: [127.0.0.1, "::1"]
          http_port: 9000
          users:
            - {username: eve, password: p, userlevel: operator, fixed: true}
          scopes: [urn:a, urn:b]
          profiles:
            - {video_source: {}, audio_source: {}, stream_uri: rtsp://camera/live, append_params: true}
          event: {renew_interval: 5, max_pull_points: 200, push_to: subscriber}
    """
    loaded = load_text(tmp_path, text, "a.yaml")
    assert loaded.warnings == ()
    (device,) = configured_devices(loaded)
    state = device.default_state()
    assert list(map(ip_address, state.server.addresses)) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert (state.network.protocols.http.port, state.network.protocols.https.port) == (9000, 8444)
    assert (state.users[0].level, state.users[0].fixed) == (UserLevel.OPERATOR, True)
    assert (state.profiles[0].audio, state.profiles[0].stream_uri.append_params) == (True, True)
    assert (state.events.renew_interval_s, state.events.max_pull_points) == (5, 200)
    assert (state.server.push_to, state_of(tmp_path, TEMPLATE).server.push_to) == (PushTo.SUBSCRIBER, PushTo.NETWORK)
    assert {"urn:a", "urn:b"} < {scope.uri for scope in state.scopes}


def test_beside_a_file_of_another_dialect(tmp_path: Path) -> None:
    onvif = write(tmp_path, "onvif.cfg", TEMPLATE)
    rtsp = EXAMPLES / "rtsp.cfg"
    loaded = load([onvif, rtsp])
    assert loaded.settings.rtsp.serverport == 554
    assert loaded.settings.onvif.http_port == 8000
    assert [user.username for user in loaded.settings.users] == ["admin"]  # two lists
    assert loaded.settings.log_level == 1


def test_each_file_has_a_log_level_of_its_own(tmp_path: Path) -> None:
    onvif = write(tmp_path, "onvif.cfg", config("<server_ip/>", "<log_level>0</log_level>"))
    rtsp = write(tmp_path, "rtsp.cfg", config("<serverport>1</serverport>", "<log_level>4</log_level>"))
    settings = load([rtsp, onvif]).settings
    assert (settings.log_level, settings.onvif.log_level) == (4, 0)


def test_without_a_file_there_is_one_device_for_the_test_pattern() -> None:
    (device,) = configured_devices(load([]))
    state = device.default_state()
    assert (state.network.protocols.http.port, state.network.protocols.https.port) == (8000, 8444)
    assert state.users == []
    assert [profile.stream_uri.stream for profile in state.profiles] == ["demo"]
    assert not state.events.simulate
    assert device.configuration_file is None


def test_without_profiles_the_first_stream_is_shown(tmp_path: Path) -> None:
    text = """
        <config>
        <application><name>empty</name></application>
        <application><name>live</name>
            <proxy><suffix>idle</suffix></proxy>
            <proxy><suffix>cam</suffix><url>rtsp://camera/</url></proxy>
        </application>
        </config>
    """
    assert state_of(tmp_path, text).profiles[0].stream_uri.stream == "live/cam"
    without_stream = "<config><application><name>live</name></application></config>"
    assert state_of(tmp_path, without_stream).profiles[0].stream_uri.stream == "live/test.mp4"


def test_onvif_is_off_when_told_so(tmp_path: Path) -> None:
    for text in ("<enable>0</enable>", "<http_enable>0</http_enable><https_enable>0</https_enable>"):
        assert devices_of(tmp_path, config(text, "<server_ip/>")) == []


def test_a_port_that_no_file_names_gives_way(tmp_path: Path) -> None:
    onvif = write(tmp_path, "onvif.cfg", TEMPLATE)
    assert load([onvif]).settings.https.serverport == 8444
    own = write(tmp_path, "a.yaml", "http: {serverport: 8000}\nhttps: {serverport: 8444}")
    settings = load([own]).settings
    assert (settings.onvif.http_port, settings.onvif.https_port) == (8001, 8445)
    taken = write(tmp_path, "b.yaml", "https: {serverport: 8443}")
    assert mistakes_of_files(tmp_path, onvif, taken) == [
        "onvif.cfg:7: <config><https_port>: found '8443', the same TCP port as https.serverport (b.yaml line 1)"
    ]


def test_files_are_looked_for_where_the_onvif_file_is(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    streams = write(tmp_path, "a.yaml", "loop_nums: 2")
    onvif = write(tmp_path / "etc", "onvif.cfg", config("<server_ip/>", "<key_file>/keys/key</key_file>"))
    (device,) = configured_devices(load([streams, onvif]))
    assert device.runtime_file == tmp_path / "etc" / "onvifrun.cfg"
    server = device.default_state().server
    assert (server.cert_file, server.key_file) == (tmp_path / "etc" / "ssl.ca", Path("/keys/key"))


def test_as_a_service_what_is_kept_goes_to_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/manycast")
    several = "<device><http_port>1</http_port>{}<information><SerialNumber>A</SerialNumber></information></device>"
    files = [
        device.runtime_file
        for text in (
            config("<server_ip/>"),
            config("<https_enable>0</https_enable>", several.format("")),
            config("<server_ip/><runtime_file>own.cfg</runtime_file>"),
            config("<https_enable>0</https_enable>", several.format("<runtime_file>its.cfg</runtime_file>")),
        )
        for device in devices_of(tmp_path, text)
    ]
    state = Path("/var/lib/manycast")
    assert files == [state / "onvifrun.cfg", state / "onvifrun-A.cfg", tmp_path / "own.cfg", tmp_path / "its.cfg"]


class TestSeveralDevices:
    def test_a_device_has_what_stands_beside_it_unless_it_has_its_own(self) -> None:
        gate, yard, hall = (
            device.default_state() for device in configured_devices(load([EXAMPLES / "onvif-devices.cfg"]))
        )
        assert [state.network.protocols.http.port for state in (gate, yard, hall)] == [8001, 8002, 8003]
        assert not any(state.network.protocols.https.enabled for state in (gate, yard, hall))
        assert [state.users[0].username for state in (gate, yard, hall)] == ["operator"] * 3
        assert [state.information.model for state in (gate, yard, hall)] == ["Virtual camera"] * 3
        uris = [[scope.uri for scope in state.scopes] for state in (gate, hall)]
        assert "onvif://www.onvif.org/location/city/Bern" in uris[0]
        assert "onvif://www.onvif.org/location/city/Bern" not in uris[1]
        assert "onvif://www.onvif.org/name/Hall" in uris[1]

    def test_each_can_be_told_from_the_others(self, tmp_path: Path) -> None:
        devices = "".join(f"<device><http_port>{9000 + number}</http_port></device>" for number in range(50))
        common = "<https_enable>0</https_enable><information><SerialNumber>A</SerialNumber></information>"
        configured = devices_of(tmp_path, config(common, devices))
        states = [device.default_state() for device in configured]
        assert len({state.information.serial_number for state in states}) == 50
        assert len({state.network.mac for state in states}) == 50
        assert len({state.discovery.endpoint for state in states}) == 50
        assert len({device.runtime_file for device in configured}) == 50
        assert configured[1].runtime_file == tmp_path / "onvifrun-A-2.cfg"
        assert all(mac is not None and mac.startswith("02:") for mac in (state.network.mac for state in states))

    def test_they_are_the_same_at_the_next_start(self) -> None:
        starts = [
            [device.default_state() for device in configured_devices(load([EXAMPLES / "onvif-devices.cfg"]))]
            for _ in range(2)
        ]
        assert starts[0] == starts[1]

    def test_a_serial_number_is_no_way_out_of_the_folder(self, tmp_path: Path) -> None:
        text = config("<device><information><SerialNumber>../../x y</SerialNumber></information></device>")
        (device,) = devices_of(tmp_path, text)
        assert device.runtime_file == tmp_path / "onvifrun-.._.._x_y.cfg"

    def test_one_may_not_be_found(self, tmp_path: Path) -> None:
        text = config(
            "<https_enable>0</https_enable><discovery>0</discovery>",
            "<device><http_port>9001</http_port></device>",
            "<device><http_port>9002</http_port><discovery>1</discovery></device>",
        )
        modes = [device.default_state().discovery.mode for device in devices_of(tmp_path, text)]
        assert modes == [DiscoveryMode.NON_DISCOVERABLE, DiscoveryMode.DISCOVERABLE]

    def test_devices_on_addresses_of_their_own_share_a_port(self, tmp_path: Path) -> None:
        text = config(
            "<device><server_ip>127.0.0.1</server_ip></device>", "<device><server_ip>127.0.0.2</server_ip></device>"
        )
        assert len(devices_of(tmp_path, text)) == 2


def test_a_default_state_is_a_new_one_each_time(tmp_path: Path) -> None:
    (device,) = devices_of(tmp_path, TEMPLATE)
    changed = device.default_state()
    changed.users.clear()
    changed.scopes[0].uri = "urn:changed"
    assert device.default_state() == state_of(tmp_path, TEMPLATE)


def test_every_state_can_be_kept_in_a_file() -> None:
    for name in ("onvif.cfg", "onvif-devices.cfg"):
        for device in configured_devices(load([EXAMPLES / name])):
            assert parse(serialize(device.default_state())) == device.default_state()


def test_a_changed_file_that_is_not_effective_is_noted(tmp_path: Path) -> None:
    (device,) = devices_of(tmp_path, TEMPLATE)
    began_with = device.origin()
    assert device.runtime_note(began_with) is None
    (device,) = devices_of(tmp_path, TEMPLATE.replace("</config>", "<name>another</name></config>"))
    assert device.runtime_note(began_with) == (
        f"{tmp_path}/onvif.cfg was changed since {tmp_path}/onvifrun.cfg was begun, which is used instead of it; "
        f"to make it effective: stop the server, delete {tmp_path}/onvifrun.cfg, start the server"
    )
