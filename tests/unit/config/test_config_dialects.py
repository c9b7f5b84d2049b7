"""Telling dialects apart, and what each makes of its nodes."""

from pathlib import Path

import pytest

from manycast.config import load
from manycast.config.dialects import Dialect, recognise
from manycast.config.node import Node
from manycast.config.schema.settings import Settings

from .documents import load_text, mistakes_of_files, warnings_of, write

RECOGNISED = [
    (["application"], Dialect.MEDIA),
    (["rtsp"], Dialect.MEDIA),
    (["http-flv", "serverport"], Dialect.MEDIA),
    (["rtsp", "server_ip"], Dialect.MEDIA),
    (["serverport"], Dialect.RTSP),
    (["serverport", "server_ip"], Dialect.RTSP),
    (["multicast"], Dialect.RTSP),
    (["output", "log_level"], Dialect.RTSP),
    (["server_ip"], Dialect.ONVIF),
    (["information", "need_auth", "http_port", "cert_file"], Dialect.ONVIF),
    (["profile", "user"], Dialect.ONVIF),
    (["loop_nums", "user", "backchannel"], Dialect.MEDIA),
    (["pusher"], Dialect.MEDIA),
    ([], Dialect.MEDIA),
]


@pytest.mark.parametrize(("names", "dialect"), RECOGNISED)
def test_the_dialect_is_told_by_the_nodes(names: list[str], dialect: Dialect) -> None:
    root = Node(name="config", path="config", nodes=tuple(Node(name=name, path=f"config/{name}") for name in names))
    assert recognise(root) is dialect


def test_users_with_levels_are_those_of_a_device(tmp_path: Path) -> None:
    """Of a device that asks for a login: taken for another server's, it would let everybody in."""
    user = "<user><username>a</username><password>a long one</password>{}</user>"
    text = f"<config><need_auth>1</need_auth>{user}</config>"
    loaded = load_text(tmp_path, text.format("<userlevel>Administrator</userlevel>"), "a.cfg")
    assert (loaded.settings.onvif.need_auth, loaded.settings.rtsp.need_auth, loaded.warnings) == (True, False, ())
    other = load_text(tmp_path, text.format(""), "b.cfg").settings
    assert (other.onvif.need_auth, other.rtsp.need_auth) == (False, True)


def test_yaml_is_told_by_the_first_character_not_by_the_name(tmp_path: Path) -> None:
    assert load_text(tmp_path, "\n  rtsp: {serverport: 700}", "a.cfg").settings.rtsp.serverport == 700
    assert load_text(tmp_path, "<config><rtsp><serverport>701</serverport></rtsp></config>", "a.yaml").settings == (
        load_text(tmp_path, "<config><rtsp><serverport>701</serverport></rtsp></config>", "a.cfg").settings
    )


def test_without_a_file_the_defaults_are_an_ordinary_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load([])
    settings = loaded.settings
    assert (settings.rtsp.serverport, settings.rtsps.serverport, settings.rtmp.serverport) == (8554, 8322, 1935)
    assert (settings.http.serverport, settings.https.serverport, settings.srt.serverport) == (8080, 8443, 8890)
    assert not settings.rtsps.enable
    assert [application.name for application in settings.applications] == [""]
    assert settings.media_folder == tmp_path
    assert settings.https.cert_file == tmp_path / "ssl.ca"
    assert (loaded.warnings, loaded.files) == ((), ())
    assert loaded.origin("rtsp", "serverport") == "built-in default"


def test_defaults_of_the_media_dialect(tmp_path: Path) -> None:
    settings = load_text(tmp_path, "<config><application/></config>").settings
    assert (settings.rtsp.serverport, settings.rtsps.serverport, settings.rtmp.serverport) == (554, 322, 1935)
    assert (settings.http.serverport, settings.https.serverport, settings.srt.serverport) == (80, 443, 8080)
    assert settings.rtmp.enable
    assert settings.srt.enable
    assert settings.log_level == 1
    assert [application.name for application in settings.applications] == ["myapp"]


def test_the_media_dialect_without_an_application_has_the_root(tmp_path: Path) -> None:
    settings = load_text(tmp_path, "<config><rtsp/></config>").settings
    assert [application.name for application in settings.applications] == [""]


def test_defaults_of_the_rtsp_dialect(tmp_path: Path) -> None:
    settings = load_text(tmp_path, "<config><serverport></serverport></config>").settings
    assert (settings.rtsp.serverport, settings.rtsps.serverport) == (554, 322)
    assert (settings.http.serverport, settings.https.serverport) == (8080, 443)
    assert settings.http.enable
    assert settings.https.enable
    off = (settings.rtmp, settings.srt, settings.http_flv, settings.hls)
    assert not any(server.enable for server in off)
    assert settings.log_level == 1
    assert settings.applications == Settings().applications


def test_the_rtsp_dialect_in_the_shape_of_the_schema(tmp_path: Path) -> None:
    text = """
        <config>
        <serverip>127.0.0.1</serverip>
        <serverip>[2001:db8::1]</serverip>
        <serverport>5540</serverport>
        <udp_base_port>30000</udp_base_port>
        <rtsp_over_http>0</rtsp_over_http>
        <http_port>81</http_port>
        <https_port>444</https_port>
        <cert_file>/etc/cert.pem</cert_file>
        <key_file>key.pem</key_file>
        <need_auth>0</need_auth>
        <multicast_ttl>3</multicast_ttl>
        <media_folder>clips</media_folder>
        <output><url>*.mp4</url></output>
        <proxy><ondemand>1</ondemand></proxy>
        <pusher><suffix>in</suffix></pusher>
        <output/>
        </config>
        """
    loaded = load_text(tmp_path, text)
    settings = loaded.settings
    assert loaded.warnings == ()
    addresses = ("127.0.0.1", "2001:db8::1")
    assert settings.rtsp.serverip == settings.http.serverip == settings.https.serverip == addresses
    assert (settings.rtsp.serverport, settings.rtsp.udp_base_port, settings.rtsp.multicast_ttl) == (5540, 30000, 3)
    assert (settings.http.enable, settings.http.serverport) == (False, 81)
    assert (settings.https.enable, settings.https.serverport) == (True, 444)
    assert (settings.https.cert_file, settings.https.key_file) == (Path("/etc/cert.pem"), tmp_path / "key.pem")
    assert settings.media_folder == tmp_path / "clips"
    (application,) = settings.applications
    assert application.name == ""
    assert [output.url for output in application.outputs] == ["*.mp4", None]
    assert [proxy.ondemand for proxy in application.proxies] == [True]
    assert [pusher.suffix for pusher in application.pushers] == ["in"]
    assert loaded.origin("http", "serverport") == f"{tmp_path}/a.cfg line 7, <http_port>"
    assert loaded.origin("http", "enable") == f"{tmp_path}/a.cfg line 6, <rtsp_over_http>"
    assert loaded.origin("rtsp", "metadata") == "built-in default"


def test_serverip_may_stand_several_times_in_every_block(tmp_path: Path) -> None:
    block = "<{0}><serverip>10.0.0.1</serverip><serverip/><serverip>EXAMPLE.org</serverip></{0}>"
    names = ("http", "https", "rtsp", "rtmp", "srt")
    settings = load_text(tmp_path, f"<config>{''.join(map(block.format, names))}</config>").settings
    assert {getattr(settings, name).serverip for name in names} == {("10.0.0.1", "EXAMPLE.org")}


def test_a_pusher_and_a_back_channel_at_the_other_place(tmp_path: Path) -> None:
    text = """
        <config>
        <pusher><suffix>one</suffix></pusher>
        <application><name>a</name><pusher><suffix>two</suffix></pusher></application>
        <application><name>b</name><backchannel><codec>g722</codec></backchannel></application>
        </config>
        """
    loaded = load_text(tmp_path, text)
    assert loaded.warnings == ()
    assert loaded.settings.backchannel is not None
    assert loaded.settings.backchannel.codec == "G722"
    assert [[pusher.suffix for pusher in app.pushers] for app in loaded.settings.applications] == [["two", "one"], []]


def test_a_pusher_at_the_top_without_an_application_is_at_the_root(tmp_path: Path) -> None:
    for text, name in (("<config><rtmp/><pusher/></config>", "myapp"), ("pusher: [{suffix: pusher}]", "")):
        (application,) = load_text(tmp_path, text).settings.applications
        assert (application.name, len(application.pushers)) == (name, 1)


def test_two_files_of_one_dialect_are_a_mistake(tmp_path: Path) -> None:
    first = write(tmp_path, "a.cfg", "<config><rtsp/></config>")
    second = write(tmp_path, "b.cfg", "<config><rtmp/></config>")
    assert mistakes_of_files(tmp_path, first, second) == [
        "b.cfg: is in the media server dialect, as a.cfg is; one file of each is allowed"
    ]
    assert mistakes_of_files(tmp_path, first, first) == [
        "a.cfg: is in the media server dialect, as a.cfg is; one file of each is allowed"
    ]


def test_files_of_several_dialects_are_in_force_together(tmp_path: Path) -> None:
    flat = write(
        tmp_path,
        "rtsp.cfg",
        """
        <config>
        <serverport>5540</serverport>
        <user><username>eve</username><password>p</password></user>
        <proxy><suffix>cam</suffix></proxy>
        </config>
        """,
    )
    media = write(
        tmp_path,
        "media.cfg",
        """
        <config>
        <rtmp><serverport>1936</serverport></rtmp>
        <user><username>eve</username><password>p</password></user>
        <user><username>bob</username><password>p</password></user>
        <application><name>live</name></application>
        </config>
        """,
    )
    onvif = write(tmp_path, "onvif.cfg", "<config><http_enable>0</http_enable></config>")
    yaml = write(tmp_path, "more.yaml", "loop_nums: -1\nsrt: {serverport: 9000}")
    loaded = load([flat, onvif, yaml, media])
    settings = loaded.settings
    assert loaded.files == (flat, onvif, yaml, media)
    assert settings.rtsp.serverport == 5540
    assert settings.http.serverport == 80  # the media dialect's default, not the RTSP dialect's
    assert settings.rtmp.enable  # the RTSP dialect has it off where it stands alone
    assert (settings.srt.serverport, settings.loop_nums) == (9000, -1)
    assert not settings.onvif.http_enable
    assert [application.name for application in settings.applications] == ["live", ""]
    assert [user.username for user in settings.users] == ["eve", "bob", "eve"]
    assert loaded.origin("rtsp", "serverport") == f"{flat} line 2, <serverport>"
    assert loaded.origin("srt", "serverport") == f"{yaml} line 2, srt.serverport"
    assert loaded.origin("applications", 1, "proxies", 0, "suffix") == f"{flat} line 4, <proxy><suffix>"


def test_two_files_that_contradict_each_other(tmp_path: Path) -> None:
    flat = write(tmp_path, "rtsp.cfg", "<config>\n<serverport>5540</serverport><log_level>1</log_level></config>")
    media = write(
        tmp_path, "media.cfg", "<config><rtsp>\n\n<serverport>554</serverport></rtsp><log_level>1</log_level></config>"
    )
    assert mistakes_of_files(tmp_path, flat, media) == [
        "rtsp.cfg:2: <config><serverport>: found '5540', but <rtsp><serverport> says '554' (media.cfg line 3)"
    ]


def test_relative_paths_count_from_the_file_that_says_them(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    flat = write(
        tmp_path / "one", "rtsp.cfg", "<config><serverport>1</serverport><cert_file>c.pem</cert_file></config>"
    )
    media = write(tmp_path / "two", "media.cfg", "<config><media_folder>m</media_folder><rtmp/></config>")
    settings = load([flat, media]).settings
    assert settings.https.cert_file == tmp_path / "one" / "c.pem"
    assert settings.https.key_file == tmp_path / "one" / "ssl.key"
    assert settings.media_folder == tmp_path / "two" / "m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<config><rtsp><need_auth>1</need_auth></rtsp></config>", [True, True, True]),
        ("<config><rtsp/></config>", [False, False, False]),
        (
            "<config><rtsp><need_auth>1</need_auth></rtsp><hls><need_auth>0</need_auth></hls></config>",
            [True, True, False],
        ),
        ("<config><rtmp><need_auth>1</need_auth></rtmp><hls><need_auth/></hls></config>", [False, True, False]),
    ],
)
def test_need_auth_of_rtsp_holds_where_a_block_says_nothing(tmp_path: Path, text: str, expected: list[bool]) -> None:
    settings = load_text(tmp_path, text).settings
    assert [settings.needs_auth("rtsp"), settings.needs_auth("rtmp"), settings.needs_auth("hls")] == expected


def test_a_pusher_at_the_top_beside_applications_that_are_null(tmp_path: Path) -> None:
    (application,) = load_text(tmp_path, "applications:\npushers: [{suffix: a}]").settings.applications
    assert [pusher.suffix for pusher in application.pushers] == ["a"]


def test_a_login_asked_for_on_behalf_of_others(tmp_path: Path) -> None:
    text = (
        "<config><rtsp><enable>0</enable>\n<need_auth>1</need_auth></rtsp><hls><need_auth>0</need_auth></hls></config>"
    )
    assert warnings_of(tmp_path, text) == [
        "a.cfg:2: <config><rtsp><need_auth>: found '1', but there is no user: everyone is refused"
    ]
