"""The example files, which are the templates of the file formats, load as they are."""

from pathlib import Path

import pytest

from manycast.config import Settings, load
from manycast.config.schema.output import AudioOutput, VideoOutput

from .documents import EXAMPLES


def _settings(name: str) -> Settings:
    loaded = load([EXAMPLES / name])
    assert loaded.warnings == ()
    return loaded.settings


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_every_example_loads_without_a_warning(path: Path) -> None:
    assert load([path]).warnings == ()


def test_the_media_dialects_template() -> None:
    settings = _settings("mediaserver.cfg")
    servers = (settings.http, settings.https, settings.rtsp, settings.rtmp, settings.srt)
    assert [server.serverport for server in servers] == [80, 1443, 554, 1935, 8080]
    assert all(server.enable and server.serverip == () for server in servers)
    assert (settings.loop_nums, settings.log_enable, settings.log_level) == (1, True, 1)
    assert (settings.rtsp.multicast, settings.rtsp.metadata, settings.rtsp.udp_base_port) == (False, True, 22000)
    assert (settings.hls.fragment, settings.hls.playlist, settings.hls.cleanupdir) == (5, 5, True)
    assert [user.username for user in settings.users] == ["admin"]
    (application,) = settings.applications
    assert application.name == "myapp"
    (output,) = application.outputs
    assert output.url is None
    assert output.video == VideoOutput.model_validate({"codec": "H264"})
    assert output.audio == AudioOutput.model_validate({"codec": "AAC", "samplerate": 44100, "channels": 2})
    (proxy,) = application.proxies
    assert (proxy.suffix, proxy.url, proxy.user, proxy.password) == ("proxy", None, None, None)
    assert proxy.output is not None
    assert proxy.output.video == VideoOutput()
    assert settings.backchannel is None


def test_the_rtsp_dialects_template() -> None:
    settings = _settings("rtspserver.cfg")
    assert (settings.rtsp.serverport, settings.http.serverport, settings.https.serverport) == (554, 8080, 443)
    assert settings.rtsp.serverip == ()
    assert [user.username for user in settings.users] == ["admin", "user"]
    (application,) = settings.applications
    assert application.name == ""
    assert [output.url for output in application.outputs] == ["screenlive", None]
    (pusher,) = application.pushers
    assert pusher.raw
    assert (pusher.transfer.mode, pusher.transfer.vport, pusher.transfer.aport) == ("UDP", 50001, 50002)
    assert settings.backchannel is not None
    assert settings.backchannel.codec == "G711U"


def test_the_template_of_the_rtsp_dialect_beside_onvif() -> None:
    settings = _settings("rtsp.cfg")
    assert (settings.rtsp.serverport, settings.http.serverport, settings.https.serverport) == (554, 8080, 443)
    (application,) = settings.applications
    (output,) = application.outputs
    assert (output.url, output.video, output.audio) == (
        "screenlive",
        VideoOutput.model_validate({"codec": "H264"}),
        AudioOutput.model_validate({"codec": "G711U", "samplerate": 8000, "channels": 1}),
    )
    (pusher,) = application.pushers
    assert not pusher.raw
    assert pusher.output is not None
    assert (pusher.output.video, pusher.output.audio) == (VideoOutput(), AudioOutput())


def test_the_yaml_example() -> None:
    settings = _settings("manycast.yaml")
    assert settings.rtsp.serverport == 8554
    assert settings.needs_auth("rtsp")
    assert [application.name for application in settings.applications] == ["", "live"]
