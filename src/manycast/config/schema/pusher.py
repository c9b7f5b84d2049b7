"""Streams that are pushed to the server, with their codecs said beforehand."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from manycast.config.schema.base import Group, setting
from manycast.config.schema.output import Output
from manycast.config.schema.rules import one_word_of
from manycast.config.schema.values import (
    Address,
    AudioCodec,
    OutputAudioCodec,
    OutputVideoCodec,
    Port,
    SpokenChannels,
    SpokenSampleRate,
    Suffix,
    VideoCodec,
)


class PusherMode(StrEnum):
    """How the data comes."""

    TCP = "TCP"
    UDP = "UDP"
    RTSP = "RTSP"
    RTMP = "RTMP"
    SRT = "SRT"


class PushedVideo(Group):
    codec: OutputVideoCodec = setting(VideoCodec.H264, "Codec of the pushed video.")


class PushedAudio(Group):
    codec: OutputAudioCodec = setting(AudioCodec.G711U, "Codec of the pushed audio.")
    samplerate: SpokenSampleRate = setting(8000, "Sample rate of the pushed audio.")
    channels: SpokenChannels = setting(1, "1 mono, 2 stereo. G726 is always mono.")


class PusherTransfer(Group):
    mode: Annotated[PusherMode, one_word_of(PusherMode)] = setting(
        PusherMode.RTSP, "TCP or UDP: RTP packets at ports of their own. RTSP, RTMP, SRT: a client publishes by it."
    )
    ip: Address | None = setting(None, "Address to receive on; not configured: all interfaces. TCP and UDP only.")
    vport: Port = setting(50001, "Port for video. TCP and UDP only.")
    aport: Port = setting(50002, "Port for audio. TCP and UDP only.")


class Pusher(Group):
    suffix: Suffix = setting("pusher", "Name under which the stream is offered.")
    video: PushedVideo | None = setting(None, "The video that comes; without this group, none.")
    audio: PushedAudio | None = setting(None, "The audio that comes; without this group, none.")
    transfer: PusherTransfer = setting(PusherTransfer(), "How the data comes.")
    output: Output | None = setting(None, "What is offered; not configured: what is pushed.")

    @property
    def raw(self) -> bool:
        """Whether it takes RTP packets at ports of its own."""
        return self.transfer.mode in (PusherMode.TCP, PusherMode.UDP)
