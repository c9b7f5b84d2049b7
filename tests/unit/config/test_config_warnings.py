"""Every warning with its whole message."""

from pathlib import Path

import pytest

from .documents import load_text, warnings_of

# One line inside <config> of the media dialect, and what is said about it.
MEDIA = [
    ("<extra>1</extra>", "<config><extra>: unknown node, ignored"),
    ("<metdata>1</metdata>", "<config><metdata>: unknown node, ignored"),
    (
        "<rtsp><Serverport>554</Serverport></rtsp>",
        "<config><rtsp><Serverport>: unknown node, ignored; the nearest known name is <serverport>",
    ),
    (
        "<http-flv><tunked>1</tunked></http-flv>",
        "<config><http-flv><tunked>: unknown node, ignored; the nearest known name is <chunked>",
    ),
    ("<http_flv/>", "<config><http_flv>: unknown node, ignored; the nearest known name is <http-flv>"),
    ("<serverport>554</serverport>", "<config><serverport>: unknown node, ignored; here it is <rtsp><serverport>"),
    ("<server_ip>::</server_ip>", "<config><server_ip>: unknown node, ignored; here it is <rtsp><serverip>"),
    (
        "<http><server_ip>::</server_ip></http>",
        "<config><http><server_ip>: unknown node, ignored; here it is <serverip>",
    ),
    ("<http_port>80</http_port>", "<config><http_port>: unknown node, ignored; here it is <http><serverport>"),
    ("<https_enable>1</https_enable>", "<config><https_enable>: unknown node, ignored; here it is <https><enable>"),
    ("<need_auth>1</need_auth>", "<config><need_auth>: unknown node, ignored; here it is <rtsp><need_auth>"),
    ("<output/>", "<config><output>: unknown node, ignored; here it is <application><output>"),
    (
        "<http><multicast>1</multicast></http>",
        "<config><http><multicast>: unknown at this place, ignored; it belongs to <rtsp>",
    ),
    (
        "<application><loop_nums>1</loop_nums></application>",
        "<config><application><loop_nums>: unknown at this place, ignored; it belongs to <config>",
    ),
    (
        "<application><username>1</username></application>",
        "<config><application><username>: unknown at this place, ignored; it belongs to <user>",
    ),
    (
        "<information/>",
        "<config><information>: unknown node, ignored; it belongs to a file of its own, in the ONVIF dialect",
    ),
    ("<srt enable='1'/>", "<config><srt>: attributes are not read: enable"),
    ("<log_level id='a'>1</log_level>", "<config><log_level>: attributes are not read: id"),
    (
        "<rtsp><rtsp_over_http>1</rtsp_over_http></rtsp><http><enable>0</enable></http>",
        "<config><rtsp><rtsp_over_http>: found '1', but <http><enable> is 0 (a.cfg line 2): RTSP over HTTP stays off",
    ),
    (
        "<rtsp><rtsp_over_https>1</rtsp_over_https></rtsp><https><enable>0</enable></https>",
        "<config><rtsp><rtsp_over_https>: found '1', but <https><enable> is 0 (a.cfg line 2): "
        "RTSP over HTTPS stays off",
    ),
    (
        "<hls><enable>1</enable></hls><http><enable>0</enable></http><https><enable>0</enable></https>",
        "<config><hls><enable>: found '1', but <http><enable> is 0 (a.cfg line 2) and <https><enable> is 0 "
        "(a.cfg line 2): HLS stays off",
    ),
    (
        "<rtsp><need_auth>1</need_auth></rtsp>",
        "<config><rtsp><need_auth>: found '1', but there is no user: everyone is refused",
    ),
    (
        "<hls><need_auth>1</need_auth></hls>",
        "<config><hls><need_auth>: found '1', but there is no user: everyone is refused",
    ),
    (
        "<rtsp><need_auth>1</need_auth></rtsp><user><username>admin</username><password>admin</password></user>",
        "<config><user>: everyone knows this login, and the server listens beyond this machine",
    ),
    (
        "<application><output><audio><codec>G726</codec><bitrate>64</bitrate></audio></output></application>",
        "<config><application><output><audio><bitrate>: found '64', G726 knows 16, 24, 32 and 40 kb/s; 32 is taken",
    ),
    (
        "<application><pusher><transfer><mode>udp</mode></transfer></pusher></application>",
        "<config><application><pusher>: takes nothing: neither video nor audio is said for mode UDP",
    ),
    (
        "<application><pusher/><pusher/></application>",
        "<config><application><pusher>: the address myapp/pusher is already that of "
        "<application><pusher><suffix> (its default), which comes first",
    ),
    (
        "<application><proxy><suffix>a</suffix><url>rtsp://h/x</url></proxy><pusher><suffix>a</suffix></pusher>"
        "</application>",
        "<config><application><pusher><suffix>: found 'a', the address myapp/a is already that of "
        "<application><proxy><suffix> (a.cfg line 2), which comes first",
    ),
]

# The same for the RTSP dialect, which has one node that tells it before this line.
RTSP = [
    ("<server_ip/>", "<config><server_ip>: unknown node, ignored; here it is <serverip>"),
    ("<fragment>5</fragment>", "<config><fragment>: unknown node, ignored"),
    ("<http_enable>1</http_enable>", "<config><http_enable>: unknown node, ignored; here it is <rtsp_over_http>"),
    ("<metdata>1</metdata>", "<config><metdata>: unknown node, ignored; the nearest known name is <metadata>"),
    (
        "<rtsps><cert_file/></rtsps>",
        "<config><rtsps><cert_file>: unknown at this place, ignored; it belongs to <config>",
    ),
    (
        "<proxy><mode/></proxy>",
        "<config><proxy><mode>: unknown at this place, ignored; it belongs to <pusher><transfer>",
    ),
    (
        "<need_auth>1</need_auth>",
        "<config><need_auth>: found '1', but there is no user: everyone is refused",
    ),
]


@pytest.mark.parametrize(("line", "message"), MEDIA)
def test_a_warning_in_the_media_dialect(tmp_path: Path, line: str, message: str) -> None:
    media = "" if line.startswith(("<http>", "<rtsp>", "<application>")) else "<rtmp/>"
    assert warnings_of(tmp_path, f"<config>{media}\n{line}\n</config>") == [f"a.cfg:2: {message}"]


@pytest.mark.parametrize(("line", "message"), RTSP)
def test_a_warning_in_the_rtsp_dialect(tmp_path: Path, line: str, message: str) -> None:
    text = f"<config><serverport>554</serverport>\n{line}\n</config>"
    assert warnings_of(tmp_path, text) == [f"a.cfg:2: {message}"]


QUIET = [
    # a feature that is on by default only is off without a word
    "<http><enable>0</enable></http><https><enable>0</enable></https>",
    # over HTTPS it still works
    "<http><enable>0</enable></http><rtsp><rtsp_over_http>0</rtsp_over_http></rtsp><hls><enable>1</enable></hls>",
    # an inactive proxy has no address
    "<application><proxy/><proxy/><pusher><suffix>proxy</suffix></pusher></application>",
    # no login is asked for
    "<user><username>admin</username><password>admin</password></user>",
    "<rtsp><need_auth>1</need_auth></rtsp><user><username>admin</username><password>Admin</password></user>",
    # two applications may use the same name
    "<application><name>a</name><pusher/></application><application><name>b</name><pusher/></application>",
    "<application><output><audio><codec>G726</codec><bitrate>24</bitrate></audio></output></application>",
]


@pytest.mark.parametrize("lines", QUIET)
def test_what_needs_no_warning(tmp_path: Path, lines: str) -> None:
    assert warnings_of(tmp_path, f"<config><rtmp/>{lines}</config>") == []


def test_the_known_login_is_no_matter_on_this_machine_alone(tmp_path: Path) -> None:
    text = """
        <config>
        <serverip>127.0.0.1</serverip><serverip>::1</serverip><serverip>localhost</serverip>
        <serverport>8554</serverport><http_port>8080</http_port><https_port>8443</https_port>
        <need_auth>1</need_auth>
        <user><username>admin</username><password>admin</password></user>
        </config>
        """
    assert warnings_of(tmp_path, text) == []
    assert len(warnings_of(tmp_path, text.replace("::1", "example.org"))) == 1


def test_a_feature_without_its_server_is_off(tmp_path: Path) -> None:
    text = "<config><http><enable>0</enable></http><https><enable>0</enable></https></config>"
    settings = load_text(tmp_path, text).settings
    assert not settings.rtsp.rtsp_over_http
    assert not settings.rtsp.rtsp_over_https
    assert not settings.http_flv.enable
    assert not settings.hls.enable


def test_tunnels_without_the_rtsp_server_are_off(tmp_path: Path) -> None:
    text = "<config><rtsp><enable>0</enable>\n<rtsp_over_http>1</rtsp_over_http></rtsp></config>"
    assert warnings_of(tmp_path, text) == [
        "a.cfg:2: <config><rtsp><rtsp_over_http>: found '1', but <rtsp><enable> is 0 (a.cfg line 1) "
        "and <rtsps><enable> is 0 (its default): RTSP over HTTP stays off"
    ]
    assert not load_text(tmp_path, text).settings.rtsp.rtsp_over_http


def test_one_warning_for_an_unknown_node_with_all_that_is_in_it(tmp_path: Path) -> None:
    text = "<config><rtmp/><information><Model>a</Model><Model>b</Model></information></config>"
    assert len(warnings_of(tmp_path, text)) == 1


YAML = [
    ("rmtp: {enable: 1}", "rmtp: unknown node, ignored; the nearest known name is rtmp"),
    ("rtsp: {server_port: 1}", "rtsp.server_port: unknown node, ignored; the nearest known name is serverport"),
    ("serverport: 554", "serverport: unknown node, ignored; here it is rtsp.serverport"),
    ("http: {multicast: 1}", "http.multicast: unknown at this place, ignored; it belongs to rtsp"),
    ("rtsp: {log_level: 1}", "rtsp.log_level: unknown at this place, ignored; it belongs to the top, onvif"),
    ("hls: {need_auth: yes}", "hls.need_auth: found 'yes', but there is no user: everyone is refused"),
]


@pytest.mark.parametrize(("line", "message"), YAML)
def test_a_warning_in_yaml_names_nodes_as_yaml_does(tmp_path: Path, line: str, message: str) -> None:
    assert warnings_of(tmp_path, line, "a.yaml") == [f"a.yaml:1: {message}"]
