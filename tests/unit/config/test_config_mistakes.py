"""Every mistake with its whole message."""

from pathlib import Path

import pytest

from manycast.config import ConfigurationError, Problem, load
from manycast.config.schema.fields import every_field
from manycast.config.schema.settings import Settings

from .documents import load_text, mistakes_of, mistakes_of_files, write

# One line inside <config>, and what is said about it.
ONE_LINE = [
    (
        "<loop_nums>-2</loop_nums>",
        "<config><loop_nums>: found '-2', allowed: -1 to 1000000 (-1: without end, 0: 1)",
    ),
    (
        "<log_level>6</log_level>",
        "<config><log_level>: found '6', allowed: 0 to 5 (0 TRACE, 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, 5 FATAL)",
    ),
    ("<log_enable>yes</log_enable>", "<config><log_enable>: found 'yes', allowed: 0 or 1"),
    ("<log_enable>true</log_enable>", "<config><log_enable>: found 'true', allowed: 0 or 1"),
    ("<log_enable>2</log_enable>", "<config><log_enable>: found '2', allowed: 0 or 1"),
    ("<rtsp><serverport>0</serverport></rtsp>", "<config><rtsp><serverport>: found '0', allowed: 1 to 65535"),
    ("<rtsp><serverport>99999</serverport></rtsp>", "<config><rtsp><serverport>: found '99999', allowed: 1 to 65535"),
    ("<rtsp><serverport>5_54</serverport></rtsp>", "<config><rtsp><serverport>: found '5_54', allowed: 1 to 65535"),
    ("<rtsp><serverport>554.0</serverport></rtsp>", "<config><rtsp><serverport>: found '554.0', allowed: 1 to 65535"),
    ("<rtsp><serverport>٥٥٤</serverport></rtsp>", "<config><rtsp><serverport>: found '٥٥٤', allowed: 1 to 65535"),
    (
        f"<rtsp><serverport>{'9' * 5000}</serverport></rtsp>",
        f"<config><rtsp><serverport>: found '{'9' * 77}...', allowed: 1 to 65535",
    ),
    (
        "<rtsp><serverip>300.1.1.1</serverip></rtsp>",
        "<config><rtsp><serverip>: found '300.1.1.1', allowed: an IPv4 address, an IPv6 address or a host name",
    ),
    (
        "<rtsp><serverip>::1::</serverip></rtsp>",
        "<config><rtsp><serverip>: found '::1::', allowed: an IPv4 address, an IPv6 address or a host name",
    ),
    (
        "<rtsp><multicast_ttl>0</multicast_ttl></rtsp>",
        "<config><rtsp><multicast_ttl>: found '0', allowed: 1 to 255 hops",
    ),
    (
        "<rtsp><udp_base_port>65529</udp_base_port></rtsp>",
        "<config><rtsp><udp_base_port>: found '65529', allowed: 1024 to 65528",
    ),
    ("<hls><playlist>2</playlist></hls>", "<config><hls><playlist>: found '2', allowed: 3 to 1000"),
    ("<hls><fragment>0</fragment></hls>", "<config><hls><fragment>: found '0', allowed: 1 to 300 s"),
    (
        "<hls>on</hls>",
        "<config><hls>: found 'on', nodes are expected here, not a value: <enable>, <fragment>, <playlist>, "
        "<cleanupdir>, <folder>, <low_latency>, <part>, <always>, <need_auth>",
    ),
    (
        "<srt><passphrase>short</passphrase></srt>",
        "<config><srt><passphrase>: found '***', allowed: 10 to 79 characters",
    ),
    ("<user><username>a</username></user>", "<config><user>: needs a password"),
    ("<user><password>a</password></user>", "<config><user>: needs a username"),
    (
        "<user><username>a:b</username><password>p</password></user>",
        "<config><user><username>: found 'a:b', allowed: a text on one line without a colon",
    ),
    (
        "<user>admin:secret</user>",
        "<config><user>: found '***', nodes are expected here, not a value: <username>, <password>",
    ),
    (
        "<application><name>a/b</name></application>",
        "<config><application><name>: found 'a/b', allowed: one element of an address: a name without / \\ ? # % "
        "and not . or ..",
    ),
    (
        "<application><output><video><codec>VP9</codec></video></output></application>",
        "<config><application><output><video><codec>: found 'VP9', allowed: H264, H265, MP4, JPEG",
    ),
    (
        "<application><output><audio><codec>MP3</codec></audio></output></application>",
        "<config><application><output><audio><codec>: found 'MP3', allowed: G711A, G711U, G722, G726, AAC, OPUS",
    ),
    (
        "<application><output><audio><codec>G726</codec><channels>2</channels></audio></output></application>",
        "<config><application><output><audio><channels>: found '2', G726 is always mono: allowed: 0, 1",
    ),
    (
        "<transcode><encoder>GPU</encoder></transcode>",
        "<config><transcode><encoder>: found 'GPU', allowed: SOFTWARE, AUTO, NVIDIA, QSV, VAAPI",
    ),
    ("<capture><linger>0</linger></capture>", "<config><capture><linger>: found '0', allowed: 1 to 3600 s"),
    (
        "<application><output><audio><samplerate>44000</samplerate></audio></output></application>",
        "<config><application><output><audio><samplerate>: found '44000', allowed: 0, 8000, 11025, 12000, 16000, "
        "22050, 24000, 32000, 44100, 48000 Hz (0: original)",
    ),
    (
        "<application><output><audio><channels>6</channels></audio></output></application>",
        "<config><application><output><audio><channels>: found '6', allowed: 0, 1, 2 (0: original)",
    ),
    (
        "<application><output><video><bitrate>-1</bitrate></video></output></application>",
        "<config><application><output><video><bitrate>: found '-1', allowed: 0 to 1000000 kb/s (0: automatic)",
    ),
    (
        "<application><output><video><width>-1</width></video></output></application>",
        "<config><application><output><video><width>: found '-1', allowed: 0 to 16384 (0: original)",
    ),
    (
        "<application><proxy><transfer>RTSP</transfer></proxy></application>",
        "<config><application><proxy><transfer>: found 'RTSP', allowed: TCP, UDP, MULTICAST",
    ),
    (
        "<application><proxy><url>ftp://u:p@h/x</url></proxy></application>",
        "<config><application><proxy><url>: found 'ftp://***@h/x', allowed: an address beginning with rtsp://, "
        "rtsps://, rtsp+http://, rtsp+https://, rtmp://, rtmps://, srt://, http://, https://, udp://",
    ),
    (
        "<application><proxy><url>udp://:5000</url></proxy></application>",
        "<config><application><proxy><url>: found 'udp://:5000', there is no host behind udp://: an address of this "
        "machine, such as 0.0.0.0, or a multicast group",
    ),
    (
        "<application><proxy><url>rtsp:///x</url></proxy></application>",
        "<config><application><proxy><url>: found 'rtsp:///x', there is no host behind rtsp://",
    ),
    (
        "<application><proxy><url>rtsp://us er@x/2</url></proxy></application>",
        "<config><application><proxy><url>: found 'rtsp://***@x/2', an address has no blanks: write them as %20, "
        "also in a login",
    ),
    (
        "<application><proxy><url>rtsp://[::1/2</url></proxy></application>",
        "<config><application><proxy><url>: found 'rtsp://[::1/2', its host cannot be read: an IPv6 address stands in "
        "[brackets]",
    ),
    (
        "<application><proxy><url>rtsp://h:99999/2</url></proxy></application>",
        "<config><application><proxy><url>: found 'rtsp://h:99999/2', its port is no number from 1 to 65535",
    ),
    (
        "<application><proxy><url>rtsp:x</url></proxy></application>",
        "<config><application><proxy><url>: found 'rtsp:x', allowed: an address beginning with rtsp://, "
        "rtsps://, rtsp+http://, rtsp+https://, rtmp://, rtmps://, srt://, http://, https://, udp://",
    ),
    (
        "<application><pusher><transfer><mode>HTTP</mode></transfer></pusher></application>",
        "<config><application><pusher><transfer><mode>: found 'HTTP', allowed: TCP, UDP, RTSP, RTMP, SRT",
    ),
    (
        "<application><pusher><transfer>UDP</transfer></pusher></application>",
        "<config><application><pusher><transfer>: found 'UDP', nodes are expected here, not a value: <mode>, <ip>, "
        "<vport>, <aport>",
    ),
    (
        "<backchannel><codec>AAC</codec></backchannel>",
        "<config><backchannel><codec>: found 'AAC', allowed: G711A, G711U, G722, G726, OPUS",
    ),
    (
        "<log_level><rtsp/><hls/></log_level>",
        "<config><log_level>: a value is expected here, not nodes: <rtsp>, <hls>",
    ),
    (
        "<log_level>1</log_level><log_level>2</log_level>",
        "<config><log_level>: given twice, first in line 2; one is allowed",
    ),
    ("<hls/><hls/>", "<config><hls>: given twice, first in line 2; one is allowed"),
    (
        "<backchannel/><application><backchannel/></application>",
        "<config><application><backchannel>: given twice, first in line 2; one is allowed",
    ),
]


@pytest.mark.parametrize(("line", "message"), ONE_LINE)
def test_a_mistake_is_named_with_file_line_node_found_and_allowed(tmp_path: Path, line: str, message: str) -> None:
    assert mistakes_of(tmp_path, f"<config>\n{line}\n</config>") == [f"a.cfg:2: {message}"]


def test_every_value_is_judged_and_every_judgement_names_its_line(tmp_path: Path) -> None:
    for specs in every_field(Settings):
        *groups, leaf = specs
        if leaf.rule is None:
            continue
        opened = "".join(f"<{group.node}>\n" for group in groups)
        closed = "".join(f"</{group.node}>" for group in reversed(groups))
        value = f"<{leaf.node}>\x7f</{leaf.node}>"  # a character that is allowed in XML, and in no value
        path = "".join(f"<{spec.node}>" for spec in specs)
        found = "***" if leaf.secret else "\x7f"
        marker = "" if groups else "<rtmp/>"
        mistakes = mistakes_of(tmp_path, f"<config>{marker}{opened}{value}{closed}</config>")
        expected = f"a.cfg:{1 + len(groups)}: <config>{path}: found {found!r}, allowed: {leaf.rule.allowed}"
        assert [mistake for mistake in mistakes if "needs a " not in mistake] == [expected]


@pytest.mark.parametrize("name", ["videodevice", "videodevice2", "audiodevice=Mic", "screenlive", "window=Editor"])
@pytest.mark.parametrize("kind", ["proxy", "pusher"])
def test_a_captures_name_is_no_suffix(tmp_path: Path, kind: str, name: str) -> None:
    text = f"<config><application>\n<{kind}><suffix>{name}</suffix></{kind}></application></config>"
    assert mistakes_of(tmp_path, text) == [
        f"a.cfg:2: <config><application><{kind}><suffix>: found '{name}', allowed: elements of an address, joined "
        "by /, without \\ ? # % and not . or ..; not a capture's name (videodevice, audiodevice, screenlive, "
        "window=, systemsound and what begins so)"
    ]


# Ports, as lines of a file in the media dialect; the servers not named are at their defaults.
DOUBLED_PORTS = [
    (
        "<http><serverport>1935</serverport></http>",
        ["a.cfg:2: <config><http><serverport>: found '1935', the same TCP port as <rtmp><serverport> (its default)"],
    ),
    (
        "<http><serverport>554</serverport></http>\n<rtsp><serverport>554</serverport></rtsp>",
        ["a.cfg:3: <config><rtsp><serverport>: found '554', the same TCP port as <http><serverport> (a.cfg line 2)"],
    ),
    (
        "<rtsp><serverport>443</serverport><serverip>127.0.0.1</serverip></rtsp>",
        ["a.cfg:2: <config><rtsp><serverport>: found '443', the same TCP port as <https><serverport> (its default)"],
    ),
    (
        "<rtsps><enable>1</enable><serverport>554</serverport></rtsps>",
        ["a.cfg:2: <config><rtsps><serverport>: found '554', the same TCP port as <rtsp><serverport> (its default)"],
    ),
    ("<rtsps><serverport>554</serverport></rtsps>", []),
    ("<http><serverport>554</serverport></http><rtsp><enable>0</enable></rtsp>", []),
    ("<srt><serverport>554</serverport></srt>", []),
    (
        "<http><serverport>90</serverport><serverip>10.0.0.1</serverip></http>"
        "<rtsp><serverport>90</serverport><serverip>10.0.0.2</serverip></rtsp>",
        [],
    ),
    (
        "<http><serverport>90</serverport><serverip>0.0.0.0</serverip></http>"
        "<rtsp><serverport>90</serverport><serverip>::1</serverip></rtsp>",
        [],
    ),
    (
        "<http><serverport>90</serverport><serverip>0.0.0.0</serverip></http>\n"
        "<rtsp><serverport>90</serverport><serverip>10.0.0.2</serverip></rtsp>",
        ["a.cfg:3: <config><rtsp><serverport>: found '90', the same TCP port as <http><serverport> (a.cfg line 2)"],
    ),
    (
        "<http><serverport>90</serverport><serverip>LocalHost</serverip></http>\n"
        "<rtsp><serverport>90</serverport><serverip>[::1]</serverip></rtsp>",
        ["a.cfg:3: <config><rtsp><serverport>: found '90', the same TCP port as <http><serverport> (a.cfg line 2)"],
    ),
]


@pytest.mark.parametrize(("lines", "expected"), DOUBLED_PORTS)
def test_two_servers_on_one_port(tmp_path: Path, lines: str, expected: list[str]) -> None:
    assert mistakes_of(tmp_path, f"<config>\n{lines}\n</config>") == expected


def _pusher(suffix: str, mode: str, vport: int, aport: int, ip: str = "") -> str:
    return (
        f"<pusher><suffix>{suffix}</suffix><video/><audio/><transfer><mode>{mode}</mode><ip>{ip}</ip>"
        f"<vport>{vport}</vport><aport>{aport}</aport></transfer></pusher>"
    )


DOUBLED_PUSHERS = [
    ([("a", "UDP", 5000, 5002), ("b", "UDP", 5004, 5000)], "aport", "5000", "UDP", "vport"),
    ([("a", "TCP", 5000, 5000)], "aport", "5000", "TCP", "vport"),
]


@pytest.mark.parametrize(("pushers", "second", "port", "protocol", "first"), DOUBLED_PUSHERS)
def test_two_raw_pushers_on_one_port(
    tmp_path: Path, pushers: list[tuple[str, str, int, int]], second: str, port: str, protocol: str, first: str
) -> None:
    lines = "\n".join(_pusher(*pusher) for pusher in pushers)
    path = "<application><pusher><transfer>"
    assert mistakes_of(tmp_path, f"<config><application>\n{lines}\n</application></config>") == [
        f"a.cfg:{1 + len(pushers)}: <config>{path}<{second}>: found '{port}', the same {protocol} port as "
        f"{path}<{first}> (a.cfg line 2)"
    ]


def test_pushers_that_share_no_port_or_open_none(tmp_path: Path) -> None:
    pushers = [
        _pusher("a", "UDP", 5000, 5002),
        _pusher("b", "TCP", 5000, 5002),
        _pusher("c", "RTSP", 5000, 5002),
        "<pusher><suffix>d</suffix><audio/><transfer><mode>UDP</mode><vport>5000</vport></transfer></pusher>",
    ]
    assert mistakes_of(tmp_path, f"<config><application>{''.join(pushers)}</application></config>") == []


def test_a_raw_pusher_on_a_servers_port(tmp_path: Path) -> None:
    text = f"<config><application>\n{_pusher('a', 'TCP', 554, 5002)}</application></config>"
    assert mistakes_of(tmp_path, text) == [
        "a.cfg:2: <config><application><pusher><transfer><vport>: found '554', the same TCP port as "
        "<rtsp><serverport> (its default)"
    ]


def test_two_applications_of_one_name(tmp_path: Path) -> None:
    text = """
        <config>
        <application><name>live</name></application>
        <application><name>live</name></application>
        <application/>
        <application/>
        </config>
        """
    assert mistakes_of(tmp_path, text) == [
        "a.cfg:3: <config><application><name>: found 'live', the same name as another application (a.cfg line 2)",
        "a.cfg:5: <config><application>: found 'myapp', the same name as another application (its default)",
    ]


def test_two_users_of_one_name(tmp_path: Path) -> None:
    text = """
        <config>
        <user><username>eve</username><password>one</password></user>
        <user><username>eve</username><password>two</password></user>
        </config>
        """
    assert mistakes_of(tmp_path, text) == [
        "a.cfg:3: <config><user><username>: found 'eve', the same name as another user (a.cfg line 2), with "
        "another password"
    ]


def test_all_mistakes_of_all_files_come_at_once_in_order(tmp_path: Path) -> None:
    first = write(
        tmp_path,
        "b.cfg",
        """
        <config>
        <hls><playlist>1</playlist></hls>
        <rtsp>
          <need_auth>maybe</need_auth>
          <serverport>http</serverport>
        </rtsp>
        <application>
          <output><video><codec>X</codec></video></output>
          <output><video><codec>Y</codec></video></output>
        </application>
        <http><serverport>77</serverport></http>
        <rtmp><serverport>77</serverport></rtmp>
        </config>
        """,
    )
    second = write(tmp_path, "a.cfg", "<config>\n<serverport>x</serverport></config>")
    third = write(tmp_path, "c.cfg", "<config>")
    missing = tmp_path / "d.cfg"
    places = [mistake.split(": ", 1)[0] for mistake in mistakes_of_files(tmp_path, first, second, third, missing)]
    assert places == ["a.cfg:2", "b.cfg:2", "b.cfg:4", "b.cfg:5", "b.cfg:8", "b.cfg:9", "b.cfg:12", "c.cfg:1", "d.cfg"]


def test_the_error_reads_as_a_report(tmp_path: Path) -> None:
    path = write(tmp_path, "a.cfg", "<config>\n<log_level>9</log_level>\n<loop_nums>x</loop_nums>\n</config>")
    with pytest.raises(ConfigurationError) as caught:
        load([path])
    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == [
        "2 mistakes in the configuration:",
        "  a.cfg:2: <config><log_level>: found '9', allowed: 0 to 5 (0 TRACE, 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, "
        "5 FATAL)",
        "  a.cfg:3: <config><loop_nums>: found 'x', allowed: -1 to 1000000 (-1: without end, 0: 1)",
    ]
    assert caught.value.problems[0] == Problem(
        path, 2, "config/log_level", "9", "allowed: 0 to 5 (0 TRACE, 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, 5 FATAL)"
    )


def test_the_same_place_is_reported_once_though_it_counts_for_three_servers(tmp_path: Path) -> None:
    text = (
        "<config>\n<serverport>554</serverport><serverip>1.2.3</serverip>\n<rtsp_over_http>x</rtsp_over_http></config>"
    )
    assert mistakes_of(tmp_path, text) == [
        "a.cfg:2: <config><serverip>: found '1.2.3', allowed: an IPv4 address, an IPv6 address or a host name",
        "a.cfg:3: <config><rtsp_over_http>: found 'x', allowed: 0 or 1",
    ]


def test_no_password_is_ever_shown(tmp_path: Path) -> None:
    text = """
        <config>
        <srt><passphrase>hunter2</passphrase></srt>
        <user><username>a</username><password>hunter2<x/></password></user>
        <user><username>b</username><password>hunter2</password><password>hunter2</password></user>
        <user><username>c</username><password>hunter2</password></user>
        <user><username>c</username><password>hunter2 too</password></user>
        <user>hunter2</user>
        <application>
          <proxy><url>gopher://u:hunter2@host/</url><pass>hunter2<x/></pass></proxy>
          <proxy><url>srt//host?passphrase=hunter2,hunter2&amp;pass=hunter2</url></proxy>
        </application>
        </config>
        """
    mistakes = mistakes_of(tmp_path, text)
    assert len(mistakes) == 8
    assert "hunter2" not in "".join(mistakes).replace("host?passphrase=***,hunter2", "")


def test_settings_hide_passwords(tmp_path: Path) -> None:
    text = """
        <config>
        <srt><passphrase>hunter2hunter2</passphrase></srt>
        <user><username>a</username><password>hunter2</password></user>
        <application>
          <proxy><url>rtsp://u:hunter2@host/</url><pass>hunter2</pass></proxy>
        </application>
        </config>
        """
    loaded = load_text(tmp_path, text)
    assert "hunter2" not in repr(loaded)
    assert "hunter2" not in str(loaded.settings)
    assert loaded.settings.applications[0].proxies[0].url == "rtsp://u:hunter2@host/"


def test_names_that_are_not_known_are_said_beside_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load([write(tmp_path, "a.yaml", "users:\n  - {user: anna, pass: geheim}\n")])
    lines = str(refused.value).splitlines()
    assert any("needs a username" in line for line in lines)
    assert any("besides" in line and "user: unknown" in line for line in lines)
    assert "geheim" not in str(refused.value)
