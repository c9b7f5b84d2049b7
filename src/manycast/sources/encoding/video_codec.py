"""Opens FFmpeg's video encoders, set for no delay. Imports PyAV: import it late."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import ThreadType
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from manycast.media.track import Codec
from manycast.sources.encoding.engines import Engines, HardwareCodec
from manycast.sources.encoding.video_form import KEYFRAME_INTERVAL_S, KINDS, VideoForm

MAX_THREADS = 4  # more slices only cost

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenEncoder:
    context: VideoCodecContext
    pixel_format: str  # of the pictures it takes
    hardware: HardwareCodec | None = None


def open_encoder(form: VideoForm, engines: Engines, name: str) -> OpenEncoder:
    """By the first hardware that can do it, else by the processor. Raises FFmpegError."""
    for hardware in engines.encoders(form.codec):
        try:
            context = _open_hardware(form, hardware)
        except (FFmpegError, ValueError, NotImplementedError) as error:  # ValueError: the build does not have it
            engines.give_up_encoder(hardware, error)
        else:
            log.info("%s: encoded by %s", name, hardware.name)
            return OpenEncoder(context, hardware.pixel_format, hardware)
    kind = KINDS[form.codec]
    try:
        return OpenEncoder(_open_software(form), kind.pixel_format)
    except FFmpegError as error:
        log.warning("%s: %s does not open at %dx%d: %s", name, kind.encoder, form.width, form.height, error)
        raise


def _open_hardware(form: VideoForm, hardware: HardwareCodec) -> VideoCodecContext:
    accelerator = None if hardware.device is None else HWAccel(hardware.device)
    encoder = av.CodecContext.create(hardware.name, "w", hwaccel=accelerator)
    assert isinstance(encoder, VideoCodecContext)
    _set_form(encoder, form, hardware.pixel_format)
    bit_rate = form.settled_bit_rate_bps
    encoder.bit_rate = bit_rate
    encoder.options = {**hardware.options, "maxrate": str(bit_rate), "bufsize": str(bit_rate)}
    encoder.open()
    return encoder


def _open_software(form: VideoForm) -> VideoCodecContext:
    kind = KINDS[form.codec]
    encoder = av.CodecContext.create(kind.encoder, "w")
    assert isinstance(encoder, VideoCodecContext)
    _set_form(encoder, form, kind.pixel_format)
    encoder.options = _options(form)
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    encoder.thread_count = 1 if form.cheap or form.width * form.height <= 640 * 360 else threads
    encoder.thread_type = ThreadType.SLICE
    if form.codec is not Codec.MJPEG or form.bit_rate_bps:
        encoder.bit_rate = form.settled_bit_rate_bps
    encoder.open()
    return encoder


def _set_form(encoder: VideoCodecContext, form: VideoForm, pixel_format: str) -> None:
    encoder.width, encoder.height = form.width, form.height
    encoder.pix_fmt = pixel_format
    encoder.time_base = Fraction(1, KINDS[form.codec].time_base_hz)
    encoder.framerate = Fraction(form.rate).limit_denominator(1001)
    encoder.gop_size = max(1, round(form.rate * KEYFRAME_INTERVAL_S * 2))  # the clock asks for them sooner
    encoder.max_b_frames = 0


def _options(form: VideoForm) -> dict[str, str]:
    bit_rate = str(form.settled_bit_rate_bps)
    bounds = {"maxrate": bit_rate, "bufsize": bit_rate}
    match form.codec:
        case Codec.H264:
            preset = "ultrafast" if form.cheap else "superfast"
            return {"preset": preset, "tune": "zerolatency", "forced-idr": "1"} | bounds
        case Codec.H265:
            parameters = "log-level=error:bframes=0:repeat-headers=1:frame-threads=1:pools=2:open-gop=0"
            return {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", "x265-params": parameters} | bounds
        case Codec.MJPEG:
            quality = {"flags": "+qscale", "global_quality": str(5 * 118)}
            return {"huffman": "default"} | ({} if form.bit_rate_bps else quality)
        case _:
            return bounds
