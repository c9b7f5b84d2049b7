"""Values that are allowed, and what they become."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from manycast.config import Settings
from manycast.config.schema.fields import every_field
from manycast.config.schema.output import AudioOutput, VideoOutput
from manycast.config.schema.proxy import Proxy
from manycast.config.schema.rules import AddressRule, NameRule, SuffixRule, TextRule, between, one_of
from manycast.config.schema.user import User
from manycast.config.schema.values import AudioCodec, VideoCodec

from .documents import load_text


def _application(tmp_path: Path, inner: str) -> Any:
    return load_text(tmp_path, f"<config><application>{inner}</application></config>").settings.applications[0]


@pytest.mark.parametrize(("written", "loops"), [("-1", -1), ("0", 1), ("", 1), ("7", 7), (" +3 ", 3)])
def test_loop_nums(tmp_path: Path, written: str, loops: int) -> None:
    assert load_text(tmp_path, f"<config><loop_nums>{written}</loop_nums></config>").settings.loop_nums == loops


@pytest.mark.parametrize("codec", list(VideoCodec))
def test_video_codecs_in_any_case(tmp_path: Path, codec: VideoCodec) -> None:
    for spelling in (codec.value, codec.value.lower(), codec.value.title()):
        application = _application(tmp_path, f"<output><video><codec>{spelling}</codec></video></output>")
        assert application.outputs[0].video == VideoOutput(codec=codec)


@pytest.mark.parametrize("codec", list(AudioCodec))
def test_audio_codecs_in_any_case(tmp_path: Path, codec: AudioCodec) -> None:
    for spelling in (codec.value, codec.value.lower()):
        application = _application(tmp_path, f"<output><audio><codec>{spelling}</codec></audio></output>")
        assert application.outputs[0].audio == AudioOutput(codec=codec)


@pytest.mark.parametrize("rate", [0, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_sample_rates(tmp_path: Path, rate: int) -> None:
    application = _application(tmp_path, f"<output><audio><samplerate>{rate}</samplerate></audio></output>")
    assert application.outputs[0].audio.samplerate == rate


def test_empty_nodes_are_original(tmp_path: Path) -> None:
    inner = "<output><url/><video><codec/><width/><height> </height></video><audio/></output>"
    (output,) = _application(tmp_path, inner).outputs
    assert (output.url, output.video, output.audio) == (None, VideoOutput(), AudioOutput())


def test_a_group_that_is_not_there_is_none(tmp_path: Path) -> None:
    (output,) = _application(tmp_path, "<output/>").outputs
    assert (output.url, output.video, output.audio) == (None, None, None)


def test_a_proxy_and_its_defaults(tmp_path: Path) -> None:
    application = _application(
        tmp_path,
        "<proxy><suffix>cam/1</suffix><url>rtsp://[::1]:8554/a</url><user>eve</user><pass>pw</pass>"
        "<transfer>multicast</transfer><ondemand>1</ondemand><output/></proxy><proxy/>",
    )
    first, second = application.proxies
    assert (first.suffix, first.url, first.user, first.transfer) == ("cam/1", "rtsp://[::1]:8554/a", "eve", "MULTICAST")
    assert first.password is not None
    assert first.password.get_secret_value() == "pw"
    assert first.ondemand
    assert first.output is not None
    assert (second.suffix, second.url, second.transfer, second.ondemand) == ("proxy", None, "TCP", False)


def test_a_pusher_and_its_defaults(tmp_path: Path) -> None:
    first, second = _application(
        tmp_path,
        "<pusher><suffix>a</suffix><video><codec>mp4</codec></video><audio><codec>aac</codec>"
        "<samplerate>0</samplerate><channels>0</channels></audio>"
        "<transfer><mode>Udp</mode><ip>10.0.0.1</ip><vport>1</vport><aport>2</aport></transfer></pusher><pusher/>",
    ).pushers
    assert (first.video.codec, first.audio.codec, first.audio.samplerate, first.audio.channels) == (
        "MP4",
        "AAC",
        8000,
        1,
    )
    assert (first.transfer.mode, first.transfer.ip, first.transfer.vport, first.transfer.aport) == (
        "UDP",
        "10.0.0.1",
        1,
        2,
    )
    assert first.raw
    assert (second.suffix, second.video, second.audio, second.raw) == ("pusher", None, None, False)
    assert (second.transfer.vport, second.transfer.aport) == (50001, 50002)


def test_a_back_channel_and_its_defaults(tmp_path: Path) -> None:
    for inner in ("", "<samplerate>0</samplerate><channels>0</channels>"):
        backchannel = load_text(tmp_path, f"<config><backchannel>{inner}</backchannel></config>").settings.backchannel
        assert backchannel is not None
        assert (backchannel.codec, backchannel.samplerate, backchannel.channels) == ("G711U", 8000, 1)
        assert (backchannel.device, backchannel.record) == ("default", None)
    assert load_text(tmp_path, "<config/>").settings.backchannel is None


@pytest.mark.parametrize(("output", "device"), [("none", None), ("NONE", None), ("plughw:1,0", "plughw:1,0")])
def test_where_a_back_channel_goes(tmp_path: Path, output: str, device: str | None) -> None:
    inner = f"<output>{output}</output><record>talks/front</record>"
    backchannel = load_text(tmp_path, f"<config><backchannel>{inner}</backchannel></config>").settings.backchannel
    assert backchannel is not None
    assert backchannel.device == device
    assert backchannel.record == tmp_path / "talks" / "front"


def test_names_and_passwords_in_utf_8(tmp_path: Path) -> None:
    text = """
        <?xml version="1.0" encoding="utf-8"?>
        <config>
        <user><username>Zoë</username><password> pässwörd &amp; ключ </password></user>
        <application><name>прямой эфир</name></application>
        </config>
        """
    settings = load_text(tmp_path, text).settings
    assert settings.users[0].username == "Zoë"
    assert settings.users[0].password.get_secret_value() == "pässwörd & ключ"
    assert settings.applications[0].name == "прямой эфир"


ADDRESSES = [
    ("127.0.0.1", "127.0.0.1"),
    ("::", "::"),
    ("[2001:DB8::0001]", "2001:db8::1"),
    ("example.org", "example.org"),
    ("host_1.local.", "host_1.local."),
    ("fe80::1%eth0", "fe80::1%eth0"),
]


@pytest.mark.parametrize(("written", "address"), ADDRESSES)
def test_addresses(written: str, address: str) -> None:
    assert AddressRule().parse(written) == address


@pytest.mark.parametrize(
    "written",
    ["", "1.2.3", "256.1.1.1", "a b", "-a.org", "a..b", "[127.0.0.1]", "[::1", "a" * 64, "x." * 127 + "x", "ü.org"],
)
def test_what_is_no_address(written: str) -> None:
    with pytest.raises(ValueError):
        AddressRule().parse(written)


@pytest.mark.parametrize("name", ["", "myapp", "a b", "video", "ä", "x" * 255, "...", "screenlive"])
def test_application_names(name: str) -> None:
    assert NameRule().parse(name) == name


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a?b", "a#b", "a%b", ".", "..", "a\tb", "a\x00b", " a", "x" * 256])
def test_what_is_no_application_name(name: str) -> None:
    with pytest.raises(ValueError):
        NameRule().parse(name)


@pytest.mark.parametrize("suffix", ["proxy", "a/b", "my screenlive", "Screenlive", "windowed", "video"])
def test_suffixes(suffix: str) -> None:
    assert SuffixRule().parse(suffix) == suffix


@pytest.mark.parametrize("suffix", ["", "/a", "a/", "a//b", "a/../b", "screenlive", "videodevice=Cam", "window=x"])
def test_what_is_no_suffix(suffix: str) -> None:
    with pytest.raises(ValueError):
        SuffixRule().parse(suffix)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://h",
        "RTSPS://h:322/a b",
        "rtmp://h:x/a",
        "http:///a",
        "h/a",
        "file:///etc/passwd",
        "http://[::1/a",
        "rtsp://h\n",
    ],
)
def test_a_sources_address(url: str) -> None:
    good = url in ("rtsp://h",)
    try:
        assert Proxy(url=url).url == url
        assert good
    except ValidationError:
        assert not good


def test_code_may_give_python_values() -> None:
    user = User.model_validate({"username": "eve", "password": "pw"})
    settings = Settings(users=(user,), log_enable=False, loop_nums=-1, media_folder=Path("/media"))
    assert Settings.model_validate(settings.model_dump()) == settings
    for wrong in (
        {"loop_nums": -2},
        {"log_enable": 2},
        {"log_level": True},
        {"nonsense": 1},
        {"loop_nums": 1.0},
        {"users": [{"username": 5}]},
    ):
        with pytest.raises(ValidationError):
            Settings.model_validate(wrong)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().rtsp.serverport = 1  # type: ignore[misc]


def test_rules_at_their_bounds() -> None:
    assert [between(1, 3).parse(text) for text in ("1", "3")] == [1, 3]
    assert between(0, 3, zero=2).parse("0") == 2
    assert one_of(0, 4, zero=4).parse("0") == 4
    assert TextRule(forbidden=":").parse("a;b") == "a;b"
    for wrong in ("0", "4", "", "--1", "1 ", "0x1", "1e0"):
        with pytest.raises(ValueError):
            between(1, 3).parse(wrong)


def test_every_value_has_a_rule_and_everything_a_description() -> None:
    for specs in every_field(Settings):
        where = ".".join(spec.field for spec in specs)
        assert (specs[-1].rule is None) != (specs[-1].group is None), where
        assert specs[-1].description.endswith("."), where


def test_every_default_is_allowed() -> None:
    for specs in every_field(Settings):
        spec = specs[-1]
        if spec.rule is not None and not spec.many and not spec.required and spec.default is not None:
            assert spec.rule.parse(spec.default) == spec.default, spec
