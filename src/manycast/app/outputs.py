"""The output rules of a configuration, as the hub has them."""

from __future__ import annotations

from manycast.config.schema.output import Output as ConfiguredOutput
from manycast.config.schema.proxy import Proxy
from manycast.config.schema.pusher import Pusher
from manycast.config.schema.settings import Settings
from manycast.config.schema.values import AudioCodec, VideoCodec
from manycast.hub.output import AudioOutput, Output, OutputRules, VideoOutput
from manycast.media.track import Codec

_VIDEO = {
    VideoCodec.H264: Codec.H264,
    VideoCodec.H265: Codec.H265,
    VideoCodec.MP4: Codec.MPEG4,
    VideoCodec.JPEG: Codec.MJPEG,
}
_AUDIO = {
    AudioCodec.G711A: Codec.G711A,
    AudioCodec.G711U: Codec.G711U,
    AudioCodec.G722: Codec.G722,
    AudioCodec.G726: Codec.G726,
    AudioCodec.AAC: Codec.AAC,
    AudioCodec.OPUS: Codec.OPUS,
}


def output_rules(settings: Settings) -> OutputRules:
    """Those of every application, and of its pushers and of its proxies that are always connected.

    Proxies on demand are not among them: with them, what transcodes starts and ends together with the source.
    """
    at: dict[str, Output] = {}
    for application in settings.applications:
        kept = [proxy for proxy in application.proxies if proxy.url is not None and not proxy.ondemand]
        nodes: list[Proxy | Pusher] = [*kept, *application.pushers]
        for node in nodes:
            if node.output is not None:
                at.setdefault(application.path_of(node.suffix), output_of(node.output))
    rules = {
        application.name: [output_of(output) for output in application.outputs] for application in settings.applications
    }
    return OutputRules(rules, at)


def output_of(configured: ConfiguredOutput) -> Output:
    video, audio = configured.video, configured.audio
    wanted_video, wanted_audio = VideoOutput(), AudioOutput()
    if video is not None:
        wanted_video = VideoOutput(
            codec=_VIDEO[video.codec] if video.codec is not None else None,
            width=video.width,
            height=video.height,
            frame_rate=video.framerate,
            bit_rate_bps=video.bitrate * 1000,
        )
    if audio is not None:
        wanted_audio = AudioOutput(
            codec=_AUDIO[audio.codec] if audio.codec is not None else None,
            sample_rate_hz=audio.samplerate,
            channels=audio.channels,
            bit_rate_bps=audio.bitrate * 1000,
        )
    return Output(pattern=configured.url, video=wanted_video, audio=wanted_audio, sound_asked=audio is not None)
